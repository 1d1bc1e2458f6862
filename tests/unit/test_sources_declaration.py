"""A source's YAML is read strictly: what is wrong is refused with its line."""

import re
from pathlib import Path

import pytest

from salus.errors import Refused
from salus.settings import conf_dir
from salus.sources.columns import columns_in
from salus.sources.declaration import LINES, TABLES, Source
from salus.sources.expressions import expressions
from salus.sources.loading import load_source, read_source
from salus.sources.record_type import Record

SOUND = """\
format: csv
system: registry
system_priority: 4
times:
  - {matches: '\\d{4}-\\d{2}-\\d{2}', reads: try_cast(text AS DATE), lasts: day}
records:
  visit:
    files: ['visit*']
    schema: person, day, code
    id: concat(person, day)
    subject: person
    declares_subject: true
    time: day
    events:
      visit: {code: "'VISIT/' || code"}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "registry.yml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_sound_source_is_named_after_its_file(tmp_path):
    assert read_source(written(tmp_path, SOUND)).name == "registry"


@pytest.mark.parametrize(
    ("line", "wrong", "at", "named"),
    [
        ("    subject: person\n", "    subjcet: person\n", 11, "subjcet"),
        ("    declares_subject: true\n", "    declares_subject: true\n    subjcet: person\n", 13, "subjcet"),
        ("      visit: {code: \"'VISIT/' || code\"}\n", '      visit: {code: "fhir_code(code, day)"}\n', 15, "code"),
        ("    time: day\n", "", 7, "needs a time"),
        ("system_priority: 4\n", "system_priority: first\n", 3, "system_priority"),
    ],
)
def test_what_is_wrong_is_refused_with_its_line(tmp_path, line, wrong, at, named):
    assert line in SOUND
    with pytest.raises(Refused, match=named) as refused:
        read_source(written(tmp_path, SOUND.replace(line, wrong)))
    assert f"registry.yml:{at}:" in str(refused.value)


def test_an_unknown_source_is_refused_with_those_that_exist():
    with pytest.raises(Refused, match=r"fhir_r4.*payer_extract.*wearable_daily"):
        load_source("fhir_r5")
    with pytest.raises(Refused):
        load_source("../tasks/admission_90d")


@pytest.mark.parametrize("name", sorted(path.stem for path in (conf_dir() / "sources").glob("*.yml")))
def test_the_declared_sources_are_sound(name):
    source = load_source(name)
    assert source.name == name
    assert source.mapping_hash("main", "") != source.mapping_hash("other", "")


def test_every_system_has_a_rank_of_its_own():
    sources = [load_source(path.stem) for path in (conf_dir() / "sources").glob("*.yml")]
    ranks = {source.system: source.system_priority for source in sources}
    assert {(source.system, source.system_priority) for source in sources} == set(ranks.items())
    assert len(set(ranks.values())) == len(ranks)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("", "needs `subject`"),
        ("    subject_of: {stay: stay_id}\n", "names stay"),
        ("    subject_of: {visit: day}\n    declares_subject: true\n", "needs `subject`: another"),
    ],
)
def test_a_record_needs_a_declared_way_to_its_person(tmp_path, wrong, named):
    text = SOUND.replace("    subject: person\n    declares_subject: true\n", wrong)
    with pytest.raises(Refused, match=named):
        read_source(written(tmp_path, text))


def test_commas_within_a_type_part_no_columns(tmp_path):
    table = read_source(written(tmp_path, SOUND.replace("format: csv", "format: parquet")))
    nested = "id BIGINT, coded ARRAY<STRUCT<system: STRING, m: MAP<STRING, INT>>>, paid DECIMAL(18, 4), day"
    assert columns_in(table, nested) == {
        "id": "BIGINT",
        "coded": "ARRAY<STRUCT<system: STRING, m: MAP<STRING, INT>>>",
        "paid": "DECIMAL(18, 4)",
        "day": "STRING",
    }
    assert columns_in(read_source(written(tmp_path, SOUND)), "day of visit, code") == {
        "day of visit": "STRING",
        "code": "STRING",
    }


def test_only_columns_can_be_optional(tmp_path):
    lacking = SOUND.replace("    schema:", "    optional: ward\n    schema:")
    assert read_source(written(tmp_path, lacking)).records["visit"].optional == "ward"
    with pytest.raises(Refused, match="expected it in CSV and tables only"):
        read_source(written(tmp_path, lacking.replace("format: csv", "format: ndjson")))


def test_what_expressions_share_has_a_name_of_its_own(tmp_path):
    sharing = SOUND.replace("    time: day", "    shared:\n      code_of_day: concat(day, code)\n    time: day")
    read_source(written(tmp_path, sharing))
    with pytest.raises(Refused, match=r"registry.yml:14: received `code`, which names a column too"):
        read_source(written(tmp_path, sharing.replace("code_of_day", "code")))


def test_a_cost_needs_a_day_or_a_record_that_has_one(tmp_path):
    cost = "    cost: {domain: \"'Visit'\", total_paid: paid}\n"
    with pytest.raises(Refused, match="`cost` needs `incurred`"):
        read_source(written(tmp_path, SOUND + cost))
    owned = SOUND.replace("    declares_subject: true\n", "").replace("subject: person", "subject_of: {visit: person}")
    assert read_source(written(tmp_path, owned + cost)).records["visit"].cost.incurred is None


DEFINED = (
    SOUND.replace("      visit: {code: \"'VISIT/' || code\"}\n", "      visit: {code: 'NULL', code_of: {drug: code}}\n")
    + """\
  drug:
    files: ['drug*']
    schema: code, rxnorm
    id: code
    definition: {code: "'RxNorm/' || rxnorm"}
"""
)


def test_a_code_is_defined_by_a_record_that_is_nobodys(tmp_path):
    source = read_source(written(tmp_path, DEFINED))
    assert source.records["visit"].codes_of == [("drug", "code")]
    assert source.records["drug"].is_nobodys
    assert (("records", "visit", "events", "visit", "code_of", "drug"), "code") in expressions(source)


@pytest.mark.parametrize(
    ("right", "wrong", "named"),
    [
        ("{drug: code}", "{visit: code}", "`code_of` of visit names visit"),
        ("{drug: code}", "{brand: code}", "`code_of` of visit names brand"),
        ("{drug: code}}", "{drug: code}, each: array(1)}", "with `each`"),
        ("    id: code\n", "    id: code\n    subject: code\n", "`definition` has a subject"),
        ("    definition: {code: \"'RxNorm/' || rxnorm\"}\n", "", "needs `subject`"),
    ],
)
def test_a_code_that_nothing_can_define_is_refused(tmp_path, right, wrong, named):
    assert right in DEFINED
    with pytest.raises(Refused, match=named):
        read_source(written(tmp_path, DEFINED.replace(right, wrong)))


def test_the_page_on_sources_names_every_key_and_every_format():
    page = (conf_dir().resolve().parent / "docs" / "sources.md").read_text(encoding="utf-8")
    fields = {**Source.model_fields, **Record.model_fields}
    keys = {field.alias or name for name, field in fields.items()} - {"name"}
    assert sorted(key for key in {*keys, *LINES, *TABLES} if not re.search(rf"`{key}`|\b{key}:", page)) == []
