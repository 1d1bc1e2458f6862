"""What becomes of each record: refused under its first rule, accepted but nothing new, or accepted.

A verdict needs the batch and what is known already: whose the record is, and which versions of it there are.
"""

from collections.abc import Sequence
from functools import reduce

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from salus.sources.batch import Batch
from salus.sources.parsing import UNCHANGED
from salus.sources.raw_columns import NAMED_ELSEWHERE
from salus.sources.record_parts import CountedFrom
from salus.sources.study_days import dated
from salus.storage.tables import Tables

RECORD = ["file_id", "record"]
INDEX = [
    *RECORD,
    "record_type",
    "file_order",
    "has_bom",
    "rule",
    "is_head",
    "is_void",
    "withdraws_another",
    "declares_subject",
    "source_subject_id",
    "record_id",
    "version",
    "content_hash",
    "record_available",
    "ordinal",
]
VERDICT = [*RECORD, "source_subject_id", "record_type", "rule"]


def index(rows: DataFrame) -> DataFrame:
    """What a verdict depends on of the placed ``rows``: narrow enough to be kept in memory while it is found."""
    return rows.select(*INDEX, F.col("code").isNotNull().alias("is_event"))


REASONS = {
    "not_utf8": "expected text in UTF-8",
    "not_in_encoding": "expected text in the encoding that the source declares",
    "record_too_large": "expected a record of at most 16 MiB",
    "no_resource": "expected an entry of a Bundle with a resource in it",
    "not_one_json_object": "expected exactly one JSON object of the declared types on the line",
    "not_a_row": "expected as many columns as the header names",
    "not_xml": "expected well-formed XML to the file's end",
    "unknown_record_type": "expected a record type that the source declares or ignores",
    "broken_envelope": "expected X12 interchanges whose headers each have their trailer with the same control number",
    "unknown_transaction": "expected only the transaction set and the implementation guides that the source reads",
    "endless_claim": "expected no more segments in a claim than its guide allows",
    "broken_diagnosis": "expected a code after each code list that an HI segment names",
    "not_hl7": "expected a message that begins with MSH",
    "no_patient_segment": "expected a PID segment",
    "several_patients": "expected one PID segment: a message about one person",
    "not_a_header": "expected a WFDB header of one segment with channels, rate and length",
    "no_header": "expected the annotations' header beside them",
    "no_signal": "expected the signal files that the header names beside it",
    "short_signal": "expected signal files as long as the header says",
    "not_annotations": "expected annotations in WFDB's form",
    "not_edf": "expected a whole EDF or BDF file",
    "not_dicom": "expected a DICOM file",
    "no_structures": "expected a readable CSV file with a column `smiles`",
    "not_a_structure": "expected SMILES that RDKit can read",
    "no_subject": "expected the id of the person whose record it is",
    "no_id": "expected the record's own id",
    "not_a_time": "expected every time in one of the source's formats, and a day that exists",
    "no_time": "expected the time of each event",
    "not_a_number": "expected a finite decimal number",
    "unknown_unit": "expected a unit that conf/codesets/units.csv lists for the code",
    "unknown_definition": "expected a record that defines the code, in this delivery or an earlier one",
    "unknown_day_one": "expected a record that says which day was day 1, in this delivery or an earlier one",
    "unknown_person": "expected a person whom this delivery or an earlier one declares",
    "conflicting_version": "expected one content under an id and version; an earlier record says something else",
}


def reason(rule: Column) -> Column:
    """What ``rule`` expects; a source's own rule is known by its name."""
    known = F.create_map(*[F.lit(text) for pair in REASONS.items() for text in pair])
    own = F.concat(F.lit("expected what the source's rule "), rule, F.lit(" asks"))
    return F.coalesce(F.try_element_at(known, rule), own)


def with_others(tables: Tables, batch: Batch, rows: DataFrame) -> DataFrame:
    """Placed ``rows`` of ``batch`` with the person, the code and the day of those that are known by another record."""
    if any(record.subject_of for record in batch.kinds.values()):
        rows = owned(rows, tables.read("records"))
    if naming := [kind for kind, record in batch.kinds.items() if record.codes_of]:
        rows = coded(rows, naming, tables.read("definitions"), tables.read("records"))
    if counting := counting_in(batch):
        rows = dated(rows, counting, tables.read("events"), tables.read("records"))
    return rows


