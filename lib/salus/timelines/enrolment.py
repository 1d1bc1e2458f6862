"""Days insured before a prediction, from the coverage spans that could be known then.

The same function serves the eligibility rules and the model inputs. Spans that overlap count once; where a span's
newer version had come by T, the older one does not count.
"""

import numpy as np
import pyarrow as pa

from salus.timelines.clocks import MICROSECONDS_PER_DAY, NEVER
from salus.timelines.entries import lists


def enrolled_days(batch: pa.RecordBatch, sample_row, prediction_times, look_back_days: int, clock: str = "available"):
    """Days of ``[T - look_back_days, T)`` that a known coverage span holds.

    Args:
        batch: timelines.
        sample_row: int64 (samples,), the batch's row of each sample.
        prediction_times: int64 (samples,), microseconds since the epoch.
        look_back_days: days.
        clock: ``available``, or ``time``: the newest version of every span, known or not (to price the leak).

    Returns:
        float32 (samples,), days.
    """
    offsets, start = lists(batch, "coverage_start")
    end, available, superseded = (lists(batch, f"coverage_{name}")[1] for name in ("end", "available", "superseded"))
    low = offsets[sample_row]
    sizes = offsets[sample_row + 1] - low
    sample = np.repeat(np.arange(sizes.size), sizes)
    span = np.arange(sizes.sum()) + np.repeat(low - (np.cumsum(sizes) - sizes), sizes)
    at = prediction_times[sample]
    window = look_back_days * MICROSECONDS_PER_DAY
    seen = superseded[span] == NEVER if clock == "time" else (available[span] <= at) & (at < superseded[span])
    seen &= (start[span] < at) & (end[span] > at - window)
    sample, span, at = sample[seen], span[seen], at[seen]
    # Whole seconds from the window's start, so that a segment's number above them fits an int64.
    begin = (np.maximum(start[span], at - window) - (at - window)) // 1_000_000
    finish = (np.minimum(end[span], at) - (at - window)) // 1_000_000
    base = sample * (window // 1_000_000 + 1)
    reached = np.maximum.accumulate(base + finish)
    before = np.concatenate([[0], reached[:-1]]) if reached.size else reached
    fresh = np.maximum(base + finish - np.maximum(base + begin, before), 0)
    seconds = np.bincount(sample, fresh, minlength=sizes.size)
    return (seconds / 86_400).astype(np.float32)
