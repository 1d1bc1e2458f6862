"""Days covered by dispensed supply, for whole batches of people: no loop over people, fills or days.

Supply is used up one day at a time, in the order of the fills; what is left of one fill when the next is dispensed is
used first, so that overlaps shift forward. A day in hospital is covered and uses up nothing. So supply is followed on a
clock that stands still in hospital: on it, the fills of a person are a queue, and the end of each is a running maximum.
"""

from typing import NamedTuple

import numpy as np

from salus.timelines.clocks import NEVER
from salus.timelines.entries import happened


class Spans(NamedTuple):
    """Disjoint spans of days [start, end), a segment of ``offsets`` (rows + 1,) a row, ascending within it; int64."""

    offsets: np.ndarray
    start: np.ndarray
    end: np.ndarray

    def days_before(self, row: np.ndarray, day: np.ndarray) -> np.ndarray:
        """How many days of each ``row``'s spans lie before ``day``: int64 (asked,)."""
        so_far = np.concatenate([[0], np.cumsum(self.end - self.start)])
        first, last = happened(self.start, self.offsets, row, day - 1)
        days = so_far[last] - so_far[first]
        started = last > first
        days[started] -= np.maximum(0, self.end[last[started] - 1] - day[started])
        return days


def stays_of(starts: tuple[np.ndarray, np.ndarray], ends: tuple[np.ndarray, np.ndarray], rows: int) -> Spans:
    """The days in hospital, from the day of an admission to that before the discharge.

    An admission ends with the first discharge of a later day, unless somebody is admitted again on a day between: then
    its own discharge is not known, and it stands for no day (docs/clarifications.md).

    Args:
        starts: rows and days of admissions, int64 (n,) twice, by row and then day.
        ends: the same of discharges.
        rows: how many there are.
    """
    (row, day), (of, discharged) = starts, ends
    out, again = _next_day(row, day, of, discharged, rows), _next_day(row, day, row, day, rows)
    is_stay = (out < NEVER) & (again >= out)
    return _union(row[is_stay], day[is_stay], out[is_stay], rows)


def supplied(row: np.ndarray, day: np.ndarray, supply: np.ndarray, stays: Spans) -> Spans:
    """The days out of hospital that each row's fills cover, on the clock that stands still in hospital.

    Args:
        row, day: int64 (fills,), by row and then day.
        supply: int64 (fills,), days, each at least 1.
        stays: of ``stays_of``.
    """
    offsets = np.searchsorted(row, np.arange(stays.offsets.size))
    so_far = np.concatenate([[0], np.cumsum(supply)])
    of_row = so_far[offsets[row]]
    out = at_home(stays, row, day)
    end = so_far[1:] - of_row + _running_max(row, out - (so_far[:-1] - of_row))
    start = end - supply
    return Spans(offsets, start, end)


def at_home(stays: Spans, row: np.ndarray, day: np.ndarray) -> np.ndarray:
    """``day`` on the clock of each ``row`` that stands still in hospital: int64 (asked,)."""
    return day - stays.days_before(row, day)


def nth_day_uncovered(
    supplies: Spans, stays: Spans, row: np.ndarray, start: np.ndarray, days: int, number: int
) -> np.ndarray:
    """The day within [start, start + days) that is the ``number``-th without cover.

    Args:
        supplies: of ``supplied``.
        stays: days in hospital, which are covered.
        row: int64 (samples,), the row that each sample is about.
        start: int64 (samples,), the first day of its window.
        days: of the window.
        number: from 1 on.

    Returns:
        int64 (samples,), days; ``NEVER`` where so many are not uncovered.
    """

    def covered(until):
        home = at_home(stays, row, until)
        return until - home + supplies.days_before(row, home)

    before = covered(start)
    low, high = start.copy(), start + days + 1
    for _ in range((days + 1).bit_length()):
        middle = (low + high) >> 1
        reached = (middle - start) - (covered(middle) - before) >= number
        low, high = np.where(reached | (low >= high), low, middle + 1), np.where(reached, middle, high)
    return np.where(low <= start + days, low - 1, NEVER)


def _next_day(row, day, of, days, rows):
    """The first of each row's ``days`` that is later than ``day``; ``NEVER`` where there is none."""
    offsets = np.searchsorted(of, np.arange(rows + 1))
    place = happened(days, offsets, row, day)[1]
    there = place < offsets[row + 1]
    found = np.full(row.size, NEVER)
    found[there] = days[place[there]]
    return found


def _union(row, start, end, rows):
    """The union of spans that are ordered by row and start."""
    reached = _running_max(row, end)
    begins = np.ones(row.size, bool)
    begins[1:] = (row[1:] != row[:-1]) | (start[1:] > reached[:-1])
    first = np.flatnonzero(begins)
    last = np.append(first[1:], row.size)[: first.size] - 1
    return Spans(np.searchsorted(row[first], np.arange(rows + 1)), start[first], reached[last])


def _running_max(row, values):
    """The greatest of ``values`` so far within each row; rows ascending."""
    if not values.size:
        return values
    apart = row * (values.max() - values.min() + 1)
    return np.maximum.accumulate(values + apart) - apart
