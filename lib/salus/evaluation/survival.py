"""What is measured of a time to event beside what is measured of yes or no at the horizon.

Names of the metrics in table ``evaluations``, under ``model`` and ``baseline``: ``c_index`` (``concordance``);
``integrated_brier``, the Brier score with inverse probability of censoring weights, over the horizon (Graf et al., Stat
Med 1999;18:2529-2545; with competing deaths Schoop et al., Biom J 2011;53:88-112), and ``scaled_integrated_brier``, 1
less it over that of telling everybody the observed incidence; the curve ``calibration_curve``, with ``_low`` and
``_high``: the Aalen-Johansen incidence at the horizon in ten groups by what was told, in the place of weighted shares.
Under ``model`` alone ``c_index_over_baseline``, paired; ``observed_incidence``, of everybody at the horizon; and for
each tier of the task the curves over days ``observed_incidence: TIER`` (with ``observed_incidence_low: TIER`` and
``_high``) and ``told_incidence: TIER``, the mean of what was told.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from salus.cohorts.task import Tier
from salus.evaluation.bootstrap import REPLICATES, intervals
from salus.evaluation.calibration import calibration_groups, group_means
from salus.evaluation.concordance import concordance
from salus.evaluation.incidence import observed_incidence
from salus.evaluation.metrics import thinned
from salus.evaluation.tiers import tier_places
from salus.evaluation.times import Times

CURVE = "calibration_curve"
OBSERVED, OBSERVED_LOW, OBSERVED_HIGH, TOLD = (
    "observed_incidence",
    "observed_incidence_low",
    "observed_incidence_high",
    "told_incidence",
)
DAYS_DRAWN = 60


def told_curves(curves: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """The incidence that is told by the end of each interval: the model's own course up to the calibrated horizon.

    Args:
        curves: float (rows, intervals), the model's incidence.
        probability: float64 (rows,), calibrated, at the horizon.

    Returns:
        float64 (rows, intervals); the last column is ``probability``.
    """
    return curves * (probability / np.maximum(curves[:, -1], np.finfo(np.float64).tiny))[:, None]


def measured_times(
    times: Times,
    ends: Sequence[int],
    models: Mapping[str, np.ndarray],
    tiers: Sequence[Tier],
    replicates: int = REPLICATES,
) -> list[dict[str, Any]]:
    """Every metric of each of ``models`` with its interval.

    Args:
        times: of the rows.
        ends: days, the ends of the intervals.
        models: name to what ``told_curves`` gives; ``model`` is compared with ``baseline``.
        tiers: of the task, highest first.
        replicates: of the bootstrap.

    Returns:
        Mappings of model_name, metric, value, low, high, curve_x, curve_y. Where nobody had the event: none.
    """
    if not (times.event_type > 0).any():
        return []
    rows = _concordances(times, {name: curves[:, -1] for name, curves in models.items()})
    everybody = observed_incidence(times, np.zeros(times.days.size, np.int64), np.ones(times.days.size))[0]
    usual = np.broadcast_to(everybody[list(ends)], (times.days.size, len(ends)))
    missed = {name: _squared_errors(times, ends, curves) for name, curves in {**models, "": usual}.items()}
    for name, curves in models.items():
        rows += _brier(times, name, missed[name], missed[""], replicates)
        rows += _calibration(times, name, curves[:, -1], replicates)
    return rows + _of_tiers(times, ends, models["model"], tiers, replicates)


def _concordances(times, told):
    each = {name: concordance(times, scores) for name, scores in told.items()}
    rows = [_row(name, "c_index", found.value, *found.interval) for name, found in each.items()]
    if {"model", "baseline"} <= set(each):
        rows.append(_row("model", "c_index_over_baseline", *each["model"].over(each["baseline"])))
    return rows


def _squared_errors(times, ends, curves):
    """(rows,): each row's part of the integrated Brier score, by the trapezoidal rule from 0 at the prediction."""
    at_end = times.weights
    of_each = [np.zeros(times.days.size)]
    for place, end in enumerate(ends):
        is_over = times.days < end
        weight = np.where(is_over, at_end, times.weights_on(end))
        happened = is_over & (times.event_type > 0)
        of_each.append(weight * (happened - curves[:, place]) ** 2)
    widths = np.diff(ends, prepend=0)
    parts = [width * (one + two) / 2 for width, (one, two) in zip(widths, pairwise(of_each))]
    return np.sum(parts, axis=0) / ends[-1]


def _brier(times, name, missed, untold, replicates):
    def found(drawn):
        score, reference = drawn @ missed / drawn.sum(), drawn @ untold / drawn.sum()
        return np.array([score, 1 - score / reference if reference > 0 else np.nan])

    values = found(np.ones(missed.size))
    low, high = intervals(found, times.people, replicates)
    metrics = ("integrated_brier", "scaled_integrated_brier")
    return [_row(name, metric, values[at], low[at], high[at]) for at, metric in enumerate(metrics)]


def _calibration(times, name, told, replicates):
    group = calibration_groups(told)

    def found(drawn):
        return observed_incidence(times, group, drawn)[:, -1]

    ones = np.ones(told.size)
    low, high = intervals(found, times.people, replicates)
    predicted = group_means(group, told, ones)
    curves = {"": found(ones), "_low": low, "_high": high}
    return [_curve(name, f"{CURVE}{which}", predicted, observed) for which, observed in curves.items()]


def _of_tiers(times, ends, curves, tiers, replicates):
    place = tier_places(curves[:, -1], tiers)
    days = thinned(np.arange(times.horizon + 1), np.arange(times.horizon + 1), DAYS_DRAWN)[0]
    held = np.flatnonzero(np.bincount(place, minlength=len(tiers) + 1)[: len(tiers)])
    everybody = np.zeros(place.size, np.int64)

    def found(drawn):
        of_tiers = observed_incidence(times, place, drawn)
        return np.concatenate([of_tiers[held][:, days].ravel(), observed_incidence(times, everybody, drawn)[:, -1]])

    values = found(np.ones(place.size))
    low, high = intervals(found, times.people, replicates)
    rows = [_row("model", OBSERVED, values[-1], low[-1], high[-1])]
    for at, tier in enumerate(held):
        own = slice(at * days.size, (at + 1) * days.size)
        title = tiers[tier].name
        told = np.r_[0.0, curves[place == tier].mean(axis=0)]
        rows += [
            _curve("model", f"{OBSERVED}: {title}", days, values[own]),
            _curve("model", f"{OBSERVED_LOW}: {title}", days, low[own]),
            _curve("model", f"{OBSERVED_HIGH}: {title}", days, high[own]),
            _curve("model", f"{TOLD}: {title}", np.r_[0, ends], told),
        ]
    return rows


def _row(name, metric, value, low, high):
    return {"model_name": name, "metric": metric, "value": float(value), "low": float(low), "high": float(high)}


def _curve(name, metric, x, y):
    return {"model_name": name, "metric": metric, "curve_x": x.tolist(), "curve_y": y.tolist()}
