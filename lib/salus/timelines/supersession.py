"""Which version of a record is visible when, in whatever order the versions came.

A row is visible at T iff its version is the highest of its record with ``available_time <= T``. A version is
available from the least available time of its rows on; so it is superseded at the least such time over the higher
versions of its record. A void is a version without events: it supersedes, and leaves nothing.
"""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from salus.timelines.clocks import NEVER


def superseded_versions(rows: DataFrame) -> DataFrame:
    """The versions that a newer one replaces.

    Args:
        rows: ``record_id, version, available`` (int64 clock) of every row of every kind that records have, voids too.

    Returns:
        ``record_id, version, superseded`` (int64 clock), without the versions that are current.
    """
    versions = (
        rows.select("record_id", "version", "available")
        .repartition("record_id")
        .groupBy("record_id", "version")
        .agg(F.min("available").alias("available"))
    )
    newer = Window.partitionBy("record_id").orderBy(F.desc("version")).rowsBetween(Window.unboundedPreceding, -1)
    return versions.select("record_id", "version", F.min("available").over(newer).alias("superseded")).where(
        F.col("superseded").isNotNull()
    )


def with_superseded(rows: DataFrame, superseded: DataFrame) -> DataFrame:
    """``rows`` with ``superseded``: the int64 clock at which a newer version replaced them, or NEVER."""
    joined = rows.join(superseded, ["record_id", "version"], "left")
    return joined.withColumn("superseded", F.coalesce("superseded", F.lit(NEVER)))
