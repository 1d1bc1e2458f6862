"""Percentiles: midranks among all that were scored that night, exact, and without a population on one machine.

A person's percentile is 100 x (people below + half of those equal, oneself included) / people scored: the mean over
a night is 50, and equal scores have equal percentiles. A global sort would need every row in one order; here scores
fall into fixed buckets first. The buckets' counts are a few thousand numbers, from which follows how many people lie
below each bucket; within a bucket a window counts the rest.
"""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

BUCKETS = 4096
SPAN = 8
"""Buckets are of equal width up to so many times what is usual; all beyond, who are few, share the last one."""


def with_percentiles(scored: DataFrame, told: Column, usual: float) -> DataFrame:
    """``scored`` with ``percentile``: 0 to 100 by ``told``; null where that is null.

    Ranks are worked out on two numbers a person and joined to the rows, which are far wider.

    Args:
        scored: one row a ``subject_id``; it is read several times, so it should be persisted.
        told: a probability or an estimate of ``scored``, at least 0.
        usual: what is told on average, about; above 0.
    """
    bucket = F.least(F.floor(F.col("told") * F.lit(BUCKETS / (SPAN * usual))), F.lit(BUCKETS)).cast("int")
    placed = scored.select("subject_id", told.alias("told")).where("told IS NOT NULL").withColumn("bucket", bucket)
    ascending = Window.orderBy("bucket")
    below = (
        placed.groupBy("bucket")
        .agg(F.count("*").alias("held"))
        .select(
            "bucket",
            (F.sum("held").over(ascending) - F.col("held")).alias("below"),
            F.sum("held").over(Window.partitionBy(F.lit(1))).alias("scored"),
        )
    )
    in_bucket, equal = Window.partitionBy("bucket"), Window.partitionBy("bucket", "told")
    midrank = F.col("below") + F.rank().over(in_bucket.orderBy("told")) - 1 + F.count("*").over(equal) / 2
    ranks = placed.join(F.broadcast(below), "bucket").select(
        "subject_id", (100.0 * midrank / F.col("scored")).alias("percentile")
    )
    return scored.join(ranks, "subject_id", "left")
