"""Concordance: of two people, is the one whom the event befalls first told the higher risk?

A case that has the event on a day is compared with whoever is there without it after that day, and with whoever died
before without it, whom it can no longer befall (Wolbers et al., Concordance for prognostic models with competing risks,
Biostatistics 2014;15:526-539). Pairs weigh the inverse probability that both were still enrolled, so that the index
does not depend on who left when (Uno et al., Stat Med 2011;30:1105-1117), up to the horizon. Where nobody leaves and
nobody dies of something else it is Harrell's, which lifelines has; lifelines has neither weights nor deaths nor
intervals for people with several rows.

The interval is of the infinitesimal jackknife, clustered by person, as R's survival::concordance has it: what each
person's rows move the index by is known exactly, so nothing is drawn.
"""

from dataclasses import dataclass

import numpy as np

from salus.evaluation.calibration import NORMAL_975
from salus.evaluation.discrimination import Ranking
from salus.evaluation.times import Times


@dataclass(frozen=True)
class Concordance:
    """An index with what each person moves it by.

    Attributes:
        value: 0 to 1, 0.5 = chance; NaN where there is no pair.
        influence: float64 (people,), in the order of ``numpy.unique`` of the people.
    """

    value: float
    influence: np.ndarray

    @property
    def interval(self) -> tuple[float, float]:
        """95 % bounds."""
        return _interval(self.value, self.influence)

    def over(self, other: "Concordance") -> tuple[float, float, float]:
        """The difference to another index of the same rows, and its 95 % bounds: paired."""
        difference = self.value - other.value
        return difference, *_interval(difference, self.influence - other.influence)


def concordance(times: Times, scores: np.ndarray) -> Concordance:
    """The concordance index of ``scores`` (rows,), higher = sooner; equal ones count half.

    One pass over the rows for each day on which somebody had the event; memory is that of a few columns.
    """
    ranking = Ranking.of(scores)
    rank = np.empty(scores.size, np.int64)
    rank[ranking.order] = np.repeat(np.arange(ranking.starts.size), np.diff(np.r_[ranking.starts, scores.size]))
    concordant, pairs = np.zeros(scores.size), np.zeros(scores.size)
    died = np.where(times.event_type < 0, times.weights, 0.0)
    for day in np.unique(times.days[times.event_type > 0]):
        staying = times.weights_on(day)
        is_there = (times.days > day) | ((times.days == day) & (times.event_type == 0))
        control = np.where(is_there, staying, np.where(times.days <= day, died, 0.0))
        case = np.where((times.days == day) & (times.event_type > 0), staying, 0.0)
        cases, controls = (np.bincount(rank, each, ranking.starts.size) for each in (case, control))
        below = np.cumsum(controls) - controls / 2
        above = cases.sum() - np.cumsum(cases) + cases / 2
        concordant += case * below[rank] + control * above[rank]
        pairs += case * controls.sum() + control * cases.sum()
    # Every pair stands once with its case and once with its control.
    total = pairs.sum() / 2
    distinct, person = np.unique(times.people, return_inverse=True)
    if total <= 0:
        return Concordance(float("nan"), np.full(distinct.size, np.nan))
    value = concordant.sum() / 2 / total
    moved = np.bincount(person, concordant - value * pairs, distinct.size) / total
    return Concordance(float(value), moved)


def _interval(value, influence):
    people = influence.size
    margin = NORMAL_975 * np.sqrt(influence @ influence * people / max(1, people - 1))
    return value - margin, value + margin
