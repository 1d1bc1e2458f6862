"""High-cost claimants: from which amount on a cost is high, as declared or by a percentile of the training split."""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from salus.cohorts.label import Cost

TRAIN = "train"


def high_from(rows: DataFrame, cost: Cost) -> float:
    """The amount from which on a cost is high, in currency units.

    By percentile it is the least whole amount that at most the rest of the training split's weight reaches. It is
    counted by whole amounts, so nothing is sorted that is as large as the cohort.

    Args:
        rows: ``value``, ``weight`` and ``split`` of labelled rows.
        cost: of the task's label; its ``is_high`` is true.
    """
    percentile = cost.high_from_percentile
    if percentile is None:
        return cost.high_from or 0.0
    whole = (
        rows.where(F.col("split") == TRAIN).groupBy(F.floor("value").alias("amount")).agg(F.sum("weight").alias("held"))
    )
    ascending, everybody = Window.orderBy("amount"), Window.partitionBy(F.lit(1))
    # Sums of floats depend on their order in the last digits: rounded, the same cohort gives the same amount.
    share = F.round(F.sum("held").over(ascending) / F.sum("held").over(everybody), 9)
    reached = whole.select("amount", share.alias("share")).where(F.col("share") >= F.lit(percentile / 100))
    return float(reached.agg(F.min("amount")).collect()[0][0] or 0) + 1


def is_high(least: float) -> Column:
    """Whether the ``value`` of a labelled row is at least ``least``; null where there is no label."""
    return F.when(F.col("step_lost") == 0, F.col("value") >= F.lit(least))
