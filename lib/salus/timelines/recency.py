"""The last event of any kind that a prediction could see, and how far its data reach."""

import numpy as np
import pyarrow as pa

from salus.timelines.clocks import MICROSECONDS_PER_DAY, NEVER, STATIC
from salus.timelines.entries import happened, lists

MEDS_BIRTH_HASH = -8855265244167912034
"""Spark's ``xxhash64('MEDS_BIRTH')``: a birth is no contact with anybody, and does not count as an event here."""

MEDS_DEATH_HASH = -4186519623790121545
"""Spark's ``xxhash64('MEDS_DEATH')``."""


def days_since_last_event(batch: pa.RecordBatch, sample_row, prediction_times, clock: str = "available"):
    """float32 (samples,): days since the last dated event of any kind that was visible; NaN = there is none."""
    _, time = lists(batch, "time")
    last = _last_visible(batch, time, sample_row, prediction_times, clock)
    days = np.full(sample_row.size, np.nan, np.float32)
    seen = last >= 0
    days[seen] = (prediction_times[seen] - time[last[seen]]) / MICROSECONDS_PER_DAY
    return days


def data_through(batch: pa.RecordBatch, sample_row, prediction_times):
    """int64 (samples,): when the newest fact that each prediction could see became available; STATIC = none did."""
    offsets, available = lists(batch, "available")
    newest = np.full(sample_row.size, STATIC)
    order = np.lexsort((available, np.repeat(np.arange(batch.num_rows), np.diff(offsets))))
    available = available[order]
    start, end = happened(available, offsets, sample_row, prediction_times)
    some = end > start
    newest[some] = available[end[some] - 1]
    return newest


def _last_visible(batch, time, sample_row, prediction_times, clock):
    """int64 (samples,): position of the last visible dated event, or -1.

    Walks back from the last that had happened, all samples at once: few events come late, so a few steps do.
    """
    offsets, code = lists(batch, "code")
    available, superseded = lists(batch, "available")[1], lists(batch, "superseded")[1]
    start, end = happened(time, offsets, sample_row, prediction_times)
    last = np.full(sample_row.size, -1)
    waiting, position = np.arange(sample_row.size), end - 1
    while waiting.size:
        inside = position >= start[waiting]
        waiting, position = waiting[inside], position[inside]
        at = prediction_times[waiting]
        if clock == "time":
            seen = superseded[position] == NEVER
        else:
            seen = (available[position] <= at) & (at < superseded[position])
        seen &= (time[position] != STATIC) & (code[position] != MEDS_BIRTH_HASH)
        last[waiting[seen]] = position[seen]
        waiting, position = waiting[~seen], position[~seen] - 1
    return last
