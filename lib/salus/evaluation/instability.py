"""Instability: how far a person's probability or estimate moves when the same model is fitted anew with another seed.

Riley and Collins, Stability of clinical prediction models developed using statistical or machine learning methods,
Biometrical Journal 2023;65:2200302. Their refits draw the people anew; ours keep them and draw the initial weights, the
order of samples and the dropout: what is left of a person's score when only chance changes. A model whose refits agree
may still be wrong of a person in the same way each time.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from salus.cohorts.task import Tier
from salus.evaluation.tiers import tier_places

BANDS = 10
SPREADS = (50, 90, 99)
"""Percentiles of people by how far what is told of them moves."""


def instability(told: np.ndarray, refitted: np.ndarray, tiers: Sequence[Tier]) -> list[dict[str, Any]]:
    """How far what is told of each person moves between refits, and how many people change their tier.

    Args:
        told: float64 (people,), the model's calibrated probability, or estimate in its unit.
        refitted: float64 (refits, people), that of each refit.
        tiers: of the task, highest first.

    Returns:
        Mappings of metric, band (1 = the lowest tenth of people by ``told``, BANDS = the highest; None = everybody),
        value, lowest and highest over the refits where each has one, and people. Metrics: ``mape``, the mean absolute
        difference from ``told`` (Riley's mean absolute prediction error) of the average person;
        ``spread_p50``, ``_p90``, ``_p99``: the standard deviation over refits that so many percent of people do not
        exceed; ``tier_changed``: the share of people in another tier than by ``told``; ``top_tier_kept``: the share of
        those in the highest tier who stay in it.
    """
    moved, spread = np.abs(refitted - told), refitted.std(axis=0, ddof=1)
    tier = tier_places(told, tiers)
    others = np.array([tier_places(each, tiers) for each in refitted])
    top = tier == 0
    rows = [
        measured_row("mape", moved.mean(axis=1), told.size),
        *(measured_row(f"spread_p{share}", np.percentile(spread, share), told.size) for share in SPREADS),
        measured_row("tier_changed", (others != tier).mean(axis=1), told.size),
    ]
    if top.any():
        rows.append(measured_row("top_tier_kept", (others[:, top] == 0).mean(axis=1), int(top.sum())))
    band = (np.argsort(np.argsort(told, kind="stable"), kind="stable") * BANDS) // told.size + 1
    for number in np.unique(band).tolist():
        mine = band == number
        rows.append(measured_row("told", told[mine].mean(), int(mine.sum()), number))
        rows += [
            measured_row(f"spread_p{p}", np.percentile(spread[mine], p), int(mine.sum()), number) for p in SPREADS[:2]
        ]
    return rows


def measured_row(metric: str, values: float | np.ndarray, people: int, band: int | None = None) -> dict[str, Any]:
    """The row of a metric that has one value, or one a refit; ``people`` and ``band`` as ``instability`` has them."""
    values = np.atleast_1d(values)
    bounds = (float(values.min()), float(values.max())) if values.size > 1 else (None, None)
    return {
        "metric": metric,
        "band": band,
        "value": float(values.mean()),
        "lowest": bounds[0],
        "highest": bounds[1],
        "people": people,
    }
