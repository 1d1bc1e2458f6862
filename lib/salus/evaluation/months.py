"""Months: does the model hold over time, or was it right for one season only?

Each calendar month of prediction is measured by itself, and kept in table ``evaluations`` as a subgroup (``month:
2026-03``): ``events``, the mean probability that was told (``mean_predicted``), the share that had the event
(``observed``), one over the other (``observed_over_expected``; 1 = right), and ``auroc``. The people of a month's
predictions are those of its neighbours too, so its interval comes from the same bootstrap of people.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from salus.evaluation.bootstrap import REPLICATES, intervals
from salus.evaluation.discrimination import Ranking, auroc
from salus.evaluation.metrics import Sample
from salus.evaluation.subgroups import EVENTS_AT_LEAST

MONTH = "month: "
LEVELS = ("mean_predicted", "observed", "observed_over_expected")


def months_of(times: np.ndarray) -> np.ndarray:
    """The calendar month of each time (int64 (rows,), microseconds since the epoch, UTC): str (rows,), ``2026-03``."""
    return times.astype("datetime64[us]").astype("datetime64[M]").astype(str)


def by_month(
    sample: Sample, probability: np.ndarray, months: np.ndarray, replicates: int = REPLICATES
) -> list[dict[str, Any]]:
    """The figures of each month of prediction.

    Args:
        sample: the rows.
        probability: calibrated, (rows,).
        months: of each row's prediction, ``months_of``.
        replicates: of the bootstrap.

    Returns:
        Mappings of model_name, subgroup, metric, value, low, high, people and rows, in the order of the months. With
        fewer than ``EVENTS_AT_LEAST`` events or others a month has no ``auroc``: it would be noise.
    """
    return in_each_month(sample, probability, months, _figures, replicates)


def in_each_month(
    sample: Sample,
    told: np.ndarray,
    months: np.ndarray,
    figures: Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[Sequence[str], Callable[[np.ndarray], np.ndarray]]],
    replicates: int,
) -> list[dict[str, Any]]:
    """Of each month the number of labels above 0 (``events``) and what ``figures`` measures.

    Args:
        sample: the rows.
        told: calibrated, (rows,).
        months: of each row's prediction, ``months_of``.
        figures: a month's labels, weights and what was told, to names and to what gives their values for how often each
            row's person was drawn.
        replicates: of the bootstrap.
    """
    return [row for month in np.unique(months) for row in _of(str(month), sample, told, months, figures, replicates)]


def _figures(labels, weights, told):
    ranking = Ranking.of(told)
    is_ranked = min(labels.sum(), (1 - labels).sum()) >= EVENTS_AT_LEAST

    def values(times):
        drawn = times * weights
        total = drawn.sum()
        predicted, observed = (drawn @ told / total, drawn @ labels / total) if total else (np.nan, np.nan)
        levels = [predicted, observed, observed / predicted]
        return np.array([*levels, auroc(ranking, drawn * labels, drawn * (1 - labels))] if is_ranked else levels)

    return ((*LEVELS, "auroc") if is_ranked else LEVELS), values


def _of(month, sample, told, months, figures, replicates):
    inside = months == month
    people, labels = sample.people[inside], sample.labels[inside]
    names, measure = figures(labels, sample.weights[inside], told[inside])
    values = measure(np.ones(labels.size))
    low, high = intervals(measure, people, replicates)
    size = {"people": int(np.unique(people).size), "rows": int(labels.size)}
    named = {"model_name": "model", "subgroup": f"{MONTH}{month}", **size}
    return [
        {**named, "metric": "events", "value": float((labels > 0).sum()), "low": None, "high": None},
        *(
            {**named, "metric": name, "value": float(values[place]), "low": low[place], "high": high[place]}
            for place, name in enumerate(names)
        ),
    ]
