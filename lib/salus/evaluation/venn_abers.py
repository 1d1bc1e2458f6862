"""Venn-Abers calibration: two isotonic fits a score, one for each label that the next person might turn out to have.

Vovk, Petej and Fedorova (Large-scale probabilistic predictors with and without guarantees of validity, NIPS 2015): the
calibration people and one more, who is taken to have no event and then to have one, give the bounds ``p0`` and ``p1``;
one of the two is perfectly calibrated, whatever the distribution, as long as people can be exchanged. The probability
that is told, ``p1 / (1 - p0 + p1)``, loses least in the worst case by the log loss. The bounds are model uncertainty:
they are wide where few people have such a score, and narrow where many have.

A person may have many rows, which cannot be exchanged one by one: the one more weighs what an average person's rows do.
What travels to every worker is bounded: scores are drawn together to at most ``GROUPS`` groups of equal size, with a
line between the means of two of them.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.optimize import isotonic_regression

from salus.evaluation.calibration import Calibration, calibration_groups, group_means, refuse_one_class

GROUPS = 200
DIGITS = 9


@dataclass(frozen=True)
class VennAbers(Calibration):
    """Venn-Abers calibration of one model; the first three are (groups,) and never fall.

    Attributes:
        logits: the mean of each group, ascending.
        low: ``p0``, the probability there if one more person has no event.
        high: ``p1``, if one more has it.
        package_hash, people, rows, events: as every calibration has them.
    """

    method: ClassVar[str] = "venn_abers"

    logits: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    package_hash: str
    people: int
    rows: int
    events: int

    def calibrated(self, logits: np.ndarray) -> np.ndarray:
        """The calibrated probability of ``logits`` (rows,); beyond the outermost groups, that of the group."""
        low, high = self.bounds(logits)
        return high / (1 - low + high)

    def bounds(self, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """``p0`` and ``p1`` of ``logits`` (rows,): model uncertainty."""
        logits = np.asarray(logits, np.float64)
        return np.interp(logits, self.logits, self.low), np.interp(logits, self.logits, self.high)


def fit_venn_abers(
    logits: np.ndarray, labels: np.ndarray, weights: np.ndarray, people: np.ndarray, package_hash: str
) -> VennAbers:
    """Venn-Abers calibration; arguments as ``fit_platt`` has them.

    Raises:
        Refused: the labels are of one class, so there is nothing to fit.
    """
    logits, labels = np.asarray(logits, np.float64), np.asarray(labels, np.float64)
    refuse_one_class(labels, weights)
    group = calibration_groups(logits, GROUPS)
    total, events = np.bincount(group, weights), np.bincount(group, weights * labels)
    known = int(np.unique(people).size)
    one_more = float(weights.sum()) / known
    low, high = (
        [_fitted_at(place, total, events, one_more, label) for place in range(total.size)] for label in (0.0, 1.0)
    )
    return VennAbers(
        logits=_rounded(group_means(group, logits, np.ones(logits.size))),
        low=_rounded(low),
        high=_rounded(high),
        package_hash=package_hash,
        people=known,
        rows=int(labels.size),
        events=int(labels.sum()),
    )


def _fitted_at(place: int, total: np.ndarray, events: np.ndarray, one_more: float, label: float) -> float:
    """The isotonic fit at group ``place``, into which one more person of weight ``one_more`` comes with ``label``."""
    total, events = total.copy(), events.copy()
    total[place] += one_more
    events[place] += one_more * label
    used = total > 0
    risen = isotonic_regression(events[used] / total[used], weights=total[used]).x
    return float(risen[np.count_nonzero(used[:place])])


def _rounded(values):
    return tuple(round(float(value), DIGITS) for value in values)
