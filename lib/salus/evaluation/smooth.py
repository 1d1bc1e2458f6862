"""Smooth: how far probabilities lie from what happens, along a curve instead of in ten groups.

Austin & Steyerberg (Statistics in Medicine 38:4051, 2019) take the absolute distance between each probability and a
smooth curve of the labels over the probabilities: its mean is the integrated calibration index (``ici``), its median
``e50``, its 90th percentile ``e90``; all in units of probability, 0 = right. Chance alone makes them larger than 0.

The curve is Cleveland's lowess as Harrell draws it (two thirds of the rows around each point, no robustness: for a
label of 0 or 1, the rare class would be the outliers). Lowess knows no weights and its cost grows with the square of
its points, so rows are first drawn together, in the order of their probability, to points of exactly equal weight.
"""

from dataclasses import dataclass

import numpy as np
from statsmodels.nonparametric.smoothers_lowess import lowess

POINTS = 2000
"""Points that lowess smooths: some 0.1 s a model, whatever the number of rows."""

SHARE = 2 / 3
DRAWN = 200
"""Points of the curve that are kept, at even steps of people."""


@dataclass(frozen=True)
class Smooth:
    """The calibration curve, all (points,), ascending by ``probability``; every point stands for equally many people.

    Attributes:
        probability: predicted.
        observed: the smoothed share of positive labels, 0 to 1.
    """

    probability: np.ndarray
    observed: np.ndarray

    @classmethod
    def of(cls, probability: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> "Smooth":
        """The curve of ``labels`` (0 or 1) over ``probability`` with ``weights`` > 0, each (rows,)."""
        x, y = of_equal_weight(probability, labels, weights)
        _, tied = np.unique(x, return_inverse=True)
        observed = (np.bincount(tied, y) / np.bincount(tied))[tied]
        with np.errstate(invalid="ignore"):
            fitted = lowess(observed, x, frac=SHARE, it=0, is_sorted=True, return_sorted=False)
        # Where all neighbours have one probability there is no line to fit: what was observed of them stands.
        return cls(x, np.clip(np.where(np.isfinite(fitted), fitted, observed), 0.0, 1.0))

    @property
    def errors(self) -> dict[str, float]:
        """``ici``, ``e50`` and ``e90``, in units of probability."""
        off = np.abs(self.probability - self.observed)
        return {"ici": float(off.mean()), "e50": float(np.median(off)), "e90": float(np.quantile(off, 0.9))}

    @property
    def drawn(self) -> tuple[np.ndarray, np.ndarray]:
        """At most ``DRAWN`` points of the curve, its ends among them: probability and observed share."""
        kept = np.unique(np.linspace(0, self.probability.size - 1, DRAWN).round().astype(np.int64))
        return self.probability[kept], self.observed[kept]


def of_equal_weight(
    probability: np.ndarray, labels: np.ndarray, weights: np.ndarray, points: int = POINTS
) -> tuple[np.ndarray, np.ndarray]:
    """The rows drawn together to at most ``points`` points of equal weight, ascending by probability.

    A row that lies across the bound of two points belongs to both in parts, so the weighted means of probability and
    label over all rows are the plain means over the points. Few rows of equal weights are their own points.

    Returns:
        Mean probability and mean label of each point, float64 (points,).
    """
    order = np.argsort(probability, kind="stable")
    weight = weights[order]
    held = np.r_[0.0, np.cumsum(weight)]
    count = min(points, probability.size)
    bounds = np.linspace(0, held[-1], count + 1)
    share = held[-1] / count

    def means(values):
        totals = np.interp(bounds, held, np.r_[0.0, np.cumsum(weight * values[order])])
        return np.diff(totals) / share

    # Differences of totals err in the last digits: equal probabilities must stay equal, and in their order.
    return np.maximum.accumulate(means(probability).round(12)), means(labels.astype(np.float64))
