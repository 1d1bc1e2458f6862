"""Daily volume: how many events of each source became available on each day, and where they fell away.

Feeds have a rhythm: claims are paid on some weekdays, clinics close at weekends. So a day is compared with the median
of the same weekday over the weeks before it. The clock is ``available_time``, because that is when a feed breaks; the
source's last day is left out, because a delivery may have been cut at noon.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median

from pyspark.sql import Window
from pyspark.sql import functions as F

from salus.quality import declaration as declared
from salus.quality.findings import Finding
from salus.schemas import VOID_CODE
from salus.storage.tables import Tables

DAYS_KEPT = 400
DAY, WEEK = timedelta(days=1), timedelta(days=7)


@dataclass(frozen=True)
class Volume:
    """The events of a source that became available on a day; ``expected`` is None where the day is not judged."""

    source: str
    day: date
    events: int
    expected: float | None = None
    is_drop: bool = False


def judged(source: str, counts: Mapping[date, int], check: declared.VolumeDrop | None) -> Iterator[Volume]:
    """Every day from the first to the last of ``counts``, days without events included, ascending.

    Args:
        source: the source's name.
        counts: events by day.
        check: which days are judged, and how; None = none of them.
    """
    if not counts:
        return
    first, last = min(counts), max(counts)
    day = first
    while day <= last:
        events = counts.get(day, 0)
        expected = _expected(counts, day, first, last, check) if check else None
        is_drop = check is not None and expected is not None and events < (1 - check.falls_by) * expected
        yield Volume(source, day, events, expected, is_drop)
        day += DAY


def _expected(counts, day, first, last, check):
    before = [day - week * WEEK for week in range(1, check.weeks + 1)]
    if not last - check.days * DAY <= day < last or before[-1] < first:
        return None
    usual = median(counts.get(one, 0) for one in before)
    return float(usual) if usual >= check.events_at_least else None


def volumes(tables: Tables, check: declared.VolumeDrop | None) -> list[Volume]:
    """The daily volumes of every source over its last ``DAYS_KEPT`` days, up to its newest delivery."""
    delivered = (
        tables.read("ingested_files")
        .groupBy("file_id")
        .agg(F.min("source").alias("source"), F.to_date(F.max("delivered_at")).alias("delivered"))
    )
    by_day = (
        tables.read("events")
        .where((F.col("code") != VOID_CODE) & F.col("available_time").isNotNull())
        .groupBy("file_id", F.to_date("available_time").alias("day"))
        .agg(F.count("*").alias("events"))
        .join(delivered, "file_id")
        .withColumn("newest", F.max("delivered").over(Window.partitionBy("source")))
        .where("day <= newest")
        .groupBy("source", "day")
        .agg(F.sum("events").alias("events"))
        .withColumn("last", F.max("day").over(Window.partitionBy("source")))
        .where(F.col("day") > F.date_sub("last", DAYS_KEPT))
    )
    counts: dict[str, dict[date, int]] = {}
    for row in by_day.collect():
        counts.setdefault(row["source"], {})[row["day"]] = row["events"]
    return [volume for source in sorted(counts) for volume in judged(source, counts[source], check)]


def volume_findings(name: str, found: list[Volume]) -> list[Finding]:
    """One finding a source: days that fell away, of the days that could be judged."""
    sources = sorted({volume.source for volume in found})
    return [
        Finding(
            name,
            source,
            sum(volume.is_drop for volume in found if volume.source == source),
            sum(volume.expected is not None for volume in found if volume.source == source),
        )
        for source in sources
    ]
