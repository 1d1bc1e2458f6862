"""What may pass: every column is decided about, and no mapping lands a field that says who somebody is."""

import shutil

import pytest

from salus.errors import Refused
from salus.privacy.settings import policy_of
from salus.schemas import EVENTS
from salus.schemas.landed import PROVENANCE
from salus.settings import conf_dir
from salus.sources.identifying import refuse_identifying
from salus.sources.landing import PAYLOAD_TABLES
from salus.sources.loading import load_source, source_path

SOURCES = sorted(path.stem for path in (conf_dir() / "sources").glob("*.yml"))
REGISTRY = """\
format: csv
system: registry
system_priority: 4
times:
  - {matches: '\\d{4}', reads: "try_cast(text || '-01-01' AS DATE)", lasts: year}
macros: {spoken(word): lower(word)}
records:
  visit:
    files: ['visit*']
    schema: chart, day, code, Home_Phone
    id: concat(chart, Home_Phone)
    subject: chart
    declares_subject: true
    time: day
    accept: {has_phone: Home_Phone IS NOT NULL}
    identifiers:
      - {system: "'phone'", value: Home_Phone}
    events:
      visit: {code: "'VISIT/' || code", text_value: TEXT}
"""


@pytest.fixture
def conf(tmp_path, monkeypatch):
    shutil.copytree(conf_dir(), tmp_path / "conf")
    monkeypatch.setenv("SALUS_CONF", str(tmp_path / "conf"))
    return tmp_path / "conf"


def check(conf, text_value, policy="", shared="length(code)"):
    text = REGISTRY.replace("TEXT", text_value).replace(
        "    time: day", f"    time: day\n    shared: {{told: '{shared}'}}"
    )
    (conf / "sources" / "registry.yml").write_text(text)
    (conf / "privacy" / "registry.yml").write_text(policy or "notes: keep")
    refuse_identifying(load_source("registry"), policy_of("registry"), source_path("registry"))


@pytest.mark.parametrize("source", SOURCES)
def test_no_source_lands_a_field_that_says_who_somebody_is(source):
    refuse_identifying(load_source(source), policy_of(source), source_path(source))


@pytest.mark.parametrize("table", sorted([*PAYLOAD_TABLES, "events"]))
def test_every_column_of_a_landed_table_is_decided_about(table):
    """A column that conf/privacy/default.yml does not list lands empty: list a new one under ``passes``."""
    schema = EVENTS if table == "events" else PAYLOAD_TABLES[table][1]
    given = {*PROVENANCE_NAMES, "is_lag_assumed", "visit_id", "time"}
    columns = [name for name in schema.names if name not in given]
    assert sorted(policy_of("any source").passes.get(table, [])) == sorted(columns)


PROVENANCE_NAMES = {column.name for column in PROVENANCE}


def test_what_is_hashed_or_only_asked_about_may_be_identifying(conf):
    check(conf, "code")


@pytest.mark.parametrize(
    ("text_value", "field"),
    [
        ("Home_Phone", "Home_Phone"),
        ("spoken(homePhone)", "homePhone"),
        ("concat(code, ' ', patient.name.family)", "family, name"),
        ("left(chart, 3)", "chart"),
    ],
)
def test_what_would_stand_in_a_table_is_refused_with_its_line(conf, text_value, field):
    with pytest.raises(Refused, match=rf"registry.yml:20: .* would land {field}, fields") as refused:
        check(conf, f'"{text_value}"')
    assert "lands: {visit: [...]}" in str(refused.value)


def test_a_field_that_expressions_share_lands_where_one_of_them_does(conf):
    check(conf, "code", shared="right(Home_Phone, 4)")
    with pytest.raises(Refused, match=r"registry.yml:20: .* would land Home_Phone, fields"):
        check(conf, "told", shared="right(Home_Phone, 4)")


def test_a_source_lands_what_its_policy_names(conf):
    check(conf, "Home_Phone", "lands: {visit: [home_phone]}")
    with pytest.raises(Refused, match="would land Home_Phone"):
        check(conf, "Home_Phone", "lands: {lab: [home_phone]}")


def test_a_text_that_is_no_field_is_no_field(conf):
    check(conf, "\"'ssn ' || code\"")


@pytest.mark.parametrize(
    ("policy", "said"), [("notes: shred", "registry.yml:1: received `notes`"), ("noets: keep", "`noets`")]
)
def test_a_policy_that_is_not_as_declared_is_refused(conf, policy, said):
    with pytest.raises(Refused, match=said):
        check(conf, "code", policy)


def test_a_source_differs_only_where_its_own_file_says_so(conf):
    everyone = policy_of("registry")
    (conf / "privacy" / "registry.yml").write_text("notes: drop\nwithholds: {persons: [race_source_value]}\n")
    own = policy_of("registry")
    assert (own.notes, own.text_values) == ("drop", everyone.text_values)
    assert set(everyone.passes["persons"]) - set(own.passes["persons"]) == {"race_source_value"}
    assert own.passes["costs"] == everyone.passes["costs"]
    assert own.hash != everyone.hash == policy_of("another").hash
