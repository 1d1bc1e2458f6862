"""What is measured of each model, and of models against each other, on the same rows and the same replicates.

Names of the metrics, as table ``evaluations`` holds them under ``model``, ``baseline``, ``attainable``, ``oracle``:
``auroc``, ``auprc``, ``brier``, ``calibration_intercept`` (in the large), ``calibration_slope``, and the curves
``calibration_curve``, ``roc_curve``, ``pr_curve`` (precision over recall), the first with its
``calibration_curve_low`` and ``_high``. Where the simulated truth is known also
``auroc_over_truth``: the AUROC with every row a case in the proportion of its true probability, free of the
outcomes' noise. Under ``model`` alone, each paired: ``auroc_over_baseline`` (difference), ``share_of_attainable_lift``
((model - 0.5) / (attainable - 0.5), over the truth) and ``leakage_price``, ``auroc_by_time``,
``auroc_by_available_time`` (see ``leakage``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from salus.evaluation.bootstrap import REPLICATES, intervals
from salus.evaluation.calibration import calibration_groups, group_means, intercept_in_the_large, safe_logit, slope
from salus.evaluation.discrimination import Ranking, auroc, average_precision

CURVE_POINTS = 200


@dataclass(frozen=True)
class Sample:
    """Rows that models are measured on, all (rows,).

    Attributes:
        people: int64, the person of each row.
        labels: float64, 0 or 1.
        weights: float64, inverse probability of being observed to the label's end.
        true: float64, the simulated truth, or None where it is not known.
    """

    people: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    true: np.ndarray | None = None

    @property
    def has_both_classes(self) -> bool:
        """Whether there is anything to discriminate."""
        return bool(self.labels.size) and bool(self.labels.min() < self.labels.max())


@dataclass(frozen=True)
class _Measured:
    """One model's probabilities with what every replicate needs again."""

    probability: np.ndarray
    logits: np.ndarray
    ranking: Ranking
    start: tuple[float, float]
    group: np.ndarray

    @classmethod
    def of(cls, probability: np.ndarray, sample: Sample) -> "_Measured":
        logits = safe_logit(probability)
        start = slope(logits, sample.labels, sample.weights)
        return cls(probability, logits, Ranking.of(probability), start, calibration_groups(probability))


def measured(sample: Sample, models: Mapping[str, np.ndarray], replicates: int = REPLICATES) -> list[dict[str, Any]]:
    """Every metric of each of ``models`` with its interval, and the paired comparisons.

    Args:
        sample: the rows.
        models: name to calibrated probability (rows,); ``model`` is compared with ``baseline`` and ``attainable``.
        replicates: of the bootstrap.

    Returns:
        Mappings of model_name, metric, value, low, high, curve_x, curve_y. Without both classes: none.
    """
    if not sample.has_both_classes:
        return []
    each = {name: _Measured.of(probability, sample) for name, probability in models.items()}
    comparisons = _comparisons(sample, models)
    estimates = {(model, metric): _estimate(each[model], sample, metric)
                 for model in models for metric in _metrics(sample)}
    names = [*estimates, *comparisons]

    def replicate(times: np.ndarray) -> np.ndarray:
        found = {}
        for model in models:
            found |= {(model, name): value for name, value in _replicate(each[model], sample, times).items()}
        observed = [group_means(each[model].group, sample.labels, times * sample.weights) for model in models]
        values = [found[name] if name in found else _compared(found, name[1]) for name in names]
        return np.concatenate([values, *observed])

    low, high = intervals(replicate, sample.people, replicates)
    rows = []
    for place, (model, metric) in enumerate(names):
        value = estimates[model, metric] if (model, metric) in estimates else _compared(estimates, metric)
        rows.append({"model_name": model, "metric": metric, "value": value, "low": low[place], "high": high[place]})
    place = len(names)
    for model in models:
        groups = slice(place, place + each[model].group.max() + 1)
        rows += _curves(model, each[model], sample, low[groups], high[groups])
        place = groups.stop
    return rows


