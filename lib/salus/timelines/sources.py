"""Is a person known to a kind of source at all: has it ever told of anything that happened to them."""

import numpy as np

from salus.timelines.clocks import NEVER
from salus.timelines.entries import Entries, chunks, reach, visible_pairs


def known_sources(events: Entries, sample_row, prediction_times, groups: int, clock: str) -> np.ndarray:
    """bool (samples, groups): a dated event of the group was visible at the prediction time.

    Args:
        events: the batch's events of the groups.
        sample_row: int64 (samples,), the batch's row of each sample.
        prediction_times: int64 (samples,), microseconds since the epoch.
        groups: number of groups.
        clock: see ``visible``.
    """
    known = _since(events, events.offsets.size - 1, groups, clock)[sample_row] <= prediction_times[:, None]
    if events.superseded is not None and clock == "available":
        known |= _for_a_while(events, sample_row, prediction_times, groups)
    return known


def _since(events, rows, groups, clock):
    """int64 (rows, groups): when the first event that is never superseded came; it is visible ever after."""
    lasting = np.arange(events.time.size) if events.superseded is None else np.flatnonzero(events.superseded == NEVER)
    row = np.repeat(np.arange(rows), np.diff(events.offsets))[lasting]
    since = np.full(rows * groups, NEVER)
    moments = events.time if clock == "time" else events.available
    np.minimum.at(since, row * groups + events.group[lasting], moments[lasting])
    return since.reshape(rows, groups)


def _for_a_while(events, sample_row, prediction_times, groups):
    """bool (samples, groups): an event that a later version was to replace was visible."""
    brief = np.flatnonzero(events.superseded != NEVER)
    events = Entries(
        np.searchsorted(brief, events.offsets),
        events.time[brief],
        events.available[brief],
        events.superseded[brief],
        events.group[brief],
        events.value[brief],
    )
    known = np.zeros((sample_row.size, groups), bool)
    first, end = reach(events, sample_row, prediction_times)
    for part in chunks(end - first, groups):
        pairs = visible_pairs(events, first[part], end[part], prediction_times[part], "available")
        known[part][pairs.sample, events.group[pairs.entry]] = True
    return known