def counting_in(batch: Batch) -> dict[str, CountedFrom]:
    """The record types of ``batch`` that may have study days, each with what these count from."""
    return {kind: record.counted_from for kind, record in batch.kinds.items() if record.counted_from}


def verdicts_on(tables: Tables, batch: Batch, rows: DataFrame, stale: Sequence[int]) -> tuple[DataFrame, bool]:
    """The ``VERDICT`` on every record that is not simply accepted, each record once, and whether there is any.

    They are kept in memory, and counted before anybody joins them: so Spark knows that they are few, where they are.

    Args:
        tables: what was known before the batch.
        batch: whose records they are.
        rows: the batch's ``index``.
        stale: the files that went through another mapping: what they said cannot be compared with what is said now.
    """
    heads = ruled(rows)
    if not all(record.declares_subject is True or record.is_nobodys for record in batch.kinds.values()):
        heads = of_known_people(heads, tables.read("persons") if tables.version("persons") is not None else None)
    known = None
    if tables.version("records") is not None:
        known = tables.read("records").where(F.startswith("record_type", F.lit(f"{batch.source.name}/")))
        if stale:
            known = known.withColumn("content_hash", F.when(~F.col("file_id").isin(*stale), F.col("content_hash")))
    verdicts = first_told(heads, known).where("rule IS NOT NULL").select(*VERDICT).persist()
    return verdicts, verdicts.count() > 0


def ruled(rows: DataFrame) -> DataFrame:
    """The head of each record of ``rows`` (``index``) with the first ``rule`` that one of its events breaks."""
    inner_bom = F.when(F.col("has_bom") & (F.col("record") > 0), "not_one_json_object")
    rule = F.coalesce(inner_bom, F.col("rule"))
    broken = (
        rows.where(rule.isNotNull())
        .groupBy(*RECORD)
        .agg(F.min(F.struct("ordinal", rule.alias("rule"))).alias("first"))
        .select(*RECORD, "first.rule")
    )
    return rows.where("is_head").drop("rule").join(broken, RECORD, "left")


def owned(rows: DataFrame, records: DataFrame) -> DataFrame:
    """``rows`` whose ``owner_id`` names a record of the batch, or an earlier one, are of that record's person.

    They are known no earlier than that record; a cost without a day was incurred on the day on which it was known.

    Args:
        rows: placed rows; who is of nobody known keeps a null ``source_subject_id``.
        records: the versions that were known before the batch.
    """
    told = rows.where("is_head AND rule IS NULL AND source_subject_id IS NOT NULL")
    owners = (
        told.select("record_id", "source_subject_id", "record_available")
        .unionByName(
            records.select("record_id", "source_subject_id", F.col("available_time").alias("record_available"))
        )
        .groupBy(F.col("record_id").alias("owner_id"))
        .agg(F.min("source_subject_id").alias("_owner"), F.min("record_available").alias("_known"))
    )
    wanted = rows.select("owner_id").where("owner_id IS NOT NULL").distinct()
    found = rows.join(owners.join(wanted, "owner_id", "left_semi"), "owner_id", "left")
    incurred = F.coalesce("cost.incurred_date", F.col("_known").cast("date"))
    cost = F.col("cost").withField("incurred_date", incurred)
    cost = cost.withField("available_time", F.coalesce("cost.available_time", "_known"))
    return found.withColumns(
        {
            "source_subject_id": F.coalesce("source_subject_id", "_owner"),
            "cost": F.when(F.col("_owner").isNotNull() & F.col("cost").isNotNull(), cost).otherwise(F.col("cost")),
            "record_available": F.greatest("record_available", "_known"),
        }
    ).drop("_owner", "_known")


