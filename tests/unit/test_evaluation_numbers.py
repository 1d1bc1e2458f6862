"""Figures of counts and costs: against scikit-learn, and against what was planted."""

import numpy as np
import pytest
from sklearn.metrics import d2_tweedie_score, mean_absolute_error, r2_score

from salus.cohorts.label import COST, COUNT
from salus.errors import Refused
from salus.evaluation.deviance import Deviance
from salus.evaluation.measures import measures_of
from salus.evaluation.metrics import Sample
from salus.evaluation.recalibration import from_json
from salus.evaluation.scale import fit_scale, leave_number
from salus.evaluation.subgroups import is_material


def planted(people=4000, rows_each=3, seed=7, factor=1.0):
    """Costs around ``factor * exp(raw)``: half of them 0, the rest with a long tail, alike within a person."""
    random = np.random.default_rng(seed)
    person = np.repeat(np.arange(people), rows_each)
    raw = np.repeat(random.normal(7, 1, people), rows_each) + random.normal(0, 0.2, person.size)
    own = np.repeat(random.gamma(1.5, 1 / 1.5, people), rows_each)
    is_spared = np.repeat(random.random(people) < 0.5, rows_each)
    spent = np.where(is_spared, 0, 2 * factor * np.exp(raw) * own)
    return Sample(person, spent, random.uniform(1, 3, person.size)), raw


def by_name(rows):
    return {(row["model_name"], row["metric"]): row for row in rows}


@pytest.mark.parametrize(("kind", "power"), [(COUNT, 1), (COST, 1.5)])
def test_figures_are_scikit_learns_with_any_weights(kind, power):
    sample, raw = planted(people=300)
    counted = Sample(sample.people, np.floor(sample.labels / 500), sample.weights)
    told = {"model": np.exp(raw) / 500, "baseline": np.full(raw.size, 2.0)}
    found = by_name(measures_of(kind).of_models(counted, told, replicates=20))
    for name, estimate in told.items():
        y, w = counted.labels, counted.weights
        expected = {
            "d2": d2_tweedie_score(y, estimate, sample_weight=w, power=power),
            "r_squared": r2_score(y, estimate, sample_weight=w),
            "mae": mean_absolute_error(y, estimate, sample_weight=w),
            "mean_observed": np.average(y, weights=w),
            "mean_predicted": np.average(estimate, weights=w),
            "predictive_ratio": np.average(estimate, weights=w) / np.average(y, weights=w),
        }
        assert {metric: found[name, metric]["value"] for metric in expected} == pytest.approx(expected)
    gained = found["model", "d2_over_baseline"]
    assert gained["value"] == pytest.approx(found["model", "d2"]["value"] - found["baseline", "d2"]["value"])
    assert gained["low"] < gained["value"] < gained["high"]


def test_a_replicates_deviance_is_that_of_its_rows():
    sample, raw = planted(people=200)
    times = np.random.default_rng(1).integers(0, 3, sample.labels.size).astype(float)
    for power in (1, 1.5):
        deviance = Deviance.of(sample.labels, power)
        drawn = times > 0
        expected = d2_tweedie_score(sample.labels[drawn], np.exp(raw[drawn]), sample_weight=times[drawn], power=power)
        assert deviance.explained(deviance.unit(np.exp(raw)), times) == pytest.approx(expected)


def test_capture_is_what_the_told_cost_over_what_the_costliest_do():
    amounts = np.arange(1.0, 101)
    told = amounts.copy()
    told[[0, 99]] = told[[99, 0]]  # the least is told most
    found = by_name(measures_of(COST).of_models(Sample(np.arange(100), amounts, np.ones(100)), {"model": told}))
    assert found["model", "capture_top_1"]["value"] == pytest.approx(1 / 100)
    assert found["model", "capture_top_5"]["value"] == pytest.approx(
        (1 + 99 + 98 + 97 + 96) / (100 + 99 + 98 + 97 + 96)
    )


