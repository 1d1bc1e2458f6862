"""Cross-validation's arithmetic: means, spreads, and intervals that know that folds share their training people."""

import numpy as np
import pytest
from scipy import stats

from salus.evaluation.classical import _first
from salus.evaluation.folds import METRICS, MODELS, across
from salus.evaluation.metrics import Sample, estimates


def rows_of(auroc):
    return [
        {"model_name": model, "fold": fold, "metric": metric, "value": value, "people": 10 + fold, "rows": 20}
        for model in MODELS
        for fold, value in enumerate(auroc[model])
        for metric in METRICS
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
