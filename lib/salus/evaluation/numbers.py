"""What is measured of estimates of a count or a cost, as an actuary asks for it, on the same rows and replicates.

Names of the metrics in table ``evaluations``, under ``model`` and ``baseline``: ``mean_observed``, ``mean_predicted``,
``predictive_ratio`` (one over the other, predicted over observed; 1 = right), ``r_squared``, ``d2`` (``deviance``),
``mae``, and ``capture_top_1``, ``_5`` and ``_10``: what those told the highest 1 % do cost, over what the costliest 1 %
do (cost capture: Tamang et al., BMJ Open 2017;7:e011580). The curve ``calibration_curve``, with ``_low`` and ``_high``,
draws the observed mean over the predicted one in ten groups by prediction: their predictive ratios. Under
``model`` alone, each paired: ``r_squared_over_baseline``, ``d2_over_baseline``; and ``d2_by_time``,
``d2_by_available_time`` and their difference, ``leakage_price``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from salus.evaluation.bootstrap import REPLICATES, intervals
from salus.evaluation.calibration import calibration_groups, group_means
from salus.evaluation.deviance import Deviance
from salus.evaluation.metrics import Sample
from salus.evaluation.usefulness import TOP_PERCENT, highest

CAPTURE = "capture_top_"
COMPARED = ("r_squared", "d2")
OVER = "_over_baseline"


def measured_numbers(
    sample: Sample, models: Mapping[str, np.ndarray], power: float, replicates: int = REPLICATES
) -> list[dict[str, Any]]:
    """Every metric of each of ``models`` with its interval, and the paired comparisons.

    Args:
        sample: the rows; labels are the observed numbers.
        models: name to calibrated estimate (rows,); ``model`` is compared with ``baseline``.
        power: of the variance.
        replicates: of the bootstrap.

    Returns:
        Mappings of model_name, metric, value, low, high, curve_x, curve_y. Where all labels are 0: none.
    """
    if not (sample.labels > 0).any():
        return []
    each = {name: _Model.of(estimate, sample, power) for name, estimate in models.items()}
    asked = [(name, metric) for name in models for metric in FIGURES]
    if {"model", "baseline"} <= set(models):
        asked += [("model", metric + OVER) for metric in COMPARED]

    def figures(times: np.ndarray) -> np.ndarray:
        weights = times * sample.weights
        found = {(name, metric): figure(each[name], weights) for name in models for metric, figure in FIGURES.items()}
        gained = {
            ("model", metric + OVER): found["model", metric] - found["baseline", metric]
            for metric in COMPARED
            if ("baseline", metric) in found
        }
        observed = [group_means(model.group, sample.labels, weights) for model in each.values()]
        return np.concatenate([[(found | gained)[name] for name in asked], *observed])

    values = figures(np.ones(sample.labels.size))
    low, high = intervals(figures, sample.people, replicates)
    rows = [
        {"model_name": name, "metric": metric, "value": float(values[at]), "low": low[at], "high": high[at]}
        for at, (name, metric) in enumerate(asked)
    ]
    first = len(asked)
    for name, model in each.items():
        groups = slice(first, first + model.group.max() + 1)
        predicted = group_means(model.group, model.estimate, sample.weights)
        curves = {"": values[groups], "_low": low[groups], "_high": high[groups]}
        rows += [
            {
                "model_name": name,
                "metric": f"calibration_curve{which}",
                "curve_x": predicted.tolist(),
                "curve_y": observed.tolist(),
            }
            for which, observed in curves.items()
        ]
        first = groups.stop
    return rows


def estimates_of_numbers(
    sample: Sample, estimate: np.ndarray, metrics: Sequence[str], power: float
) -> dict[str, float]:
    """Some metrics of one model on the sample itself, without intervals; arguments as ``measured_numbers`` has them."""
    model = _Model.of(estimate, sample, power)
    return {metric: FIGURES[metric](model, sample.weights) for metric in metrics}


@dataclass(frozen=True)
class _Model:
    """One model's estimates with what every replicate needs again."""

    sample: Sample
    estimate: np.ndarray
    deviance: Deviance
    unit: np.ndarray
    missed: np.ndarray
    group: np.ndarray
    told_highest: Mapping[int, np.ndarray]
    is_highest: Mapping[int, np.ndarray]

    @classmethod
    def of(cls, estimate: np.ndarray, sample: Sample, power: float) -> "_Model":
        deviance = Deviance.of(sample.labels, power)
        told, happened = (
            {percent: highest(values, sample.weights, percent) for percent in TOP_PERCENT}
            for values in (estimate, sample.labels)
        )
        return cls(
            sample,
            estimate,
            deviance,
            deviance.unit(estimate),
            sample.labels - estimate,
            calibration_groups(estimate),
            told,
            happened,
        )

    def r_squared(self, weights: np.ndarray) -> float:
        """1 less the squared errors over those of telling everybody the mean of these rows."""
        labels = self.sample.labels
        spread = weights @ labels**2 - (weights @ labels) ** 2 / weights.sum()
        return float(1 - weights @ self.missed**2 / spread) if spread > 0 else float("nan")

    def capture(self, weights: np.ndarray, percent: int) -> float:
        """The mean of those told most, over the mean of those who had most."""
        most = ratio(weights * self.is_highest[percent], self.sample.labels)
        found = ratio(weights * self.told_highest[percent], self.sample.labels)
        return found / most if most > 0 else float("nan")


