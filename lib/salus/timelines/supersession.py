"""Which version of a record is visible when, in whatever order the versions came.

A row is visible at T iff its version is the highest of its record with ``available_time <= T``. A version is
available from the least available time of its rows on; so it is superseded at the least such time over the higher
versions of its record. A void is a version without events: it supersedes, and leaves nothing.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from salus.timelines.clocks import NEVER


def clock(column: str, missing: int):
    """A ``timestamp_ntz`` column in UTC as microseconds since the epoch; ``missing`` where it is null."""
    return F.coalesce(F.expr(f"unix_micros(CAST({column} AS TIMESTAMP))"), F.lit(missing))


def superseded_versions(*rows: DataFrame) -> DataFrame:
    """The versions that a newer one replaces.

    Args:
        rows: frames with ``record_id, version`` and ``available`` (int64 clock), of every kind of row that a
            record may have, voids too.

    Returns:
        ``record_id, version, superseded`` (int64 clock), without those that are current for good.
    """
    every = rows[0].select("record_id", "version", "available")
    for more in rows[1:]:
        every = every.unionByName(more.select("record_id", "version", "available"))
    versions = every.groupBy("record_id", "version").agg(F.min("available").alias("available"))
    records = versions.groupBy("record_id").agg(F.collect_list(F.struct("version", "available")).alias("versions"))
    return (
        records.where(F.size("versions") > 1)
        .select("record_id", "versions", F.explode("versions").alias("own"))
        .select("record_id", F.col("own.version").alias("version"), F.expr(
            "array_min(transform(filter(versions, one -> one.version > own.version), one -> one.available))"
        ).alias("superseded"))
        .where(F.col("superseded").isNotNull())
    )


def with_superseded(rows: DataFrame, superseded: DataFrame) -> DataFrame:
    """``rows`` with ``superseded``, without those that were never visible."""
    return (
        rows.join(superseded, ["record_id", "version"], "left")
        .withColumn("superseded", F.coalesce("superseded", F.lit(NEVER)))
        .where(F.col("available") < F.col("superseded"))
    )


