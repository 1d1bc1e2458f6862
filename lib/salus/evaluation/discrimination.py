"""Discrimination of weighted predictions, fast enough to be taken again for every bootstrap replicate.

Estimates come from scikit-learn; a bootstrap needs the same numbers some hundred times over rows whose order
never changes, so here the rows are sorted once and each replicate only sums weights. The tests hold both equal.

Every row may be a case and a control in parts. With outcomes, a row is ``weight * label`` of a case; where the
simulated truth is a probability, a row is ``p`` of a case and ``1 - p`` of a control, which takes the noise of the
outcomes out of the AUROC (Pencina's expected concordance).
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ranking:
    """Rows in ascending order of their score; equal scores form one group.

    Attributes:
        order: int64 (rows,), the row at each place.
        starts: int64 (groups,), the place at which each group of equal scores begins.
    """

    order: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, scores: np.ndarray) -> "Ranking":
        """The ranking of ``scores`` (rows,), any unit, higher = more at risk."""
        order = np.argsort(scores, kind="stable")
        ordered = scores[order]
        starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        return cls(order, starts)

    def totals(self, weights: np.ndarray) -> np.ndarray:
        """The sum of ``weights`` (rows,) in each group of equal scores, ascending."""
        return np.add.reduceat(weights[self.order], self.starts)


def auroc(ranking: Ranking, case: np.ndarray, control: np.ndarray) -> float:
    """The probability that a case ranks above a control; ties count half.

    Args:
        ranking: the rows by their score.
        case: float64 (rows,), how much of a case each row is.
        control: float64 (rows,), how much of a control each row is.

    Returns:
        0 to 1; NaN where there is no case or no control.
    """
    cases, controls = ranking.totals(case), ranking.totals(control)
    pairs = cases.sum() * controls.sum()
    below = np.cumsum(controls) - controls
    return float((cases * (below + controls / 2)).sum() / pairs) if pairs > 0 else float("nan")


def average_precision(ranking: Ranking, case: np.ndarray, control: np.ndarray) -> float:
    """The area under the precision-recall curve as scikit-learn sums it: by steps, without interpolation.

    Returns:
        0 to 1; NaN where there is no case.
    """
    cases, controls = ranking.totals(case)[::-1], ranking.totals(control)[::-1]
    found, alerts = np.cumsum(cases), np.cumsum(cases + controls)
    if found[-1] <= 0:
        return float("nan")
    seen = alerts > 0
    return float((cases[seen] * found[seen] / alerts[seen]).sum() / found[-1])
