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

    Args:
        scored: it is read twice, so it should be persisted.
        told: a probability or an estimate of ``scored``, at least 0.
        usual: what is told on average, about; above 0.
    """
    place = F.least(F.floor(F.col("_told") * F.lit(BUCKETS / (SPAN * usual))), F.lit(BUCKETS))
    placed = scored.withColumn("_told", told).withColumn(
        "_bucket", F.when(F.col("_told").isNotNull(), place.cast("int"))
    )
    counts = placed.where(F.col("_bucket").isNotNull()).groupBy("_bucket").agg(F.count("*").alias("_held"))
    ascending = Window.orderBy("_bucket")
    below = counts.select(
        "_bucket",
        (F.sum("_held").over(ascending) - F.col("_held")).alias("_below"),
        F.sum("_held").over(Window.partitionBy(F.lit(1))).alias("_scored"),
    )
    in_bucket, equal = Window.partitionBy("_bucket"), Window.partitionBy("_bucket", "_told")
    midrank = F.col("_below") + F.rank().over(in_bucket.orderBy("_told")) - 1 + F.count("*").over(equal) / 2
    return (
        placed.join(F.broadcast(below), "_bucket", "left")
        .withColumn("percentile", F.when(F.col("_told").isNotNull(), 100.0 * midrank / F.col("_scored")))
        .drop("_told", "_bucket", "_below", "_scored")
    )
