"""Quantiles of a count or a cost: what is told of them, and whether as many people lie below each as it says.

The median is told, between the first and the last quantile that the task asks for. Nothing is fitted to them: they are
the network's own, cut at nought, below which no count or cost lies.

Names of the metrics in table ``evaluations``, under ``model`` and ``baseline``. Of the median: ``mae``,
``d2_absolute_error``, the share of the absolute error that is explained against telling everybody the median, and
``share_at_most``, that of labels that are at most what was told: the level, or more where labels are tied (Koenker and
Bassett, Regression Quantiles, Econometrica 1978;46:33-50). Of all levels: ``pinball_loss``, their mean, and
``d2_pinball``, the share of it that is explained against telling everybody the same quantiles; of each
``pinball_loss: LEVEL`` and ``share_at_most: LEVEL``. Of the outer two: ``coverage``, the share of labels between them,
both included, and ``width``. ``_over_baseline`` stands for paired differences. The losses are scikit-learn's
``mean_pinball_loss`` and ``d2_pinball_score``, fast enough for every replicate; the tests hold them equal.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from salus.cohorts.label import MEDIAN
from salus.evaluation.bootstrap import REPLICATES, intervals
from salus.evaluation.calibration import Calibration
from salus.evaluation.metrics import Sample
from salus.evaluation.numbers import OVER

Figures = Mapping[str, Callable[[np.ndarray], float]]
"""Metric to its value, of the rows' weights."""

OF_MEDIAN = ("d2_absolute_error", "mae", "share_at_most")
OF_SUBGROUPS = OF_MEDIAN[1:]


