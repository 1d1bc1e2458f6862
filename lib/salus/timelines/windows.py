"""Windows before a prediction: each event is put into the narrowest that holds it, and windows then accumulate.

An event is in the window of W days at T iff ``T - W days <= time <= T``.
"""

import numpy as np

from salus.timelines.clocks import MICROSECONDS_PER_DAY
from salus.timelines.entries import Entries, chunks, happened, visible_pairs


def windowed_counts(events: Entries, sample_row, prediction_times, groups: int, windows_days, clock: str):
    """How many events of each group each window holds, and when the last one ever was.

    Args:
        events: the batch's events of the groups.
        sample_row: int64 (samples,), the batch's row of each sample.
        prediction_times: int64 (samples,), microseconds since the epoch.
        groups: number of groups.
        windows_days: ascending widths in days.
        clock: see ``visible_pairs``.

    Returns:
        int32 (samples, groups, windows) counts; float32 (samples, groups) days since the last, NaN = never.
    """
    counts = np.empty((sample_row.size, groups, len(windows_days)), np.int32)
    days_since = np.empty((sample_row.size, groups), np.float32)
    first, end = happened(events.time, events.offsets, sample_row, prediction_times)
    for part in chunks(end - first, groups * max(1, len(windows_days))):
        at = prediction_times[part]
        pairs = visible_pairs(events, first[part], end[part], at, clock)
        cell = pairs.sample * np.int32(groups) + events.group[pairs.entry]
        age = at[pairs.sample] - events.time[pairs.entry]
        days_since[part] = days_since_last(cell, age, at.size * groups).reshape(at.size, groups)
        counts[part] = count_by_window(cell, age, at.size * groups, windows_days).reshape(at.size, groups, -1)
    return counts, days_since


def days_since_last(cell: np.ndarray, age: np.ndarray, cells: int) -> np.ndarray:
    """float32 (cells,): days since the last event of each cell; NaN = none. Events of a cell ascend in time."""
    days = np.full(cells, np.nan, np.float32)
    days[cell] = age * np.float64(1 / MICROSECONDS_PER_DAY)
    return days


def narrowest_window(age: np.ndarray, windows_days) -> np.ndarray:
    """int32 (events,): number of the narrowest window that holds an event of that age; their count = none does."""
    window = np.zeros(age.size, np.int32)
    for days in windows_days:
        window += age > days * MICROSECONDS_PER_DAY
    return window


def count_by_window(cell: np.ndarray, age: np.ndarray, cells: int, windows_days) -> np.ndarray:
    """int32 (cells, windows): events of each cell within each window."""
    width = len(windows_days)
    window = narrowest_window(age, windows_days)
    inside = window < width
    key = cell[inside] * np.int64(width) + window[inside]
    return np.bincount(key, minlength=cells * width).reshape(cells, width).cumsum(axis=1, dtype=np.int32)


