"""Weights: each labelled row stands in for those like it that were censored (``censoring``)."""

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from salus.cohorts.censoring import staying_enrolled
from salus.storage.small import small_frame


def weighted(samples: DataFrame) -> DataFrame:
    """The labelled rows of ``samples``, with their ``weight``.

    Only counts by calendar month and day reach the driver.

    Args:
        samples: prediction_time, step_lost, observed_days and is_censored; observed_days is -1 for those not at risk.
    """
    month, day = F.month("prediction_time").alias("month"), F.col("observed_days").alias("day")
    counts = (
        samples.where(F.col("observed_days") >= 0)
        .groupBy(month, day)
        .agg(F.count_if("is_censored").alias("censored"), F.count_if(~F.col("is_censored")).alias("known"))
        .collect()
    )
    weights = []
    for stratum in sorted({row["month"] for row in counts}):
        columns = np.array([[row["day"], row["known"], row["censored"]] for row in counts if row["month"] == stratum]).T
        days, enrolled = staying_enrolled(*columns)
        weights += [(stratum, int(at), float(1 / share)) for at, share in zip(days, enrolled) if share > 0]
    table = small_frame(samples.sparkSession, weights, "month int, day int, weight double")
    return (
        samples.where(F.col("step_lost") == 0)
        .withColumn("month", month)
        .withColumn("day", day)
        .join(F.broadcast(table), ["month", "day"])
    )
