"""Daily matrix: the days before a prediction as a series, one row a day, one column a channel.

A day is counted back from the prediction: the last row holds what was measured less than 24 hours before it. A day's
number is the mean of its values that were visible; a day without one is missing, never 0: a device that was not worn
counted no steps because nobody was there to count.
"""

import numpy as np

from salus.timelines.clocks import MICROSECONDS_PER_DAY
from salus.timelines.entries import Entries, chunks, happened, visible_pairs


def daily_matrix(events: Entries, sample_row, prediction_times, channels: int, days: int, clock: str) -> np.ndarray:
    """Daily means of every channel, the oldest day first.

    Args:
        events: the batch's events of the channels, all with a value; ``group`` is the channel.
        sample_row: int64 (samples,), the batch's row of each sample.
        prediction_times: int64 (samples,), microseconds since the epoch.
        channels: number of channels.
        days: days before the prediction.
        clock: see ``visible``.

    Returns:
        float32 (samples, days, channels); NaN = no value was visible.
    """
    matrix = np.empty((sample_row.size, days, channels), np.float32)
    _, end = happened(events.time, events.offsets, sample_row, prediction_times)
    _, first = happened(events.time, events.offsets, sample_row, prediction_times - days * MICROSECONDS_PER_DAY)
    cells = days * channels
    for part in chunks(end - first, cells):
        at = prediction_times[part]
        pairs = visible_pairs(events, first[part], end[part], at, clock)
        back = (at[pairs.sample] - events.time[pairs.entry]) // MICROSECONDS_PER_DAY
        cell = (pairs.sample.astype(np.int64) * days + days - 1 - back) * channels + events.group[pairs.entry]
        count = np.bincount(cell, minlength=at.size * cells)
        total = np.bincount(cell, events.value[pairs.entry], minlength=at.size * cells)
        with np.errstate(invalid="ignore"):
            matrix[part] = (total / count).reshape(at.size, days, channels)
    return matrix
