"""Percentiles: midranks among all that were scored that night, exact, and without a population on one machine.

A person's percentile is 100 x (people below + half of those equal, oneself included) / people scored: the mean over
a night is 50, and equal probabilities have equal percentiles. A global sort would need every row in one order; here
probabilities fall into fixed buckets first. The buckets' counts are a few thousand numbers, from which follows how
many people lie below each bucket; within a bucket a window counts the rest.
"""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

BUCKETS = 4096


def with_percentiles(scored: DataFrame) -> DataFrame:
    """``scored`` with ``percentile``: 0 to 100 by ``probability``; null where that is null.

    Args:
        scored: at least ``probability``; it is read twice, so it should be persisted.
    """
    placed = scored.withColumn("_bucket", F.floor(F.col("probability") * BUCKETS).cast("int"))
    counts = placed.where(F.col("_bucket").isNotNull()).groupBy("_bucket").agg(F.count("*").alias("_held"))
    ascending = Window.orderBy("_bucket")
    below = counts.select(
        "_bucket",
        (F.sum("_held").over(ascending) - F.col("_held")).alias("_below"),
        F.sum("_held").over(Window.partitionBy(F.lit(1))).alias("_scored"),
    )
    in_bucket, equal = Window.partitionBy("_bucket"), Window.partitionBy("_bucket", "probability")
    midrank = F.col("_below") + F.rank().over(in_bucket.orderBy("probability")) - 1 + F.count("*").over(equal) / 2
    return (
        placed.join(F.broadcast(below), "_bucket", "left")
        .withColumn("percentile", F.when(F.col("probability").isNotNull(), 100.0 * midrank / F.col("_scored")))
        .drop("_bucket", "_below", "_scored")
    )
