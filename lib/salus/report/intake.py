"""Intake: what came in and what was refused, a line each source and record type."""

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import functions as F

from salus.storage.tables import Tables


@dataclass(frozen=True)
class Delivered:
    """What the files of one source and record type held, in records."""

    source: str
    record_type: str
    files: int
    read: int
    accepted: int
    quarantined: int
    unchanged: int
    events: int


@dataclass(frozen=True)
class Refusal:
    """How many records of a source broke one rule first."""

    source: str
    record_type: str
    rule: str
    reason: str
    records: int


@dataclass(frozen=True)
class Intake:
    """Everything that was delivered, and why some of it was refused."""

    delivered: Sequence[Delivered]
    refusals: Sequence[Refusal]

    def total(self, name: str) -> int:
        """The sum of a figure of ``Delivered`` over all sources."""
        return sum(getattr(row, name) for row in self.delivered)

    @property
    def refused(self) -> int:
        """Quarantine rows, which must equal the files' own count."""
        return sum(row.records for row in self.refusals)


def intake(tables: Tables) -> Intake | None:
    """What the warehouse took in; None where nothing was ever ingested."""
    by_type = (
        tables.read("ingested_files").groupBy("source", "record_type")
        .agg(F.countDistinct("file_id").alias("files"), *(
            F.sum(column).alias(column)
            for column in ("rows_read", "rows_accepted", "rows_quarantined", "rows_unchanged", "events_written")))
        .orderBy("source", "record_type").limit(500).collect()
    )
    if not by_type:
        return None
    by_rule = (
        tables.read("quarantine").groupBy("source", "record_type", "rule")
        .agg(F.first("reason").alias("reason"), F.count(F.lit(1)).alias("records"))
        .orderBy(F.desc("records"), "source", "record_type", "rule").limit(500).collect()
    )
    return Intake(
        [Delivered(row["source"], row["record_type"], row["files"], row["rows_read"], row["rows_accepted"],
                   row["rows_quarantined"], row["rows_unchanged"], row["events_written"]) for row in by_type],
        [Refusal(row["source"], row["record_type"], row["rule"], row["reason"] or "", row["records"])
         for row in by_rule],
    )
