"""The simulated calendar: days and weeks counted from the start of the history.

Day 0 is the first day of week 0, and the as-of date is the first day of the week after the last one, so that the
records end exactly where they are cut. An index date may lie within a week.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

WEEKS = 209  # four years of history
DAYS = 7 * WEEKS  # the day number of the as-of date
LAG_WEEKS = 13  # 91 days: what is slow acts on the hazards after the horizon of any earlier prediction
HORIZON_DAYS = 90
INDEX_MONTHS = 30
MINUTES = 1440
DAYS_PER_YEAR = 365.25
_BEFORE = 120 * 366  # days before day 0 that a date may lie (births, onsets)
_AFTER = 800
NO_DAY = -1_000_000  # stands for "no such day"
TIMES_OF_DAY = pa.array([f"T{m // 60:02d}:{m % 60:02d}:00Z" for m in range(MINUTES)], pa.string())
AM_PM = pa.array(
    [f" {(m // 60 - 1) % 12 + 1}:{m % 60:02d}:00 {'AM' if m < 720 else 'PM'}" for m in range(MINUTES)], pa.string()
)


@dataclass(frozen=True)
class Clock:
    """Turns day numbers into dates, as numbers and as text."""

    as_of: date

    @property
    def start(self) -> date:
        """The date of day 0."""
        return self.as_of - timedelta(days=DAYS)

    def day(self, when: date) -> int:
        """The day number of a date."""
        return (when - self.start).days

    @cached_property
    def index_dates(self) -> list[date]:
        """The first of each of the last 30 months, and the as-of date; ascending, without repetition."""
        months = self.as_of.year * 12 + self.as_of.month - 1
        firsts = [date(m // 12, m % 12 + 1, 1) for m in range(months - INDEX_MONTHS + 1, months + 1)]
        return sorted({*firsts, self.as_of})

    @cached_property
    def index_days(self) -> np.ndarray:
        """int64 (dates,), the day numbers of ``index_dates``."""
        return np.array([self.day(d) for d in self.index_dates])

    @cached_property
    def _iso(self) -> pa.Array:
        first = np.datetime64(self.start) - _BEFORE
        return pa.array(np.datetime_as_string(first + np.arange(_BEFORE + DAYS + _AFTER)), pa.string())

    @cached_property
    def _american(self) -> pa.Array:
        made = (self.start + timedelta(days=n) for n in range(DAYS))
        return pa.array([f"{d.month}/{d.day}/{d.year}" for d in made], pa.string())

    def dates(self, days: np.ndarray) -> pa.Array:
        """Text ``YYYY-MM-DD`` of day numbers; ``NO_DAY`` becomes the empty text."""
        days = np.asarray(days, dtype=np.int64)
        missing = days <= NO_DAY
        taken = self._iso.take(pa.array(np.where(missing, 0, days + _BEFORE)))
        return pc.if_else(pa.array(missing), "", taken) if missing.any() else taken

    def american_dates(self, days: np.ndarray) -> pa.Array:
        """Text ``M/D/YYYY``, as Fitabase writes it, of day numbers within the history."""
        return self._american.take(pa.array(np.asarray(days, dtype=np.int64)))

    def year(self, days: np.ndarray) -> np.ndarray:
        """The calendar year of day numbers."""
        return (np.datetime64(self.start) + np.asarray(days)).astype("datetime64[Y]").astype(np.int64) + 1970

    def year_end(self, years: np.ndarray) -> np.ndarray:
        """The day number of 31 December of calendar years."""
        ends: Any = (np.asarray(years) - 1969).astype("datetime64[Y]").astype("datetime64[D]") - 1
        return (ends - np.datetime64(self.start, "D")).astype(np.int64)
