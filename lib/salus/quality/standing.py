"""What stands: the newest version of every record, and the one person behind each source subject.

What a later version has corrected is no fault of today's data, so only what stands is checked.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from salus.schemas import VOID_CODE
from salus.storage.tables import Tables

OMOP_SEXES = {8507: "male", 8532: "female"}
MEDS_DEATH = "MEDS_DEATH"


def replaced_versions(records: DataFrame) -> DataFrame:
    """``record_id`` and ``version`` of what a newer version has replaced, and of what was withdrawn."""
    several = records.groupBy("record_id").agg(F.max("version").alias("newest"), F.count("*").alias("versions"))
    versions = records.select("record_id", "version", "is_void")
    older = (
        versions.join(several.where("versions > 1"), "record_id")
        .where("version < newest")
        .select("record_id", "version")
    )
    return older.unionByName(versions.where("is_void").select("record_id", "version")).distinct()


def standing(rows: DataFrame, replaced: DataFrame) -> DataFrame:
    """``rows`` of a landed table without those that ``replaced_versions`` names."""
    kept = rows.where(F.col("code") != VOID_CODE) if "code" in rows.columns else rows
    return kept.join(replaced, ["record_id", "version"], "left_anti")


def subjects(rows: DataFrame, tables: Tables) -> DataFrame:
    """``rows`` with ``subject_id``: the person that a ``source_subject_id`` is known to be."""
    known = tables.read("identity").where("known_until IS NULL").select("source_subject_id", "subject_id")
    return rows.join(known, "source_subject_id", "left").withColumn(
        "subject_id", F.coalesce("subject_id", "source_subject_id")
    )


def people(tables: Tables, replaced: DataFrame) -> DataFrame:
    """One row a ``subject_id`` that has a person record.

    Returns:
        ``subject_id``; ``born`` and ``died`` (timestamp_ntz: the first instant of the earliest birth that the records
        allow, and the last death that one of them, or an event, states); ``birth_year``; ``sex`` (female, male, null).
    """
    records = subjects(standing(tables.read("persons"), replaced), tables)
    born = F.coalesce(
        "birth_datetime",
        F.expr(
            "try_make_timestamp_ntz(year_of_birth, coalesce(month_of_birth, 1), coalesce(day_of_birth, 1), 0, 0, 0)"
        ),
    )
    sex = F.element_at(
        F.create_map(*[F.lit(part) for pair in OMOP_SEXES.items() for part in pair]), F.col("gender_concept_id")
    )
    told = records.groupBy("subject_id").agg(
        F.min(born).alias("born"),
        F.max("death_datetime").alias("stated"),
        F.min("year_of_birth").alias("birth_year"),
        F.when(F.min(sex) == F.max(sex), F.min(sex)).alias("sex"),
    )
    deaths = (
        subjects(standing(tables.read("events").where(F.col("code") == MEDS_DEATH), replaced), tables)
        .groupBy("subject_id")
        .agg(F.max("time").alias("seen"))
    )
    return told.join(deaths, "subject_id", "left").select(
        "subject_id", "born", F.greatest("stated", "seen").alias("died"), "birth_year", "sex"
    )
