"""Tiers: the task's named bands of risk, by percentile of the night or by probability."""

from collections.abc import Sequence

from pyspark.sql import Column
from pyspark.sql import functions as F

from salus.cohorts.task import Tier


def tier_of(tiers: Sequence[Tier]) -> Column:
    """The first tier, from the highest, whose bound a row reaches; null below all of them or without a score.

    Args:
        tiers: the task's, highest first.
    """
    found = F.lit(None).cast("string")
    for tier in reversed(tiers):
        if tier.from_percentile is not None:
            reached = F.col("percentile") >= F.lit(tier.from_percentile)
        else:
            reached = F.col("probability") >= F.lit(tier.from_probability)
        found = F.when(reached, F.lit(tier.name)).otherwise(found)
    return found