def ratio(weights: np.ndarray, values: np.ndarray, over: np.ndarray | None = None) -> float:
    """Weighted sum of ``values`` over that of ``over``, or over the weights; NaN where there is nothing."""
    total = weights.sum() if over is None else weights @ over
    return float(weights @ values / total) if total > 0 else float("nan")


FIGURES: dict[str, Callable[[_Model, np.ndarray], float]] = {
    "mean_observed": lambda model, weights: ratio(weights, model.sample.labels),
    "mean_predicted": lambda model, weights: ratio(weights, model.estimate),
    "predictive_ratio": lambda model, weights: ratio(weights, model.estimate, model.sample.labels),
    "r_squared": _Model.r_squared,
    "d2": lambda model, weights: model.deviance.explained(model.unit, weights),
    "mae": lambda model, weights: ratio(weights, np.abs(model.missed)),
    **{f"{CAPTURE}{percent}": partial(_Model.capture, percent=percent) for percent in TOP_PERCENT},
}
"""Metric to its value, of a model and the rows' weights."""


def price_of_numbers(
    sample: Sample, by_available: np.ndarray, by_time: np.ndarray, power: float, replicates: int = REPLICATES
) -> list[dict[str, Any]]:
    """What the D squared by ``time`` promises, what it keeps, and the difference with its paired interval.

    Either clock's estimates are first made right in all by a factor of their own, as a study would have done that knew
    only one of them: the price is of the spread, not of the level.

    Args:
        sample: the rows.
        by_available, by_time: float64 (rows,), logarithms of the mean by either clock.
        power: of the variance.
        replicates: of the bootstrap.

    Returns:
        Mappings of model_name, metric, value, low, high; none where all labels are 0.
    """
    if not (sample.labels > 0).any():
        return []
    deviance = Deviance.of(sample.labels, power)
    units = []
    for raw in (by_time, by_available):
        estimate = np.exp(raw)
        units.append(deviance.unit(estimate * ratio(sample.weights, sample.labels, estimate)))

    def found(times: np.ndarray) -> np.ndarray:
        promised, kept = (deviance.explained(unit, times * sample.weights) for unit in units)
        return np.array([promised, kept, promised - kept])

    values = found(np.ones(sample.labels.size))
    low, high = intervals(found, sample.people, replicates)
    names = ("d2_by_time", "d2_by_available_time", "leakage_price")
    return [
        {"model_name": "model", "metric": name, "value": float(values[at]), "low": low[at], "high": high[at]}
        for at, name in enumerate(names)
    ]
