"""Adherence labels: the days that fills cover equal their definition, one day at a time."""

from typing import ClassVar

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from salus.cohorts.adherence import Adherence
from salus.cohorts.adherence_labels import ADHERENCE_STEPS, AdherenceLabeller
from salus.cohorts.label import Label
from salus.timelines.clocks import MICROSECONDS_PER_DAY as DAY
from salus.timelines.clocks import NEVER, STATIC

STATIN, OTHER, IN, OUT = 11, 12, 13, 14
GAP, HORIZON = 3, 20
TOO_MANY = 5  # of 20 days: the fifth uncovered day leaves 15, less than 0.8 of them
PREDICTIONS = (5, 15, 40)
LABEL = Label(
    horizon_days=HORIZON,
    death="no_event",
    adherence={"fills": {"codes": ["NDC/"]}, "stays": {"starts": ["IN"], "ends": ["OUT"]}},
)

fill = st.tuples(
    st.integers(0, 60),
    st.sampled_from([0, 9]),
    st.sampled_from([STATIN, STATIN, STATIN, OTHER]),
    st.sampled_from([2, 5, 5, 8, 8, 30, 30]),
    st.sampled_from([True, True, True, False]),
)
broken_fill = st.tuples(
    st.integers(0, 70), st.just(0), st.just(STATIN), st.sampled_from([float("nan"), 0.0]), st.just(True)
)
move = st.tuples(
    st.integers(0, 60), st.sampled_from([0, 9, 18]), st.sampled_from([IN, OUT]), st.just(float("nan")), st.booleans()
)
stay = st.tuples(st.integers(0, 60), st.integers(0, 12))
someone = st.fixed_dictionaries(
    {
        "events": st.one_of(
            st.lists(st.one_of(fill, fill, fill, move), max_size=12),
            st.lists(st.one_of(fill, broken_fill), max_size=4),
        ),
        "stays": st.lists(stay, max_size=3),
        "death": st.one_of(st.none(), st.none(), st.integers(0, 70)),
        "died_at": st.sampled_from([0, 8]),  # o'clock
        "left": st.one_of(st.none(), st.none(), st.integers(0, 60)),
    }
)


def events_of(person):
    """(day, o'clock, code, value, is current), with those of the person's stays."""
    stays = [
        each for day, days in person["stays"] for each in ((day, 9, IN, np.nan, True), (day + days, 18, OUT, 0, True))
    ]
    return [*person["events"], *stays]


