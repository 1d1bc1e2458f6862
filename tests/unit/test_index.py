"""Index events: against their definition night by night, the same tonight as in training, and blind to the future."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salus.cohorts.index import COLUMNS, IndexCodes, index_samples
from salus.timelines.clocks import MICROSECONDS_PER_DAY as DAY
from salus.timelines.clocks import NEVER, STATIC

HOUR = DAY // 24
START, END, OTHER = 3, 5, 9
INDEX = IndexCodes(np.array([END, 6]), np.array([START]), 2)
NIGHTS = np.arange(0, 30) * DAY


def fact(code, hours, lag, stood):
    """code, time, available, superseded; an event of hour 0 is one whose date has no clock."""
    time = hours * HOUR
    available = time + lag * HOUR
    return code, time, available, NEVER if stood is None else available + stood * HOUR


def static(code):
    return code, STATIC, STATIC, NEVER


# Clocks that meet: whole days, as claims have them, and hours between; corrected within the day and days later.
_hours = st.one_of(st.integers(0, 12).map(lambda day: 24 * day), st.integers(0, 288))
facts = st.one_of(
    st.builds(
        fact,
        st.sampled_from([START, START, END, END, END, OTHER]),
        _hours,
        st.sampled_from([0, 0, 1, 5, 24, 30, 48, 72]),
        st.one_of(st.none(), st.none(), st.sampled_from([1, 10, 24, 40, 90])),
    ),
    st.sampled_from([static(END), static(OTHER)]),
)
persons = st.lists(st.lists(facts, max_size=10), min_size=1, max_size=4)


def batch_of(people):
    ordered = [sorted(person, key=lambda each: each[1]) for person in people]
    return pa.RecordBatch.from_pydict(
        {
            name: pa.array([[each[place] for each in person] for person in ordered], pa.list_(pa.int64()))
            for place, name in enumerate(("code", "time", "available", "superseded"))
        }
    )


def found(people, times=NIGHTS, index=INDEX):
    row, at = index_samples(batch_of(people), np.asarray(times, np.int64), index)
    return list(zip(row.tolist(), (at // DAY).tolist()))


def slowly(person, night, index=INDEX):
    """The definition: one person, one night, one event at a time."""
    at = night * DAY

    def visible(each, when):
        return each[1] != STATIC and each[2] <= when < each[3]

    def day(each):
        return each[1] // DAY

    nights_before = [earlier * DAY for earlier in range(-1, night)]
    starts = [each for each in person if each[0] == START and visible(each, at)]
    ends = [each for each in person if each[0] in index.ends and visible(each, at)]
    for end in ends:
        is_of_this_night = at - DAY < end[2] <= at and end[1] >= at - index.within_days * DAY
        was_known = any(
            each[0] in index.ends and each[1] != STATIC and abs(day(each) - day(end)) <= 1 and visible(each, when)
            for each in person
            for when in nights_before
        )
        began = max((each[1] for each in starts if day(each) < day(end)), default=None)
        ended = max((each[1] for each in ends if day(each) < day(end)), default=None)
        staying = int(began is not None and (ended is None or ended < began))
        staying += sum(day(each) == day(end) for each in starts) - sum(day(each) == day(end) for each in ends)
        moved_on = any(day(each) == day(end) + 1 for each in starts)
        if is_of_this_night and not was_known and staying <= 0 and not moved_on:
            return True
    return False


@given(persons)
def test_it_is_its_definition_night_by_night(people):
    expected = [(number, night) for number, person in enumerate(people) for night in range(30) if slowly(person, night)]
    assert found(people) == expected


@given(persons)
def test_a_night_finds_whom_training_finds_for_that_night(people):
    trained = found(people)
    for night in range(30):
        assert found(people, [night * DAY]) == [each for each in trained if each[1] == night]


@given(persons, persons, st.integers(0, 20))
def test_what_becomes_available_after_the_night_changes_nothing(people, others, night):
    """What came later is added, and what was there is corrected or voided later."""
    at = night * DAY
    as_known = [
        [(*each[:3], each[3] if each[3] <= at else NEVER) for each in person if each[2] <= at] for person in people
    ]
    came = [
        [(code, time, max(available, at + 1), superseded) for code, time, available, superseded in person]
        for person in others
    ]
    as_today = [
        [(*each[:3], each[3] if each[3] <= at else at + 1) for each in person] + came[number % len(came)]
        for number, person in enumerate(as_known)
    ]
    until = [each * DAY for each in range(night + 1)]
    assert found(as_today, until) == found(as_known, until)


@given(persons)
def test_a_slice_of_a_batch_and_small_chunks_give_the_same(people):
    whole = batch_of([*people, *people])
    row, at = index_samples(whole.slice(len(people)), NIGHTS, INDEX)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("salus.timelines.entries.PAIRS_AT_ONCE", 2)
        chunked = index_samples(whole.slice(len(people)), NIGHTS, INDEX)
    alone = index_samples(batch_of(people), NIGHTS, INDEX)
    for one, other, third in zip((row, at), chunked, alone):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(one, third)


SECOND = IndexCodes(np.array([END, 6]), np.empty(0, np.int64), 2, 2)


def night_of_second_day(person):
    """The definition: the first night that sees events of two days, if the second of them was at most two days ago."""
    for night in range(-1, 60):
        at = night * DAY
        seen = {
            each[1] // DAY
            for each in person
            if each[0] in SECOND.ends and each[1] != STATIC and each[2] <= at < each[3]
        }
        if len(seen) >= 2:
            return night if night - sorted(seen)[1] <= SECOND.within_days else None
    return None


@given(persons)
def test_the_second_day_is_its_definition_night_by_night(people):
    nights = [night_of_second_day(person) for person in people]
    expected = [(number, night) for number, night in enumerate(nights) if night is not None and night in range(30)]
    assert found(people, index=SECOND) == expected
    for night in range(30):
        assert found(people, [night * DAY], SECOND) == [each for each in expected if each[1] == night]


@given(persons, persons, st.integers(0, 20))
def test_what_becomes_available_after_the_night_leaves_the_second_day_where_it_was(people, others, night):
    at = night * DAY
    as_known = [
        [(*each[:3], each[3] if each[3] <= at else NEVER) for each in person if each[2] <= at] for person in people
    ]
    came = [(code, time, max(available, at + 1), superseded) for code, time, available, superseded in others[0]]
    as_today = [[(*each[:3], each[3] if each[3] <= at else at + 1) for each in person] + came for person in as_known]
    until = [each * DAY for each in range(night + 1)]
    assert found(as_today, until, SECOND) == found(as_known, until, SECOND)


@given(persons)
def test_a_slice_of_a_batch_and_small_chunks_give_the_same_second_day(people):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("salus.timelines.entries.PAIRS_AT_ONCE", 2)
        row, at = index_samples(batch_of([*people, *people]).slice(len(people)), NIGHTS, SECOND)
    assert list(zip(row.tolist(), (at // DAY).tolist())) == found(people, index=SECOND)


@pytest.mark.parametrize(
    ("person", "nights"),
    [
        ([fact(END, 24, 24, None), fact(END, 96, 24, None)], [5]),
        ([fact(END, 24, 24, None), fact(6, 30, 24, None)], []),  # one day, told twice
        ([fact(END, 24, 24, None), fact(END, 96, 24, None), fact(END, 192, 24, None)], [5]),  # the third is not new
        ([fact(END, 24, 24, None), fact(END, 96, 80, None)], []),  # known too late
        ([fact(END, 24, 90, None), fact(END, 96, 0, None)], [5]),  # the first is told after the second
        ([fact(END, 24, 24, None), fact(END, 72, 14, 10), fact(END, 120, 24, None)], [6]),  # one is withdrawn by night
        ([fact(END, 24, 24, None), fact(END, 72, 24, 30), fact(END, 120, 24, None)], [4]),  # and after it
        ([static(END), fact(END, 24, 24, None)], []),
    ],
)
def test_whose_second_day_it_is(person, nights):
    assert [night for _, night in found([person], index=SECOND)] == nights


def stay(admitted, discharged, lag=0):
    """A stay of hours since day 0, known ``lag`` hours after its end, its beginning as it began."""
    return [
        fact(START, admitted, 0 if lag == 0 else discharged - admitted + lag, None),
        fact(END, discharged, lag, None),
    ]


@pytest.mark.parametrize(
    ("person", "nights"),
    [
        (stay(30, 110), [5]),
        (stay(30, 96), [4]),  # known at midnight: that very night
        ([*stay(24, 110), *stay(24, 96, lag=100)], [5]),  # the claim for it comes later
        (stay(24, 96, lag=100), []),  # known too late
        (stay(96, 96, lag=24), [5]),  # a stay of one day, without clocks
        (stay(100, 110), [5]),  # and with them
        ([*stay(24, 110), *stay(112, 230)], [10]),  # moved on the day of discharge
        ([*stay(24, 96, lag=24), *stay(96, 168)], [7]),  # the same, without clocks
        ([*stay(24, 110), *stay(122, 230)], [5, 10]),  # moved on the next, which that night did not know
        ([fact(START, 24, 0, None), fact(END, 110, 20, None), *stay(122, 230)], [10]),  # the same, and it knew
        ([*stay(24, 110), fact(START, 112, 0, 2)], [5]),  # said to have moved on, and taken back before the night
        ([*stay(24, 110), *stay(150, 230)], [5, 10]),  # admitted again later: two stays
        ([fact(END, 110, 0, 5), fact(END, 110, 5, None)], [5]),  # corrected before any night saw it
        ([fact(END, 110, 0, 30), fact(END, 110, 30, None)], [5]),  # corrected afterwards
        ([fact(END, 110, 0, 30), fact(END, 140, 30, None)], [5]),  # moved by a day afterwards
        ([fact(END, 110, 0, 5)], []),  # voided before any night saw it
    ],
)
def test_whose_night_it_is(person, nights):
    assert [night for _, night in found([person])] == nights


def test_without_an_event_everybody_is_looked_at_on_every_date():
    assert found([[], [], []], [0, 7 * DAY], None) == [(0, 0), (0, 7), (1, 0), (1, 7), (2, 0), (2, 7)]


def test_it_looks_at_the_columns_that_it_names():
    batch = batch_of([stay(30, 110)])
    assert set(COLUMNS) == set(batch.schema.names)


def test_a_date_far_ahead_is_never_reached():
    assert found([[(END, NEVER - 1, NEVER - 1, NEVER)], stay(30, 110)]) == [(1, 5)]
