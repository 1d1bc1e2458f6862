"""What a task asks of its features, the codesets, and the lookup of codes by their hash."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from salus.errors import Refused
from salus.timelines.features import FeatureSettings, code_groups, codeset
from salus.timelines.vocabulary import Vocabulary

HEADER = "group,label,kind,unit,code_prefix\n"


@pytest.fixture
def write_codeset(tmp_path, monkeypatch):
    """Writes lines as the codeset ``mine`` of a configuration of its own."""
    monkeypatch.setenv("SALUS_CONF", str(tmp_path))
    (tmp_path / "codesets").mkdir()
    return lambda lines: (tmp_path / "codesets" / "mine.csv").write_text(HEADER + lines, encoding="utf-8")


def test_a_code_belongs_to_every_group_whose_prefix_it_begins_with(write_codeset):
    write_codeset(
        "diabetes,Diabetes,count,,ICD10CM/E11\ndiabetes,Diabetes,count,,RxNorm/860975\n"
        "any_diagnosis,Diagnoses,count,,ICD10CM/\nhba1c,HbA1c,numeric,%,LOINC/4548-4\nnever,Never,count,,X/\n"
    )
    codes = {"ICD10CM/E11.9": 1, "ICD10CM/I10": 2, "LOINC/4548-4": 3, "RxNorm/860975": 4}
    groups = {group.name: group for group in code_groups(FeatureSettings(codeset="mine"), codes, {})}
    assert {name: group.code_hashes for name, group in groups.items()} == {
        "diabetes": (1, 4),
        "any_diagnosis": (1, 2),
        "hba1c": (3,),
    }
    assert groups["hba1c"].unit == "%"
    chosen = code_groups(FeatureSettings(codeset="mine", numeric_groups=()), codes, {})
    assert [group.name for group in chosen] == ["diabetes", "any_diagnosis"]


def test_a_code_belongs_to_the_groups_of_its_ancestors_and_a_whole_code_is_no_prefix(write_codeset):
    write_codeset("statins,Statins,count,,ATC/C10AA\nstatins,Statins,count,,RxNorm/6809$\nexact,E,count,,RxNorm/68$\n")
    codes = {"NDC/00071015523": 1, "RxNorm/6809": 2, "RxNorm/68091": 3, "NDC/9": 4}
    ancestors = {"NDC/00071015523": ("ATC/C10AA05", "RxNorm/617312"), "NDC/9": ("ATC/C10AB05",)}
    [statins] = code_groups(FeatureSettings(codeset="mine"), codes, ancestors)
    assert (statins.name, statins.codes, statins.code_hashes) == ("statins", ("NDC/00071015523", "RxNorm/6809"), (1, 2))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("a,A,count,,X\na,B,count,,Y\n", "mine.csv:3"),
        ("a,A,sum,,X\n", "mine.csv:2"),
        ("a,A,count,,\n", "mine.csv:2"),
    ],
)
def test_a_wrong_line_of_a_codeset_is_named(write_codeset, lines, message):
    write_codeset(lines)
    with pytest.raises(Refused, match=message):
        codeset("mine")


def test_what_does_not_exist_is_refused(write_codeset):
    with pytest.raises(Refused, match="Received the codeset nothing"):
        codeset("nothing")
    write_codeset("a,A,numeric,,X\n")
    with pytest.raises(Refused, match="numeric groups"):
        code_groups(FeatureSettings(codeset="mine", numeric_groups=("b",)), {"X": 1}, {})


@pytest.mark.parametrize(
    "wrong",
    [
        {"windows_days": (30, 7)},
        {"windows_days": (0,)},
        {"window_days": (7,)},
        {"count_statistics": ("median",)},
        {"min_people": 0},
    ],
)
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValidationError):
        FeatureSettings(**wrong)


def test_the_codeset_that_ships_is_whole():
    groups = {group.name: group for group in codeset("admission_90d")}
    assert {group.kind for group in groups.values()} == {"count", "numeric", "source"}
    assert all(group.unit for group in groups.values() if group.kind == "numeric")
    assert set(groups["unplanned_admission"].prefixes) == {
        "ENCOUNTER/IMP/EM",
        "ENCOUNTER/IMP/UR",
        "CLAIM/INPATIENT/1",
        "CLAIM/INPATIENT/2",
        "CLAIM/INPATIENT/UNPLANNED",
    }


crowded = st.integers(-3, 3).flatmap(lambda high: st.integers(0, 20).map(lambda low: high * 2**40 + low))


@given(
    st.dictionaries(st.sampled_from(["count", "numeric"]), st.lists(st.lists(crowded, max_size=6), max_size=5)),
    st.lists(crowded, max_size=40),
)
def test_events_are_found_in_each_of_their_groups_also_where_hashes_crowd(members, events):
    vocabulary = Vocabulary({kind: [sorted(set(codes)) for codes in groups] for kind, groups in members.items()})
    code = vocabulary.code_of(np.array(events, np.int64))
    for kind, groups in members.items():
        position, group = vocabulary.members[kind].of(code)
        expected = [
            (at, number) for at, event in enumerate(events) for number, codes in enumerate(groups) if event in codes
        ]
        assert sorted(zip(position.tolist(), group.tolist(), strict=True)) == expected
        assert (np.diff(position) >= 0).all()