def batch_of(people):
    """Rows of ``timelines``; an event that is not current was replaced; each has a static fill and an open span."""
    rows: dict[str, list] = {
        name: [] for name in ("time", "code", "superseded", "value", "coverage_start", "coverage_end")
    }
    for person in people:
        events = sorted((day * DAY + hour * DAY // 24, *rest) for day, hour, *rest in events_of(person))
        events.insert(0, (STATIC, STATIN, 1_000.0, True))
        rows["time"].append([at for at, *_ in events])
        rows["code"].append([code for _, code, _, _ in events])
        rows["value"].append([value for _, _, value, _ in events])
        rows["superseded"].append([NEVER if current else at + 1 for at, _, _, current in events])
        rows["coverage_start"].append([0])
        rows["coverage_end"].append([NEVER if person["left"] is None else person["left"] * DAY])
    lists = {
        name: pa.array(values, pa.list_(pa.float32() if name == "value" else pa.int64()))
        for name, values in rows.items()
    }
    lists["coverage_superseded"] = pa.array([[NEVER]] * len(people), pa.list_(pa.int64()))
    death = [None if p["death"] is None else p["death"] * DAY + p["died_at"] * DAY // 24 for p in people]
    return pa.RecordBatch.from_pydict({"death": pa.array(death, pa.int64()), **lists})


def labeller(label=LABEL):
    return AdherenceLabeller(label, label.adherence, np.array([STATIN]), np.array([IN]), np.array([OUT]), GAP)


def in_hospital(events):
    """Days on which somebody lies in hospital overnight."""
    admitted = sorted({day for day, _, code, *_ in events if code == IN})
    discharged = sorted({day for day, _, code, *_ in events if code == OUT})
    days = set()
    for first in admitted:
        last = next((day for day in discharged if day > first), None)
        if last is not None and not any(first < day < last for day in admitted):
            days |= set(range(first, last))
    return days


def slowly(person, day):
    """(step lost, whether too few days are covered, days observed), taking a pill a day."""
    death = 1_000 if person["death"] is None else person["death"]
    if death < day or (death == day and person["died_at"] == 0):
        return 1, None, -1
    events = [each for each in events_of(person) if each[4] and each[0] <= death]
    fills = [(at, value) for at, _, code, value, _ in events if code == STATIN]
    if any(at < day + HORIZON and not value > 0 for at, value in fills):
        return 2, None, -1
    hospital = in_hospital(events)
    pills = uncovered = 0
    too_many = None
    for at in range(day + HORIZON):
        pills += sum(value for filled, value in fills if filled == at)
        if at in hospital:
            continue
        if pills:
            pills -= 1
        elif at >= day:
            uncovered += 1
            if uncovered == TOO_MANY:
                too_many = at
    if too_many is not None and too_many >= death:
        too_many = None
    ended = min([each for each in (too_many, death) if each is not None])
    left = 1_000 if person["left"] is None else max(person["left"], day)
    is_first = left <= ended if too_many is None or too_many > death else left <= too_many
    if is_first and left < day + HORIZON:
        return 3, None, left - day
    return 0, too_many is not None, min(ended, day + HORIZON) - day


def labels(people, days=PREDICTIONS, batch=None):
    row, at = np.repeat(np.arange(len(people)), len(days)), np.tile(np.array(days, np.int64) * DAY, len(people))
    found = labeller().samples(batch or batch_of(people), row, at)
    return [
        (lost, bool(value) if lost == 0 else None, observed)
        for lost, value, observed in zip(found.lost_at.tolist(), found.value.tolist(), found.observed_days.tolist())
    ]


@given(st.lists(someone, min_size=1, max_size=4))
def test_it_is_its_definition_day_by_day(people):
    assert labels(people) == [slowly(person, day) for person in people for day in PREDICTIONS]


@given(st.lists(someone, min_size=1, max_size=3))
def test_a_slice_of_a_batch_gives_the_same(people):
    assert labels(people, batch=batch_of([*people, *people]).slice(len(people))) == labels(people)


def test_it_looks_at_the_columns_that_it_names():
    nobody = {"events": [], "stays": [], "death": None, "died_at": 0, "left": None}
    assert set(labeller().columns) == set(batch_of([nobody]).schema.names)


class TestOfOnePerson:
    """The readings of docs/clarifications.md, on a window of the days 10 to 29, of which four may be uncovered."""

    PERSON: ClassVar[dict] = {"events": [], "stays": [], "death": None, "died_at": 8, "left": None}

    def label(self, fills=(), **changes):
        events = [(day, 9, STATIN, float(supply), True) for day, supply in fills]
        return labels([self.PERSON | {"events": events} | changes], (10,))[0]

    @pytest.mark.parametrize(
        ("fills", "is_below"),
        [
            ([(10, 16)], False),  # sixteen days of twenty
            ([(10, 15)], True),
            ([(0, 10), (2, 16)], False),  # what overlaps is used later: covered until day 25
            ([(0, 10), (2, 15)], True),
            ([(9, 8), (9, 9)], False),  # two fills of one day follow each other: covered until day 25
            ([(0, 5), (9, 8), (18, 9)], False),  # what was missed before the window is no matter: days 10 to 26
            ([(0, 10), (12, 16)], False),  # days 10 and 11, and days 28 and 29
            ([(0, 26)], False),
            ([], True),
        ],
    )
    def test_days_covered(self, fills, is_below):
        assert self.label(fills)[:2] == (0, is_below)

    def test_supply_that_reaches_beyond_the_window_does_not_make_up_for_a_gap_in_it(self):
        assert self.label([(15, 90)]) == (0, True, 4)

    def test_days_in_hospital_are_covered_and_use_up_no_supply(self):
        assert self.label([(10, 15)], stays=[(12, 1)])[1] is False
        assert self.label([(10, 5)], stays=[(12, 11)])[1] is False  # days 10, 11, 12 to 22, 23, 24, 25
        assert self.label([(10, 15)], stays=[(12, 0)])[1] is True

    def test_an_admission_without_its_discharge_credits_nothing(self):
        assert self.label([(10, 15)], events=[(10, 9, STATIN, 15.0, True), (12, 9, IN, 0.0, True)])[1] is True

    def test_a_death_before_too_many_days_are_uncovered_is_a_negative(self):
        assert self.label([(10, 8)], death=22) == (0, False, 12)
        assert self.label([(10, 8)], death=23) == (0, True, 12)

    def test_whoever_leaves_before_too_many_days_are_uncovered_has_no_label(self):
        assert self.label([(10, 8)], left=22) == (3, None, 12)
        assert self.label([(10, 8)], left=23) == (0, True, 12)
        assert len(ADHERENCE_STEPS) == 3


@pytest.mark.parametrize(
    ("below", "horizon", "days"), [(0.8, 180, 37), (0.8, 20, 5), (0.7, 10, 4), (1.0, 10, 1), (0.801, 180, 36)]
)
def test_the_day_from_which_on_the_proportion_is_below_the_threshold(below, horizon, days):
    found = Adherence(fills={"codes": ["NDC/"]}, pdc_below=below).days_uncovered(horizon)
    assert found == days
    assert (horizon - found) / horizon < below <= (horizon - found + 1) / horizon


def test_a_death_is_no_adherence():
    with pytest.raises(ValidationError, match="expected no_event"):
        Label(horizon_days=HORIZON, death="composite", adherence={"fills": {"codes": ["NDC/"]}})
