"""The events of a batch of timelines that a spec cares about, and their pairing with prediction samples.

Nothing here loops over people: rows of a batch are segments of flat arrays. Events stand in the order of their
time, so those that had happened by T are a prefix of the person's segment.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from salus.timelines.clocks import NEVER, STATIC
from salus.timelines.vocabulary import Members

PAIRS_AT_ONCE = 1 << 20
"""Bounds the memory of one step; measured: larger gains nothing, the arrays leave the cache."""


@dataclass(frozen=True)
class Entries:
    """Dated events of code groups, a segment a row of the batch, ascending in time within it.

    An event whose code belongs to two groups stands here twice. ``superseded`` is None where no event of the
    batch ever was.
    """

    offsets: np.ndarray
    time: np.ndarray
    available: np.ndarray
    superseded: np.ndarray | None
    group: np.ndarray
    value: np.ndarray


@dataclass(frozen=True)
class Pairs:
    """Visible (sample, entry) pairs: samples ascending, and entries ascending within a sample.

    ``entry`` indexes the arrays of ``Entries``; it is a slice, which copies nothing, where the pairs lie side by side.
    """

    sample: np.ndarray
    entry: np.ndarray | slice


def lists(batch: pa.RecordBatch, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Offsets (rows + 1,) and values of a list column, of the batch's own rows also where it is a slice.

    Raises:
        ValueError: a list of integers holds a null.
    """
    column = batch.column(name)
    offsets = column.offsets.to_numpy().astype(np.int64)
    values = column.values.slice(offsets[0], offsets[-1] - offsets[0])
    if values.null_count:
        if pa.types.is_integer(values.type):
            raise ValueError(f"Received nulls within {name}; expected none. Rebuild the timelines.")
        values = values.fill_null(np.nan)
    return offsets - offsets[0], values.to_numpy(zero_copy_only=False)


def entries(batch: pa.RecordBatch, code: np.ndarray, members: Members, need_value: bool = False) -> Entries:
    """The batch's dated events of some groups.

    Args:
        batch: timelines.
        code: int32 (events,), the number of each event's code in the vocabulary, or -1.
        members: the groups that the vocabulary's codes belong to.
        need_value: only events that carry a number.
    """
    offsets, time = lists(batch, "time")
    _, value = lists(batch, "value")
    position, group = members.of(code)
    keep = time[position] != STATIC
    if need_value:
        keep &= ~np.isnan(value[position])
    if not keep.all():
        position, group = position[keep], group[keep]
    superseded = lists(batch, "superseded")[1][position]
    return Entries(
        offsets=np.searchsorted(position, offsets).astype(np.int64),
        time=time[position],
        available=lists(batch, "available")[1][position],
        superseded=superseded if (superseded != NEVER).any() else None,
        group=group,
        value=value[position],
    )


def reach(events: Entries, sample_row: np.ndarray, prediction_times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last + 1 entry that each sample may see: int64 (samples,) twice.

    One sample of every row, as in a night's scoring, is given all entries, so that they lie side by side.
    """
    if np.array_equal(sample_row, np.arange(events.offsets.size - 1)):
        return events.offsets[:-1], events.offsets[1:]
    return happened(events.time, events.offsets, sample_row, prediction_times)


def happened(time: np.ndarray, offsets: np.ndarray, sample_row: np.ndarray, prediction_times: np.ndarray):
    """First and last + 1 position of each sample's events with ``time <= T``: int64 (samples,) twice."""
    low, high = offsets[sample_row], offsets[sample_row + 1]
    start = low.copy()
    longest = int((high - low).max(initial=0))
    for _ in range(longest.bit_length()):
        middle = (low + high) >> 1
        open_ = low < high
        right = open_ & (time[np.minimum(middle, time.size - 1)] <= prediction_times)
        low = np.where(right, middle + 1, low)
        high = np.where(open_ & ~right, middle, high)
    return start, low


def chunks(pairs: np.ndarray, cells: int) -> Iterator[slice]:
    """Consecutive slices of the samples with at most ``PAIRS_AT_ONCE`` pairs, and cells of result, each.

    Args:
        pairs: int64 (samples,), pairs of each sample; a sample with more of them is a chunk of its own.
        cells: numbers that a sample's result holds.
    """
    before = np.concatenate([[0], np.cumsum(pairs)])
    most = max(1, PAIRS_AT_ONCE // max(1, cells))
    start = 0
    while start < pairs.size:
        stop = int(np.searchsorted(before, before[start] + PAIRS_AT_ONCE, side="right")) - 1
        stop = min(max(stop, start + 1), start + most, pairs.size)
        yield slice(start, stop)
        start = stop


def visible_pairs(
    events: Entries,
    first: np.ndarray,
    end: np.ndarray,
    prediction_times: np.ndarray,
    clock: str,
) -> Pairs:
    """The pairs of samples (numbered from 0) with those of their entries ``[first, end)`` that are visible.

    Args:
        clock: see ``visible``.
    """
    sizes = end - first
    sample = np.repeat(np.arange(sizes.size, dtype=np.int32), sizes)
    if np.array_equal(first[1:], end[:-1]):
        entry = slice(first[0], end[-1]) if sizes.size else slice(0, 0)
    else:
        entry = np.arange(sizes.sum()) + np.repeat(first - (np.cumsum(sizes) - sizes), sizes)
    seen = visible(events, entry, prediction_times[sample], clock)
    if seen.all():
        return Pairs(sample, entry)
    place = np.flatnonzero(seen)
    return Pairs(sample[place], place + entry.start if isinstance(entry, slice) else entry[place])


def visible(events: Entries, entry: np.ndarray | slice, at: np.ndarray, clock: str) -> np.ndarray:
    """Whether each of some entries is visible at its moment.

    Args:
        entry: which ones.
        at: int64, microseconds since the epoch; of the entries' shape, or of one that broadcasts to it.
        clock: ``available`` is the rule. ``time`` sees the newest version of everything that had happened, known
            or not: what a model built without the second clock would have seen; it serves to price the leak.

    Returns:
        bool, of the entries' shape.
    """
    if clock == "time":
        seen = events.time[entry] <= at
        if events.superseded is not None:
            seen &= events.superseded[entry] == NEVER
    else:
        seen = events.available[entry] <= at
        if events.superseded is not None:
            seen &= at < events.superseded[entry]
    return seen
