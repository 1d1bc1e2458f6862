"""Event sequence: the newest events that a prediction could see, in the order in which they happened.

What windows add up, a sequence keeps apart: which event came before which, and how long before. The order is that of
the timeline, by time; places after the last event are padding.
"""

import numpy as np

from salus.timelines.blocks import EVENT_NUMBERS, PADDING
from salus.timelines.clocks import DAYS_PER_YEAR, MICROSECONDS_PER_DAY, STATIC
from salus.timelines.entries import Entries, chunks, happened, visible_pairs

LOOK_BACK = 2
"""At first so many times the length is looked at, since some of the newest events are not known yet; then ever more."""


def newest(events: Entries, sample_row, prediction_times, length: int, clock: str) -> np.ndarray:
    """The newest visible events of each sample, ascending in time.

    A person's whole history is only walked where it has to be, so a long one costs no more than a short one.

    Args:
        events: the batch's events of the sequence's codes.
        sample_row: int64 (samples,), the batch's row of each sample.
        prediction_times: int64 (samples,), microseconds since the epoch.
        length: the most events of a sample.
        clock: see ``visible_pairs``.

    Returns:
        int64 (samples, length): positions in ``events``; -1 after the last.
    """
    found = np.full((sample_row.size, length), -1, np.int64)
    start, end = happened(events.time, events.offsets, sample_row, prediction_times)
    waiting, reach = np.flatnonzero(end > start), LOOK_BACK * length
    while waiting.size:
        first = np.maximum(start[waiting], end[waiting] - reach)
        short = []
        for part in chunks(end[waiting] - first, length):
            rows = waiting[part]
            pairs = visible_pairs(events, first[part], end[rows], prediction_times[rows], clock)
            entry = pairs.entry
            if isinstance(entry, slice):
                entry = np.arange(entry.start, entry.stop)
            seen = np.bincount(pairs.sample, minlength=rows.size)
            newer = np.cumsum(seen)[pairs.sample] - 1 - np.arange(entry.size)
            kept = newer < length
            sample = pairs.sample[kept]
            found[rows[sample], np.minimum(seen, length)[sample] - 1 - newer[kept]] = entry[kept]
            short.append(rows[(seen < length) & (first[part] > start[rows])])
        waiting, reach = np.concatenate(short), 8 * reach
    return found


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
    codes = np.full(entry.shape, PADDING, np.int32)
    numbers = np.full((*entry.shape, len(EVENT_NUMBERS)), np.nan, np.float32)
    sample, place = np.nonzero(entry >= 0)
    entry = entry[sample, place]
    time = events.time[entry]
    codes[sample, place] = events.group[entry] + 1
    gap = np.zeros(time.size, np.int64)
    gap[1:] = np.where(place[1:] > 0, np.diff(time), 0)
    born = birth[sample_row[sample]]
    age = (time - np.where(born == STATIC, 0, born)) * (1 / (MICROSECONDS_PER_DAY * DAYS_PER_YEAR))
    numbers[sample, place, 0] = events.value[entry]
    numbers[sample, place, 1] = gap * (1 / MICROSECONDS_PER_DAY)
    numbers[sample, place, 2] = (prediction_times[sample] - time) * (1 / MICROSECONDS_PER_DAY)
    numbers[sample, place, 3] = np.where(born == STATIC, np.nan, age)
    return codes, numbers
