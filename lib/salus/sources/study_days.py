"""Study days: a trial dates what it has no date of by days from its own day 1, which another record tells.

Day 1 is the day of reference start, and there is no day 0: the day before it is day -1 (CDISC SDTM IG 4.4.4). Until the
other record is looked up, a study day stands as a day around ``DAY_ONE``, so that what follows from a time (its end,
lags) is reckoned as of any other; then all of it is moved by as many days as lie between.
"""

from collections.abc import Mapping
from datetime import date, datetime
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from salus.sources.declaration import TimeFormat
from salus.sources.record_parts import CountedFrom

DAY_ONE = date(1000, 1, 1)
NO_LATER = datetime(1500, 1, 1)
"""Whatever lies before it is counted from ``DAY_ONE``: 99,999 days reach from 726 to 1273."""

STUDY_DAY = TimeFormat(
    matches=r"study day -?[1-9]\d{0,4}",
    reads=f"DATE'{DAY_ONE}' + CAST(substring(text, 11) AS INT) - IF(substring(text, 11) > 0, 1, 0)",
    lasts="day",
)
"""What the macro ``study_day`` writes."""


def dated(rows: DataFrame, counting: Mapping[str, CountedFrom], events: DataFrame, records: DataFrame) -> DataFrame:
    """``rows`` in which study days are the days that they were; where nobody says which was day 1, with a ``rule``.

    Of a record that says so its newest version counts, of those that are known when the batch is taken in.

    Args:
        rows: placed rows.
        counting: the record types that may have study days; no other takes part in the join.
        events: ``EVENTS`` that were known before the batch.
        records: ``RECORDS`` of before.
    """
    is_counted = F.col("record_type").isin(*counting) & (F.least("time", "record_available") < F.lit(NO_LATER))
    counted = rows.where(F.coalesce(is_counted, F.lit(False)))
    if counted.isEmpty():
        return rows
    wanted = counted.select(F.col("day_one_id").alias("record_id")).distinct()
    codes = sorted({one.code for one in counting.values()})
    day = F.max(F.when(F.col("code").isin(*codes), F.to_date("time"))).alias("_day")
    version = ["record_id", "version"]
    before = records.join(wanted, "record_id", "left_semi").select(*version)
    said = events.where(F.col("code").isin(*codes)).join(wanted, "record_id", "left_semi")
    told = [
        rows.join(wanted, "record_id", "left_semi")
        .groupBy(*version, F.expr("-file_order AS earlier"), F.expr("-record AS before"))
        .agg(day, F.count("rule").alias("_broken"))
        .where("_broken = 0")
        .drop("_broken"),
        before.join(said.groupBy(*version).agg(day), version, "left").select(
            *version, F.lit(1).alias("earlier"), F.lit(0).cast("long").alias("before"), "_day"
        ),
    ]
    found = (
        reduce(DataFrame.unionByName, told)
        .groupBy(F.col("record_id").alias("day_one_id"))
        .agg(F.max_by("_day", F.struct("version", "earlier", "before")).alias("_day"))
    )
    moved = counted.join(found, "day_one_id", "left").withColumns(
        {name: _moved(name) for name in ("time", "available_time", "record_available")}
        | {"rule": F.coalesce("rule", F.when(F.col("_day").isNull(), "unknown_day_one"))}
    )
    moved = moved.withColumn(
        "available_time", F.when(F.col("available_time").isNotNull(), F.greatest("available_time", "time"))
    )
    return rows.where(F.coalesce(~is_counted, F.lit(True))).unionByName(moved.select(*rows.columns))


def _moved(name: str):
    days = F.datediff("_day", F.lit(DAY_ONE))
    is_counted = F.col(name) < F.lit(NO_LATER)
    return F.when(is_counted, F.col(name) + F.make_dt_interval(days)).otherwise(F.col(name))
