"""The night some days before what was planned, such as a booked appointment: looked at by whoever knew of it by then.

Facts never lie ahead of when they were known (DESIGN 3), so what is planned is an event of the day on which it was
planned, whose number says in how many days it is due. On the asked night it counts as it stood then: what was called
off or moved before is not looked at, and what was planned later than that night never is (docs/clarifications.md).
"""

import numpy as np
import pyarrow as pa

from salus.timelines.clocks import MICROSECONDS_PER_DAY, STATIC
from salus.timelines.entries import lists


def nights_before(
    batch: pa.RecordBatch, times: np.ndarray, codes: np.ndarray, days: int
) -> tuple[np.ndarray, np.ndarray]:
    """The rows of ``batch`` for which something is due ``days`` after one of ``times``, and that night.

    Args:
        batch: rows of ``timelines``, with at least ``index.COLUMNS`` and ``value``.
        times: int64 (times,), nights, each 00:00 UTC in microseconds since the epoch.
        codes: int64, hashes of the codes of what is planned; its value is in days from its own.
        days: from the night to the day on which it is due, from 0 on.

    Returns:
        int64 (samples,) rows of ``batch``, ascending, and int64 (samples,) nights, ascending within a row; no pair
        twice.
    """
    offsets, code = lists(batch, "code")
    time, available, superseded, ahead = (
        lists(batch, name)[1] for name in ("time", "available", "superseded", "value")
    )
    found = np.flatnonzero(np.isin(code, codes) & (time != STATIC) & (ahead >= 0))
    due = time[found] // MICROSECONDS_PER_DAY + ahead[found].astype(np.int64)
    night = (due - days) * MICROSECONDS_PER_DAY
    stands = (available[found] <= night) & (night < superseded[found]) & np.isin(night, times)
    row = np.searchsorted(offsets, found[stands], side="right") - 1
    row, night = np.unique(np.stack([row, night[stands]]), axis=1)
    return row, night