def coded(rows: DataFrame, naming: Sequence[str], definitions: DataFrame, records: DataFrame) -> DataFrame:
    """``rows`` with the codes that other records define, in the batch or before it; else a ``rule``.

    Of a definition its newest version counts, of those that are known when the batch is taken in.

    Args:
        rows: placed rows.
        naming: the record types that name definitions; no other takes part in the join.
        definitions: ``DEFINITIONS`` that were known before the batch.
        records: ``RECORDS`` of before, which tell what was withdrawn.
    """
    is_named = F.col("record_type").isin(*naming) & (F.col("code") == NAMED_ELSEWHERE)
    named = rows.where(F.coalesce(is_named, F.lit(False)))
    if named.isEmpty():
        return rows
    wanted = named.select(F.col("definition_id").alias("record_id")).distinct()
    heads = rows.where("is_head AND rule IS NULL AND (definition IS NOT NULL OR is_void)")
    told = [
        heads.select(
            "record_id", "version", F.expr("-file_order AS earlier"), F.expr("-record AS before"), _own_code()
        ),
        definitions.selectExpr("record_id", "version", "1 AS earlier", "0L AS before", "code AS _code"),
        records.where("is_void").selectExpr("record_id", "version", "1 AS earlier", "0L AS before", "NULL AS _code"),
    ]
    newest = F.max_by("_code", F.struct("version", "earlier", "before"))
    found = (
        reduce(DataFrame.unionByName, [one.join(wanted, "record_id", "left_semi") for one in told])
        .groupBy(F.col("record_id").alias("definition_id"))
        .agg(newest.alias("_code"))
    )
    resolved = named.join(found, "definition_id", "left").withColumns(
        {
            "code": F.col("_code"),
            "rule": F.coalesce("rule", F.when(F.col("_code").isNull(), "unknown_definition")),
        }
    )
    return rows.where(F.coalesce(~is_named, F.lit(True))).unionByName(resolved.select(*rows.columns))


def _own_code() -> Column:
    return F.when(~F.col("is_void"), F.col("definition.code")).alias("_code")


def of_known_people(heads: DataFrame, persons: DataFrame | None) -> DataFrame:
    """``heads`` with a ``rule`` for those whose subject neither the batch nor an earlier one makes known.

    Args:
        heads: ``ruled`` rows.
        persons: everybody known before the batch; None = nobody.
    """
    declared = F.bool_or(F.col("declares_subject") & ~F.col("is_void"))
    whole = heads.where("rule IS NULL AND source_subject_id IS NOT NULL")
    unknown = whole.groupBy("source_subject_id").agg(declared.alias("is_declared")).where("NOT is_declared")
    if persons is not None:
        unknown = unknown.join(persons.select("source_subject_id"), "source_subject_id", "left_anti")
    told = heads.join(unknown, "source_subject_id", "left")
    is_of_nobody = F.col("source_subject_id").isNull() | (F.col("is_declared").isNotNull() & ~F.col("declares_subject"))
    rule = F.coalesce("rule", F.when(is_of_nobody, "unknown_person"))
    return told.withColumn("rule", rule).drop("is_declared")


def first_told(heads: DataFrame, known: DataFrame | None) -> DataFrame:
    """``heads`` with a ``rule`` for those that say again what is known, or something else under a known version.

    Args:
        heads: ``ruled`` rows; what has a rule already is compared with nothing.
        known: the versions that were known before the batch; without a ``content_hash`` where it cannot be compared:
            then a version that is known stands as it is. None = there are none.
    """
    columns = [
        *RECORD,
        "source_subject_id",
        "record_type",
        "record_id",
        "version",
        "content_hash",
        "file_order",
        "rule",
    ]
    both = heads.select(*columns)
    if known is not None:
        of_batch = known.join(heads.select("record_id"), "record_id", "left_semi")
        before = of_batch.withColumns({"file_order": F.lit(-1), "rule": F.lit(None).cast("string")})
        both = both.unionByName(before.select(*columns))
    delivered = ["file_order", "file_id", "record"]
    # One shuffle and one sort serve both windows.
    compared = both.withColumn("_is_refused", F.col("rule").isNotNull()).repartition("record_id", "_is_refused")
    version = Window.partitionBy("record_id", "_is_refused", "version").orderBy(*delivered)
    record = Window.partitionBy("record_id", "_is_refused").orderBy("version", *delivered)
    told = compared.withColumns(
        {"_number": F.row_number().over(version), "_first": F.first("content_hash").over(version)}
    ).withColumn("_before", F.lag("_first").over(record))
    is_known = F.col("_number") > 1
    same = F.when(is_known, F.coalesce(F.col("content_hash") == F.col("_first"), F.lit(True))).otherwise(
        F.col("content_hash") == F.col("_before")
    )
    rule = F.coalesce("rule", F.when(same, UNCHANGED).when(is_known, "conflicting_version"))
    return told.where("file_order >= 0").withColumn("rule", rule)
