"""What was known of people at each index date: sums, counts and last values over a grid (people, dates).

An event counts at an index date from the date on which it was available, as anywhere in Salus.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Grid:
    """The index dates of ``people`` people."""

    people: int
    days: np.ndarray  # int64 (dates,), ascending

    @property
    def shape(self) -> tuple[int, int]:
        """(people, dates)."""
        return self.people, self.days.size

    def known(self, row: np.ndarray, available: np.ndarray) -> np.ndarray:
        """bool (people, dates), whether anything about the person was available: ``available`` are days."""
        first = np.full(self.people, np.iinfo(np.int64).max)
        np.minimum.at(first, row, available)
        return first[:, None] <= self.days

    def window(self, row, day, available, length: int, weight=1.0) -> np.ndarray:
        """float64 (people, dates), the sum of the weights of the events of the last ``length`` days that were known."""
        first = np.searchsorted(self.days, available)
        after = np.searchsorted(self.days, day + length, side="right")
        counts = first < after
        changes = np.zeros((self.people, self.days.size + 1))
        weight = np.broadcast_to(weight, row.shape)[counts]
        for at, sign in ((first, 1.0), (after, -1.0)):
            place = row[counts] * (self.days.size + 1) + at[counts]
            changes += sign * np.bincount(place, weight, minlength=changes.size).reshape(changes.shape)
        return np.cumsum(changes, axis=1)[:, :-1]

    def fading(self, row, day, available, decay_days: float) -> np.ndarray:
        """float64 (people, dates), the sum over known events of exp(-days since / decay_days)."""
        total = np.empty(self.shape)
        for n, today in enumerate(self.days):
            seen = available <= today
            total[:, n] = np.bincount(row[seen], np.exp((day[seen] - today) / decay_days), minlength=self.people)
        return total

    def last(self, row, time, available, *values) -> tuple[np.ndarray, ...]:
        """The newest known event's values, each float64 (people, dates), NaN where there is none.

        Args:
            time: orders the events that became known between the same two index dates.
        """
        first = np.searchsorted(self.days, available)
        seen = np.flatnonzero(first < self.days.size)
        seen = seen[np.lexsort((time[seen], first[seen], row[seen]))]
        event = np.full(self.shape, -1, dtype=np.int64)
        event[row[seen], first[seen]] = np.arange(seen.size)
        event = np.maximum.accumulate(event, axis=1)
        return tuple(
            np.where(event >= 0, np.asarray(v, dtype=np.float64)[seen][event], np.nan)
            if seen.size
            else np.full(self.shape, np.nan)
            for v in values
        )
