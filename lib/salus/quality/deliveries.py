"""Checks of deliveries: what each source's files gave, and what of it was refused or stands twice."""

from pyspark.sql import functions as F

from salus.quality import declaration as declared
from salus.quality.findings import EVERYTHING, EXAMPLES, Finding
from salus.quality.standing import subjects
from salus.storage.tables import Tables


def delivery_findings(tables: Tables, checks: dict[str, declared.Check]) -> list[Finding]:
    """The findings of those of ``checks`` that look at files and records."""
    findings: list[Finding] = []
    for name, check in checks.items():
        match check:
            case declared.RefusedRecords():
                by_source = (
                    tables.read("ingested_files")
                    .groupBy("source")
                    .agg(F.sum("rows_quarantined").alias("refused"), F.sum("rows_read").alias("read"))
                    .orderBy("source")
                )
                findings += [Finding(name, row["source"], row["refused"], row["read"]) for row in by_source.collect()]
            case declared.RepeatedVersion():
                findings.append(_repeated(name, tables))
    return findings


def _repeated(name: str, tables: Tables) -> Finding:
    """Rows of ``records`` beyond the first of their record and version."""
    records = tables.read("records")
    several = (
        records.groupBy("record_id", "version")
        .agg(F.count("*").alias("rows"), F.min("source_subject_id").alias("subject"))
        .where("rows > 1")
    )
    total = several.agg(F.sum(F.col("rows") - 1).alias("failed")).collect()[0]["failed"] or 0
    concerned = (
        subjects(several.withColumnRenamed("subject", "source_subject_id"), tables).select("subject_id").distinct()
    )
    shown = concerned.orderBy("subject_id").limit(EXAMPLES).collect() if total else []
    return Finding(name, EVERYTHING, total, records.count(), tuple(row["subject_id"] for row in shown))
