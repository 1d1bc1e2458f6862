"""When a source should deliver next, and whether it is late: a feed that stops looks like people who stay healthy."""

from calendar import monthrange
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from salus.sources.declaration import Expected

DAYS = {"day": 1, "week": 7}


@dataclass(frozen=True)
class Timing:
    """Whether a delivery is due: ``state`` is ``in time``, ``due``, ``late``, ``never``, or ``unstated``."""

    state: str
    next_expected: date | None = None
    days_late: int = 0

    @property
    def is_missing(self) -> bool:
        """Whether something should be here that is not, its days of grace over."""
        return self.state == "late"


def timing(expected: Expected | None, last: datetime | None, today: date) -> Timing:
    """How a source stands on ``today`` (UTC) whose ``last`` delivery was at that time.

    A delivery is due a day, a week or a month after the last; it is missing from the day on after its days of grace.
    """
    if last is None:
        return Timing("never")
    if expected is None:
        return Timing("unstated")
    due = next_due(last.date(), expected.every)
    if today < due:
        return Timing("in time", due)
    late = (today - due).days
    return Timing("late", due, late) if late > expected.grace_days else Timing("due", due)


def next_due(last: date, every: str) -> date:
    """The day after ``last`` on which the next delivery is due: a month later is the same day, or the month's last."""
    if every in DAYS:
        return last + timedelta(days=DAYS[every])
    year, month = (last.year, last.month + 1) if last.month < 12 else (last.year + 1, 1)
    return date(year, month, min(last.day, monthrange(year, month)[1]))
