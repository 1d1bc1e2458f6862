"""Windows before a prediction: each event is put into the narrowest that holds it, and windows then accumulate.

An event is in the window of W days at T iff ``T - W days <= time <= T``. Results stand window by window, which
keeps every step a pass over contiguous memory.
"""

from collections.abc import Collection

import numpy as np

from salus.timelines.clocks import MICROSECONDS_PER_DAY
from salus.timelines.entries import Entries, chunks, reach, visible_pairs


def windowed_counts(
    events: Entries, sample_row, prediction_times, groups: int, windows_days, statistics: Collection[str], clock: str
):
    """How many events of each group each window holds, on how many days, and when the last one ever was.

    Args:
        events: the batch's events of the groups.
        sample_row: int64 (samples,), the batch's row of each sample.
        prediction_times: int64 (samples,), microseconds since the epoch.
        groups: number of groups.
        windows_days: ascending widths in days.
        statistics: which are wanted.
        clock: see ``visible``.

    Returns:
        A dict of float32 arrays: ``count`` and, where wanted, ``distinct_days`` (UTC) (windows, samples, groups);
        ``days_since_last`` (samples, groups), NaN = never.
    """
    counts = np.empty((len(windows_days), sample_row.size, groups), np.float32)
    days_since = np.empty((sample_row.size, groups), np.float32)
    found = {"count": counts, "days_since_last": days_since}
    if "distinct_days" in statistics:
        found["distinct_days"] = np.empty_like(counts)
    first, end = reach(events, sample_row, prediction_times)
    for part in chunks(end - first, groups * max(1, len(windows_days))):
        at = prediction_times[part]
        pairs = visible_pairs(events, first[part], end[part], at, clock)
        cell = pairs.sample * np.int32(groups) + events.group[pairs.entry]
        age = at[pairs.sample] - events.time[pairs.entry]
        days_since[part] = days_since_last(cell, age, at.size * groups).reshape(at.size, groups)
        _, key = in_windows(cell, age, at.size * groups, windows_days)
        counts[:, part] = sums(key, None, at.size * groups, windows_days).reshape(-1, at.size, groups)
        if "distinct_days" in found:
            last = last_of_each_day(cell, events.time[pairs.entry])
            _, key = in_windows(cell[last], age[last], at.size * groups, windows_days)
            days = sums(key, None, at.size * groups, windows_days)
            found["distinct_days"][:, part] = days.reshape(-1, at.size, groups)
    return found


def last_of_each_day(cell: np.ndarray, time: np.ndarray) -> np.ndarray:
    """The position of the last event of each cell on each day, UTC. Events of a cell ascend in time."""
    if not time.size:
        return np.empty(0, np.int64)
    day = time // MICROSECONDS_PER_DAY
    day -= day.min()
    _, from_the_end = np.unique((cell * (day.max() + 1) + day)[::-1], return_index=True)
    return time.size - 1 - from_the_end


def windowed_sums(events: Entries, sample_row, prediction_times, groups: int, windows_days, clock: str):
    """What the values of each group's events add up to in each window; 0 where credits are more than what they repay.

    Args:
        events: the batch's events of the groups, all with a value.
        sample_row: int64 (samples,), the batch's row of each sample.
        prediction_times: int64 (samples,), microseconds since the epoch.
        groups: number of groups.
        windows_days: ascending widths in days.
        clock: see ``visible``.

    Returns:
        float32 (windows, samples, groups), in the values' unit.
    """
    found = np.empty((len(windows_days), sample_row.size, groups), np.float32)
    first, end = reach(events, sample_row, prediction_times)
    for part in chunks(end - first, groups * max(1, len(windows_days))):
        at = prediction_times[part]
        pairs = visible_pairs(events, first[part], end[part], at, clock)
        cell = pairs.sample * np.int32(groups) + events.group[pairs.entry]
        inside, key = in_windows(cell, at[pairs.sample] - events.time[pairs.entry], at.size * groups, windows_days)
        value = events.value[pairs.entry][inside].astype(np.float64)
        total = sums(key, value, at.size * groups, windows_days)
        found[:, part] = np.maximum(total, 0).reshape(-1, at.size, groups)
    return found


def days_since_last(cell: np.ndarray, age: np.ndarray, cells: int) -> np.ndarray:
    """float32 (cells,): days since the last event of each cell; NaN = none. Events of a cell ascend in time."""
    days = np.full(cells, np.nan, np.float32)
    days[cell] = age * np.float64(1 / MICROSECONDS_PER_DAY)
    return days


def in_windows(cell: np.ndarray, age: np.ndarray, cells: int, windows_days) -> tuple[np.ndarray, np.ndarray]:
    """The events that some window holds: their positions, and the key ``narrowest window * cells + cell``."""
    if not windows_days:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    inside = np.flatnonzero(age <= windows_days[-1] * MICROSECONDS_PER_DAY)
    age = age[inside]
    window = np.zeros(inside.size, np.int64)
    for days in windows_days[:-1]:
        window += age > days * MICROSECONDS_PER_DAY
    return inside, window * cells + cell[inside]


def sums(key: np.ndarray, weights: np.ndarray | None, cells: int, windows_days) -> np.ndarray:
    """(windows, cells): the number of events, or the sum of their weights, in each window."""
    width = len(windows_days)
    totals = np.bincount(key, weights, minlength=cells * width).reshape(width, cells)
    for window in range(1, width):
        totals[window] += totals[window - 1]
    return totals
