"""Figures as a reader says them: counts with separators, shares, intervals, spans of time."""

import math
from datetime import date, datetime, timedelta

ABSENT = "–"


def count(value: int | None) -> str:
    """``12345`` -> ``12,345``."""
    return ABSENT if value is None else f"{value:,}"


def number(value: float | None, digits: int = 3) -> str:
    """A fixed number of decimals; an absent value is a dash."""
    return ABSENT if value is None or value != value else f"{value:,.{digits}f}".replace("-", "−")


def percent(value: float | None, digits: int = 1) -> str:
    """A share between 0 and 1 as a percentage."""
    return ABSENT if value is None or value != value else f"{100 * value:.{digits}f} %"


def interval(value: float | None, low: float | None, high: float | None, digits: int = 3) -> str:
    """``0.781 (0.760 to 0.801)``, or the value alone where there is no interval."""
    if low is None or high is None or low != low or high != high:
        return number(value, digits)
    return f"{number(value, digits)} ({number(low, digits)} to {number(high, digits)})"


def quantity(value: float | None, unit: str | None = None) -> str:
    """A value as short as it may be without losing what matters, with its unit."""
    if value is None or value != value:
        return ABSENT
    figure = f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 1000 else f"{value:.3g}"
    return f"{figure} {unit}".strip() if unit else figure


def span_before(moment: datetime | None, as_of: date) -> str:
    """How long before ``as_of`` (its 00:00 UTC) ``moment`` was, in the largest unit that still tells.

    A day counts by its date: what was at 23:00 on the eve was the day before.
    """
    if moment is None:
        return ABSENT
    before = datetime(as_of.year, as_of.month, as_of.day) - moment
    if before <= timedelta(0):
        return "on the day"
    days = math.ceil(before / timedelta(days=1))
    if days == 1:
        return "the day before"
    if days < 60:
        return f"{days} days before"
    if days < 730:
        return f"{round(days / 30.44)} months before"
    return f"{days / 365.25:.1f} years before"


def seconds(value: float | None) -> str:
    """``0.4 s``, ``75.0 s``."""
    return ABSENT if value is None else f"{value:,.1f} s"


def signed(value: float | None, digits: int = 2) -> str:
    """A number with its sign, ``+0.31`` or ``−0.31``."""
    if value is None or value != value:
        return ABSENT
    return f"{value:+,.{digits}f}".replace("-", "−")


def percentile(value: float | None) -> str:
    """Cut, not rounded, to one decimal: nobody lies at 100.0."""
    return ABSENT if value is None else number(math.floor(10 * value) / 10, 1)
