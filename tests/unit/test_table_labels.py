"""Labels of a table: each counts for its own night, once, and says nothing where two disagree."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from salus.cohorts.label import Label
from salus.cohorts.table_labels import TableLabeller
from salus.timelines.clocks import MICROSECONDS_PER_DAY as DAY
from salus.timelines.clocks import NEVER, STATIC
from salus.timelines.features import LABEL_CODES, FeatureSettings, code_groups

SAID, OTHER = 21, 22
NIGHTS = (3, 4, 9)
HOUR = DAY // 24
LABEL = Label(horizon_days=30, death="no_event", censor_at_disenrolment=False, table={"name": "fell_at_home"})

told = st.tuples(
    st.sampled_from([STATIC, 47, 48, 49, 72, 73, 96, 97, 216, 217]),  # hours, at the edges of nights
    st.sampled_from([SAID, SAID, SAID, OTHER]),
    st.sampled_from([1.0, 0.0, float("nan")]),
    st.sampled_from([True, True, False]),  # is it current
)
persons = st.lists(st.lists(told, max_size=5), min_size=1, max_size=4)


def batch_of(people):
    ordered = [sorted(person, key=lambda each: each[0]) for person in people]
    columns = {
        "time": [[hour if hour == STATIC else hour * HOUR for hour, *_ in each] for each in ordered],
        "code": [[code for _, code, _, _ in each] for each in ordered],
        "value": [[value for _, _, value, _ in each] for each in ordered],
        "superseded": [[NEVER if current else NEVER - 1 for *_, current in each] for each in ordered],
    }
    kinds = {name: pa.float32() if name == "value" else pa.int64() for name in columns}
    return pa.RecordBatch.from_pydict({name: pa.array(rows, pa.list_(kinds[name])) for name, rows in columns.items()})


def slowly(person, night):
    """(step lost, label, days observed), one label at a time."""
    said = {
        value
        for hour, code, value, current in person
        if code == SAID and current and hour != STATIC and value == value and -(-hour // 24) == night
    }
    if not said:
        return 1, None, -1
    return (2, None, -1) if len(said) > 1 else (0, said == {1.0}, 30)


@given(persons)
def test_it_is_its_definition_label_by_label(people):
    batch = batch_of([*people, *people]).slice(len(people))
    row, at = np.repeat(np.arange(len(people)), 3), np.tile(np.array(NIGHTS) * DAY, len(people))
    found = TableLabeller(LABEL, np.array([SAID])).samples(batch, row, at)
    shown = [
        (lost, value == 1 if lost == 0 else None, days)
        for lost, value, days in zip(found.lost_at.tolist(), found.value.tolist(), found.observed_days.tolist())
    ]
    assert shown == [slowly(person, night) for person in people for night in NIGHTS]
    assert set(batch.schema.names) == set(TableLabeller.columns)


def test_nothing_brought_in_is_no_label():
    found = TableLabeller(LABEL, np.empty(0, np.int64)).samples(batch_of([[]]), np.array([0]), np.array([DAY]))
    assert found.lost_at.tolist() == [1]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"censor_at_disenrolment": True}, "expected censor_at_disenrolment: false"),
        ({"death": "composite"}, "expected no_event"),
        ({"table": {"name": "fell at home"}}, "table.name"),
        ({"count": {"codes": ["A"], "unit": "falls"}}, "not count and table"),
    ],
)
def test_a_label_that_was_brought_in_is_whole_and_the_only_one(changes, said):
    stated = LABEL.model_dump(exclude_none=True) | changes
    with pytest.raises(ValidationError, match=said):
        Label(**stated)


def test_a_label_is_no_input_even_where_a_codeset_asks_for_it(tmp_path, monkeypatch):
    (tmp_path / "codesets").mkdir()
    text = f"group,label,kind,unit,code_prefix\nall,All,count,,{LABEL_CODES}\nall,All,count,,NDC/\n"
    (tmp_path / "codesets" / "mine.csv").write_text(text, encoding="utf-8")
    monkeypatch.setenv("SALUS_CONF", str(tmp_path))
    [group] = code_groups(FeatureSettings(codeset="mine"), {LABEL.table.code[:-1]: 1, "NDC/1": 2}, {})
    assert group.code_hashes == (2,)
