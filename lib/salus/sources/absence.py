"""Absence: what a snapshot lacks is withdrawn, once, in whatever order the snapshots come.

``records`` says of each record at which deliveries it changed: it is a step function of time, which holds from one
version to the next. A snapshot at T sets its value at T: what the snapshot lacks becomes a void. A snapshot that comes
late must not change what a later one has said, so there the value of before is set again: a void, or a copy of what
stood before.

A record's void is numbered one below its snapshot, so that a line of the same snapshot that was refused, and is
accepted once the mapping is mended, outranks it.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from salus.errors import Held
from salus.schemas import VOID_CODE
from salus.schemas.fields import BOOLEAN, LONG, STRING, TIME, field
from salus.sources.batch import Batch, version_of
from salus.storage.small import small_frame
from salus.storage.tables import Tables

NOWHERE = -1
"""``record`` of a void that no record of its file says."""

COVERED = StructType(
    [
        field("record_type", STRING, "record type within the source", True),
        field("file_id", LONG, "the first file of that type, to which its voids are counted", True),
        field("declares_subject", BOOLEAN, "such a record makes its subject known", True),
        field("at", TIME, "UTC; when the snapshot was delivered", True),
        field("at_version", LONG, "its version", True),
        field("next_at", TIME, "UTC; when the next one was; null = it is the newest"),
        field("next_version", LONG, "the next one's version"),
    ]
)
"""What a snapshot tells of, and its place among the others."""


@dataclass(frozen=True)
class Steps:
    """What a snapshot changes beside the records that it holds.

    ``voids``: rows as ``placed`` gives them. ``copies``: ``record_id, version, next_version, next_at`` of versions that
    hold again from the next snapshot on; None where none came late. ``kept``: what is in memory for both.
    """

    voids: DataFrame
    copies: DataFrame | None
    kept: tuple[DataFrame, ...] = ()


def steps_of(
    tables: Tables, batch: Batch, next_at: dict[str, datetime], accepted: DataFrame, present: DataFrame | None
) -> Steps | None:
    """What a batch of snapshots changes beside the records that it holds; None for a delta.

    Args:
        tables: what was known before the batch.
        batch: the files that were delivered.
        next_at: when the next snapshot of a record type was delivered, where there is one.
        accepted: ``index`` of the records that are written.
        present: ``index`` of all that the batch holds, the refused too; None where it is no whole snapshot.

    Raises:
        Held: see ``refuse_too_many``.
    """
    source = batch.source
    if source.delivery == "delta":
        return None
    files = tables.read("ingested_files").where((F.col("source") == source.name) & (F.col("site") == batch.site))
    prefix = f"{source.name}/"
    records = (
        tables.read("records")
        .where(F.startswith("record_type", F.lit(prefix)))
        .join(F.broadcast(files.select("file_id").distinct()), "file_id", "left_semi")
        .withColumn("record_type", F.expr(f"substring(record_type, {len(prefix) + 1})"))
    )
    told_of = covered(tables.spark, batch, next_at)
    before = standing(records, told_of).persist()
    gone = before.where("false")
    if present is not None:
        gone = missing(before, present).persist()
        refuse_too_many(source.name, before, gone, source.missing_above)
    heads = accepted.where("is_head").select("record_id", "source_subject_id", "record_type")
    found = steps(before, gone, heads.join(F.broadcast(told_of), "record_type"), records, bool(next_at))
    return replace(found, kept=(before, gone))


def covered(spark: SparkSession, batch: Batch, next_at: dict[str, datetime]) -> DataFrame:
    """``COVERED`` of the batch's files, the empty ones among them."""
    rows: dict[str, tuple] = {}
    for file in batch.files:
        at, later = batch.delivered(file), next_at.get(str(file.record_type))
        for kind in file.kinds:
            declares = bool(batch.source.records[kind].declares_subject)
            row = (kind, file.file_id, declares, at, version_of(at), later, version_of(later) if later else None)
            rows.setdefault(kind, row)
    return small_frame(spark, rows.values(), COVERED).coalesce(1)


def standing(records: DataFrame, covered: DataFrame) -> DataFrame:
    """The value that each known record had just before the snapshot: its newest version below, and ``COVERED``.

    Args:
        records: ``RECORDS`` of the site, with ``record_type`` within the source.
        covered: ``COVERED``.
    """
    known = records.drop("file_id").join(F.broadcast(covered), "record_type").where("version < at_version")
    newest = F.max_by(F.struct("version", "is_void", "source_subject_id"), "version").alias("was")
    return known.groupBy("record_id", *COVERED.names).agg(newest).select("record_id", *COVERED.names, "was.*")


