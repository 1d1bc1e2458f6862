"""Checks of what lasts: coverage spans, and visits as pairs of a start and an end event."""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from salus.quality import declaration as declared
from salus.quality.findings import EVERYTHING, Finding, Measure, measured
from salus.quality.standing import standing, subjects
from salus.storage.tables import Tables

START, END = "payer_plan_period_start_date", "payer_plan_period_end_date"


def coverage_findings(tables: Tables, checks: dict[str, declared.Check], replaced: DataFrame) -> list[Finding]:
    """The findings of those of ``checks`` that look at coverage.

    A span overlaps where one of the same person, payer and plan that started before it (or on its day) had not ended.

    Args:
        replaced: what ``salus.quality.standing.replaced_versions`` gives.
    """
    measures = []
    for name, check in checks.items():
        match check:
            case declared.SpanCheck(kind="negative_coverage"):
                measures.append(Measure(name, F.lit(EVERYTHING), F.col(START).isNotNull(), F.col(END) < F.col(START)))
            case declared.SpanCheck(kind="overlapping_coverage"):
                is_sound = F.col(START).isNotNull() & ~F.coalesce(F.col(END) < F.col(START), F.lit(False))
                measures.append(Measure(name, F.lit(EVERYTHING), is_sound, F.col("before_end") >= F.col(START)))
    spans = subjects(standing(tables.read("coverage"), replaced), tables)
    end = F.coalesce(F.col(END), F.lit("9999-12-31").cast("date"))
    earlier = (
        Window.partitionBy("subject_id", "payer_source_value", "plan_source_value")
        .orderBy(START, END, "record_id", "ordinal")
        .rowsBetween(Window.unboundedPreceding, -1)
    )
    return measured(spans.withColumn("before_end", F.max(F.when(end >= F.col(START), end)).over(earlier)), measures)


def visit_findings(tables: Tables, checks: dict[str, declared.Check], replaced: DataFrame) -> list[Finding]:
    """The findings of visits that end before they start.

    Args:
        replaced: what ``salus.quality.standing.replaced_versions`` gives.
    """
    findings: list[Finding] = []
    for name, check in checks.items():
        if isinstance(check, declared.NegativeVisit):
            visits = _visits(tables, check.ends, replaced)
            lasts = F.col("start").isNotNull() & F.col("end").isNotNull()
            findings += measured(
                visits, [Measure(name, F.col("source"), lasts, F.col("end") < F.col("start"))], ["source"]
            )
    return findings


def _visits(tables: Tables, ends: dict[str, str], replaced: DataFrame) -> DataFrame:
    """``subject_id, source, start, end`` of each record and vocabulary that has a start or an end."""
    vocabulary = F.substring_index("code", "/", 1)
    is_end, is_start = vocabulary.isin(list(ends)), vocabulary.isin(list(ends.values()))
    start_of = F.create_map(*[F.lit(part) for pair in ends.items() for part in pair])
    sources = tables.read("ingested_files").groupBy("file_id").agg(F.min("source").alias("source"))
    rows = standing(tables.read("events").where(is_end | is_start), replaced)
    return (
        subjects(rows, tables)
        .groupBy("record_id", F.coalesce(F.element_at(start_of, vocabulary), vocabulary).alias("vocabulary"))
        .agg(
            F.min("subject_id").alias("subject_id"),
            F.min("file_id").alias("file_id"),
            F.min(F.when(is_start, F.col("time"))).alias("start"),
            F.max(F.when(is_end, F.col("time"))).alias("end"),
        )
        .join(F.broadcast(sources), "file_id", "left")
        .withColumn("source", F.coalesce("source", F.lit("")))
    )
