"""Numeric groups: the last value, and of the values within each window mean, lowest, highest, trend, the share outside

the reference range, and their number.
"""

from collections.abc import Collection, Sequence

import numpy as np

from salus.timelines.clocks import MICROSECONDS_PER_DAY
from salus.timelines.entries import Entries, chunks, reach, visible_pairs
from salus.timelines.reference_ranges import ReferenceRange
from salus.timelines.spec import WINDOWED_NUMERICS
from salus.timelines.windows import days_since_last, in_windows, sums

SLOPE_DAYS = 30
"""A trend is the change of the least-squares line over this many days."""

LEAST_SPREAD_DAYS = 0.4
"""Values whose times' standard deviation is smaller have no trend."""


def numeric_aggregates(
    events: Entries,
    sample_row,
    prediction_times,
    groups: int,
    windows_days,
    statistics: Collection[str],
    clock: str,
    outside: np.ndarray | None = None,
):
    """Aggregates of each numeric group's values, as they were visible at each prediction.

    Args:
        events: the batch's events of the groups, all with a value.
        sample_row: int64 (samples,), the batch's row of each sample.
        prediction_times: int64 (samples,), microseconds since the epoch.
        groups: number of groups.
        windows_days: ascending widths in days.
        statistics: which are wanted; no other is worked out.
        clock: see ``visible``.
        outside: what ``outside_range`` finds of ``events``, for the statistic ``out_of_range``.

    Returns:
        A dict of the float32 arrays of ``statistics``, NaN = missing: ``last`` and ``days_since_last``
        (samples, groups) over all time; ``mean, min, max, slope, out_of_range, count`` (windows, samples, groups),
        slope in units per 30 days.
    """
    width = len(windows_days)
    samples = sample_row.size
    windowed = [name for name in WINDOWED_NUMERICS if name in statistics]
    result = {name: np.empty((samples, groups), np.float32) for name in statistics if name not in windowed}
    result |= {name: np.empty((width, samples, groups), np.float32) for name in windowed}
    first, end = reach(events, sample_row, prediction_times)
    for part in chunks(end - first, groups * max(1, width)):
        at = prediction_times[part]
        cells = at.size * groups
        pairs = visible_pairs(events, first[part], end[part], at, clock)
        cell = pairs.sample * np.int32(groups) + events.group[pairs.entry]
        age = at[pairs.sample] - events.time[pairs.entry]
        value = events.value[pairs.entry]
        if "last" in result:
            last = np.full(cells, np.nan, np.float32)
            last[cell] = value
            result["last"][part] = last.reshape(at.size, groups)
        if "days_since_last" in result:
            result["days_since_last"][part] = days_since_last(cell, age, cells).reshape(at.size, groups)
        is_outside = None if outside is None else outside[pairs.entry]
        for name, numbers in by_window(cell, age, value, is_outside, cells, windows_days, windowed).items():
            result[name][:, part] = numbers.reshape(width, at.size, groups)
    return result


def outside_range(events: Entries, sex: np.ndarray, references: Sequence[ReferenceRange | None]) -> np.ndarray:
    """Whether each value lies outside the reference range of its group, for the person's sex.

    Args:
        events: the batch's events of the groups, all with a value.
        sex: object (rows,), of the batch's people; who is neither ``female`` nor ``male`` has the widest range.
        references: of each group; outside None lies nothing.

    Returns:
        bool (entries,).
    """
    known = [reference or ReferenceRange(female=(None, None), male=(None, None)) for reference in references]
    each = np.array([[one.female, one.male, one.either] for one in known], np.float32).reshape(-1, 3, 2)
    low = np.where(np.isnan(each[..., 0]), -np.inf, each[..., 0])
    high = np.where(np.isnan(each[..., 1]), np.inf, each[..., 1])
    whose = np.repeat(np.where(sex == "female", 0, np.where(sex == "male", 1, 2)), np.diff(events.offsets))
    return (events.value < low[events.group, whose]) | (events.value > high[events.group, whose])


def by_window(cell, age, value, is_outside, cells: int, windows_days, wanted: Collection[str]) -> dict[str, np.ndarray]:
    """float (windows, cells) each of the ``wanted`` of ``WINDOWED_NUMERICS`` of each window's values."""
    if not wanted:
        return {}
    inside, key = in_windows(cell, age, cells, windows_days)
    number = value[inside].astype(np.float64)
    count = sums(key, None, cells, windows_days)
    found = {"count": count} if "count" in wanted else {}
    if {"mean", "slope"} & set(wanted):
        total = sums(key, number, cells, windows_days)
    with np.errstate(divide="ignore", invalid="ignore"):
        if "mean" in wanted:
            found["mean"] = total / count
        for name, ufunc, start in (("min", np.minimum, np.inf), ("max", np.maximum, -np.inf)):
            if name in wanted:
                extremes = np.full(count.size, start, np.float32)
                ufunc.at(extremes, key, value[inside])
                extremes = ufunc.accumulate(extremes.reshape(count.shape), axis=0)
                found[name] = np.where(count > 0, extremes, np.nan)
        if "out_of_range" in wanted:
            found["out_of_range"] = sums(key, is_outside[inside], cells, windows_days) / count
        if "slope" in wanted:
            days = age[inside] * (-1.0 / MICROSECONDS_PER_DAY)
            of_days = (sums(key, weights, cells, windows_days) for weights in (days, days * days, days * number))
            found["slope"] = _slope(count, total, *of_days)
    return found


def _slope(count, values, days, days_squared, days_values):
    spread = count * days_squared - days * days
    slope = SLOPE_DAYS * (count * days_values - days * values) / spread
    return np.where(spread >= (LEAST_SPREAD_DAYS * count) ** 2, np.where(count > 1, slope, np.nan), np.nan)
