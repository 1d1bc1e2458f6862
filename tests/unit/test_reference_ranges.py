"""Reference ranges: the table, whose range is whose, and what lies outside."""

import math

import numpy as np
import pytest

from salus.errors import Refused
from salus.settings import conf_dir
from salus.sources.units import read_units, units_path
from salus.timelines.clocks import NEVER
from salus.timelines.features import FeatureSettings, code_groups, codeset, definitions
from salus.timelines.model_inputs import model_inputs
from salus.timelines.reference_ranges import ReferenceRange, range_of, ranges_path, read_ranges
from salus.timelines.spec import FeatureSpec
from timeline_cases import CODES, DAY, Event, Person, batch_of, samples_of, spec

HEADER = "code,sex,low,high,unit,source\n"
CODESET = (
    "group,label,kind,unit,code_prefix\n"
    "haemoglobin,Haemoglobin,numeric,g/dL,LOINC/718-7\nsteps,Steps,numeric,{steps},STEPS/\nany,Any,count,,LOINC/\n"
)
ASKED = FeatureSettings(codeset="mine", numeric_statistics=("out_of_range", "mean"))
CODES_HELD = {"LOINC/718-7": 1, "STEPS/DAY": 2}


@pytest.fixture
def write_ranges(tmp_path, monkeypatch):
    """Writes lines as the table of ranges of a configuration with the codeset ``mine``."""
    monkeypatch.setenv("SALUS_CONF", str(tmp_path))
    (tmp_path / "codesets").mkdir()
    (tmp_path / "codesets" / "mine.csv").write_text(CODESET, encoding="utf-8")
    return lambda lines: ranges_path().write_text(HEADER + lines, encoding="utf-8")


def features_of(settings):
    groups = tuple(code_groups(settings, CODES_HELD, {}))
    return FeatureSpec(
        **settings.model_dump(include=set(FeatureSpec.model_fields) - {"sequence", "daily"}), groups=groups
    )


def test_each_shipped_range_is_in_the_canonical_unit_of_its_code_and_cites_a_source():
    units = read_units(units_path())
    for line in read_ranges(ranges_path()):
        assert {unit for unit, _, _ in units[line.code].values()} == {line.unit}, line


def test_the_shipped_ranges_fit_every_shipped_codeset():
    lines = read_ranges(ranges_path())
    known = {}
    for path in sorted((conf_dir() / "codesets").glob("*.csv")):
        if path.read_text(encoding="utf-8").startswith("group,label,kind,unit,code_prefix\n"):
            groups = [group for group in codeset(path.stem) if group.kind == "numeric"]
            found = {
                group.name: range_of(group.name, group.unit, [line for line in lines if group.holds((line.code,))])
                for group in groups
            }
            known[path.stem] = {name for name, reference in found.items() if reference}
    assert known["admission_90d"] == {"hba1c", "creatinine", "bnp", "haemoglobin", "potassium", "crp"}
    assert len(known["common_labs"]) == 63
    assert {line.code for line in lines} <= {prefix for group in codeset("common_labs") for prefix in group.prefixes}


def test_only_groups_with_a_range_have_the_share_and_the_spec_keeps_the_range(write_ranges):
    write_ranges("LOINC/718-7,female,12,16,g/dL,A book\nLOINC/718-7,male,14,18,g/dL,A book\nLOINC/1-1,,1,2,g,A book\n")
    fitted = features_of(ASKED)
    assert [name for name in fitted.names if "out_of_range" in name] == [
        "haemoglobin.out_of_range.90d",
        "haemoglobin.out_of_range.365d",
    ]
    assert FeatureSpec.from_json(fitted.to_json()).groups[0].reference == ReferenceRange(female=(12, 16), male=(14, 18))
    write_ranges("LOINC/718-7,,12,18,g/dL,A book\n")
    assert features_of(ASKED).hash != fitted.hash
    assert features_of(ASKED).names == fitted.names


def test_a_spec_that_asks_for_no_share_is_written_as_it_was_before_there_were_ranges(write_ranges):
    write_ranges("not read")
    other = features_of(ASKED.model_copy(update={"numeric_statistics": ("mean",)}))
    assert "reference" not in other.to_json()


def test_a_changed_range_or_codeset_is_a_reason_to_export_again(write_ranges):
    write_ranges("LOINC/718-7,,12,18,g/dL,A book\n")
    before, others = definitions(ASKED), definitions(FeatureSettings(codeset="mine"))
    write_ranges("LOINC/718-7,,12,17,g/dL,A book\n")
    assert definitions(ASKED) != before
    assert definitions(FeatureSettings(codeset="mine")) == others, "who doesn't ask for the share is not concerned"
    path = ranges_path().with_name("mine.csv")
    path.write_text(path.read_text(encoding="utf-8") + "more,More,count,,X/\n", encoding="utf-8")
    assert definitions(FeatureSettings(codeset="mine")) != others


def test_a_configuration_without_the_table_is_refused(write_ranges):
    with pytest.raises(Refused, match="expected one for out_of_range"):
        features_of(ASKED)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("LOINC/718-7,,12,18,g/L,A book\n", r"csv:2: received the range of LOINC/718-7 in g/L; expected g/dL"),
        ("STEPS/DAY,,1,2,,A book\n", "csv:2: received a line that is no reference range"),
        ("LOINC/718-7,,12,18,g/dL,\n", "csv:2: received a line that is no reference range"),
        ("LOINC/718-7,,18,12,g/dL,A book\n", "csv:2: received a line that is no reference range"),
        ("LOINC/718-7,,nan,12,g/dL,A book\n", "csv:2: received a line that is no reference range"),
        ("LOINC/718-7,,,,g/dL,A book\n", "csv:2: received a line that is no reference range"),
        ("LOINC/718-7,F,12,18,g/dL,A book\n", "csv:2: received a line that is no reference range"),
        ("LOINC/718-7,,12\n", "csv:2: received a line that is no reference range"),
        ("LOINC/718-7,,12,18,g/dL,A\nLOINC/718-7,male,14,18,g/dL,A\n", "csv:3: received another range"),
        ("LOINC/718-7,male,14,18,g/dL,A book\n", "csv:2: received a range of the group haemoglobin for one sex alone"),
        ("LOINC/9-9,,14,18,g/dL,A book\n", "of whose numeric groups none has a reference range"),
    ],
)
def test_a_wrong_range_is_refused_with_its_line(write_ranges, lines, message):
    write_ranges(lines)
    with pytest.raises(Refused, match=message):
        features_of(ASKED)


def test_the_limits_themselves_are_usual_in_single_precision_too():
    values = (0.7, 1.3, 0.69, 1.31, 1.0)
    usual = ReferenceRange(female=(0.5, 1.1), male=(0.7, 1.3))
    [lab] = [group.model_copy(update={"reference": usual}) for group in spec().with_reference]
    changed = spec(groups=(lab,), numeric_statistics=("out_of_range",), statistics=None, sequence=None, daily=None)
    asked = FeatureSpec.from_json(changed.to_json())
    made = [Event(day * DAY, day * DAY, NEVER, CODES["LAB/1"], value) for day, value in enumerate(values)]
    persons = [Person(made, sex=sex) for sex in ("male", "female", None)] + [Person([], sex="male")]
    inputs = model_inputs(batch_of(persons), *samples_of(persons, [9 * DAY]), asked)["inputs"]
    shares = inputs[:, asked.names.index("lab.out_of_range.30d")]
    np.testing.assert_array_equal(shares, np.array([0.4, 0.4, 0.2, math.nan], np.float32))
