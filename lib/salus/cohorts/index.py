"""Samples: who is looked at on which night; everybody, or those of whom an index event has just become known.

The prediction time of an event is the first night on which it was available, in training too, so that a model learns
from what the night knew; or, where the event says that something is planned, the night some days before that. The same
function makes the samples of two years of nights and tonight's, and never a pair of a person and a night of no event.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame

from salus.cohorts.eligibility import pairs
from salus.cohorts.named_codes import named_codes
from salus.cohorts.nth_day import nth_day
from salus.cohorts.planned import nights_before
from salus.cohorts.task import IndexEvent
from salus.timelines.clocks import MICROSECONDS_PER_DAY, STATIC
from salus.timelines.entries import chunks, lists

COLUMNS = ("time", "available", "superseded", "code")
"""The columns of ``timelines`` that index events look at, where they plan nothing."""


class IndexCodes(NamedTuple):
    """An index event whose codes were looked up; hashes are int64, ascending."""

    ends: np.ndarray
    """Hashes of the codes of ``IndexEvent.codes``."""
    starts: np.ndarray
    """Hashes of the codes of ``IndexEvent.continued_by``."""
    within_days: int
    nth_day: int | None = None
    days_before: int | None = None


class _Stays(NamedTuple):
    """Dated events that are an end or a start, a segment of ``offsets`` a row of the batch; one entry an event."""

    offsets: np.ndarray
    row: np.ndarray
    time: np.ndarray
    day: np.ndarray
    available: np.ndarray
    superseded: np.ndarray
    night: np.ndarray
    was_shown: np.ndarray
    is_end: np.ndarray
    is_start: np.ndarray


def index_codes(codes: DataFrame, event: IndexEvent | None) -> IndexCodes | None:
    """The index event with its codes looked up in ``codes`` (``CODES``); None where the index is a calendar."""
    if event is None:
        return None
    ends = named_codes(codes, event.codes, event.systems)
    starts = named_codes(codes, event.continued_by)
    return IndexCodes(ends, starts, event.within_days, event.nth_day, event.days_before)


def index_columns(index: IndexCodes | None) -> tuple[str, ...]:
    """The columns of ``timelines`` that ``index_samples`` looks at."""
    if index is None:
        return ()
    return COLUMNS if index.days_before is None else (*COLUMNS, "value")


def index_samples(batch: pa.RecordBatch, times: np.ndarray, index: IndexCodes | None) -> tuple[np.ndarray, np.ndarray]:
    """The rows of ``batch`` that are looked at, and when.

    Without an index event that is every row at every time. With one, a row is looked at on the night T if an index
    event that is visible at T and at most ``within_days`` old was first available in the day before T, unless by what
    is visible at T its stay goes on: a stay is open at the end of its day, or another starts on the next. An event of
    which any version was visible on an earlier night, or another within a day of it, is not new
    (docs/clarifications.md). Where the n-th day is asked for, a row is looked at once: ``nth_day``. Where something is
    planned, on the night so many days before it: ``nights_before``.

    Args:
        batch: rows of ``timelines``, with at least ``index_columns(index)``.
        times: int64 (times,), the nights, each 00:00 UTC in microseconds since the epoch.
        index: the index event, or None for a calendar.

    Returns:
        int64 (samples,) rows of ``batch``, ascending, and int64 (samples,) times, ascending within a row; no pair
        twice.
    """
    if index is None:
        return np.repeat(np.arange(batch.num_rows), times.size), np.tile(times, batch.num_rows)
    if index.nth_day is not None:
        return nth_day(batch, times, index.ends, index.nth_day, index.within_days)
    if index.days_before is not None:
        return nights_before(batch, times, index.ends, index.days_before)
    stays = _stays(batch, index)
    is_candidate = stays.is_end & stays.was_shown & np.isin(stays.night, times)
    is_candidate &= stays.time >= stays.night - index.within_days * MICROSECONDS_PER_DAY
    candidates = np.unique(np.stack([stays.row, stays.night, stays.day])[:, is_candidate], axis=1)
    sizes = np.diff(stays.offsets)[candidates[0]]
    is_index = [_is_index(stays, *candidates[:, part]) for part in chunks(sizes, 1)]
    row, at = np.unique(candidates[:2, np.concatenate([np.zeros(0, bool), *is_index])], axis=1)
    return row, at


def _stays(batch, index):
    offsets, code = lists(batch, "code")
    time = lists(batch, "time")[1]
    is_end, is_start = np.isin(code, index.ends), np.isin(code, index.starts)
    found = np.flatnonzero((is_end | is_start) & (time != STATIC))
    available, superseded = (lists(batch, name)[1][found] for name in ("available", "superseded"))
    night = -(-available // MICROSECONDS_PER_DAY) * MICROSECONDS_PER_DAY
    return _Stays(
        offsets=np.searchsorted(found, offsets),
        row=np.searchsorted(offsets, found, side="right") - 1,
        time=time[found],
        day=time[found] // MICROSECONDS_PER_DAY,
        available=available,
        superseded=superseded,
        night=night,
        was_shown=night < superseded,
        is_end=is_end[found],
        is_start=is_start[found],
    )


def _is_index(stays, row, night, day):
    """Whether what ended on a day and was first shown on a night is new then, and ends its stay; bool (candidates,)."""
    sample, entry = pairs(stays.offsets, row)
    at = night[sample]
    days_after = stays.day[entry] - day[sample]
    is_visible = (stays.available[entry] <= at) & (at < stays.superseded[entry])
    is_end, is_start = stays.is_end[entry], stays.is_start[entry]

    def count(which):
        return np.bincount(sample[which], minlength=row.size)

    def last(which):
        latest = np.full(row.size, STATIC)
        np.maximum.at(latest, sample[which], stays.time[entry][which])
        return latest

    before, on_its_day = is_visible & (days_after < 0), is_visible & (days_after == 0)
    open_before = last(before & is_start) > last(before & is_end)
    goes_on = open_before + count(on_its_day & is_start) > count(on_its_day & is_end)
    starts_again = count(is_visible & is_start & (days_after == 1)) > 0
    was_known = count(is_end & (np.abs(days_after) <= 1) & stays.was_shown[entry] & (stays.night[entry] < at)) > 0
    return ~(goes_on | starts_again | was_known)
