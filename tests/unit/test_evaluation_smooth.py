"""The smooth calibration curve and its errors: against rows one by one, and against what was planted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from statsmodels.nonparametric.smoothers_lowess import lowess

from salus.evaluation.calibration import safe_logit
from salus.evaluation.metrics import Sample, measured
from salus.evaluation.smooth import DRAWN, SHARE, Smooth, of_equal_weight
from salus.report.measured import Measure
from salus.report.reliability import reliability_section

rows = st.lists(
    st.tuples(st.sampled_from([0.01, 0.05, 0.2, 0.5]), st.booleans(), st.floats(0.5, 3)), min_size=1, max_size=40
)


@given(rows, st.integers(1, 12))
def test_points_of_equal_weight_keep_the_weighted_means(rows, points):
    probability, labels, weights = np.array(rows, dtype=np.float64).T
    x, y = of_equal_weight(probability, labels, weights, points)
    assert x.size == min(points, len(rows))
    assert x.mean() == pytest.approx(np.average(probability, weights=weights))
    assert y.mean() == pytest.approx(np.average(labels, weights=weights))
    assert (np.diff(x) >= 0).all()


@given(rows)
def test_a_curve_of_any_rows_is_finite_and_a_share(rows):
    smooth = Smooth.of(*np.array(rows, dtype=np.float64).T)
    assert ((smooth.observed >= 0) & (smooth.observed <= 1)).all()
    assert all(0 <= error <= 1 for error in smooth.errors.values())


def test_people_who_were_all_told_the_same_are_compared_with_their_mean():
    labels = np.repeat([1.0, 0.0], [30, 70])
    assert Smooth.of(np.full(100, 0.1), labels, np.ones(100)).errors["ici"] == pytest.approx(0.2)


def test_few_rows_of_equal_weight_are_smoothed_one_by_one():
    random = np.random.default_rng(2)
    probability = np.sort(random.random(300))
    labels = (random.random(300) < probability).astype(float)
    slowly = lowess(labels, probability, frac=SHARE, it=0, return_sorted=False)
    smooth = Smooth.of(probability[::-1], labels[::-1], np.full(300, 1.7))
    np.testing.assert_allclose(smooth.observed, np.clip(slowly, 0, 1), atol=1e-6)


def test_a_weight_is_as_many_rows():
    random = np.random.default_rng(4)
    probability, times = random.random(800), random.integers(1, 4, 800)
    labels = (random.random(800) < probability).astype(float)
    weighed = Smooth.of(probability, labels, times.astype(float)).errors
    repeated = Smooth.of(np.repeat(probability, times), np.repeat(labels, times), np.ones(times.sum())).errors
    for name, error in weighed.items():
        assert error == pytest.approx(repeated[name], abs=0.002)


@pytest.fixture(scope="module")
def told():
    """40,000 people, told the truth or something shifted or too extreme."""
    random = np.random.default_rng(8)
    logits = random.normal(-1.0, 1.0, 40_000)
    true = expit(logits)
    labels = (random.random(true.size) < true).astype(float)
    return true, labels, {"right": true, "shifted": expit(logits - 0.5), "extreme": expit(2 * logits)}


@pytest.mark.parametrize("name", ["shifted", "extreme"])
def test_the_errors_are_those_that_were_planted(told, name):
    true, labels, models = told
    planted = np.abs(models[name] - true)
    errors = Smooth.of(models[name], labels, np.ones(true.size)).errors
    assert errors["ici"] == pytest.approx(planted.mean(), abs=0.01)
    assert errors["e50"] == pytest.approx(np.median(planted), abs=0.015)
    assert errors["e90"] == pytest.approx(np.quantile(planted, 0.9), abs=0.015)


def test_the_truth_errs_by_hardly_anything_and_its_curve_is_the_diagonal(told):
    true, labels, _ = told
    smooth = Smooth.of(true, labels, np.ones(true.size))
    assert smooth.errors["ici"] < 0.008
    x, y = smooth.drawn
    assert x.size == DRAWN
    assert (x[0], x[-1]) == (smooth.probability[0], smooth.probability[-1])
    np.testing.assert_allclose(y[10:-10], x[10:-10], atol=0.03)


def test_the_report_draws_what_was_measured():
    random = np.random.default_rng(6)
    logits = random.normal(-1.0, 1.0, 3000)
    labels = (random.random(3000) < expit(logits)).astype(float)
    models = {"model": expit(logits), "baseline": expit(0.4 * logits)}
    found = {
        (row["model_name"], row["metric"]): row
        for row in measured(Sample(np.arange(3000), labels, np.ones(3000)), models, replicates=20)
    }
    assert found["model", "ici"]["value"] < 0.5 * found["baseline", "ici"]["value"]
    curve = found["baseline", "calibration_smooth"]
    assert safe_logit(np.array(curve["curve_y"][100])) < safe_logit(np.array(curve["curve_x"][100]))
    section = reliability_section(
        {
            key: Measure(row.get("value"), x=row.get("curve_x", ()), y=row.get("curve_y", ()))
            for key, row in found.items()
        }
    )
    plot = next(block for block in section.blocks if block.kind == "plot")
    assert "smooth curve" in plot.caption
    drawn = {trace.name: trace for trace in plot.figure.data}
    assert drawn["baseline, smooth"].y == tuple(curve["curve_y"])
    table = next(block for block in section.blocks if block.kind == "table")
    assert table.rows[0][table.columns.index("Mean error (ICI)")] == f"{found['model', 'ici']['value']:.4f}"
