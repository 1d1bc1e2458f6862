"""From accepted records to the rows of each table."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from salus.schemas import (
    COMPOUNDS,
    COSTS,
    COVERAGE,
    DEFINITIONS,
    EVENTS,
    IMAGES,
    LINKAGE,
    LINKS,
    NOTES,
    PERSONS,
    RECORDINGS,
    RECORDS,
)

PAYLOAD_TABLES = {
    "persons": ("person", PERSONS),
    "coverage": ("coverage", COVERAGE),
    "costs": ("cost", COSTS),
    "notes": ("note", NOTES),
    "recordings": ("recording", RECORDINGS),
    "images": ("image", IMAGES),
    "compounds": ("compound", COMPOUNDS),
    "definitions": ("definition", DEFINITIONS),
}
"""Table: the column of a head row that fills it, and its schema."""


def events(rows: DataFrame) -> DataFrame:
    """``EVENTS`` of accepted ``rows``, one a row that has a code."""
    told = rows.withColumn("is_lag_assumed", F.coalesce("is_lag_assumed", F.lit(False)))
    return told.where("code IS NOT NULL").select(*EVENTS.names)


def payload(rows: DataFrame, table: str) -> DataFrame:
    """The rows of ``table`` (one of ``PAYLOAD_TABLES``) of accepted ``rows``, at most one a record."""
    column, schema = PAYLOAD_TABLES[table]
    heads = rows.where(F.col(column).isNotNull())
    return heads.select(*[_payload_column(column, name) for name in schema.names])


def _payload_column(column, name):
    if name == "ordinal":
        return F.lit(0).alias(name)
    if name in ("source_subject_id", "record_id", "version", "file_id", "record", "visit_id"):
        return F.col(name)
    return F.col(f"{column}.{name}").alias(name)


def records(rows: DataFrame, source: str) -> DataFrame:
    """``RECORDS``: the index of every version that was written, and of every record that another one withdrew."""
    kind = F.concat(F.lit(f"{source}/"), F.col("record_type"))
    return (
        rows.where("is_head OR withdraws_another")
        .select(
            "record_id",
            "version",
            "source_subject_id",
            kind.alias("record_type"),
            F.when(F.col("withdraws_another"), 0).otherwise(F.col("content_hash")).alias("content_hash"),
            F.col("record_available").alias("available_time"),
            F.expr("is_void OR withdraws_another").alias("is_void"),
            "file_id",
            "record",
        )
        .select(*RECORDS.names)
    )


def links(rows: DataFrame, priority: int, clock: str) -> DataFrame:
    """``LINKS``: the identifiers that each version of a declaring record carries, its subject's own id among them.

    A version that withdraws its record carries the own id alone. Who somebody is counts as a static fact in a backfill:
    known always. Live, and where a snapshot lacks them, it is known from the delivery on.
    """
    heads = rows.where("is_head AND declares_subject")
    carried = heads.withColumn(
        "identifier_id",
        F.explode(
            F.array_distinct(
                F.concat(F.array("source_subject_id"), F.coalesce("identifiers", F.array().cast("array<bigint>")))
            )
        ),
    )
    return carried.select(
        "source_subject_id",
        "identifier_id",
        F.lit(priority).alias("system_priority"),
        "record_id",
        "version",
        _known_from(clock),
        "file_id",
        "record",
    ).select(*LINKS.names)


def linkage(rows: DataFrame, dataset: str, threshold: float, clock: str) -> DataFrame:
    """``LINKAGE``: what each version of a declaring record says of its person, to be compared with others.

    A version that withdraws its record says nothing. It is known since when its links are.

    Args:
        rows: accepted rows of declaring record types.
        dataset: the site and system whose ids the subjects are.
        threshold: the match probability from which on the source links.
        clock: the source's.
    """
    return (
        rows.where("is_head AND declares_subject")
        .select(
            "source_subject_id",
            F.lit(dataset).alias("dataset"),
            F.coalesce("linkage", F.array().cast(LINKAGE["fields"].dataType)).alias("fields"),
            F.lit(threshold).alias("threshold"),
            "record_id",
            "version",
            _known_from(clock),
            "file_id",
            "record",
        )
        .select(*LINKAGE.names)
    )


def _known_from(clock: str) -> Column:
    """Since when it is known what a record says of who somebody is."""
    received = F.coalesce("record_available", "delivered_at")
    is_known_since = F.lit(clock == "live") | (F.col("record") < 0)
    return F.when(is_known_since, received).alias("known_from")
