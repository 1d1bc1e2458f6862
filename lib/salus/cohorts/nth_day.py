"""The night on which the n-th day with an event was first known, such as the second fill of a drug; once a person.

A person is looked at on the first night on which that many days with an event were visible, in the versions of that
night. Versions that replace or withdraw one later change nothing, and the night does not come again
(docs/clarifications.md).
"""

import numpy as np
import pyarrow as pa

from salus.cohorts.eligibility import pairs
from salus.timelines.clocks import MICROSECONDS_PER_DAY, STATIC
from salus.timelines.entries import chunks, lists


def nth_day(
    batch: pa.RecordBatch, times: np.ndarray, codes: np.ndarray, number: int, within_days: int
) -> tuple[np.ndarray, np.ndarray]:
    """The rows of ``batch`` whose night is one of ``times``, and that night.

    Args:
        batch: rows of ``timelines``, with at least ``index.COLUMNS``.
        times: int64 (times,), nights, each 00:00 UTC in microseconds since the epoch.
        codes: int64, hashes of the codes of the event.
        number: n, from 1 on; events of one day count once.
        within_days: before the night, within which the n-th day must lie.

    Returns:
        int64 (samples,) rows of ``batch``, ascending, no row twice, and int64 (samples,) nights.
    """
    offsets, code = lists(batch, "code")
    time = lists(batch, "time")[1]
    found = np.flatnonzero(np.isin(code, codes) & (time != STATIC))
    day = time[found] // MICROSECONDS_PER_DAY
    available, superseded = (lists(batch, name)[1][found] for name in ("available", "superseded"))
    night = -(-available // MICROSECONDS_PER_DAY) * MICROSECONDS_PER_DAY
    shown = night < superseded
    of_row = np.searchsorted(offsets, found, side="right") - 1
    # Only a night that shows something new can be the first: (row, night), ascending.
    candidates = np.unique(np.stack([of_row, night])[:, shown], axis=1)
    of_event = np.searchsorted(found, offsets)
    parts = [
        _nth_visible(candidates[:, part], of_event, day, available, superseded, number)
        for part in chunks(np.diff(of_event)[candidates[0]], 1)
    ]
    (row, at), nth = candidates, np.concatenate([np.zeros(0, np.int64), *parts])
    row, first = np.unique(row[nth != STATIC], return_index=True)
    at, nth = at[nth != STATIC][first], nth[nth != STATIC][first]
    is_asked = np.isin(at, times) & (at // MICROSECONDS_PER_DAY - nth <= within_days)
    return row[is_asked], at[is_asked]


def _nth_visible(candidates, offsets, day, available, superseded, number):
    """The n-th day that each candidate row and night sees; ``STATIC`` where it sees fewer."""
    row, night = candidates
    sample, entry = pairs(offsets, row)
    at = night[sample]
    is_visible = (available[entry] <= at) & (at < superseded[entry])
    sample, day = sample[is_visible], day[entry[is_visible]]
    is_new = np.ones(sample.size, bool)
    is_new[1:] = (sample[1:] != sample[:-1]) | (day[1:] != day[:-1])
    sample, day = sample[is_new], day[is_new]
    rank = np.arange(sample.size) - np.searchsorted(sample, sample) + 1
    nth = np.full(row.size, STATIC)
    nth[sample[rank == number]] = day[rank == number]
    return nth
