"""From accepted records to the rows of each table."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from salus.schemas import COSTS, COVERAGE, EVENTS, LINKS, NOTES, PERSONS, RECORDS

PAYLOAD_TABLES = {
    "persons": ("person", PERSONS),
    "coverage": ("coverage", COVERAGE),
    "costs": ("cost", COSTS),
    "notes": ("note", NOTES),
}
"""Table: the column of a head row that fills it, and its schema."""


def events(rows: DataFrame) -> DataFrame:
    """``EVENTS`` of accepted ``rows``, one a row that has a code."""
    return rows.where("code IS NOT NULL").select(*EVENTS.names)


def payload(rows: DataFrame, table: str) -> DataFrame:
    """The rows of ``table`` (persons, coverage, costs or notes) of accepted ``rows``, at most one a record."""
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
    """``RECORDS``: the index of every version that was written."""
    kind = F.concat(F.lit(f"{source}/"), F.col("record_type"))
    return (
        rows.where("is_head")
        .select(
            "record_id",
            "version",
            "source_subject_id",
            kind.alias("record_type"),
            "content_hash",
            F.col("record_available").alias("available_time"),
            "is_void",
            "file_id",
            "record",
        )
        .select(*RECORDS.names)
    )


def links(rows: DataFrame, known: DataFrame, priority: int, clock: str) -> DataFrame:
    """``LINKS`` that are not yet ``known``: each declared subject's identifiers, its own id among them.

    Who somebody is counts as a static fact in a backfill: known always. Live, it is known from its delivery on.
    """
    heads = rows.where("is_head AND declares_subject AND NOT is_void")
    own = F.array("source_subject_id")
    carried = heads.select(
        "source_subject_id",
        F.explode(F.concat(own, F.coalesce("identifiers", F.array()))).alias("identifier_id"),
        F.struct(F.col("record_available").alias("at"), "file_id", "record").alias("told"),
    )
    first = carried.groupBy("source_subject_id", "identifier_id").agg(F.min("told").alias("told"))
    new = first.join(
        known.select("source_subject_id", "identifier_id"), ["source_subject_id", "identifier_id"], "left_anti"
    )
    return new.select(
        "source_subject_id",
        "identifier_id",
        F.lit(priority).alias("system_priority"),
        F.when(F.lit(clock == "live"), F.col("told.at")).alias("known_from"),
        F.lit(None).cast("timestamp_ntz").alias("known_until"),
        "told.file_id",
        "told.record",
    ).select(*LINKS.names)
