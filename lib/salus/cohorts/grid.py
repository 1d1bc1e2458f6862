"""Index dates: the calendar on which a task predicts, and the day at which what is known ends."""

from datetime import date, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from salus.cohorts.task import Index, Label
from salus.errors import Refused
from salus.storage.ledger import now
from salus.storage.tables import Tables
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


def check_as_of(tables: Tables, as_of: date) -> None:
    """Refuse a night that nothing can be known of yet.

    Tomorrow's night may be scored today, and a source that is late must not stop tonight's: so what is asked is that
    ``as_of`` lies at most a day after today (UTC), the newest delivery or the newest fact, whichever is the latest.
    They are looked up in this order, as far as needed: a night that has come costs nothing.

    Raises:
        Refused: it lies later than that.
    """
    latest, found = timedelta(days=1), {"today": now().date()}
    if as_of <= found["today"] + latest:
        return
    [[delivered]] = tables.read("ingested_files").agg(F.max("delivered_at")).collect()
    [[last]] = tables.read("timelines").agg(F.max(F.array_max("available"))).collect()
    if delivered is not None:
        found["the newest delivery"] = delivered.date()
    if last is not None and (known := moment(last)) is not None:
        found["the newest fact"] = known.date()
    if as_of > max(found.values()) + latest:
        told = ", ".join(f"{what} is of {day}" if what != "today" else f"today is {day}" for what, day in found.items())
        raise Refused(
            f"Received --as-of {as_of}, of which nothing can be known: {told}; expected at most a day after the "
            "latest of these. Name a date that has come, or ingest what was delivered since."
        )


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
