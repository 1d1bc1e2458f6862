"""Numeric groups: last value, and mean, lowest, highest, trend and number of values within each window."""

import numpy as np

from salus.timelines.clocks import MICROSECONDS_PER_DAY
from salus.timelines.entries import Entries, chunks, reach, visible_pairs
from salus.timelines.spec import WINDOWED_NUMERICS
from salus.timelines.windows import days_since_last, in_windows, sums

SLOPE_DAYS = 30
"""A trend is the change of the least-squares line over this many days."""

LEAST_SPREAD_DAYS = 0.4
"""Values whose times' standard deviation is smaller have no trend."""


def numeric_aggregates(events: Entries, sample_row, prediction_times, groups: int, windows_days, clock: str):
    """Aggregates of each numeric group's values, as they were visible at each prediction.

    Args:
        events: the batch's events of the groups, all with a value.
        sample_row: int64 (samples,), the batch's row of each sample.
        prediction_times: int64 (samples,), microseconds since the epoch.
        groups: number of groups.
        windows_days: ascending widths in days.
        clock: see ``visible_pairs``.

    Returns:
        A dict of float32 arrays, NaN = missing: ``last`` and ``days_since_last`` (samples, groups) over all time;
        ``mean, min, max, slope, count`` (windows, samples, groups), slope in units per 30 days.
    """
    width = len(windows_days)
    samples = sample_row.size
    result = {name: np.empty((samples, groups), np.float32) for name in ("last", "days_since_last")}
    result |= {name: np.empty((width, samples, groups), np.float32) for name in WINDOWED_NUMERICS}
    first, end = reach(events, sample_row, prediction_times)
    for part in chunks(end - first, groups * max(1, width)):
        at = prediction_times[part]
        cells = at.size * groups
        pairs = visible_pairs(events, first[part], end[part], at, clock)
        cell = pairs.sample * np.int32(groups) + events.group[pairs.entry]
        age = at[pairs.sample] - events.time[pairs.entry]
        value = events.value[pairs.entry]
        last = np.full(cells, np.nan, np.float32)
        last[cell] = value
        result["last"][part] = last.reshape(at.size, groups)
        result["days_since_last"][part] = days_since_last(cell, age, cells).reshape(at.size, groups)
        for name, numbers in by_window(cell, age, value, cells, windows_days).items():
            result[name][:, part] = numbers.reshape(width, at.size, groups)
    return result


def by_window(cell, age, value, cells: int, windows_days) -> dict[str, np.ndarray]:
    """float (windows, cells) each of ``mean, min, max, slope, count`` of the values within each window."""
    width = len(windows_days)
    inside, key = in_windows(cell, age, cells, windows_days)
    number = value[inside].astype(np.float64)
    days = age[inside] * (-1.0 / MICROSECONDS_PER_DAY)

    def extreme(ufunc, start):
        extremes = np.full(cells * width, start, np.float32)
        ufunc.at(extremes, key, value[inside])
        extremes = extremes.reshape(width, cells)
        return np.where(some, ufunc.accumulate(extremes, axis=0), np.nan)

    count, total = sums(key, None, cells, windows_days), sums(key, number, cells, windows_days)
    some = count > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "count": count,
            "mean": total / count,
            "min": extreme(np.minimum, np.inf),
            "max": extreme(np.maximum, -np.inf),
            "slope": _slope(
                count,
                sums(key, days, cells, windows_days),
                total,
                sums(key, days * days, cells, windows_days),
                sums(key, days * number, cells, windows_days),
            ),
        }


def _slope(count, days, values, days_squared, days_values):
    spread = count * days_squared - days * days
    slope = SLOPE_DAYS * (count * days_values - days * values) / spread
    return np.where(spread >= (LEAST_SPREAD_DAYS * count) ** 2, np.where(count > 1, slope, np.nan), np.nan)
