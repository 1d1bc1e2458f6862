"""People named by the site, shifted dates, and protected folders: what needs no Spark."""

import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from salus.errors import Refused
from salus.privacy.people import candidates, named
from salus.privacy.pseudonyms import pseudonym
from salus.privacy.shift import MOST_DAYS, shift_days
from salus.privacy.suppression import suppression_id
from salus.privacy.worklist import protected, read_list, told, write

KEY = b"k" * 32


def test_an_identifier_is_tried_as_a_sources_own_id_and_as_a_shared_one():
    found = candidates(KEY, "main", "fhir", " ann ")
    assert found == (pseudonym(KEY, "main", "fhir", "ann"), pseudonym(KEY, "", "identifier", "4:fhirann"))
    assert candidates(KEY, "other", "fhir", "ann").own != found.own
    assert candidates(KEY, "other", "fhir", "ann").shared == found.shared


def test_lines_name_people_by_identifier_or_by_subject_id():
    lines = ["urn:card| a|b ", "", "  4711\n"]
    assert named(lines, KEY, "main") == [*candidates(KEY, "main", "urn:card", "a|b"), 4711]


@pytest.mark.parametrize("line", ["Ann Lee", "fhir|", "|ann", "-5", "9" * 19])
def test_a_line_that_names_nobody_is_refused_by_its_number_and_not_quoted(line):
    with pytest.raises(Refused, match="line 2") as refused:
        named(["1", line], KEY, "main")
    assert line not in str(refused.value)


@given(st.integers(0, 2**63 - 1))
def test_a_shift_is_a_whole_number_of_days_within_a_year_and_never_none(subject_id):
    days = shift_days(KEY, subject_id)
    assert 1 <= abs(days) <= MOST_DAYS
    assert days == shift_days(KEY, subject_id)


def test_shifts_use_the_whole_year_and_depend_on_the_key():
    days = [shift_days(KEY, subject_id) for subject_id in range(20_000)]
    assert set(days) == set(range(-MOST_DAYS, MOST_DAYS + 1)) - {0}
    other = [shift_days(b"o" * 32, subject_id) for subject_id in range(20_000)]
    assert sum(a == b for a, b in zip(days, other, strict=True)) < 100


def test_the_suppression_list_holds_another_number_than_the_pseudonym():
    assert len({suppression_id(KEY, kind, 7) for kind in ("subject", "identifier")} | {7}) == 3
    assert suppression_id(KEY, "subject", 7) != suppression_id(b"o" * 32, "subject", 7)


def test_a_worklist_goes_to_a_folder_that_its_owner_alone_may_enter(tmp_path):
    before = os.umask(0)
    try:
        folder = protected(tmp_path / "new" / "out", str(tmp_path / "warehouse"))
        write(folder / "list.csv", ["identifier"], [{"identifier": "a"}], {0: {"not_scored_reason": "not eligible"}})
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "list.csv").stat().st_mode) == 0o600
    assert [path.name for path in folder.iterdir()] == ["list.csv"]


@pytest.mark.parametrize("where", ["warehouse", "warehouse/lists", "other/../warehouse/x"])
def test_a_folder_in_the_warehouse_is_refused(tmp_path, where):
    with pytest.raises(Refused, match="lies in the warehouse"):
        protected(tmp_path / where, str(tmp_path / "warehouse"))
    assert not (tmp_path / "warehouse").exists()


def test_a_folder_that_others_may_enter_is_refused(tmp_path):
    (tmp_path / "open").mkdir(mode=0o750)
    with pytest.raises(Refused, match="others than you may enter"):
        protected(tmp_path / "open", str(tmp_path / "warehouse"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("system,id\nfhir,zelda\n", "lacks identifier"),
        ("system,identifier,system\n", "one name for each column"),
        ("system,identifier\n", "names nobody"),
        ("system,identifier\nfhir,zelda\nfhir\n", "line 3"),
        ("system,identifier\nfhir,\n", "line 2"),
        ('system,identifier\nfhir,"zelda\n', "cannot be read"),
        (b"system,identifier\nfhir,\xff\n", "cannot be read"),
        (None, "cannot be read"),
    ],
)
def test_a_list_that_is_none_is_refused_without_a_value(tmp_path, text, said):
    path = tmp_path / "list.csv"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(Refused, match=said) as refused:
        read_list(path)
    assert "zelda" not in str(refused.value)


def test_columns_of_the_list_are_carried_through_and_the_riskiest_come_first(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text('\ufeffnote, system,identifier\n"a, b",fhir,ann\n,fhir,bob\n', encoding="utf-8")
    columns, rows = read_list(path)
    reasons = [
        {"feature": "HbA1c", "value": 9.1, "unit": "%", "direction": "raises"},
        {"feature": "Sex", "value": None, "unit": None, "direction": "lowers"},
    ]
    write(
        tmp_path / "out.csv",
        columns,
        rows,
        {0: {"percentile": 20.0}, 1: {"percentile": 90.0, "probability": 0.25, "reasons": reasons}},
    )
    head, first, second = (tmp_path / "out.csv").read_text().splitlines()
    assert head.startswith("note,system,identifier,probability,")
    assert first == ",fhir,bob,0.25,,,,,90,,,,,HbA1c 9.1 % (raises); Sex (lowers)"
    assert second.startswith('"a, b",fhir,ann,,')
    assert told(None) == ""
