"""The suppression list: who was erased stays away, whatever tomorrow's full extract says.

The list names nobody: it holds keyed hashes of pseudonyms, so that neither the list nor an old score tells who is on
it without the site's key. A person is known again by their own ids and by the identifiers that they alone carried.
"""

from collections.abc import Iterable

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from salus.privacy.pseudonyms import pads, pseudonym, pseudonym_of
from salus.storage.small import small_frame
from salus.storage.tables import Tables

SUBJECT, IDENTIFIER = "subject", "identifier"


def suppression_id(key: bytes, kind: str, pseudonym_id: int) -> int:
    """What the list holds for the pseudonym of a source subject or of an identifier."""
    return pseudonym(key, "", f"suppressed {kind}", str(pseudonym_id))


def suppress(tables: Tables, key: bytes, run_id: str, subjects: Iterable[int], identifiers: Iterable[int]) -> None:
    """Put source subjects and identifiers on the list."""
    rows = [(SUBJECT, one) for one in subjects] + [(IDENTIFIER, one) for one in identifiers]
    tables.append(
        "suppressed",
        tables.frame(
            "suppressed",
            [{"suppression_id": suppression_id(key, kind, one), "kind": kind, "run_id": run_id} for kind, one in rows],
        ),
    )


def without_suppressed(tables: Tables, rows: DataFrame, key: bytes, rule: str) -> DataFrame:
    """``rows`` with ``rule`` for every record of a person on the list; the very same where the list is empty.

    Whoever carries a suppressed identifier under an id of their own is that person too, and is put on the list.

    Args:
        tables: of the warehouse.
        rows: mapped records.
        key: the site's key.
        rule: the verdict that accepts a record and writes nothing.
    """
    if tables.version("suppressed") is None:
        return rows
    listed = tables.read("suppressed").select("suppression_id", "kind").distinct()
    by_id = rows.where("is_head AND source_subject_id IS NOT NULL").select("source_subject_id").distinct()
    by_identifier = rows.where("is_head AND declares_subject").select(
        "source_subject_id", F.explode("identifiers").alias("identifier_id")
    )
    known = _listed(by_id.withColumn("one", F.col("source_subject_id")), SUBJECT, listed, key)
    again = _listed(by_identifier.withColumnRenamed("identifier_id", "one"), IDENTIFIER, listed, key)
    gone = {row["source_subject_id"] for row in known.collect()}
    new = {row["source_subject_id"] for row in again.collect()} - gone
    if new:
        suppress(tables, key, "ingest", sorted(new), [])
    if not (gone | new):
        return rows
    erased = small_frame(
        tables.spark, [(one, True) for one in sorted(gone | new)], "source_subject_id long, _gone boolean"
    )
    marked = rows.join(F.broadcast(erased), "source_subject_id", "left")
    return marked.withColumn("rule", F.when(F.col("_gone"), F.lit(rule)).otherwise(F.col("rule"))).select(*rows.columns)


def _listed(rows: DataFrame, kind: str, listed: DataFrame, key: bytes) -> DataFrame:
    """``source_subject_id`` of those of ``rows`` whose pseudonym ``one`` is on the list as a ``kind``."""
    hashed = rows.crossJoin(F.broadcast(pads(rows.sparkSession, key))).withColumn(
        "suppression_id", F.expr(pseudonym_of("", f"suppressed {kind}", "CAST(one AS STRING)"))
    )
    return (
        hashed.join(F.broadcast(listed.where(F.col("kind") == kind)), "suppression_id", "left_semi")
        .select("source_subject_id")
        .distinct()
    )
