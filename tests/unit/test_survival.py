"""Times to event are measured as the definitions and the field's library measure them."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lifelines import AalenJohansenFitter
from lifelines.utils import concordance_index

from salus.cohorts.task import Task, Tier
from salus.evaluation.concordance import concordance
from salus.evaluation.incidence import observed_incidence
from salus.evaluation.metrics import Sample
from salus.evaluation.survival import measured_times, told_curves
from salus.evaluation.tiers import tier_places
from salus.evaluation.times import Times, at_horizon

HORIZON = 20
JANUARY = np.datetime64("2025-01-01").astype("datetime64[us]").astype(np.int64)
FEBRUARY = JANUARY + 31 * 86_400_000_000


def times_of(event_type, days, people=None, at=None, horizon=HORIZON):
    event_type, days = np.asarray(event_type), np.asarray(days)
    people = np.arange(days.size) if people is None else people
    return Times.of(people, event_type, days, np.full(days.size, JANUARY) if at is None else at, horizon)


row = st.tuples(st.sampled_from([1, 0, -1]), st.integers(0, HORIZON - 1) | st.just(HORIZON))
score = st.integers(0, 4)


def ended(rows):
    """Types and days; nothing happens on the horizon."""
    kinds, days = (np.array(each) for each in zip(*rows))
    return np.where(days == HORIZON, 0, kinds), days


def staying_slowly(kinds, days, day):
    """Kaplan-Meier's of leaving before ``day``; on a day with both, events come first."""
    share = 1.0
    for each in range(day):
        left = ((days == each) & (kinds == 0)).sum()
        at_risk = ((days > each) | ((days == each) & (kinds == 0))).sum()
        share *= 1 - left / at_risk if at_risk else 1
    return share


@given(st.lists(row, min_size=1, max_size=25))
def test_incidence_is_its_definition_day_by_day(rows):
    kinds, days = ended(rows)
    there, had = 1.0, 0.0
    expected = []
    for day in range(HORIZON + 1):
        expected.append(had)
        at_risk = (days >= day).sum()
        of = [((days == day) & (kinds == kind)).sum() / at_risk if at_risk else 0 for kind in (1, -1)]
        had, there = had + there * of[0], there * (1 - sum(of))
    found = observed_incidence(times_of(kinds, days), np.zeros(days.size, np.int64), np.ones(days.size))
    np.testing.assert_allclose(found, [expected], atol=1e-12)


def test_incidence_is_aalen_and_johansens_in_each_group_and_a_weight_is_so_many_people():
    random = np.random.default_rng(1)
    days, group = random.permutation(400)[:300], np.arange(300) % 2
    kinds = random.choice([1, -1, 0], 300)
    times = times_of(kinds, days, horizon=400)
    found = observed_incidence(times, group, np.ones(300))
    for each in (0, 1):
        mine = group == each
        fitter = AalenJohansenFitter(calculate_variance=False)
        fitter.fit(days[mine], np.where(kinds[mine] < 0, 2, kinds[mine]), event_of_interest=1)
        curve = fitter.cumulative_density_
        expected = [curve[curve.index < day].iloc[-1, 0] if day else 0.0 for day in range(401)]
        np.testing.assert_allclose(found[each], expected, atol=1e-12)
    weights = random.integers(0, 4, 300)
    again = np.repeat(np.arange(300), weights)
    drawn = observed_incidence(times_of(kinds[again], days[again], horizon=400), group[again], np.ones(again.size))
    np.testing.assert_allclose(observed_incidence(times, group, weights), drawn, atol=1e-12)


def test_a_group_of_nobody_has_no_incidence():
    found = observed_incidence(times_of([1, 1], [3, 4]), np.array([0, 1]), np.array([1.0, 0.0]))
    assert found[0, -1] == 1
    assert np.isnan(found[1]).all()


@given(st.lists(row, min_size=2, max_size=25))
def test_whom_is_known_at_the_horizon_stands_in_for_those_who_left(rows):
    """Weighted shares are the Aalen-Johansen estimate, as long as somebody stays to stand in."""
    kinds, days = ended([*rows, (0, HORIZON)])
    times = times_of(kinds, days)
    expected = [1 / staying_slowly(kinds, days, day) for day in days[times.is_known]]
    np.testing.assert_allclose(times.weights[times.is_known], expected)
    assert times.weights.sum() == pytest.approx(days.size)
    share = times.weights @ (kinds > 0) / days.size
    assert share == pytest.approx(observed_incidence(times, np.zeros(days.size, int), np.ones(days.size))[0, -1])


