"""Index dates: the calendar on which a task predicts, and the day at which what is known ends."""

from datetime import date, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from salus.cohorts.task import Index, Label
from salus.timelines.clocks import moment


def data_end(timelines: DataFrame, ingested_files: DataFrame) -> date | None:
    """The day on which what is known ends; None where nothing is known.

    The last day on which anything became available, but no later than the last delivery: a single wrong date must
    not make everybody's future look empty (docs/clarifications.md).
    """
    [[last]] = timelines.agg(F.max(F.array_max("available"))).collect()
    [[delivered]] = ingested_files.agg(F.max("delivered_at")).collect()
    known = None if last is None else moment(last)
    if known is None:
        return None
    return known.date() if delivered is None else min(known, delivered).date()


def grid(index: Index, label: Label, end: date) -> list[date]:
    """The prediction dates, ascending: those whose horizon and run-out are over at ``end``, the last of them."""
    latest = end - timedelta(days=label.horizon_days + label.run_out_days)
    dates: list[date] = []
    day = _last_on(index, latest)
    while len(dates) < index.last:
        dates.append(day)
        day = _last_on(index, day - timedelta(days=1))
    return dates[::-1]


def _last_on(index, day):
    """The last date of the calendar that is not after ``day``."""
    if index.every == "month":
        return day.replace(day=1)
    return day - timedelta(days=day.weekday()) if index.every == "week" else day
