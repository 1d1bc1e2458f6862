"""What came in, of every kind and version, as rows of one shape, so that one pass makes a person of them."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from salus.schemas import VOID_CODE
from salus.sources.units import read_units, units_path
from salus.timelines.clocks import NEVER, STATIC

MEDS_DEATH = "MEDS_DEATH"
OMOP_MALE, OMOP_FEMALE = 8507, 8532

# A birth of which only the year, or the month, is known is put in its middle: the least error.
BIRTH = """coalesce(
    unix_micros(CAST(birth_datetime AS TIMESTAMP)),
    unix_micros(try_make_timestamp(
        year_of_birth, coalesce(month_of_birth, 7),
        CASE WHEN month_of_birth IS NULL THEN 1 ELSE coalesce(day_of_birth, 15) END, 0, 0, 0)))"""

SEX = f"CASE gender_concept_id WHEN {OMOP_MALE} THEN 'male' WHEN {OMOP_FEMALE} THEN 'female' END"

KEYS = ("source_subject_id", "record_id", "version")


def facts(events: DataFrame, persons: DataFrame, coverage: DataFrame) -> DataFrame:
    """Every row of the three tables.

    Returns:
        ``source_subject_id, record_id, version, available`` (int64 clock; never before the fact's own time),
        and one of: ``event`` struct<time, code, value>, ``span`` struct<start, end, payer>, ``person`` struct<sex,
        race, ethnicity, care_site, birth>; none of them for a void. A death that a person record states is an event
        too. ``lacks_unit`` tells a number of a code with a canonical unit that came without one.
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


def _codes_with_a_unit() -> list[str]:
    return sorted(read_units(units_path()))


def clock(value: str, missing: int) -> Column:
    """A date or ``timestamp_ntz`` in UTC as microseconds since the epoch; ``missing`` where it is null."""
    return F.coalesce(F.expr(f"unix_micros(CAST({value} AS TIMESTAMP))"), F.lit(missing))
