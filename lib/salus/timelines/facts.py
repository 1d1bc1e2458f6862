"""What came in, of every kind and version, as rows of one shape, so that one pass makes a person of them."""

from typing import NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from salus.schemas import VOID_CODE
from salus.sources.units import read_units, units_path
from salus.timelines.clocks import NEVER, STATIC

MEDS_DEATH = "MEDS_DEATH"
COST_CODES = "COST/"
"""How the codes of costs begin: each is ``COST/<currency>``, and its number the allowed amount."""

NO_CURRENCY = "XXX"
"""Of ISO 4217."""

OMOP_MALE, OMOP_FEMALE = 8507, 8532

# A birth of which only the year, or the month, is known is put in its middle: the least error.
BIRTH = """coalesce(
    unix_micros(CAST(birth_datetime AS TIMESTAMP)),
    unix_micros(try_make_timestamp(
        year_of_birth, coalesce(month_of_birth, 7),
        CASE WHEN month_of_birth IS NULL THEN 1 ELSE coalesce(day_of_birth, 15) END, 0, 0, 0)))"""

SEX = f"CASE gender_concept_id WHEN {OMOP_MALE} THEN 'male' WHEN {OMOP_FEMALE} THEN 'female' END"

KEYS = ("source_subject_id", "record_id", "version")


class Landed(NamedTuple):
    """The tables of what came in, whole or some of their rows."""

    events: DataFrame
    persons: DataFrame
    coverage: DataFrame
    costs: DataFrame


def facts(events: DataFrame, persons: DataFrame, coverage: DataFrame, costs: DataFrame) -> DataFrame:
    """Every row of the four tables.

    Returns:
        ``source_subject_id, record_id, version, available`` (int64 clock; never before the fact's own time),
        and one of: ``event`` struct<time, code, value>, ``span`` struct<start, end, payer>, ``person`` struct<sex,
        race, ethnicity, care_site, birth>; none of them for a void. A death that a person record states is an event
        too, and so is what a record cost, on the day on which it was incurred. ``lacks_unit`` tells a number of a code
        with a canonical unit that came without one.
    """
    deaths = persons.where(F.col("death_datetime").isNotNull()).select(
        *KEYS,
        "available_time",
        F.col("death_datetime").alias("time"),
        F.lit(MEDS_DEATH).alias("code"),
        F.lit(None).cast("float").alias("numeric_value"),
        F.lit(None).cast("string").alias("unit"),
    )
    happened = (
        events.select(*deaths.columns)
        .unionByName(deaths)
        .unionByName(_spent(costs).select(deaths.columns))
        .select(
            *KEYS,
            F.greatest(clock("time", STATIC), clock("available_time", STATIC)).alias("available"),
            F.when(
                F.col("code") != VOID_CODE,
                F.struct(
                    clock("time", STATIC).alias("time"),
                    F.xxhash64("code").alias("code"),
                    F.coalesce("numeric_value", F.expr("float('NaN')")).alias("value"),
                ),
            ).alias("event"),
            (
                F.col("numeric_value").isNotNull() & F.col("unit").isNull() & F.col("code").isin(_codes_with_a_unit())
            ).alias("lacks_unit"),
        )
    )
    spans = coverage.select(
        *KEYS,
        clock("available_time", STATIC).alias("available"),
        F.struct(
            clock("payer_plan_period_start_date", STATIC).alias("start"),
            clock("date_add(payer_plan_period_end_date, 1)", NEVER).alias("end"),
            F.col("payer_source_value").alias("payer"),
        ).alias("span"),
    )
    stated = persons.select(
        *KEYS,
        clock("available_time", STATIC).alias("available"),
        F.struct(
            F.expr(SEX).alias("sex"),
            F.col("race_source_value").alias("race"),
            F.col("ethnicity_source_value").alias("ethnicity"),
            F.col("care_site_source_value").alias("care_site"),
            F.expr(BIRTH).alias("birth"),
        ).alias("person"),
    )
    return happened.unionByName(spans, True).unionByName(stated, True)


def cost_code() -> Column:
    """The code of a row of table ``costs``."""
    return F.concat(F.lit(COST_CODES), F.coalesce("currency", F.lit(NO_CURRENCY)))


def _spent(costs: DataFrame) -> DataFrame:
    """Costs as events; a version whose amount is not told is one that only takes the older one's away."""
    is_told = F.col("amount_allowed").isNotNull()
    return costs.where("incurred_date IS NOT NULL").select(
        *KEYS,
        "available_time",
        F.col("incurred_date").cast("timestamp_ntz").alias("time"),
        F.when(is_told, cost_code()).otherwise(VOID_CODE).alias("code"),
        F.col("amount_allowed").cast("float").alias("numeric_value"),
        F.col("currency").alias("unit"),
    )


def _codes_with_a_unit() -> list[str]:
    return sorted(read_units(units_path()))


def clock(value: str, missing: int) -> Column:
    """A date or ``timestamp_ntz`` in UTC as microseconds since the epoch; ``missing`` where it is null."""
    return F.coalesce(F.expr(f"unix_micros(CAST({value} AS TIMESTAMP))"), F.lit(missing))