@dataclass(frozen=True)
class Quantiles(Calibration):
    """The network's own quantiles, not below nought; attributes as every calibration has them."""

    method: ClassVar[str] = "quantiles"
    tells: ClassVar[str] = "estimate"

    package_hash: str
    people: int
    rows: int
    events: int

    def calibrated(self, raw: np.ndarray) -> np.ndarray:
        """The quantile of ``raw`` (...), in the label's unit."""
        return np.maximum(np.asarray(raw, np.float64), 0.0)

    def bounds(self, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The quantile twice: nothing was fitted, so there is no uncertainty of it."""
        return self.calibrated(raw), self.calibrated(raw)

    def told(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The median, and the first and the last quantile, of ``scores`` (rows, levels), the median last."""
        return self.calibrated(scores[:, -1]), self.calibrated(scores[:, 0]), self.calibrated(scores[:, -2])


def leave_quantiles(
    raw: np.ndarray, labels: np.ndarray, weights: np.ndarray, people: np.ndarray, package_hash: str
) -> Quantiles:
    """No calibration; arguments as ``fit_scale`` has them, of which it only counts people, rows and labels above 0."""
    return Quantiles(package_hash, int(np.unique(people).size), int(labels.size), int((labels > 0).sum()))


def in_order(scores: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """``scores`` (rows, levels) of a network, of which the median is last, in the order of ``levels``."""
    return np.insert(scores[:, :-1], list(levels).index(MEDIAN), scores[:, -1], axis=1)


class Pinball:
    """The pinball loss of what is told of labels, for every bootstrap replicate.

    Args:
        labels: float64 (rows,).
    """

    def __init__(self, labels: np.ndarray):
        self.labels, self._order = labels, np.argsort(labels, kind="stable")

    def of(self, told: np.ndarray | float, level: float) -> np.ndarray:
        """The loss of each row, float64 (rows,), where ``told`` is its quantile of ``level``."""
        missed = self.labels - told
        return np.maximum(level * missed, (level - 1) * missed)

    def quantile(self, level: float, weights: np.ndarray) -> float:
        """The least label that at least ``level`` of the weight does not exceed."""
        so_far = np.cumsum(weights[self._order])
        place = np.searchsorted(so_far, level * so_far[-1])
        return float(self.labels[self._order[min(place, self.labels.size - 1)]])

    def explained(self, lost: Mapping[float, np.ndarray], weights: np.ndarray) -> float:
        """1 less the loss by level over that of telling everybody the same quantiles; NaN where that loses nothing."""
        of_same = sum(float(weights @ self.of(self.quantile(level, weights), level)) for level in lost)
        return 1 - sum(float(weights @ each) for each in lost.values()) / of_same if of_same > 0 else float("nan")


def measured_medians(
    sample: Sample, models: Mapping[str, np.ndarray], replicates: int = REPLICATES
) -> list[dict[str, Any]]:
    """What is measured of the medians of each of ``models`` (rows,), as ``measured_numbers`` gives it."""
    pinball = Pinball(sample.labels)
    each = {name: _of_median(pinball, told) for name, told in models.items()}
    return _measured(sample, each, OF_MEDIAN[0], replicates)


def measured_quantiles(
    sample: Sample, models: Mapping[str, np.ndarray], levels: Sequence[float], replicates: int = REPLICATES
) -> list[dict[str, Any]]:
    """What is measured of all quantiles of each of ``models`` (rows, levels), in the order of ``levels``."""
    pinball = Pinball(sample.labels)
    each = {name: _of_levels(pinball, told, levels) for name, told in models.items()}
    return _measured(sample, each, "d2_pinball", replicates)


def estimates_of_medians(sample: Sample, told: np.ndarray, metrics: Sequence[str]) -> dict[str, float]:
    """Some metrics of one model's medians (rows,) on the sample itself, without intervals."""
    figures = _of_median(Pinball(sample.labels), told)
    return {metric: figures[metric](sample.weights) for metric in metrics}


def of_part(sample: Sample, told: np.ndarray) -> Callable[[np.ndarray], Callable[[np.ndarray], np.ndarray]]:
    """What measures ``OF_SUBGROUPS`` of some rows, as ``subgroups.Figures`` asks."""

    def of(mask: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        place = np.flatnonzero(mask)
        figures = _of_median(Pinball(sample.labels[place]), told[place])
        weights = sample.weights[place]
        return lambda times: np.array([figures[metric](times[place] * weights) for metric in OF_SUBGROUPS])

    return of


def price_of_medians(
    sample: Sample, by_available: np.ndarray, by_time: np.ndarray, replicates: int = REPLICATES
) -> list[dict[str, Any]]:
    """What the absolute error explained by ``time`` promises, what it keeps, and the difference; paired.

    Args:
        sample: the rows.
        by_available, by_time: float64 (rows,), medians by either clock.
        replicates: of the bootstrap.
    """
    pinball = Pinball(sample.labels)
    promised, kept = (_of_median(pinball, np.maximum(told, 0))[OF_MEDIAN[0]] for told in (by_time, by_available))
    figures = {
        "d2_by_time": promised,
        "d2_by_available_time": kept,
        "leakage_price": lambda weights: promised(weights) - kept(weights),
    }
    return _measured(sample, {"model": figures}, OF_MEDIAN[0], replicates)


def _of_median(pinball: Pinball, told: np.ndarray) -> Figures:
    lost, is_at_most = pinball.of(told, MEDIAN), pinball.labels <= told
    return {
        "d2_absolute_error": lambda weights: pinball.explained({MEDIAN: lost}, weights),
        "mae": lambda weights: 2 * _mean(lost, weights),
        "share_at_most": lambda weights: _mean(is_at_most, weights),
    }


def _of_levels(pinball: Pinball, told: np.ndarray, levels: Sequence[float]) -> Figures:
    lost = {level: pinball.of(each, level) for level, each in zip(levels, told.T, strict=True)}
    every, width = np.mean(list(lost.values()), axis=0), told[:, -1] - told[:, 0]
    is_between = (told[:, 0] <= pinball.labels) & (pinball.labels <= told[:, -1])
    figures: dict[str, Callable[[np.ndarray], float]] = {
        "d2_pinball": lambda weights: pinball.explained(lost, weights),
        "pinball_loss": lambda weights: _mean(every, weights),
        "coverage": lambda weights: _mean(is_between, weights),
        "width": lambda weights: _mean(width, weights),
    }
    for level, each in zip(levels, told.T, strict=True):
        figures[f"pinball_loss: {level:g}"] = partial(_mean, lost[level])
        figures[f"share_at_most: {level:g}"] = partial(_mean, pinball.labels <= each)
    return figures


def _mean(values: np.ndarray, weights: np.ndarray) -> float:
    total = weights.sum()
    return float(weights @ values / total) if total > 0 else float("nan")


def _measured(sample: Sample, models: Mapping[str, Figures], ranked_by: str, replicates: int) -> list[dict[str, Any]]:
    asked = [(name, metric, figure) for name, figures in models.items() for metric, figure in figures.items()]
    if {"model", "baseline"} <= set(models):
        ours, theirs = (models[name][ranked_by] for name in ("model", "baseline"))
        asked.append(("model", f"{ranked_by}{OVER}", lambda weights: ours(weights) - theirs(weights)))

    def found(times: np.ndarray) -> np.ndarray:
        weights = times * sample.weights
        return np.array([figure(weights) for _, _, figure in asked])

    values = found(np.ones(sample.labels.size))
    low, high = intervals(found, sample.people, replicates)
    return [
        {"model_name": name, "metric": metric, "value": float(values[at]), "low": low[at], "high": high[at]}
        for at, (name, metric, _) in enumerate(asked)
    ]
