"""Importances: what a model goes by over a whole population, and how what it tells moves with a feature.

Of each feature, code of an event or daily channel the mean size of its contribution by integrated gradients: the same
numbers as a person's reasons, so the population's list is that of which each person's is a line. Features that tell the
same share what they contribute; a size says how much a model uses one, not how much there would be lost without it.

Partial dependence (Friedman, Annals of Statistics 29, 2001, section 8.2): what is told on average if everybody had one
value of a feature and all else stayed as it is. Beside the mean stand the bounds of the middle four fifths of people
(Goldstein et al., JCGS 24, 2015), which part where a feature matters to some alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from salus.evaluation.bootstrap import intervals
from salus.explanation.reasons import largest, names_told
from salus.timelines.spec import FeatureSpec

POINTS = 9
"""Values of a feature at which its dependence is looked at."""

REACH = (0.05, 0.95)
"""Quantiles of its known values between which they lie: beyond, a network was shown too little."""

MIDDLE = (0.1, 0.9)


@dataclass(frozen=True)
class Dependence:
    """What is told by the value of one feature, all (values,).

    Attributes:
        values: of the feature, ascending.
        mean: of what is told, over the predictions of which the feature is known.
        low, high: the bounds of ``MIDDLE`` over them.
    """

    values: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def importances(contributions: np.ndarray, people: np.ndarray, spec: FeatureSpec) -> list[dict[str, Any]]:
    """What contributes, the most first.

    Args:
        contributions: float (rows, names), of each of ``names_told``: what ``by_name`` gave.
        people: int64 (rows,), the person of each row, by whom the intervals are drawn.
        spec: the features.

    Returns:
        Mappings of place (among ``names_told``), rank, feature, code, unit, contribution, low, high, raises,
        among_reasons; none of what never contributes.
    """
    sizes = np.abs(contributions)
    moves = np.flatnonzero(sizes.any(axis=0))
    order = moves[np.argsort(-sizes[:, moves].mean(axis=0), kind="stable")]
    sizes = sizes[:, order]
    low, high = intervals(lambda weights: weights @ sizes / weights.sum(), people)
    told = np.bincount(largest(contributions)[0], minlength=contributions.shape[1]) / len(contributions)
    names = names_told(spec)
    return [
        {
            "place": place,
            "rank": number + 1,
            **dict(zip(("feature", "code", "unit"), names[place])),
            "contribution": sizes[:, number].mean(),
            "low": low[number],
            "high": high[number],
            "raises": (contributions[:, place] > 0).sum() / np.count_nonzero(contributions[:, place]),
            "among_reasons": told[place],
        }
        for number, place in enumerate(order.tolist())
    ]


def values_of(known: np.ndarray) -> np.ndarray:
    """At most ``POINTS`` of a feature's ``known`` values, ascending: those that there are, or quantiles of them."""
    different = np.unique(known)
    if different.size <= POINTS:
        return different
    return np.unique(np.quantile(known, np.linspace(*REACH, POINTS), method="closest_observation"))


def dependence(values: np.ndarray, logits: np.ndarray, told: Callable[[np.ndarray], np.ndarray]) -> Dependence:
    """How what is told depends on a feature.

    Args:
        values: float (values,), that the feature was given.
        logits: float64 (rows, values), the model's logits where all have that value; NaN where the feature is unknown.
        told: of logits (rows,) what people are told, such as a calibration's ``calibrated``.
    """
    known = logits[np.isfinite(logits).all(axis=1)]
    said = np.column_stack([told(column) for column in known.T])
    low, high = np.quantile(said, MIDDLE, axis=0)
    return Dependence(values, said.mean(axis=0), low, high)


def table(rows: Sequence[dict[str, Any]], most: int = 15) -> str:
    """The first of the rows of table ``importances`` as lines of text."""
    lines = [f"  {'':<4}{'what the score goes by':<72}{'size':>8}{'raises':>9}"]
    for row in rows[:most]:
        lines.append(
            f"  {row['rank']:<4}{row['feature'][:70]:<72}{row['contribution']:>8.3f}{100 * row['raises']:>7.0f} %"
        )
    return "\n".join(lines)