def test_groups_by_prediction_show_where_estimates_are_off():
    sample, raw = planted()
    told = np.where(raw > 8, 2, 1) * np.exp(raw)  # twice too much for those who cost much
    found = by_name(measures_of(COST).of_models(sample, {"model": told}, replicates=50))
    curve, low, high = (found["model", f"calibration_curve{which}"] for which in ("", "_low", "_high"))
    ratio = np.array(curve["curve_x"]) / curve["curve_y"]
    assert len(ratio) == 10
    np.testing.assert_allclose(ratio[:7], 1, atol=0.15)
    assert ratio[-1] == pytest.approx(2, rel=0.15)
    assert all(a < b < c for a, b, c in zip(low["curve_y"], curve["curve_y"], high["curve_y"]))


def test_a_subgroup_whose_cost_is_told_too_low_has_a_material_gap_and_months_are_followed():
    sample, raw = planted()
    sex = np.where(sample.people % 2 == 0, "female", "male")
    told = np.exp(raw) * np.where(sex == "female", 0.6, 1.0)
    rows = measures_of(COST).of_subgroups(sample, told, {"sex": sex}, replicates=100)
    found = {(row["subgroup"], row["metric"]): row for row in rows}
    gap = found["sex: female", "predictive_ratio_gap"]
    assert gap["value"] == pytest.approx(-0.4, abs=0.1)
    assert is_material("predictive_ratio", gap["value"], gap["low"], gap["high"])
    months = np.where(np.arange(raw.size) % 3 == 0, "2025-01", "2025-02")
    by_month = measures_of(COST).of_months(sample, told, months, replicates=20)
    one = {row["metric"]: row["value"] for row in by_month if row["subgroup"] == "month: 2025-01"}
    inside = months == "2025-01"
    assert one["mean_observed"] == pytest.approx(np.average(sample.labels[inside], weights=sample.weights[inside]))
    assert one["predictive_ratio"] == pytest.approx(one["mean_predicted"] / one["mean_observed"])


def test_knowing_the_future_is_priced():
    sample, raw = planted()
    leaking = raw + np.where(sample.labels > 0, 0.7, -0.7)
    found = by_name(measures_of(COST).price(sample, raw, leaking, replicates=50))
    kept, promised = (found["model", f"d2_by_{clock}"]["value"] for clock in ("available_time", "time"))
    price = found["model", "leakage_price"]
    assert price["value"] == pytest.approx(promised - kept)
    assert price["low"] > 0


def test_one_factor_recovers_what_was_planted_within_its_own_error():
    off = []
    for seed in range(60):
        sample, raw = planted(people=300, seed=seed, factor=1.4)
        fitted = fit_scale(raw, sample.labels, sample.weights, sample.people, "package")
        off.append((np.log(fitted.factor) - np.log(1.4)) / np.sqrt(fitted.log_variance))
    assert abs(np.mean(off)) < 0.4
    assert np.std(off) == pytest.approx(1, abs=0.25)  # its error is clustered by person: rows alone would give more
    estimate = fitted.calibrated(raw)
    assert (estimate * sample.weights).sum() == pytest.approx((sample.labels * sample.weights).sum())
    low, high = fitted.bounds(raw)
    assert ((low < estimate) & (estimate < high)).all()
    assert from_json(fitted.to_json()) == fitted


def test_a_number_that_is_left_as_it_is_and_one_that_cannot_be_fitted():
    sample, raw = planted(people=10)
    own = leave_number(raw, sample.labels, sample.weights, sample.people, "p")
    np.testing.assert_array_equal(own.calibrated(raw), np.exp(raw))
    np.testing.assert_array_equal(own.bounds(raw), (np.exp(raw), np.exp(raw)))
    with pytest.raises(Refused, match="all nought"):
        fit_scale(raw, sample.labels * 0, sample.weights, sample.people, "p")
