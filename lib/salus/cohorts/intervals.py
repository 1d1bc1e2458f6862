"""Intervals of a horizon, in which a time to event is learnt: who went through which, and who had what in which.

Plain numpy; data sets, networks and evaluation ask the same functions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Intervals:
    """Intervals ``[0, ends[0]), [ends[0], ends[1]), ...`` of days after a prediction.

    Attributes:
        ends: days, ascending; the last is the horizon.
        causes: 1 = the event alone; 2 = death competes with it.
    """

    ends: tuple[int, ...]
    causes: int = 1

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.ends)

    def targets(self, event_type: np.ndarray, observed_days: np.ndarray) -> np.ndarray:
        """What is learnt of each row.

        Whoever is censored went through the intervals of which they were there for half at least, as Gensheimer and
        Narasimhan (PeerJ 2019;7:e6257) count it; to give no such credit would make every hazard too high.

        Args:
            event_type: (rows,), 1 = the event, -1 = a competing death, 0 = neither.
            observed_days: (rows,), whole days until then.

        Returns:
            float32 (rows, 2): intervals gone through without anything, and the cause of the end in the next: 1 = the
            event, 2 = a competing death, 0 = nothing more is known.
        """
        ends = np.asarray(self.ends, np.float64)
        middles = ends - np.diff(ends, prepend=0) / 2
        happened = np.searchsorted(ends, observed_days, side="right")
        there = np.searchsorted(middles, observed_days, side="right")
        through = np.where(event_type == 0, there, happened)
        return np.stack([through, np.where(event_type < 0, 2, event_type)], axis=1).astype(np.float32)

    def hazards(self, targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """The share of those at risk whom each cause befell in each interval: float64 (causes, intervals).

        One person is added to each interval who has the hazard of all intervals together, itself with half an event
        more: where nobody had any, the logit of the hazard is finite, and the incidence stays what it was.

        Args:
            targets: (rows, 2), of ``targets``.
            weights: (rows,), such as how many rows are alike.
        """
        through, cause = targets.astype(np.int64).T
        ended = [np.bincount(through[cause == c], weights[cause == c], self.count) for c in range(self.causes + 1)]
        # Who ended at interval k by nothing was there until k: not at risk in k, but in those before.
        passed = np.bincount(through, weights, self.count + 1)
        at_risk = passed[::-1].cumsum()[::-1][: self.count] - ended[0][: self.count]
        events = np.stack([each[: self.count] for each in ended[1:]])
        usual = (events.sum(axis=1) + 0.5) / (at_risk.sum() + 0.5 * (self.causes + 1))
        return (events + usual[:, None]) / (at_risk + 1)


def incidence(hazards: np.ndarray | Sequence[Sequence[float]]) -> np.ndarray:
    """The cumulative incidence of the first cause at the end of each interval: float64 (intervals,)."""
    hazards = np.asarray(hazards, np.float64)
    there = np.cumprod(1 - hazards.sum(axis=0))
    return np.cumsum(hazards[0] * np.r_[1.0, there[:-1]])
