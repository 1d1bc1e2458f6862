"""Event sequence: the newest events that a prediction could see, in the order in which they happened.

What windows add up, a sequence keeps apart: which event came before which, and how long before. The order is that of
the timeline, by time; places after the last event are padding.
"""

import numpy as np

from salus.timelines.blocks import EVENT_NUMBERS, PADDING
from salus.timelines.clocks import DAYS_PER_YEAR, MICROSECONDS_PER_DAY, STATIC
from salus.timelines.entries import Entries, chunks, happened, visible

SPARE = 8
"""At first the length and an eighth is looked at, since some of the newest events are not known yet; then ever more."""


def newest(events: Entries, sample_row, prediction_times, length: int, clock: str) -> np.ndarray:
    """The newest visible events of each sample, ascending in time.

    A person's whole history is only walked where it has to be, so a long one costs no more than a short one.

    Args:
        events: the batch's events of the sequence's codes.
        sample_row: int64 (samples,), the batch's row of each sample.
        prediction_times: int64 (samples,), microseconds since the epoch.
        length: the most events of a sample.
        clock: see ``visible``.

    Returns:
        int64 (samples, length): positions in ``events``; -1 after the last.
    """
    found = np.full((sample_row.size, length), -1, np.int64)
    start, end = happened(events.time, events.offsets, sample_row, prediction_times)
    waiting, back = np.flatnonzero(end > start), length + length // SPARE + 1
    while waiting.size:
        back = min(back, int((end[waiting] - start[waiting]).max()))
        short = []
        for part in chunks(np.full(waiting.size, back), length):
            rows = waiting[part]
            entry = end[rows, None] - np.arange(back, 0, -1)
            first = start[rows, None]
            seen = visible(events, np.maximum(entry, first), prediction_times[rows, None], clock) & (entry >= first)
            count = _keep_last(seen, length)
            found[rows] = _left_aligned(entry[seen], count, length)
            short.append(rows[(count < length) & (end[rows] - back > start[rows])])
        waiting, back = np.concatenate(short), 8 * back
    return found


def _keep_last(seen: np.ndarray, length: int) -> np.ndarray:
    """Leaves the last ``length`` of each row's marks, in place, and counts them: int64 (rows,)."""
    count = seen.sum(axis=1)
    rows = np.flatnonzero(count > length)
    seen[rows] &= np.cumsum(seen[rows], axis=1, dtype=np.int32) > (count[rows] - length)[:, None]
    return np.minimum(count, length)


def _left_aligned(entry: np.ndarray, count: np.ndarray, length: int) -> np.ndarray:
    """int64 (rows, length): the entries, ``count`` to a row; -1 after the last."""
    rows = np.full((count.size, length), -1, np.int64)
    rows[np.arange(length) < count[:, None]] = entry
    return rows


def event_sequence(
    events: Entries, birth: np.ndarray, sample_row, prediction_times, length: int, clock: str
) -> tuple[np.ndarray, np.ndarray]:
    """The sequence of each sample, in readable units.

    Args:
        events: the batch's events of the sequence's codes; ``group`` is a code's place in the vocabulary.
        birth: int64 (rows,), microseconds since the epoch; STATIC = unknown.
        sample_row, prediction_times, length, clock: as in ``newest``.

    Returns:
        int32 (samples, length) code ids, PADDING after the last event; and float32 (samples, length,
        len(EVENT_NUMBERS)), NaN = unknown or padding. The first event kept has a gap of 0.
    """
    entry = newest(events, sample_row, prediction_times, length, clock)
    filled = entry >= 0
    count, entry = filled.sum(axis=1), entry[filled]
    time, born = events.time[entry], np.repeat(birth[sample_row], count)
    age = (time - np.where(born == STATIC, 0, born)) * (1 / (MICROSECONDS_PER_DAY * DAYS_PER_YEAR))
    gap = np.diff(time, prepend=0)
    gap[(np.cumsum(count) - count)[count > 0]] = 0
    of_event = np.empty((entry.size, len(EVENT_NUMBERS)), np.float32)
    of_event[:, 0] = events.value[entry]
    of_event[:, 1] = gap * (1 / MICROSECONDS_PER_DAY)
    of_event[:, 2] = (np.repeat(prediction_times, count) - time) * (1 / MICROSECONDS_PER_DAY)
    of_event[:, 3] = np.where(born == STATIC, np.nan, age)
    codes = np.full(filled.shape, PADDING, np.int32)
    codes[filled] = events.group[entry] + 1
    numbers = np.full((*filled.shape, len(EVENT_NUMBERS)), np.nan, np.float32)
    numbers[filled] = of_event
    return codes, numbers
