"""What is planned: against its definition night by night, the same tonight as in training, and blind to the future."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from salus.cohorts.index import IndexCodes, index_samples
from salus.cohorts.task import IndexEvent
from salus.timelines.clocks import MICROSECONDS_PER_DAY as DAY
from salus.timelines.clocks import NEVER, STATIC

HOUR = DAY // 24
BOOKED, OTHER = 5, 9
INDEX = IndexCodes(np.array([BOOKED]), np.empty(0, np.int64), 1, days_before=3)
NIGHTS = np.arange(-5, 60) * DAY


def booking(code, hours, lag, stood, ahead):
    """code, time, available, superseded, days ahead: told ``lag`` hours late, and for ``stood`` hours."""
    available = (hours + lag) * HOUR
    return code, hours * HOUR, available, NEVER if stood is None else available + stood * HOUR, ahead


bookings = st.one_of(
    st.builds(
        booking,
        st.sampled_from([BOOKED, BOOKED, BOOKED, OTHER]),
        st.one_of(st.integers(0, 20).map(lambda day: 24 * day), st.integers(0, 480)),
        st.sampled_from([0, 0, 0, 5, 24, 60]),
        st.one_of(st.none(), st.none(), st.sampled_from([1, 24, 100, 300])),
        st.sampled_from([0.0, 1.0, 2.0, 3.0, 4.0, 7.0, 20.0, -1.0, float("nan")]),
    ),
    st.just((BOOKED, STATIC, STATIC, NEVER, 7.0)),
)
persons = st.lists(st.lists(bookings, max_size=8), min_size=1, max_size=4)


def batch_of(people):
    ordered = [sorted(person, key=lambda each: each[1]) for person in people]
    kinds = {name: pa.int64() for name in ("code", "time", "available", "superseded")} | {"value": pa.float32()}
    return pa.RecordBatch.from_pydict(
        {
            name: pa.array([[each[place] for each in person] for person in ordered], pa.list_(kind))
            for place, (name, kind) in enumerate(kinds.items())
        }
    )


def found(people, times=NIGHTS):
    row, at = index_samples(batch_of(people), np.asarray(times, np.int64), INDEX)
    return list(zip(row.tolist(), (at // DAY).tolist()))


def slowly(person, night):
    """The definition: one person, one night, one booking at a time."""
    at = night * DAY
    return any(
        code == BOOKED
        and time != STATIC
        and ahead >= 0
        and available <= at < superseded
        and time // DAY + int(ahead) - night == INDEX.days_before
        for code, time, available, superseded, ahead in person
    )


@given(persons)
def test_it_is_its_definition_night_by_night(people):
    expected = [(row, night) for row, person in enumerate(people) for night in range(-5, 60) if slowly(person, night)]
    assert found(people) == expected
    for night in {0, *(each[1] for each in expected)}:
        assert found(people, [night * DAY]) == [each for each in expected if each[1] == night]


@given(persons, persons, st.integers(0, 30))
def test_what_becomes_available_after_the_night_changes_nothing(people, others, night):
    at = night * DAY
    known = [
        [(*each[:3], each[3] if each[3] <= at else NEVER, each[4]) for each in person if each[2] <= at]
        for person in people
    ]
    came = [
        (code, time, max(available, at + 1), superseded, ahead)
        for code, time, available, superseded, ahead in others[0]
    ]
    today = [[(*each[:3], each[3] if each[3] <= at else at + 1, each[4]) for each in person] + came for person in known]
    until = [each * DAY for each in range(-5, night + 1)]
    assert found(today, until) == found(known, until)


@given(persons)
def test_a_slice_of_a_batch_gives_the_same(people):
    row, at = index_samples(batch_of([*people, *people]).slice(len(people)), NIGHTS, INDEX)
    assert list(zip(row.tolist(), (at // DAY).tolist())) == found(people)


@pytest.mark.parametrize(
    ("person", "nights"),
    [
        ([booking(BOOKED, 10, 0, None, 20)], [17]),
        ([booking(BOOKED, 10, 0, None, 3)], []),  # booked on the day before the night that it would have been due
        ([booking(BOOKED, 0, 0, None, 3)], [0]),  # at 00:00 of that night
        ([booking(BOOKED, 10, 0, 24 * 10, 20)], []),  # called off before it
        ([booking(BOOKED, 0, 0, 24 * 17, 20)], []),  # at 00:00 of it
        ([booking(BOOKED, 10, 0, 24 * 17, 20)], [17]),  # and after it
        ([booking(BOOKED, 10, 24 * 17, None, 20)], []),  # told after it
        ([booking(BOOKED, 10, 0, 24, 20), booking(BOOKED, 10, 24, None, 30)], [27]),  # moved
        ([booking(BOOKED, 10, 0, None, 20), booking(BOOKED, 40, 0, None, 19)], [17]),  # two on one day are one night
    ],
)
def test_on_which_night_a_booking_is_looked_at(person, nights):
    assert [night for _, night in found([person])] == nights


@pytest.mark.parametrize("also", [{"nth_day": 2}, {"continued_by": ["A"]}, {"within_days": 2}])
def test_days_before_stands_alone(also):
    with pytest.raises(ValidationError, match="expected none of nth_day, continued_by and within_days"):
        IndexEvent(codes=("APPOINTMENT/BOOKED",), days_before=3, **also)
