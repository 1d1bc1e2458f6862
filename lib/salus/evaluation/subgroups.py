"""Subgroups: does the model serve women as it serves men, the old as the young, one race as the others?

Each subgroup is measured by itself and against everybody else, on the same bootstrap of people, so the gap between them
has an interval of its own. ``auroc`` asks whether it ranks, ``observed_over_expected`` (events over the sum of
probabilities; 1 = right) whether the level holds, and ``sensitivity_top_5`` whether a programme with room for the
highest 5 % of everybody would find the subgroup's events. A gap is material where its interval excludes nought and it
is at least as wide as ``MATERIAL`` says: with enough people, any difference is significant.
"""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from salus.evaluation.bootstrap import REPLICATES, intervals
from salus.evaluation.discrimination import Ranking, auroc
from salus.evaluation.metrics import Sample
from salus.evaluation.usefulness import at_top, highest

EVENTS_AT_LEAST = 20
"""With fewer events in a subgroup, or in the rest, its figures would be noise; it is counted all the same."""

METRICS = ("auroc", "observed_over_expected", "sensitivity_top_5")
MATERIAL = {
    "auroc": 0.05,
    "observed_over_expected": 0.2,
    "sensitivity_top_5": 0.1,
    "predictive_ratio": 0.1,
    "share_at_most": 0.1,
}
"""The predictive ratio is what CMS holds its risk adjusters to, group by group (Pope et al., Evaluation of the CMS-HCC
Risk Adjustment Model, 2011); how wide a gap matters is our choice."""

GAP = "_gap"

AGES = (45, 65, 75, 85)
"""Years at which a band of age begins; whoever is younger is in a band of their own."""


def age_bands(years: np.ndarray) -> np.ndarray:
    """The band of each age: str (rows,), such as ``45 to 64``; empty where the age is not known."""
    between = [f"{low} to {high - 1}" for low, high in pairwise(AGES)]
    names = np.array([f"under {AGES[0]}", *between, f"{AGES[-1]} and over", ""])
    place = np.searchsorted(AGES, np.nan_to_num(years), side="right")
    return names[np.where(np.isfinite(years), place, len(names) - 1)]


class Figures(NamedTuple):
    """What is measured of a part of the rows.

    Attributes:
        metrics: names.
        of: (sample, what is told of each row) to what measures a part: (mask of its rows) to (how often each row's
            person was drawn) to the values of ``metrics``.
    """

    metrics: tuple[str, ...]
    of: Callable[[Sample, np.ndarray], Callable[[np.ndarray], Callable[[np.ndarray], np.ndarray]]]


def by_subgroup(
    sample: Sample,
    told: np.ndarray,
    attributes: Mapping[str, np.ndarray],
    replicates: int = REPLICATES,
    figures: Figures | None = None,
) -> list[dict[str, Any]]:
    """The figures of each subgroup of ``sample``, and their gaps to everybody else.

    Args:
        sample: the rows.
        told: calibrated, (rows,).
        attributes: name to the value of each row, str (rows,); rows without a value are in no subgroup of it.
        replicates: of the bootstrap.
        figures: what is measured; None = ``OF_EVENTS``.

    Returns:
        Mappings of subgroup (``sex: female``), metric, value, low, high, people and rows; metrics are ``events`` (rows
        whose label is above 0), those of ``figures``, and each of them with ``_gap``: the subgroup's less everybody
        else's who has a value.
    """
    if not sample.has_both_classes:
        return []
    asked = figures or OF_EVENTS
    part = asked.of(sample, told)
    happened = sample.labels > 0
    rows = []
    for attribute, values in attributes.items():
        for value in sorted(set(values) - {""}):
            inside, outside = values == value, (values != value) & (values != "")
            size = {"people": int(np.unique(sample.people[inside]).size), "rows": int(inside.sum())}
            named = {"model_name": "model", "subgroup": f"{attribute}: {value}", **size}
            events = float(happened[inside].sum())
            rows.append({**named, "metric": "events", "value": events, "low": None, "high": None})
            if min(events, happened[outside].sum()) >= EVENTS_AT_LEAST:
                parts = [part(inside), part(outside)]
                rows += [named | row for row in _measured(sample, asked.metrics, parts, replicates)]
    return rows


def _measured(sample, metrics, parts, replicates):
    def figures(times):
        group, others = (part(times) for part in parts)
        return np.r_[group, group - others]

    values = figures(np.ones(sample.labels.size))
    low, high = intervals(figures, sample.people, replicates)
    names = (*metrics, *(f"{name}{GAP}" for name in metrics))
    return [
        {"metric": name, "value": float(values[place]), "low": low[place], "high": high[place]}
        for place, name in enumerate(names)
    ]


class _Part:
    """The rows of one side, with what every replicate needs again."""

    def __init__(self, sample: Sample, probability: np.ndarray, is_top: np.ndarray, mask: np.ndarray):
        self.place = np.flatnonzero(mask)
        self.labels, self.weights = sample.labels[mask], sample.weights[mask]
        self.probability, self.is_top = probability[mask], is_top[mask]
        self.ranking = Ranking.of(self.probability)

    def __call__(self, times: np.ndarray) -> np.ndarray:
        """``METRICS`` with each row's person drawn ``times``."""
        weights = times[self.place] * self.weights
        expected = weights @ self.probability
        return np.array(
            [
                auroc(self.ranking, weights * self.labels, weights * (1 - self.labels)),
                weights @ self.labels / expected if expected else np.nan,
                at_top("sensitivity", self.is_top, self.labels, weights),
            ]
        )


def _of_events(sample, probability):
    is_top = highest(probability, sample.weights, 5)
    return lambda mask: _Part(sample, probability, is_top, mask)


OF_EVENTS = Figures(METRICS, _of_events)
"""Of a probability."""


def is_material(metric: str, value: float | None, low: float | None, high: float | None) -> bool:
    """Whether a gap in ``metric`` (of ``METRICS``) is both certain and wide."""
    if value is None or low is None or high is None:
        return False
    return (low > 0 or high < 0) and abs(value) >= MATERIAL[metric]
