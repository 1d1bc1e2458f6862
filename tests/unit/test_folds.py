"""Cross-validation's arithmetic: means, spreads, and intervals that know that folds share their training people."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import d2_tweedie_score, mean_absolute_error, r2_score

from salus.cohorts.label import COST, COUNT
from salus.evaluation.classical import _first
from salus.evaluation.contest import OF_EVENTS, contest_of
from salus.evaluation.folds import across, table
from salus.evaluation.metrics import Sample, estimates

METRICS = list(OF_EVENTS.metrics)


def rows_of(values, contest=OF_EVENTS):
    return [
        {"model_name": model, "fold": fold, "metric": metric, "value": value, "people": 10 + fold, "rows": 20}
        for model in contest.models
        for fold, value in enumerate(values[model])
        for metric in contest.metrics
    ]


AUROC = {
    "model": [0.70, 0.72, 0.69, 0.74, 0.71],
    "baseline": [0.69, 0.70, 0.69, 0.71, 0.70],
    "boosted_trees": [0.71, 0.71, 0.71, 0.71, 0.71],
    "linear_svm": [0.6, 0.6, 0.6, 0.6, 0.6],
    "prevalence": [0.5] * 5,
}


def test_a_mean_comes_with_its_spread_and_all_people():
    found = {(row["model_name"], row["metric"]): row for row in across(rows_of(AUROC), 5)}
    row = found["model", "auroc"]
    assert row["value"] == pytest.approx(0.712)
    assert row["spread"] == pytest.approx(np.std(AUROC["model"], ddof=1))
    assert (row["people"], row["rows"], row["fold"]) == (60, 100, None)


def test_the_interval_of_a_difference_is_wider_than_if_folds_were_independent():
    row = next(row for row in across(rows_of(AUROC), 5) if row["metric"] == "auroc_over_baseline")
    gained = np.subtract(AUROC["model"], AUROC["baseline"])
    plain = stats.t.interval(0.95, 4, gained.mean(), stats.sem(gained))
    assert row["value"] == pytest.approx(gained.mean())
    # Nadeau and Bengio's factor for five folds: sqrt((1/5 + 1/4) / (1/5)) = 1.5
    assert row["high"] - row["low"] == pytest.approx(1.5 * (plain[1] - plain[0]))


def test_what_a_model_has_no_value_of_has_no_mean():
    rows = rows_of(AUROC)
    for row in rows:
        if (row["model_name"], row["metric"], row["fold"]) == ("prevalence", "calibration_slope", 3):
            row["value"] = None
    found = {(row["model_name"], row["metric"]) for row in across(rows, 5)}
    assert ("prevalence", "calibration_slope") not in found
    assert ("prevalence", "brier") in found


def test_weights_count_as_rows_do():
    labels, probability = np.array([0.0, 1, 0, 1, 1]), np.array([0.2, 0.9, 0.6, 0.5, 0.3])
    twice = estimates(Sample(np.arange(5), labels, np.array([1.0, 2, 1, 1, 3])), probability, METRICS)
    rows = [0, 1, 1, 2, 3, 4, 4, 4]
    assert twice == pytest.approx(estimates(Sample(np.arange(8), labels[rows], np.ones(8)), probability[rows], METRICS))


def test_numbers_are_compared_by_the_deviance_that_is_explained_and_have_no_machine():
    contest = contest_of(COUNT)
    d2 = {"model": [0.3, 0.4], "baseline": [0.2, 0.2], "boosted_trees": [0.3, 0.2], "mean": [0.0, 0.0]}
    rows = across(rows_of(d2, contest), 2)
    found = {(row["model_name"], row["metric"]): row["value"] for row in rows}
    assert found["model", "d2_over_baseline"] == pytest.approx(0.15)
    assert found["model", "d2_over_boosted_trees"] == pytest.approx(0.1)
    assert "Deviance explained over boosted trees: +0.100" in table(rows)


@pytest.mark.parametrize(("kind", "power"), [(COUNT, 1), (COST, 1.5)])
def test_figures_of_numbers_are_scikit_learns(kind, power):
    random = np.random.default_rng(7)
    told, weights = random.gamma(2, 2, 300), random.uniform(0.5, 2, 300)
    labels = random.poisson(told).astype(float)
    contest = contest_of(kind)
    found = contest.figures(Sample(np.arange(300), labels, weights), told, list(contest.metrics))
    weighed = {"sample_weight": weights}
    assert found == pytest.approx(
        {
            "d2": d2_tweedie_score(labels, told, power=power, **weighed),
            "r_squared": r2_score(labels, told, **weighed),
            "mae": mean_absolute_error(labels, told, **weighed),
            "predictive_ratio": np.average(told, weights=weights) / np.average(labels, weights=weights),
        }
    )


class Group:
    def __init__(self, rows):
        self.inputs = {"inputs": np.zeros((rows, 4), np.float32)}


@pytest.mark.parametrize(("at_most", "groups"), [(1, 1), (160, 1), (320, 2), (319, 1), (10_000, 3)])
def test_training_inputs_are_bounded_in_whole_row_groups(monkeypatch, at_most, groups):
    monkeypatch.setattr("salus.evaluation.classical.in_order", lambda split: [Group(10), Group(10), Group(10)])
    assert len(list(_first(None, at_most))) == groups


def test_a_constant_discriminates_nothing_and_has_no_slope():
    sample = Sample(np.arange(4), np.array([0.0, 1, 0, 0]), np.ones(4))
    found = estimates(sample, np.full(4, 0.25), METRICS)
    assert found == pytest.approx(
        {"auroc": 0.5, "auprc": 0.25, "brier": 0.1875, "calibration_slope": np.nan}, nan_ok=True
    )