def test_who_leaves_in_one_month_is_stood_in_for_by_that_months_people_only():
    at = np.array([JANUARY] * 4 + [FEBRUARY] * 2)
    times = times_of([0, 0, 0, 0, 0, 0], [5, 5, HORIZON, HORIZON, HORIZON, HORIZON], at=at)
    assert times.weights.tolist() == [0, 0, 2, 2, 1, 1]


def test_a_task_of_another_kind_is_known_in_all_rows():
    sample = Sample(np.arange(3), np.array([0.0, 1, 0]), np.ones(3))
    place, same = at_horizon(Task.load("admission_90d"), sample)
    assert (place.tolist(), same) == ([0, 1, 2], sample)
    timed = Sample(np.arange(3), np.array([1.0, -1, 0]), np.ones(3), None, np.full(3, JANUARY), np.array([3.0, 4, 9]))
    place, known = at_horizon(Task.load("mortality_1y"), timed)
    assert (place.tolist(), known.labels.tolist()) == ([0, 1], [1.0, 0.0])


@given(st.lists(st.tuples(row, score), min_size=2, max_size=20))
def test_concordance_is_its_definition_pair_by_pair(rows):
    (kinds, days), told = ended([each for each, _ in rows]), np.array([score for _, score in rows])
    concordant = pairs = 0.0
    for i, j in product(range(days.size), repeat=2):
        if kinds[i] != 1:
            continue
        if days[j] > days[i] or (days[j] == days[i] and kinds[j] == 0):
            weight = staying_slowly(kinds, days, days[i]) ** -2
        elif kinds[j] == -1:
            weight = 1 / (staying_slowly(kinds, days, days[i]) * staying_slowly(kinds, days, days[j]))
        else:
            continue
        pairs += weight
        concordant += weight * ((told[i] > told[j]) + (told[i] == told[j]) / 2)
    found = concordance(times_of(kinds, days), told)
    if pairs:
        assert found.value == pytest.approx(concordant / pairs)
        assert found.influence.sum() == pytest.approx(0, abs=1e-9)
        assert concordance(times_of(kinds, days), -told).value == pytest.approx(1 - found.value)
        assert concordance(times_of(kinds, days), np.exp(3 * told)).value == found.value
    else:
        assert np.isnan(found.value)


@pytest.fixture(scope="module")
def world():
    """400 people of three rows each: who is told more has it sooner; some die of something else, and some leave."""
    random = np.random.default_rng(3)
    people = np.repeat(np.arange(400), 3)
    risk = np.repeat(random.normal(size=400), 3) + 0.3 * random.normal(size=1200)
    until = [random.exponential(40 * np.exp(-risk)), random.exponential(60, 1200), random.exponential(50, 1200)]
    until.append(np.full(1200, float(HORIZON)))
    kinds = np.array([1, -1, 0, 0])[np.argmin(until, axis=0)]
    at = np.where(np.arange(1200) % 3, JANUARY, FEBRUARY)
    return times_of(kinds, np.floor(np.min(until, axis=0)).astype(int), people, at), risk, random.normal(size=1200)


def test_where_nobody_leaves_or_dies_of_something_else_it_is_harrells():
    random = np.random.default_rng(2)
    risk = np.round(random.normal(size=300), 1)
    until = np.floor(random.exponential(15 * np.exp(-risk)))
    kinds, days = np.where(until < HORIZON, 1, 0), np.minimum(until, HORIZON).astype(int)
    expected = concordance_index(days, -risk, kinds)
    assert concordance(times_of(kinds, days), risk).value == pytest.approx(expected)


def test_its_interval_is_the_bootstraps_of_people(world):
    times, risk, noise = world
    model, other = concordance(times, risk), concordance(times, noise)
    random = np.random.default_rng(4)
    drawn = []
    for _ in range(200):
        place = np.concatenate([3 * random.integers(0, 400, 400) + each for each in range(3)])
        again = Times(
            *(getattr(times, name)[place] for name in ("people", "event_type", "days", "month")), HORIZON, times.staying
        )
        drawn.append(concordance(again, risk[place]).value - concordance(again, noise[place]).value)
    difference, low, high = model.over(other)
    assert 0.1 < difference < 0.4
    assert (high - low) / 3.92 == pytest.approx(np.std(drawn), rel=0.2)
    assert model.over(model) == (0, 0, 0)
    low, high = other.interval
    assert low < 0.5 < high


