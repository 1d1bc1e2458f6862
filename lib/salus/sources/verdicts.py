"""What becomes of each record: refused under its first rule, accepted but nothing new, or accepted.

A verdict needs the batch and what is known already: whose the record is, and which versions of it there are.
"""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

RECORD = ["file_id", "record"]
UNCHANGED = "unchanged"
"""The verdict of a record that repeats its newest version: accepted, and writes nothing."""

VERDICT = [*RECORD, "record_type", "rule"]


REASONS = {
    "not_utf8": "expected text in UTF-8",
    "not_one_json_object": "expected exactly one JSON object of the declared types on the line",
    "not_a_row": "expected as many columns as the header names",
    "no_subject": "expected the id of the person whose record it is",
    "no_id": "expected the record's own id",
    "not_a_time": "expected every time in one of the source's formats, and a day that exists",
    "no_time": "expected the time of each event",
    "not_a_number": "expected a finite decimal number",
    "unknown_unit": "expected a unit that conf/codesets/units.csv lists for the code",
    "unknown_person": "expected a person whom this delivery or an earlier one declares",
    "conflicting_version": "expected one content under an id and version; an earlier record says something else",
}


def reason(rule: Column) -> Column:
    """What ``rule`` expects; a source's own rule is known by its name."""
    known = F.create_map(*[F.lit(text) for pair in REASONS.items() for text in pair])
    own = F.concat(F.lit("expected what the source's rule "), rule, F.lit(" asks"))
    return F.coalesce(F.try_element_at(known, rule), own)


def broken(rows: DataFrame) -> DataFrame:
    """``VERDICT`` rows of the records that break a rule by themselves: the first that one of their events breaks."""
    inner_bom = F.when(F.col("has_bom") & (F.col("record") > 0), "not_one_json_object")
    rule = F.coalesce(inner_bom, F.col("rule"))
    return (
        rows.where(rule.isNotNull())
        .groupBy(*RECORD)
        .agg(F.first("record_type").alias("record_type"), F.min(F.struct("ordinal", rule.alias("rule"))).alias("first"))
        .select(*RECORD, "record_type", "first.rule")
    )


def strangers(rows: DataFrame, refused: DataFrame, persons: DataFrame) -> DataFrame:
    """``VERDICT`` rows of the records whose subject neither the batch nor an earlier one makes known."""
    heads = rows.where("is_head AND rule IS NULL")
    declared = (
        heads.where("declares_subject AND NOT is_void")
        .join(refused.select(*RECORD), RECORD, "left_anti")
        .select("source_subject_id")
    )
    known = declared.union(persons.select("source_subject_id")).distinct()
    unknown = (
        heads.where("NOT declares_subject")
        .select("source_subject_id")
        .distinct()
        .join(known, "source_subject_id", "left_anti")
    )
    return (
        heads.where("NOT declares_subject")
        .join(unknown, "source_subject_id")
        .select(*RECORD, "record_type", F.lit("unknown_person").alias("rule"))
        .join(refused.select(*RECORD), RECORD, "left_anti")
    )


def repetitions(rows: DataFrame, refused: DataFrame, records: DataFrame) -> DataFrame:
    """``VERDICT`` rows of the records that say again what is known, or something else under a known version.

    Args:
        rows: the batch, with the file's place in the delivery as ``file_order``.
        refused: verdicts so far.
        records: the versions that were known before the batch.
    """
    columns = [*RECORD, "record_type", "record_id", "version", "content_hash", "file_order"]
    heads = rows.where("is_head").join(refused.select(*RECORD), RECORD, "left_anti").select(*columns)
    known = records.join(heads.select("record_id").distinct(), "record_id", "left_semi").select(
        *RECORD, "record_type", "record_id", "version", "content_hash", F.lit(-1).alias("file_order")
    )
    both = heads.unionByName(known)
    several = both.groupBy("record_id").count().where("count > 1").select("record_id")
    contested = both.join(several, "record_id", "left_semi")
    delivered = Window.partitionBy("record_id", "version").orderBy("file_order", "file_id", "record")
    versions = contested.withColumns(
        {"_first_content": F.first("content_hash").over(delivered), "_number": F.row_number().over(delivered)}
    )
    again = versions.where("_number > 1").select(
        *RECORD,
        "record_type",
        "file_order",
        F.when(F.col("content_hash") == F.col("_first_content"), UNCHANGED)
        .otherwise("conflicting_version")
        .alias("rule"),
    )
    by_version = Window.partitionBy("record_id").orderBy("version")
    same = (
        versions.where("_number = 1")
        .withColumn("_before", F.lag("content_hash").over(by_version))
        .where(F.col("_before") == F.col("content_hash"))
        .select(*RECORD, "record_type", "file_order", F.lit(UNCHANGED).alias("rule"))
    )
    return again.unionByName(same).where("file_order >= 0").select(*VERDICT)
