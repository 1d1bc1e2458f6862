"""Labels that are numbers: sums by day equal their definition, one day and one amount at a time."""

from typing import ClassVar

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salus.cohorts.label import Label
from salus.cohorts.number_labels import NUMBER_STEPS, NumberLabeller
from salus.timelines.clocks import MICROSECONDS_PER_DAY as DAY
from salus.timelines.clocks import NEVER, STATIC

VISIT, CLAIM, LAB = 11, 12, 13
GAP, HORIZON = 3, 10
PREDICTIONS = (4, 11, 25)

event = st.tuples(st.integers(0, 45), st.integers(0, 23), st.sampled_from([VISIT, CLAIM, LAB]), st.booleans())
cost = st.tuples(st.integers(0, 45), st.integers(-50_000, 900_000))  # day, ten-thousandths
span = st.tuples(st.integers(0, 30), st.integers(1, 20), st.booleans())  # first day, days, is it current
someone = st.fixed_dictionaries(
    {
        "events": st.lists(event, max_size=8),
        "costs": st.lists(cost, max_size=6),
        "death": st.one_of(st.none(), st.integers(0, 45)),
        "died_at": st.sampled_from([0, 8]),  # o'clock
        "spans": st.lists(span, max_size=3),
    }
)


def batch_of(people):
    """Rows of ``timelines`` with costs; an event that is not current was replaced; each has a static visit."""
    rows: dict[str, list] = {name: [] for name in NAMES}
    for person in people:
        events = sorted((day * DAY + hour * DAY // 24, code, current) for day, hour, code, current in person["events"])
        events.insert(0, (STATIC, VISIT, True))
        by_day: dict[int, int] = {}
        for day, amount in person["costs"]:
            by_day[day * DAY] = by_day.get(day * DAY, 0) + amount
        rows["time"].append([at for at, _, _ in events])
        rows["code"].append([code for _, code, _ in events])
        rows["superseded"].append([NEVER if current else at + 1 for at, _, current in events])
        rows["cost_time"].append(sorted(by_day))
        rows["cost_amount"].append([by_day[at] for at in sorted(by_day)])
        rows["coverage_start"].append([first * DAY for first, _, _ in person["spans"]])
        rows["coverage_end"].append([(first + days) * DAY for first, days, _ in person["spans"]])
        rows["coverage_superseded"].append([NEVER if now else (first + 1) * DAY for first, _, now in person["spans"]])
    death = pa.array(
        [None if p["death"] is None else p["death"] * DAY + p["died_at"] * DAY // 24 for p in people], pa.int64()
    )
    lists = {name: pa.array(values, pa.list_(pa.int64())) for name, values in rows.items()}
    return pa.RecordBatch.from_pydict({"death": death, **lists})


NAMES = (
    "time",
    "code",
    "superseded",
    "cost_time",
    "cost_amount",
    "coverage_start",
    "coverage_end",
    "coverage_superseded",
)


def slowly(person, day, kind, is_censored):
    """(step lost, value, days observed) of the definition."""
    death = 1_000 if person["death"] is None else person["death"]
    if death < day or (death == day and person["died_at"] == 0):
        return 1, None, -1
    counted = range(day, min(day + HORIZON, death + 1))
    if kind == "count":
        value = sum(
            any(at == each and code in (VISIT, CLAIM) and now for at, _, code, now in person["events"])
            for each in counted
        )
    else:
        value = max(0, sum(amount for at, amount in person["costs"] if at in counted)) / 10_000
    covered = {at for first, days, current in person["spans"] if current for at in range(first, first + days)}
    left = day
    while any(
        {before, after} <= covered for before in range(left - GAP, left + 1) for after in range(left, before + GAP + 2)
    ):
        left += 1
    if is_censored and left <= death and left < day + HORIZON:
        return 2, None, left - day
    return 0, value, min(death, day + HORIZON) - day


@pytest.mark.parametrize("said", [{"count": {"codes": ["X"], "unit": "visits"}}, {"cost": {"currency": "USD"}}])
@pytest.mark.parametrize("is_censored", [True, False])
@given(st.lists(someone, min_size=1, max_size=4))
def test_it_is_its_definition_day_by_day(said, is_censored, people):
    label = Label(horizon_days=HORIZON, death="no_event", censor_at_disenrolment=is_censored, **said)
    labels = NumberLabeller(label, np.array([VISIT, CLAIM]), GAP)
    batch = batch_of(people).select([*labels.columns])
    row, at = np.repeat(np.arange(len(people)), 3), np.tile(np.array(PREDICTIONS) * DAY, len(people))
    found = labels.samples(batch, row, at)
    shown = [
        (lost, value if lost == 0 else None, days)
        for lost, value, days in zip(found.lost_at.tolist(), found.value.tolist(), found.observed_days.tolist())
    ]
    assert shown == [slowly(person, day, next(iter(said)), is_censored) for person in people for day in PREDICTIONS]


class TestOfOnePerson:
    """Edges that a random person seldom meets."""

    LABEL: ClassVar[Label] = Label(horizon_days=HORIZON, death="no_event", cost={"currency": "USD"})
    PERSON: ClassVar[dict] = {
        "events": [],
        "costs": [(20, 12_345), (29, 10_000), (30, 70_000)],
        "death": None,
        "died_at": 8,
        "spans": [(0, 60, True)],
    }

    def value(self, **changes):
        batch = batch_of([self.PERSON | changes])
        return NumberLabeller(self.LABEL, np.empty(0, np.int64), 0).samples(batch, np.array([0]), np.array([20 * DAY]))

    def test_the_day_of_the_prediction_counts_and_the_horizons_does_not(self):
        assert self.value().value.tolist() == [2.2345]

    def test_a_death_ends_the_sum_and_the_label_is_whole(self):
        found = self.value(death=27)
        assert (found.lost_at.tolist(), found.value.tolist(), found.observed_days.tolist()) == ([0], [1.2345], [7])

    def test_a_death_at_the_instant_at_which_cover_ends_is_not_seen(self):
        found = self.value(death=27, died_at=0, spans=[(0, 27, True)])
        assert (found.lost_at.tolist(), found.observed_days.tolist()) == ([len(NUMBER_STEPS)], [7])

    def test_reversals_of_earlier_bills_do_not_make_a_cost_negative(self):
        assert self.value(costs=[(20, -500)]).value.tolist() == [0.0]

    def test_whoever_leaves_before_the_horizon_has_no_label_whatever_was_spent(self):
        found = self.value(spans=[(0, 28, True)])
        assert (found.lost_at.tolist(), found.observed_days.tolist()) == ([len(NUMBER_STEPS)], [8])
