"""Times to event: the first day and what ended the time equal their definition, one day after another."""

from typing import ClassVar

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salus.cohorts.label import Label
from salus.cohorts.time_labels import TIME_STEPS, TimeLabeller
from salus.timelines.clocks import MICROSECONDS_PER_DAY as DAY
from salus.timelines.clocks import NEVER, STATIC

STROKE, BLEED, LAB = 21, 22, 23
GAP, HORIZON = 3, 10
PREDICTIONS = (4, 11, 25)

event = st.tuples(st.integers(0, 45), st.integers(0, 23), st.sampled_from([STROKE, BLEED, LAB]), st.booleans())
span = st.tuples(st.integers(0, 30), st.integers(1, 20), st.booleans())  # first day, days, is it current
someone = st.fixed_dictionaries(
    {
        "events": st.lists(event, max_size=8),
        "death": st.one_of(st.none(), st.integers(0, 45)),
        "died_at": st.sampled_from([0, 8]),  # o'clock
        "spans": st.lists(span, max_size=3),
    }
)


def batch_of(people):
    """Rows of ``timelines``; an event that is not current was replaced; each has a static stroke, which is no day."""
    names = ("time", "code", "superseded", "coverage_start", "coverage_end", "coverage_superseded")
    rows: dict[str, list] = {name: [] for name in names}
    for person in people:
        events = sorted((day * DAY + hour * DAY // 24, code, current) for day, hour, code, current in person["events"])
        events.insert(0, (STATIC, STROKE, True))
        rows["time"].append([at for at, _, _ in events])
        rows["code"].append([code for _, code, _ in events])
        rows["superseded"].append([NEVER if current else at + 1 for at, _, current in events])
        rows["coverage_start"].append([first * DAY for first, _, _ in person["spans"]])
        rows["coverage_end"].append([(first + days) * DAY for first, days, _ in person["spans"]])
        rows["coverage_superseded"].append([NEVER if now else (first + 1) * DAY for first, _, now in person["spans"]])
    died = [None if p["death"] is None else p["death"] * DAY + p["died_at"] * DAY // 24 for p in people]
    lists = {name: pa.array(values, pa.list_(pa.int64())) for name, values in rows.items()}
    return pa.RecordBatch.from_pydict({"death": pa.array(died, pa.int64()), **lists})


def label_of(death, is_censored=True):
    codes = {} if death == "event" else {"codes": ["ANY"]}
    return Label(
        horizon_days=HORIZON,
        death=death,
        censor_at_disenrolment=is_censored,
        time_to_event={"intervals_days": [4, HORIZON], **codes},
    )


def slowly(person, day, death_is, is_censored):
    """(step lost, type, days observed) of the definition: one day after another, until something ends the time."""
    death, died_at = person["death"], person["died_at"]
    if death is not None and (death < day or (death == day and died_at == 0)):
        return 1, None, -1
    covered = {at for first, days, current in person["spans"] if current for at in range(first, first + days)}
    left = day
    while any(
        {before, after} <= covered for before in range(left - GAP, left + 1) for after in range(left, before + GAP + 2)
    ):
        left += 1
    if is_censored and left == day:
        return 2, None, -1
    for each in range(day, day + HORIZON):
        if is_censored and each == left:
            return 0, 0, each - day
        is_event = any(at == each and code != LAB and current for at, _, code, current in person["events"])
        if death_is != "event" and is_event:
            return 0, 1, each - day
        if each == death:
            return 0, -1 if death_is == "competing" else 1, each - day
    return 0, 0, HORIZON


@pytest.mark.parametrize("death", ["event", "competing", "composite"])
@pytest.mark.parametrize("is_censored", [True, False])
@given(st.lists(someone, min_size=1, max_size=4))
def test_it_is_its_definition_one_day_after_another(death, is_censored, people):
    codes = np.array([] if death == "event" else [STROKE, BLEED], np.int64)
    labels = TimeLabeller(label_of(death, is_censored), codes, GAP)
    batch = batch_of(people).select([*labels.columns])
    row, at = np.repeat(np.arange(len(people)), 3), np.tile(np.array(PREDICTIONS) * DAY, len(people))
    found = labels.samples(batch, row, at)
    shown = [
        (lost, None if lost else value, days)
        for lost, value, days in zip(found.lost_at.tolist(), found.value.tolist(), found.observed_days.tolist())
    ]
    assert shown == [slowly(person, day, death, is_censored) for person in people for day in PREDICTIONS]


class TestOfOnePerson:
    """Edges that a random person seldom meets."""

    PERSON: ClassVar[dict] = {
        "events": [(27, 13, STROKE, True)],
        "death": None,
        "died_at": 0,
        "spans": [(0, 60, True)],
    }

    def told(self, reading="competing", **changes):
        codes = np.array([STROKE], np.int64)
        found = TimeLabeller(label_of(reading), codes, 0).samples(
            batch_of([self.PERSON | changes]), np.array([0]), np.array([20 * DAY])
        )
        return found.lost_at[0], found.value[0], found.observed_days[0]

    def test_an_event_counts_from_the_prediction_to_the_day_before_the_horizon(self):
        assert self.told() == (0, 1, 7)
        assert self.told(events=[(20, 0, STROKE, True)]) == (0, 1, 0)
        assert self.told(events=[(29, 23, STROKE, True)]) == (0, 1, 9)
        assert self.told(events=[(30, 0, STROKE, True)]) == (0, 0, 10)

    def test_on_the_day_of_the_death_the_event_comes_first_and_after_it_nothing_does(self):
        assert self.told(death=27) == (0, 1, 7) == self.told("composite", death=27)

    def test_a_death_before_the_event_competes_or_counts(self):
        assert self.told(death=26) == (0, -1, 6)
        assert self.told("composite", death=26) == (0, 1, 6)

    def test_whoever_leaves_is_known_until_then_and_an_event_on_that_day_is_not_seen(self):
        assert self.told(spans=[(0, 27, True)]) == (0, 0, 7)
        assert self.told(spans=[(0, 28, True)]) == (0, 1, 7)

    def test_only_who_is_not_covered_at_the_prediction_is_lost(self):
        assert self.told(spans=[(0, 20, True)]) == (len(TIME_STEPS), 0, -1)