def missing(before: DataFrame, present: DataFrame) -> DataFrame:
    """The records of ``before`` that stood, and whose ids are not among the snapshot's ``present`` ones."""
    ids = present.where("is_head AND record_id IS NOT NULL").select("record_id").distinct()
    return before.where("NOT is_void").join(ids, "record_id", "left_anti")


def refuse_too_many(source: str, before: DataFrame, gone: DataFrame, most: float) -> None:
    """Hold a snapshot that lacks more of a record type than the source bears: it was cut, more likely than not.

    Raises:
        Held: more than the share ``most`` of what stood is missing.
    """
    stood = before.where("NOT is_void").groupBy("record_type").agg(F.count("*").alias("stood"))
    lacking = gone.groupBy("record_type").agg(F.count("*").alias("missing"))
    worst = stood.join(lacking, "record_type").where(F.col("missing") > most * F.col("stood")).orderBy("record_type")
    for row in worst.limit(1).collect():
        raise Held(
            f"Received a snapshot that lacks {row['missing']:,} of the {row['stood']:,} records that {source}/"
            f"{row['record_type']} holds; expected at most {most:.0%} to be missing. Have it delivered whole, or raise "
            "`missing_above`; nothing was published."
        )


def steps(before: DataFrame, gone: DataFrame, written: DataFrame, records: DataFrame, is_late: bool) -> Steps:
    """What to write so that the snapshot's value begins at its time, and ends at the next snapshot's.

    Args:
        before: ``standing``.
        gone: ``missing`` of it.
        written: ``record_id, source_subject_id`` and ``COVERED`` of the records that the snapshot writes.
        records: ``RECORDS`` of the site, with ``record_type`` within the source.
        is_late: whether there is a snapshot after this one.
    """
    withdrawn = _voids(gone, F.col("at"), F.col("at_version"))
    if not is_late:
        return Steps(withdrawn, None)
    changed = gone.select(*written.columns).unionByName(written).where("next_version IS NOT NULL")
    told = records.select("record_id", F.col("version").alias("told"))
    said = F.col("told").between(F.col("next_version") - 1, F.col("next_version"))
    silent = changed.join(
        told.join(changed.select("record_id", "next_version"), "record_id").where(said), "record_id", "left_anti"
    )
    stood = silent.join(before.select("record_id", "version", "is_void"), "record_id", "left")
    none = F.coalesce("is_void", F.lit(True))
    return Steps(
        withdrawn.unionByName(_voids(stood.where(none), F.col("next_at"), F.col("next_version"))),
        stood.where(~none).select("record_id", "version", "next_version", "next_at"),
    )


def copied(table: DataFrame, copies: DataFrame, is_live: bool) -> DataFrame:
    """The rows of ``table`` that ``copies`` name, at the snapshot from which they hold again."""
    rows = table.join(F.broadcast(copies), ["record_id", "version"])
    again = rows.withColumn("version", F.col("next_version"))
    if is_live:
        clock = "known_from" if "known_from" in table.columns else "available_time"
        again = again.withColumn(clock, F.when(F.col(clock).isNotNull(), F.greatest(clock, "next_at")))
        if "is_lag_assumed" in table.columns:
            again = again.withColumn("is_lag_assumed", F.expr("is_lag_assumed AND available_time > next_at"))
    return again.select(*table.columns)


def _voids(rows: DataFrame, at: Column, version: Column) -> DataFrame:
    """A row that withdraws each of ``rows``, in the form of a batch's own."""
    return rows.select(
        "file_id",
        F.lit(NOWHERE).cast("long").alias("record"),
        "record_type",
        F.lit(True).alias("is_head"),
        F.lit(True).alias("is_void"),
        "declares_subject",
        "source_subject_id",
        "record_id",
        (version - 1).alias("version"),
        F.lit(0).cast("long").alias("content_hash"),
        at.alias("record_available"),
        F.lit(0).alias("ordinal"),
        at.alias("time"),
        at.alias("available_time"),
        F.lit(VOID_CODE).alias("code"),
        at.alias("delivered_at"),
    )
