"""Eligibility: against its definition day by day, and blind to whatever became available after the prediction."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salus.cohorts.eligibility import NOTHING, columns_of, eligibility, eligibility_steps, lacks_supply
from salus.cohorts.task import Eligibility
from salus.timelines.clocks import MICROSECONDS_PER_DAY as DAY
from salus.timelines.clocks import NEVER
from salus.timelines.recency import MEDS_DEATH_HASH

LOOK_BACK = 12
OTHER_CODE, CONDITION, FILL = 5, 7, 8
EXCLUDED = np.array([CONDITION, 9])
RULES = Eligibility(
    age_at_least=0.05,
    look_back_days=LOOK_BACK,
    enrolled_days_at_least=5,
    largest_gap_days=3,
    no_history_of=("CONDITION/",),
    days_supply_of={"codes": ["NDC/"]},
)
FILLS = np.array([FILL])

known = st.tuples(st.integers(0, 45), st.one_of(st.none(), st.integers(1, 45)))  # day available, days it stood
span = st.tuples(st.integers(0, 30), st.one_of(st.none(), st.integers(0, 20)), known)  # first day, days, known
event = st.one_of(
    st.tuples(st.sampled_from([MEDS_DEATH_HASH, OTHER_CODE, CONDITION]), known),
    st.tuples(st.just(FILL), known, st.sampled_from([30.0, 30.0, 0.0, float("nan")])),  # with its days' supply
)
person = st.fixed_dictionaries(
    {
        "birth": st.one_of(st.none(), st.integers(-30, 40)),
        "events": st.lists(event, max_size=3),
        "spans": st.lists(span, max_size=5),
    }
)
people = st.lists(person, min_size=1, max_size=5)
rules = st.builds(
    Eligibility,
    age_at_least=st.sampled_from([None, 0.05]),
    alive=st.booleans(),
    enrolled_at_prediction=st.booleans(),
    look_back_days=st.just(LOOK_BACK),
    enrolled_days_at_least=st.sampled_from([0, 5, LOOK_BACK]),
    largest_gap_days=st.sampled_from([None, 0, 3]),
    no_history_of=st.sampled_from([(), ("CONDITION/",)]),
    days_supply_of=st.sampled_from([None, {"codes": ("NDC/",)}]),
)


def until(first, days):
    return NEVER if days is None else (first + days) * DAY


def batch_of(persons):
    """Rows of ``timelines`` with the columns that eligibility looks at; every number of the persons is a day."""
    return pa.RecordBatch.from_pydict(
        {
            "birth": pa.array([None if p["birth"] is None else p["birth"] * DAY for p in persons], pa.int64()),
            "code": longs([[code for code, *_ in p["events"]] for p in persons]),
            "available": longs([[known[0] * DAY for _, known, *_ in p["events"]] for p in persons]),
            "superseded": longs([[until(*known) for _, known, *_ in p["events"]] for p in persons]),
            "value": pa.array(
                [[(*each, float("nan"))[2] for each in p["events"]] for p in persons], pa.list_(pa.float32())
            ),
            "coverage_start": longs([[first * DAY for first, _, _ in p["spans"]] for p in persons]),
            "coverage_end": longs([[until(first, days) for first, days, _ in p["spans"]] for p in persons]),
            "coverage_available": longs([[known[0] * DAY for _, _, known in p["spans"]] for p in persons]),
            "coverage_superseded": longs([[until(*known) for _, _, known in p["spans"]] for p in persons]),
        }
    )


def longs(rows):
    return pa.array(rows, pa.list_(pa.int64()))


def every_sample(persons, days=(8, 25, 40)):
    return np.repeat(np.arange(len(persons)), len(days)), np.tile(np.array(days, np.int64) * DAY, len(persons))


def seen(known, day):
    return known[0] <= day and day * DAY < until(*known)


def has_seen(person, asked, day):
    return any(code == asked and seen(known, day) for code, known, *_ in person["events"])


def slowly(person, day, rules):
    """The definition, one day at a time."""
    covered = [
        any(first <= at and at * DAY < until(first, days) for first, days, known in person["spans"] if seen(known, day))
        for at in range(day - LOOK_BACK, day + 1)
    ]
    enrolled_days = sum(covered[:-1])
    gaps = "".join("c" if each else "-" for each in covered[:-1]).split("c")
    born = person["birth"] is not None and person["birth"] <= day
    passes = [
        born,
        born and (day - person["birth"]) / 365.25 >= (rules.age_at_least or 0),
        not rules.alive or not has_seen(person, MEDS_DEATH_HASH, day),
        not rules.enrolled_at_prediction or covered[-1],
        enrolled_days >= rules.enrolled_days_at_least,
        rules.largest_gap_days is None or max(map(len, gaps)) <= rules.largest_gap_days,
        not rules.no_history_of or not has_seen(person, CONDITION, day),
        not rules.days_supply_of
        or all(days[0] > 0 for code, known, *days in person["events"] if code == FILL and seen(known, day)),
    ]
    return (passes.index(False) + 1 if False in passes else 0), enrolled_days


@given(people, rules)
def test_it_is_its_definition_day_by_day(persons, rules):
    row, at = every_sample(persons)
    excluded = EXCLUDED if rules.no_history_of else NOTHING
    batch = batch_of(persons).select([*columns_of(rules)])
    lost_at, enrolled_days = eligibility(batch, row, at, rules, excluded, FILLS)
    expected = [slowly(persons[r], int(t // DAY), rules) for r, t in zip(row, at)]
    assert list(zip(lost_at.tolist(), enrolled_days.tolist())) == expected


@given(people, people, st.integers(0, 45))
def test_what_becomes_available_after_the_prediction_changes_nothing(persons, others, day):
    """Rows that came later are added, and what was there is corrected or voided later."""
    as_known = [only_known(p, day) for p in persons]
    as_today = [with_future(p, only_future(others[i % len(others)], day), day) for i, p in enumerate(as_known)]
    row, at = np.arange(len(persons)), np.full(len(persons), day * DAY)
    of_each = (eligibility(batch_of(each), row, at, RULES, EXCLUDED, FILLS) for each in (as_known, as_today))
    for then, now in zip(*of_each):
        np.testing.assert_array_equal(then, now)


def only_known(person, day):
    """What had come by the day, as it then stood: nothing of it replaced later."""

    def then(known):
        return known if known[1] is not None and sum(known) <= day else (known[0], None)

    return {
        "birth": person["birth"],
        "events": [(code, then(known), *days) for code, known, *days in person["events"] if known[0] <= day],
        "spans": [(first, days, then(known)) for first, days, known in person["spans"] if known[0] <= day],
    }


def only_future(person, day):
    return {
        "events": [(code, (day + 1 + known[0], known[1]), *days) for code, known, *days in person["events"]],
        "spans": [(first, days, (day + 1 + known[0], known[1])) for first, days, known in person["spans"]],
    }


def with_future(person, future, day):
    def corrected(known):
        return known if known[1] is not None else (known[0], day + 1 - known[0])

    return {
        "birth": person["birth"],
        "events": [(code, corrected(known), *days) for code, known, *days in person["events"]] + future["events"],
        "spans": [(first, days, corrected(known)) for first, days, known in person["spans"]] + future["spans"],
    }


@given(people)
def test_a_slice_of_a_batch_gives_the_same(persons):
    whole = batch_of([*persons, *persons])
    row, at = every_sample(persons)
    for sliced, alone in zip(
        eligibility(whole.slice(len(persons)), row, at, RULES, EXCLUDED, FILLS),
        eligibility(batch_of(persons), row, at, RULES, EXCLUDED, FILLS),
    ):
        np.testing.assert_array_equal(sliced, alone)


def test_an_enrolment_that_ends_tomorrow_excludes_nobody_today():
    leaves_tomorrow = {"birth": -30, "events": [], "spans": [(0, 26, (0, None))]}
    lost_at, _ = eligibility(batch_of([leaves_tomorrow]), np.array([0]), np.array([25 * DAY]), RULES, EXCLUDED)
    assert lost_at.tolist() == [0]


@pytest.mark.parametrize(
    ("change", "step"),
    [
        ({"birth": None}, "birth date known, born before the prediction"),
        ({"birth": 20}, "age at least 0.05 years"),
        ({"events": [(MEDS_DEATH_HASH, (24, None))]}, "not known to have died"),
        ({"spans": [(0, 25, (0, None))]}, "enrolled at the prediction"),
        ({"spans": [(21, None, (0, None))]}, "enrolled at least 5 of the last 12 days"),
        ({"spans": [(17, None, (0, None))]}, "gaps of at most 3 days in the last 12"),
        ({"events": [(CONDITION, (24, None))]}, "no history of CONDITION/"),
        ({"events": [(FILL, (24, None), 30.0), (FILL, (24, None), float("nan"))]}, "days' supply known of every fill"),
    ],
)
def test_each_step_loses_whom_it_names(change, step):
    keeps = {"birth": -30, "events": [], "spans": [(0, None, (0, None))]}
    lost_at, _ = eligibility(
        batch_of([keeps, keeps | change]), np.array([0, 1]), np.array([25 * DAY] * 2), RULES, EXCLUDED, FILLS
    )
    assert lost_at.tolist() == [0, 1 + eligibility_steps(RULES).index(step)]
    assert lacks_supply(lost_at, RULES).tolist() == [False, step.startswith("days' supply")]
    assert not lacks_supply(lost_at, RULES.model_copy(update={"days_supply_of": None})).any()


def test_it_needs_no_other_columns():
    persons = [{"birth": 0, "events": [], "spans": []}]
    assert set(columns_of(RULES)) == set(batch_of(persons).schema.names)
