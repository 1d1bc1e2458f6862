"""Months: does the model hold over time, or was it right for one season only?

Each calendar month of prediction is measured by itself, and kept in table ``evaluations`` as a subgroup (``month:
2026-03``): ``events``, the mean probability that was told (``mean_predicted``), the share that had the event
(``observed``), one over the other (``observed_over_expected``; 1 = right), and ``auroc``. The people of a month's
predictions are those of its neighbours too, so its interval comes from the same bootstrap of people.
"""

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
    return [row for month in np.unique(months) for row in _of(str(month), sample, probability, months, replicates)]


def _of(month, sample, probability, months, replicates):
    inside = months == month
    people, labels, weights = sample.people[inside], sample.labels[inside], sample.weights[inside]
    told = probability[inside]
    ranking = Ranking.of(told)
    is_ranked = min(labels.sum(), (1 - labels).sum()) >= EVENTS_AT_LEAST
    names = (*LEVELS, "auroc") if is_ranked else LEVELS

    def figures(times):
        drawn = times * weights
        total = drawn.sum()
        predicted, observed = (drawn @ told / total, drawn @ labels / total) if total else (np.nan, np.nan)
        levels = [predicted, observed, observed / predicted]
        return np.array([*levels, auroc(ranking, drawn * labels, drawn * (1 - labels))] if is_ranked else levels)

    values = figures(np.ones(labels.size))
    low, high = intervals(figures, people, replicates)
    size = {"people": int(np.unique(people).size), "rows": int(labels.size)}
    named = {"model_name": "model", "subgroup": f"{MONTH}{month}", **size}
    return [
        {**named, "metric": "events", "value": float(labels.sum()), "low": None, "high": None},
        *(
            {**named, "metric": name, "value": float(values[place]), "low": low[place], "high": high[place]}
            for place, name in enumerate(names)
        ),
    ]