def _metrics(sample: Sample) -> list[str]:
    always = ["auroc", "auprc", "brier", "calibration_intercept", "calibration_slope"]
    return always if sample.true is None else [*always, "auroc_over_truth"]


def _comparisons(sample: Sample, models: Mapping[str, np.ndarray]) -> list[tuple[str, str]]:
    found = []
    if {"model", "baseline"} <= models.keys():
        found.append(("model", "auroc_over_baseline"))
    if sample.true is not None and {"model", "attainable"} <= models.keys():
        found.append(("model", "share_of_attainable_lift"))
    return found


def _compared(values: Mapping[tuple[str, str], float], metric: str) -> float:
    if metric == "auroc_over_baseline":
        return values["model", "auroc"] - values["baseline", "auroc"]
    return (values["model", "auroc_over_truth"] - 0.5) / (values["attainable", "auroc_over_truth"] - 0.5)


def _estimate(model: _Measured, sample: Sample, metric: str) -> float:
    """The metric on the sample itself, by scikit-learn where it has it."""
    labels, weights, probability = sample.labels, sample.weights, model.probability
    if metric == "auroc":
        return float(roc_auc_score(labels, probability, sample_weight=weights))
    if metric == "auprc":
        return float(average_precision_score(labels, probability, sample_weight=weights))
    if metric == "brier":
        return float(brier_score_loss(labels, probability, sample_weight=weights))
    if metric == "calibration_intercept":
        return intercept_in_the_large(model.logits, labels, weights)
    if metric == "calibration_slope":
        return model.start[1]
    return auroc(model.ranking, sample.true, 1 - sample.true)


def _replicate(model: _Measured, sample: Sample, times: np.ndarray) -> dict[str, float]:
    """Every metric with each row's person drawn ``times`` (rows,) times."""
    weights = times * sample.weights
    case, control = weights * sample.labels, weights * (1 - sample.labels)
    found = {
        "auroc": auroc(model.ranking, case, control),
        "auprc": average_precision(model.ranking, case, control),
        "brier": float(weights @ (model.probability - sample.labels) ** 2 / weights.sum()),
        "calibration_intercept": intercept_in_the_large(model.logits, sample.labels, weights),
        "calibration_slope": slope(model.logits, sample.labels, weights, model.start)[1],
    }
    if sample.true is not None:
        found["auroc_over_truth"] = auroc(model.ranking, times * sample.true, times * (1 - sample.true))
    return found


def _curves(name: str, model: _Measured, sample: Sample, low: np.ndarray, high: np.ndarray) -> list[dict[str, Any]]:
    labels, weights, probability = sample.labels, sample.weights, model.probability
    predicted = group_means(model.group, probability, weights)
    false_alarms, found, _ = roc_curve(labels, probability, sample_weight=weights)
    precision, recall, _ = precision_recall_curve(labels, probability, sample_weight=weights)
    return [
        _curve(name, "calibration_curve", predicted, group_means(model.group, labels, weights)),
        _curve(name, "calibration_curve_low", predicted, low),
        _curve(name, "calibration_curve_high", predicted, high),
        _curve(name, "roc_curve", *thinned(false_alarms, found)),
        _curve(name, "pr_curve", *thinned(recall[::-1], precision[::-1])),
    ]


def thinned(x: np.ndarray, y: np.ndarray, points: int = CURVE_POINTS) -> tuple[np.ndarray, np.ndarray]:
    """At most ``points`` of a curve's points, with its ends, evenly along ascending ``x``."""
    if x.size <= points:
        return x, y
    kept = np.unique(np.searchsorted(x, np.linspace(x[0], x[-1], points)).clip(0, x.size - 1))
    kept = np.unique(np.r_[0, kept, x.size - 1])
    return x[kept], y[kept]


def _curve(model: str, metric: str, x: Sequence[float], y: Sequence[float]) -> dict[str, Any]:
    return {"model_name": model, "metric": metric, "curve_x": [float(v) for v in x], "curve_y": [float(v) for v in y]}
