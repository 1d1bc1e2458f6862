"""Isotonic calibration: the best fit that never falls, and assumes nothing else (Zadrozny & Elkan, KDD 2002).

It mends any distortion that keeps the order, at the price of more data (some thousand events, by rule of thumb) and of
ties: people on one step of it have one probability, and so one percentile.

What travels to every worker is bounded: the fit is kept at ``KNOTS`` logits, with a line between two of them. Its
interval is that of a bootstrap of people at those knots. Where no event (or nothing else) was seen, every replicate
says the same; there the bound is the exact one of a share of none among so many people (the rule of three), and
nobody's probability is 0 or 1.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.optimize import isotonic_regression

from salus.evaluation.bootstrap import LEVEL, REPLICATES, person_weights
from salus.evaluation.calibration import Calibration, refuse_one_class

KNOTS = 200
CELLS = 2000
"""Rows are drawn together to so many cells of equal size before anything is fitted: a replicate costs little."""

DIGITS = 9
"""Decimals that are kept. Logits that are equal in them are one: no number can say how steep a line between them is."""

TAIL = (1 - LEVEL) / 2


@dataclass(frozen=True)
class Isotonic(Calibration):
    """Isotonic calibration of one model; the first four are (knots,), at most ``KNOTS``, none of them ever falling.

    Attributes:
        logits: at which the fit is kept, ascending.
        values: calibrated probability there, above 0 and below 1.
        low: its 2.5 % bound.
        high: its 97.5 % bound.
        package_hash, people, rows, events: as every calibration has them.
    """

    method: ClassVar[str] = "isotonic"

    logits: tuple[float, ...]
    values: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    package_hash: str
    people: int
    rows: int
    events: int

    def calibrated(self, logits: np.ndarray) -> np.ndarray:
        """The calibrated probability of ``logits`` (rows,); beyond the outermost knots, that of the knot."""
        return np.interp(np.asarray(logits, np.float64), self.logits, self.values)

    def bounds(self, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """95 % bounds of the calibrated probability, from a bootstrap of people: the calibration's part only."""
        logits = np.asarray(logits, np.float64)
        return np.interp(logits, self.logits, self.low), np.interp(logits, self.logits, self.high)


def fit_isotonic(
    logits: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray,
    people: np.ndarray,
    package_hash: str,
    replicates: int = REPLICATES,
) -> Isotonic:
    """Isotonic calibration with its interval; arguments as ``fit_platt`` has them, ``replicates`` of the bootstrap.

    Raises:
        Refused: the labels are of one class, so there is nothing to fit.
    """
    labels = np.asarray(labels, np.float64)
    refuse_one_class(labels, weights)
    cells = _Cells(np.round(np.asarray(logits, np.float64), DIGITS), labels, weights, people)
    knots = _knots(cells.logit)
    values = cells.fitted(np.ones(labels.size), knots)
    drawn = np.array([cells.fitted(times, knots) for times in person_weights(people, replicates)])
    low, high = np.quantile(drawn, [TAIL, 1 - TAIL], axis=0)
    none, all_of_them = cells.never_and_always
    high[knots <= none[0]] = np.maximum(high[knots <= none[0]], 1 - TAIL ** (1 / max(none[1], 1)))
    low[knots >= all_of_them[0]] = np.minimum(low[knots >= all_of_them[0]], TAIL ** (1 / max(all_of_them[1], 1)))
    return Isotonic(
        logits=_rounded(knots),
        values=_rounded(values),
        low=_rounded(np.minimum.accumulate(np.minimum(low, values)[::-1])[::-1]),
        high=_rounded(np.maximum.accumulate(np.maximum(high, values))),
        package_hash=package_hash,
        people=cells.people,
        rows=int(labels.size),
        events=int(labels.sum()),
    )


class _Cells:
    """Rows drawn together by their logit; rows of one logit are in one cell."""

    def __init__(self, logits, labels, weights, people):
        edges = np.unique(np.quantile(logits, np.linspace(0, 1, CELLS + 1)[1:-1]))
        place = np.searchsorted(edges, logits, side="right") if np.unique(logits).size > CELLS else logits
        _, self.cell = np.unique(place, return_inverse=True)
        self.count = int(self.cell.max()) + 1
        self.logit = np.bincount(self.cell, logits) / np.bincount(self.cell)
        self.labels, self.weights, self.person = labels, weights, people
        self.people = int(np.unique(people).size)

    def fitted(self, times, at):
        """The isotonic fit with each row's person drawn ``times``, at the logits ``at``."""
        weights = times * self.weights
        total = np.bincount(self.cell, weights, self.count)
        used = total > 0
        share = np.bincount(self.cell, weights * self.labels, self.count)[used] / total[used]
        least = 1 / (self.people + 2)  # Laplace: none among so many people is not never
        risen = isotonic_regression(share, weights=total[used]).x.clip(least, 1 - least)
        return np.interp(at, self.logit[used], risen)

    @property
    def never_and_always(self):
        """Up to which logit no row has the event, and from which all have it, each with how many people are there."""
        labels = np.bincount(self.cell, self.labels, self.count)
        others = np.bincount(self.cell, 1 - self.labels, self.count)
        first, last = int(np.flatnonzero(labels)[0]), int(np.flatnonzero(others)[-1])
        below, above = self.cell < first, self.cell > last
        return (
            (self.logit[first - 1] if first else -np.inf, np.unique(self.person[below]).size),
            (self.logit[last + 1] if last + 1 < self.count else np.inf, np.unique(self.person[above]).size),
        )


def _knots(logits):
    """At most ``KNOTS`` of the cells' ascending ``logits``: half evenly by people, half evenly by logit."""
    if logits.size <= KNOTS:
        return logits
    by_people = np.linspace(0, logits.size - 1, KNOTS // 2).round().astype(np.int64)
    by_logit = np.searchsorted(logits, np.linspace(logits[0], logits[-1], KNOTS // 2)).clip(0, logits.size - 1)
    return logits[np.union1d(by_people, by_logit)]


def _rounded(values):
    return tuple(round(float(value), DIGITS) for value in values)
