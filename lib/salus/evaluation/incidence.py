"""Observed incidence: the Aalen-Johansen estimate of what share had the event by each day, with death competing.

Whoever left counts until then, and nobody has the event after their death (Putter, Fiocco and Geskus, Tutorial in
biostatistics: competing risks and multi-state models, Stat Med 2007;26:2389-2430). lifelines has the same estimate, and
is what the tests compare with; here it is of many groups at once and fast enough to be taken again for every bootstrap
replicate, and days that are equal stay equal. On a day with both, events come before censorings.
"""

import numpy as np

from salus.evaluation.times import Times


def observed_incidence(times: Times, group: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The cumulative incidence of each group by the beginning of each day.

    Args:
        times: of the rows.
        group: int64 (rows,), 0 to groups - 1.
        weights: float64 (rows,), such as how often each row's person was drawn.

    Returns:
        float64 (groups, horizon + 1); column d is the share that had the event before day d after the prediction. NaN
        of a group without weight.
    """
    width = times.horizon + 1
    place = group * width + times.days
    size = (int(group.max(initial=-1)) + 1) * width
    ended, deaths, events = (
        np.bincount(place, weights * mask, size).reshape(-1, width)
        for mask in (np.ones(group.size), times.event_type < 0, times.event_type > 0)
    )
    at_risk = ended[:, ::-1].cumsum(axis=1)[:, ::-1]
    some = at_risk > 0
    hazard, of_any = (
        np.divide(each, at_risk, out=np.zeros_like(at_risk), where=some) for each in (events, events + deaths)
    )
    there = np.cumprod(1 - of_any, axis=1)
    before = np.concatenate([np.ones((len(there), 1)), there[:, :-1]], axis=1)
    had = np.cumsum(hazard * before, axis=1)
    found = np.concatenate([np.zeros((len(had), 1)), had[:, :-1]], axis=1)
    found[~some[:, 0]] = np.nan
    return found