def test_tiers_are_of_midranks_or_of_probabilities():
    told = np.array([0.1, 0.4, 0.4, 0.9])
    by_rank = [Tier(name="high", from_percentile=80), Tier(name="low", from_percentile=30)]
    assert tier_places(told, by_rank).tolist() == [2, 1, 1, 0]
    by_risk = [Tier(name="high", from_probability=0.4), Tier(name="low", from_probability=0)]
    assert tier_places(told, by_risk).tolist() == [1, 0, 0, 0]


TIERS = [Tier(name="high", from_percentile=80), Tier(name="low", from_percentile=0)]


def test_a_good_model_is_told_from_its_baseline_and_its_tiers_are_what_they_were_told(world):
    times, risk, _ = world
    usual = observed_incidence(times, np.zeros(1200, int), np.ones(1200))[0, [10, HORIZON]]
    steep = usual * np.clip(np.exp(0.5 * risk - 0.1), 0, 2)[:, None]
    rows = measured_times(times, (10, HORIZON), {"model": steep, "baseline": np.tile(usual, (1200, 1))}, TIERS, 60)
    found = {(each["model_name"], each["metric"]): each for each in rows}
    assert found["baseline", "c_index"]["value"] == 0.5
    assert found["model", "c_index_over_baseline"]["low"] > 0.1
    assert found["baseline", "scaled_integrated_brier"]["value"] == pytest.approx(0)
    assert found["model", "scaled_integrated_brier"]["low"] > 0
    assert found["model", "observed_incidence"]["value"] == pytest.approx(usual[-1])
    observed, low, high = (
        np.array(found["model", f"calibration_curve{which}"]["curve_y"]) for which in ("", "_low", "_high")
    )
    assert observed.size == 10
    assert ((low <= observed) & (observed <= high)).all()
    high_tier, low_tier = (
        np.array(found["model", f"observed_incidence: {name}"]["curve_y"]) for name in ("high", "low")
    )
    assert (np.diff(high_tier) >= 0).all()
    assert high_tier[-1] > 1.5 * low_tier[-1]
    told = found["model", "told_incidence: high"]
    assert told["curve_x"] == [0, 10, HORIZON]
    assert found["model", "observed_incidence_low: high"]["curve_y"][-1] < told["curve_y"][-1]
    assert told["curve_y"][-1] < found["model", "observed_incidence_high: high"]["curve_y"][-1] * 1.1


@given(st.lists(st.tuples(row, st.integers(0, 9), st.integers(0, 9)), min_size=2, max_size=15))
def test_a_brier_score_is_its_definition_row_by_row(rows):
    (kinds, days) = ended([*(each for each, _, _ in rows), (1, 3)])
    told = np.sort([*((a / 10, b / 10) for _, a, b in rows), (0.5, 0.6)], axis=1)
    at_ends = [0.0]
    for place, end in enumerate((10, HORIZON)):
        total = 0.0
        for kind, day, said in zip(kinds, days, told[:, place]):
            if day >= end:
                total += said**2 / staying_slowly(kinds, days, end)
            elif kind != 0:
                total += ((kind == 1) - said) ** 2 / staying_slowly(kinds, days, day)
        at_ends.append(total / days.size)
    measured = measured_times(times_of(kinds, days), (10, HORIZON), {"model": told}, TIERS, 2)
    found = next(each["value"] for each in measured if each["metric"] == "integrated_brier")
    assert found == pytest.approx((at_ends[0] + 2 * at_ends[1] + at_ends[2]) / 4)


def test_a_brier_score_where_nobody_leaves_is_the_mean_squared_error_over_the_horizon():
    kinds, days = np.array([1, 0, -1]), np.array([4, HORIZON, 12])
    told = np.array([[0.5, 0.8], [0.1, 0.2], [0.0, 0.3]])
    rows = measured_times(times_of(kinds, days), (10, HORIZON), {"model": told}, TIERS, 5)
    at_ten, at_twenty = (0.25 + 0.01 + 0) / 3, (0.04 + 0.04 + 0.09) / 3
    expected = (10 * at_ten / 2 + 10 * (at_ten + at_twenty) / 2) / HORIZON
    found = next(each["value"] for each in rows if each["metric"] == "integrated_brier")
    assert found == pytest.approx(expected)


def test_a_told_curve_goes_the_models_way_to_the_calibrated_end():
    curves = told_curves(np.array([[0.1, 0.2], [0.0, 0.0]]), np.array([0.4, 0.01]))
    np.testing.assert_allclose(curves, [[0.2, 0.4], [0, 0]])


def test_where_nobody_had_the_event_nothing_is_measured():
    assert measured_times(times_of([0, -1], [3, 4]), (HORIZON,), {"model": np.full((2, 1), 0.1)}, TIERS) == []
