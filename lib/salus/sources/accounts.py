"""Accounts: every record that was read is accepted or quarantined, and each file's figures say how many.

For each file of each batch ``rows_read = rows_accepted + rows_quarantined``, and ``quarantine`` holds as many rows of
its ``file_id`` and ``batch_id``, one a refused record.
"""

from collections.abc import Collection

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from salus.errors import Held
from salus.privacy.settings import policy_of
from salus.sources.batch import Batch
from salus.sources.deliveries import IGNORED
from salus.sources.files import Landed
from salus.sources.parsing import UNCHANGED
from salus.sources.raw_records import raw_records
from salus.sources.verdicts import RECORD, reason

FIGURES = ("rows_read", "rows_accepted", "rows_quarantined", "rows_unchanged", "events_written")


def by_file(rows: DataFrame, verdicts: DataFrame, is_any: bool) -> tuple[dict[int, dict[str, int]], dict[int, int]]:
    """How many records of each file met with each verdict; and how many events there are in those that met with none.

    Args:
        rows: ``index`` of the records.
        verdicts: the verdicts on them.
        is_any: whether there are verdicts.
    """
    of_verdict = F.lit(None).cast("string").alias("verdict")
    if is_any:
        rows = rows.join(verdicts.select(*RECORD, F.col("rule").alias("verdict")), RECORD, "left")
        of_verdict = F.col("verdict")
    grouped = rows.groupBy("file_id", of_verdict)
    figures = grouped.agg(F.count_if("is_head").alias("records"), F.count_if("is_event").alias("events")).collect()
    rules: dict[int, dict[str, int]] = {}
    for row in figures:
        if row["verdict"]:
            rules.setdefault(row["file_id"], {})[row["verdict"]] = row["records"]
    return rules, {row["file_id"]: row["events"] for row in figures if not row["verdict"]}


def refused(rules: dict[str, int]) -> int:
    """How many of a file's records were refused, under whatever rule."""
    return sum(number for rule, number in rules.items() if rule != UNCHANGED)


def hold_too_many(batch: Batch, counts: dict[int, dict[str, int]]) -> None:
    """Hold the batch where a larger share is refused than the source bears; nothing is published.

    Raises:
        Held: the share, the worst rule and its first file are named.
    """
    read = sum(file.records for file in batch.mapped)
    rules: dict[str, int] = {}
    for of_file in counts.values():
        for rule, number in of_file.items():
            if rule != UNCHANGED:
                rules[rule] = rules.get(rule, 0) + number
    if sum(rules.values()) <= batch.source.refuse_above * read:
        return
    worst = max(rules, key=rules.__getitem__)
    first = next(file.name for file in batch.mapped if worst in counts.get(file.file_id, {}))
    raise Held(
        f"Received {sum(rules.values()):,} of {read:,} records that {batch.source.name} refuses, {rules[worst]:,} "
        f"of them under {worst}, first in {first}; expected at most {batch.source.refuse_above:.0%}. Mend the files, "
        "or raise `refuse_above`; nothing was published."
    )


def quarantined(
    batch: Batch, verdicts: DataFrame, file_ids: Collection[int], batch_id: Column | None = None
) -> DataFrame:
    """``QUARANTINE`` rows of what ``verdicts`` refuse.

    Args:
        batch: the files that they stand in.
        verdicts: the verdicts on its records.
        file_ids: the files that hold records which are refused.
        batch_id: the batch that read the file first; default: this one.
    """
    number = F.lit(batch.number) if batch_id is None else batch_id
    held = verdicts.where(F.col("rule") != UNCHANGED).withColumn("raw", F.lit(None).cast("string"))
    if file_ids and policy_of(batch.source.name).keeps_refused:
        held = held.drop("raw").join(raw_records(verdicts.sparkSession, batch, file_ids), RECORD, "left")
    return held.select(
        *RECORD,
        "source_subject_id",
        F.lit(batch.source.name).alias("source"),
        "record_type",
        "rule",
        reason(F.col("rule")).alias("reason"),
        F.lit(batch.mapping_hash).alias("mapping_hash"),
        number.cast("long").alias("batch_id"),
        "raw",
    )


def file_row(batch: Batch, file: Landed, rules: dict[str, int], events: int) -> dict:
    """The row of ``ingested_files`` of a file whose records met with ``rules`` and wrote ``events``."""
    return {
        "file_id": file.file_id,
        "file": file.name,
        "folder": None if batch.source.format == "jdbc" else file.folder,
        "source": batch.source.name,
        "site": batch.site,
        "record_type": file.record_type or IGNORED,
        "bytes": file.bytes,
        "rows_read": file.records,
        "rows_accepted": file.records - refused(rules),
        "rows_quarantined": refused(rules),
        "rows_unchanged": rules.get(UNCHANGED, 0),
        "events_written": events,
        "mapping_hash": batch.mapping_hash,
        "delivered_at": batch.delivered(file),
        "batch_id": batch.number,
    }


def corrected(row: dict, freed: int, unchanged: int, events: int) -> dict:
    """A file's ``row`` after ``freed`` of its refused records were accepted, ``unchanged`` of them without effect."""
    return row | {
        "rows_accepted": row["rows_accepted"] + freed,
        "rows_quarantined": row["rows_quarantined"] - freed,
        "rows_unchanged": row["rows_unchanged"] + unchanged,
        "events_written": row["events_written"] + events,
    }
