"""The linkage model is Splink's file: Splink itself reads it, and what cannot be applied is refused with its line."""

import json
import math
import shutil

import pytest

from salus.errors import Refused
from salus.settings import conf_dir
from salus.sources.linkage_model import model_path, read_model
from salus.sources.loading import read_source

SOURCE = """\
format: csv
system: registry
system_priority: 4
link: splink
times:
  - {matches: '\\d{4}-\\d{2}-\\d{2}', reads: try_cast(text AS DATE), lasts: day}
records:
  person:
    schema: id, born, name, sex
    id: id
    subject: id
    declares_subject: true
    linkage:
      birth_date: born
      family: name
    person: {birth: born, sex: sex}
"""


@pytest.fixture
def conf(tmp_path, monkeypatch):
    """A copy of the settings' model, to be written otherwise."""
    shutil.copytree(conf_dir() / "linkage", tmp_path / "linkage")
    monkeypatch.setenv("SALUS_CONF", str(tmp_path))
    return tmp_path / "linkage" / "splink.json"


def test_the_fields_and_the_weight_are_those_of_the_file():
    model, content = read_model(), json.loads(model_path().read_text())
    assert model.fields == [
        "birth_date", "birth_month", "family", "family_sound", "given", "given_sound", "sex", "zip3"
    ]  # fmt: skip
    best = math.log2(content["probability_two_random_records_match"])
    for comparison in content["comparisons"]:
        exact = comparison["comparison_levels"][1]
        best += math.log2(exact["m_probability"] / exact["u_probability"])
    told = sum(comparison.comparison_levels[1].bits for comparison in model.comparisons)
    prior = model.probability_two_random_records_match
    assert told + math.log2(prior / (1 - prior)) == pytest.approx(best, abs=1e-5)


def test_m_and_u_are_probabilities_of_levels_that_exclude_one_another():
    for comparison in read_model().comparisons:
        trained = [level for level in comparison.comparison_levels if not level.is_null_level]
        for of in ("m_probability", "u_probability"):
            assert sum(getattr(level, of) for level in trained) == pytest.approx(1, abs=1e-6)


def test_splink_reads_the_file():
    from splink import SettingsCreator

    settings = SettingsCreator.from_path_or_dict(str(model_path())).get_settings("spark")
    assert settings.as_dict()["link_type"] == "link_only"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            lambda model: model["comparisons"][0]["comparison_levels"][1].pop("m_probability"),
            "expected a trained model",
        ),
        (
            lambda model: model["comparisons"][0]["comparison_levels"][1].update(tf_adjustment_column="family"),
            "must not depend on who else",
        ),
        (lambda model: model["comparisons"][1]["comparison_levels"][1].update(u_probability=0), "greater than 0"),
        (lambda model: model.update(sql_dialect="duckdb"), "spark"),
        (lambda model: model.update(link_type="dedupe_only"), "link_only"),
        (
            lambda model: model["blocking_rules_to_generate_predictions"].append(
                {"blocking_rule": "l.family = r.family OR l.sex = r.sex"}
            ),
            "expected equal fields only",
        ),
        (
            lambda model: model["blocking_rules_to_generate_predictions"].append(
                {"blocking_rule": "l.family = r.given"}
            ),
            "expected equal fields only",
        ),
    ],
)
def test_a_model_that_cannot_be_applied_is_refused_with_its_line(conf, change, named):
    content = json.loads(conf.read_text())
    change(content)
    conf.write_text(json.dumps(content, indent=2))
    with pytest.raises(Refused, match=named) as refused:
        read_model()
    assert f"{conf}:" in str(refused.value)
    assert f"{conf}:1:" not in str(refused.value)


def test_a_source_links_by_fields_of_the_model(tmp_path):
    path = tmp_path / "registry.yml"
    path.write_text(SOURCE)
    source = read_source(path)
    assert (source.link, source.link_above, list(source.records["person"].linkage)) == (
        "splink",
        0.999,
        ["birth_date", "family"],
    )
    path.write_text(SOURCE.replace("      family:", "      surname:"))
    with pytest.raises(Refused, match=r"registry.yml:15: received the field `surname`; expected .*birth_date"):
        read_source(path)
    path.write_text(SOURCE.replace("    linkage:\n      birth_date: born\n      family: name\n", ""))
    with pytest.raises(Refused, match="`link` needs a record type with `linkage`"):
        read_source(path)
    path.write_text(SOURCE.replace("    declares_subject: true\n", ""))
    with pytest.raises(Refused, match="`linkage` needs `declares_subject`"):
        read_source(path)
