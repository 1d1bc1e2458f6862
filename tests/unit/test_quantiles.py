"""Quantiles: losses are scikit-learn's, what covers is told to cover, and a task that misstates them is refused."""

import numpy as np
import pytest
from sklearn.metrics import d2_absolute_error_score, d2_pinball_score, mean_absolute_error, mean_pinball_loss

from salus.cohorts.label import COST, MEDIAN, Cost, Count
from salus.evaluation.contest import contest_by, contest_of
from salus.evaluation.metrics import Sample
from salus.evaluation.quantiles import Quantiles, in_order, measured_medians, measured_quantiles, of_part
from salus.evaluation.recalibration import from_json

LEVELS = (0.1, 0.5, 0.8)
ROWS = 4000


@pytest.fixture(scope="module")
def world():
    """Gamma-distributed amounts whose level is known, each row's own quantiles, and those blurred."""
    random = np.random.default_rng(3)
    level = random.uniform(1, 20, ROWS)
    draws = np.quantile(random.gamma(2, 1, 200_000), LEVELS)
    labels = level * random.gamma(2, 1, ROWS)
    sample = Sample(np.repeat(np.arange(ROWS // 2), 2), labels, random.uniform(0.5, 2, ROWS))
    told = level[:, None] * draws
    return sample, told, told * random.uniform(0.4, 2.5, ROWS)[:, None]


def by_metric(rows):
    return {(row["model_name"], row["metric"]): row for row in rows}


def test_losses_of_every_level_are_scikit_learns(world):
    sample, told, blurred = world
    found = by_metric(measured_quantiles(sample, {"model": told, "baseline": blurred}, LEVELS, 20))
    for name, quantiles in (("model", told), ("baseline", blurred)):
        losses = []
        for level, each in zip(LEVELS, quantiles.T):
            losses.append(mean_pinball_loss(sample.labels, each, sample_weight=sample.weights, alpha=level))
            assert found[name, f"pinball_loss: {level}"]["value"] == pytest.approx(losses[-1])
        assert found[name, "pinball_loss"]["value"] == pytest.approx(np.mean(losses))
    gained = found["model", "d2_pinball_over_baseline"]
    assert 0 < gained["low"] < gained["value"] < gained["high"]


@pytest.mark.parametrize("level", LEVELS)
def test_what_is_explained_of_one_level_is_scikit_learns(world, level):
    sample, told, _ = world
    each = told[:, [LEVELS.index(level)]]
    found = by_metric(measured_quantiles(sample, {"model": each}, [level], 3))
    expected = d2_pinball_score(sample.labels, each[:, 0], sample_weight=sample.weights, alpha=level)
    assert found["model", "d2_pinball"]["value"] == pytest.approx(expected, abs=1e-3)


def test_the_median_is_measured_as_scikit_learn_does(world):
    sample, told, blurred = world
    found = by_metric(measured_medians(sample, {"model": told[:, 1], "baseline": blurred[:, 1]}, 20))
    weighed = {"sample_weight": sample.weights}
    assert found["model", "mae"]["value"] == pytest.approx(mean_absolute_error(sample.labels, told[:, 1], **weighed))
    explained = d2_absolute_error_score(sample.labels, told[:, 1], **weighed)
    assert found["model", "d2_absolute_error"]["value"] == pytest.approx(explained, abs=1e-3)
    assert found["model", "d2_absolute_error_over_baseline"]["low"] > 0
    contest = contest_of(COST._replace(quantiles=LEVELS))
    figures = contest.figures(sample, told[:, 1], list(contest.metrics))
    assert figures == {metric: found["model", metric]["value"] for metric in contest.metrics}
    assert contest_by([{"metric": "d2_absolute_error"}]) is contest


def test_quantiles_that_hold_are_told_to_hold_and_narrow_ones_are_not(world):
    sample, told, _ = world
    right = by_metric(measured_quantiles(sample, {"model": told}, LEVELS, 50))
    for level in LEVELS:
        share = right["model", f"share_at_most: {level}"]
        assert share["low"] < level < share["high"]
    assert right["model", "coverage"]["value"] == pytest.approx(0.7, abs=0.03)
    narrow = told[:, 1:2] + 0.2 * (told - told[:, 1:2])
    assert by_metric(measured_quantiles(sample, {"model": narrow}, LEVELS, 50))["model", "coverage"]["high"] < 0.3
    assert by_metric(measured_quantiles(sample, {"model": narrow}, LEVELS, 50))["model", "width"]["value"] == (
        pytest.approx(0.2 * right["model", "width"]["value"])
    )


def test_a_part_of_the_rows_is_measured_by_itself(world):
    sample, told, _ = world
    mask = sample.people < 300
    inside = Sample(sample.people[mask], sample.labels[mask], sample.weights[mask])
    figures = of_part(sample, told[:, 1])(mask)(np.ones(ROWS))
    found = by_metric(measured_medians(inside, {"model": told[mask, 1]}, 3))
    assert figures == pytest.approx([found["model", metric]["value"] for metric in ("mae", "share_at_most")])


def test_the_median_is_told_between_the_outer_quantiles_and_nothing_below_nought():
    scores = np.array([[-3.0, 4.0, 7.0, 2.0], [1.0, 2.0, 2.5, 1.5]])  # the median last
    calibration = Quantiles("abc", 1, 2, 2)
    told, low, high = calibration.told(scores)
    assert (told.tolist(), low.tolist(), high.tolist()) == ([2.0, 1.5], [0.0, 1.0], [7.0, 2.5])
    assert in_order(scores, (0.1, MEDIAN, 0.9, 0.95)).tolist() == [[-3.0, 2.0, 4.0, 7.0], [1.0, 1.5, 2.0, 2.5]]
    assert from_json(calibration.to_json()) == calibration


@pytest.mark.parametrize("levels", [(0.5,), (0.1, 0.9), (0.5, 0.9), (0.9, 0.5, 0.1), (0.0, 0.5, 1.0), (0.1, 0.5, 0.5)])
def test_levels_lie_around_the_median(levels):
    with pytest.raises(ValueError, match=r"expected levels between 0 and 1 that ascend, with 0\.5 among them"):
        Count(codes=["X"], unit="visits", quantiles=levels)


def test_whether_a_cost_is_high_has_no_quantiles():
    with pytest.raises(ValueError, match="yes or no and has no quantiles"):
        Cost(currency="USD", high_from=9, quantiles=LEVELS)
