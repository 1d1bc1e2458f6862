"""Who a person is: sex, race and birth, out of what every source says in its newest version.

Sources of the subject that names the person speak first, then the newest record. These facts are static: known
always. Deaths are dated, and come to the timeline as events.
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

OMOP_MALE, OMOP_FEMALE = 8507, 8532

# A birth of which only the year, or the month, is known is put in its middle: the least error.
BIRTH = """coalesce(
    unix_micros(CAST(birth_datetime AS TIMESTAMP)),
    unix_micros(try_make_timestamp(
        year_of_birth, coalesce(month_of_birth, 7),
        CASE WHEN month_of_birth IS NULL THEN 1 ELSE coalesce(day_of_birth, 15) END, 0, 0, 0)))"""

SEX = f"CASE gender_concept_id WHEN {OMOP_MALE} THEN 'male' WHEN {OMOP_FEMALE} THEN 'female' END"


def current_persons(persons: DataFrame, superseded: DataFrame, subjects: DataFrame) -> DataFrame:
    """The newest version of every person record, with its subject and the rank at which it is believed.

    Args:
        persons: table ``persons``.
        superseded: ``record_id, version`` of what a newer version replaced.
        subjects: ``source_subject_id, subject_id`` of those who bear another subject's name.

    Returns:
        ``subject_id, rank`` (a struct; the least is believed first)``, sex, race, birth`` (microseconds).
    """
    return (
        persons.join(superseded.select("record_id", "version"), ["record_id", "version"], "left_anti")
        .join(subjects, "source_subject_id", "left")
        .select(
            F.coalesce("subject_id", "source_subject_id").alias("subject_id"),
            F.struct(
                F.col("subject_id").isNotNull().alias("is_secondary"), F.col("source_subject_id"),
                (-F.col("version")).alias("newest_first"), F.col("record_id"), F.col("ordinal"),
            ).alias("rank"),
            F.expr(SEX).alias("sex"), F.col("race_source_value").alias("race"), F.expr(BIRTH).alias("birth"),
        )
    )


def first_stated(value: str) -> Column:
    """Aggregate: ``value`` in the row of least ``rank`` that states it; null where none does."""
    return F.min_by(value, F.when(F.col(value).isNotNull(), F.col("rank")))
