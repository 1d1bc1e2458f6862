"""Tiers: what acting on everybody at or above each of a task's tiers would find, and how much work it would be.

Names of the metrics in table ``evaluations``, under ``model`` and ``baseline``, for each tier of the task:
``sensitivity: TIER``, ``ppv: TIER`` and ``lift: TIER``, as ``usefulness`` has them of the highest 5 %; ``share: TIER``,
the share of the predictions that are at or above it, which is the share of people on a date; and
``alerts_a_day: TIER``, how many people a day are newly at or above it, of a population of the size of those held out.

Where a task predicts for everybody on a calendar, somebody is newly there who was not on the calendar's date before:
the alerts of all dates but the first, over the days from the first to the last. Where it predicts from an event, each
prediction is of a new one and alerts anew: all of them, over the days from the first to the last of them, both
included. Alerts are weighed like everything else, so that whoever was censored is stood for by the others.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from salus.cohorts.task import Tier
from salus.evaluation.bootstrap import REPLICATES, intervals
from salus.evaluation.metrics import Sample
from salus.timelines.clocks import MICROSECONDS_PER_DAY

FIGURES = ("sensitivity", "ppv", "lift", "share", "alerts_a_day")


def tier_metric(figure: str, tier: str) -> str:
    """The metric's name in table ``evaluations``, such as ``ppv: high``."""
    return f"{figure}: {tier}"


def tier_places(told: np.ndarray, tiers: Sequence[Tier]) -> np.ndarray:
    """The place in ``tiers`` of each row: int64 (rows,); ``len(tiers)`` = below all of them.

    Percentiles are midranks among these rows, as a night's are among those scored.
    """
    _, place, counts = np.unique(told, return_inverse=True, return_counts=True)
    percentile = (100 * (np.cumsum(counts) - counts / 2) / told.size)[place]
    bounds = [
        told >= tier.from_probability if tier.from_percentile is None else percentile >= tier.from_percentile
        for tier in tiers
    ]
    return np.argmax([*bounds, np.ones(told.size, bool)], axis=0)


def at_tiers(
    sample: Sample,
    models: Mapping[str, np.ndarray],
    tiers: Sequence[Tier],
    is_by_event: bool,
    replicates: int = REPLICATES,
) -> list[dict[str, Any]]:
    """Every figure of ``FIGURES`` at each tier and above, of each model.

    All of them are made of sums over a person's rows, so a replicate costs as much as there are people.

    Args:
        sample: the rows, with their times.
        models: name to calibrated probability (rows,).
        tiers: of the task, highest first.
        is_by_event: whether the task predicts from events; else for everybody on a calendar.
        replicates: of the bootstrap.

    Returns:
        Mappings of model_name, metric, value, low, high. Without both classes: none.
    """
    if not sample.has_both_classes or sample.times is None:
        return []
    people, person = np.unique(sample.people, return_inverse=True)
    dates, at = np.unique(sample.times, return_inverse=True)
    days = (dates[-1] - dates[0]) / MICROSECONDS_PER_DAY + is_by_event
    is_later, before = at > 0, date_before(person, at)
    weights, rows = sample.weights, []

    def of_people(values: np.ndarray) -> np.ndarray:
        return np.bincount(person, weights * values, people.size)

    of_everybody = [of_people(np.ones(person.size)), of_people(sample.labels)]
    for name, told in models.items():
        place = tier_places(told, tiers)
        reached = [place <= number for number in range(len(tiers))]
        alerts = [each if is_by_event else each & is_later & ~(each[before] & (before >= 0)) for each in reached]
        sums = np.stack(
            [*of_everybody, *(of_people(each) for is_in in reached for each in (is_in, is_in * sample.labels))]
            + [of_people(each) for each in alerts],
            axis=1,
        )

        def figures(drawn: np.ndarray, sums: np.ndarray = sums) -> np.ndarray:
            return _figures(drawn @ sums, len(tiers), days)

        values = figures(np.ones(people.size))
        low, high = intervals(figures, people, replicates)
        named = [tier_metric(figure, tier.name) for figure in FIGURES for tier in tiers]
        rows += [
            {"model_name": name, "metric": metric, "value": float(values[i]), "low": low[i], "high": high[i]}
            for i, metric in enumerate(named)
        ]
    return rows


def date_before(person: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The row of the same person on the date before: int64 (rows,); -1 where there is none.

    Args:
        person, at: int64 (rows,), numbers of each row's person and date; a person has one row a date at most.
    """
    key = person * (at.max() + 2) + at + 1  # the first date's 1: what is before it is nobody's
    order = np.argsort(key, kind="stable")
    place = np.searchsorted(key[order], key - 1).clip(max=key.size - 1)
    return np.where(key[order[place]] == key - 1, order[place], -1)


def _figures(totals: np.ndarray, tiers: int, days: float) -> np.ndarray:
    weight, events = totals[:2]
    acted_on, found = totals[2 : 2 + 2 * tiers].reshape(tiers, 2).T
    with np.errstate(divide="ignore", invalid="ignore"):
        ppv = found / acted_on
        return np.concatenate(
            [found / events, ppv, ppv / (events / weight), acted_on / weight, totals[2 + 2 * tiers :] / days]
        )
