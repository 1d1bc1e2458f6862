"""Refused records go through again, from their files: those whose person came since, or all after a mended mapping.

They count to the batch that read their file, and take its delivery's time: so it makes no difference whether a
record was accepted at once or later.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from salus.job import Job
from salus.sources.absence import steps_of
from salus.sources.accounts import by_file, corrected, quarantined, refused
from salus.sources.appending import accepted_of, append
from salus.sources.batch import Batch, landed_rows, placed
from salus.sources.deliveries import Noted, next_after
from salus.sources.files import Found, found_again
from salus.sources.parsing import UNCHANGED
from salus.sources.verdicts import RECORD, index, verdicts_on, with_others
from salus.storage.small import small_frame

WAITING = ("unknown_person", "unknown_definition", "unknown_day_one")
"""Rules of records that another record may yet mend."""


def refused_before(
    job: Job, files: Iterable[int], noted: Sequence[Noted], mapping_hash: str | None
) -> tuple[DataFrame, list[Noted]]:
    """The refused records that may pass now, and the rows of ``ingested_files`` that they count to.

    Args:
        job: the run.
        files: the files that are at hand.
        noted: the rows of ``ingested_files`` of the source and site; of a file the newest counts.
        mapping_hash: those refused for want of another record, under this mapping; None = all.
    """
    newest: dict[int, Noted] = {}
    for row in sorted(noted, key=lambda row: row.batch_id):
        newest[row.file_id] = row
    at_hand = [newest[id] for id in files if id in newest and newest[id].rows_quarantined]
    if mapping_hash:
        at_hand = [row for row in at_hand if row.mapping_hash == mapping_hash]
    pairs = small_frame(job.spark, [(row.file_id, row.batch_id) for row in at_hand], "file_id long, batch_id long")
    waiting = job.tables.read("quarantine").join(F.broadcast(pairs), ["file_id", "batch_id"], "left_semi")
    if mapping_hash:
        waiting = waiting.where(F.col("rule").isin(*WAITING))
    ids = {row["file_id"] for row in waiting.select("file_id").distinct().collect()} if at_hand else set()
    return waiting, [row for row in at_hand if row.file_id in ids]


def freed_elsewhere(job: Job, at_hand: Collection[int], noted: Sequence[Noted], mapping_hash: str) -> list[Found]:
    """The files of earlier deltas, not among those ``at_hand``, of whose refused records the person is known by now.

    Args:
        job: the run.
        at_hand: the files of this ingest's folder.
        noted: the rows of ``ingested_files`` of the source and site.
        mapping_hash: that of today: what another one refused waits until its files are mapped anew.
    """
    away = {
        row.file_id: row
        for row in noted
        if row.folder and row.rows_quarantined and row.mapping_hash == mapping_hash and row.file_id not in at_hand
    }
    if not away:
        return []
    files = small_frame(job.spark, [(file_id,) for file_id in away], "file_id long")
    waiting = job.tables.read("quarantine").where("rule = 'unknown_person'").join(F.broadcast(files), "file_id")
    known = waiting.join(job.tables.read("persons"), "source_subject_id", "left_semi")
    ids = [row["file_id"] for row in known.select("file_id").distinct().collect()]
    return found_again(job.spark, [(str(away[one].folder), away[one].file, one) for one in ids])


def retried(
    job: Job, batch: Batch, key: bytes, noted: Sequence[Noted], rows: Sequence[Noted], waiting: DataFrame
) -> int:
    """Try ``waiting`` again; how many were accepted now.

    Args:
        job: the run.
        batch: the files that they stand in.
        key: the site's key.
        noted: the rows of ``ingested_files`` of the source and site.
        rows: those of ``noted`` that they count to, one a file.
        waiting: rows of ``quarantine`` of those files and batches.
    """
    counted = {row.file_id: row for row in rows}
    files = [replace(file, modified=counted[file.file_id].delivered_at) for file in batch.files]
    batch = replace(batch, files=files, delivered_at=None)
    at = {row.record_type: row.delivered_at for row in rows}
    stale = [row.file_id for row in noted if row.mapping_hash != batch.mapping_hash]
    with landed_rows(job.tables, batch, key) as staged_again:
        rows_again = with_others(job.tables, batch, placed(job.spark, batch, staged_again))
        again = rows_again.join(waiting.select(*RECORD), RECORD, "left_semi")
        slim = index(again).persist()
        verdicts, is_any = verdicts_on(job.tables, batch, slim, stale)
        counts, events = by_file(slim, verdicts, is_any)
        tried = {row["file_id"]: row["count"] for row in waiting.groupBy("file_id").count().collect()}
        freed = {file_id: number - refused(counts.get(file_id, {})) for file_id, number in tried.items()}
        if any(freed.values()) or any(row.mapping_hash != batch.mapping_hash for row in rows):
            accepted = accepted_of(slim, verdicts, is_any)
            steps = steps_of(job.tables, batch, next_after(noted, at), accepted, present=None)
            events = append(job, batch, accepted_of(again, verdicts, is_any), accepted, events, steps)
            _account(job, batch, counted, waiting, verdicts, freed, counts, events)
        slim.unpersist()
        verdicts.unpersist()
    return sum(freed.values())


def _account(job, batch, counted, waiting, verdicts, freed, counts, events):
    """Put the new verdicts in the place of the old, and correct the figures of the files."""
    tables, where = job.tables, f"file_id IN ({', '.join(map(str, counted))})"
    tried = waiting.select(*RECORD, "batch_id")
    others = tables.read("quarantine").where(where).join(tried, [*RECORD, "batch_id"], "left_anti")
    with_refusals = [file_id for file_id, rules in counts.items() if refused(rules)]
    still = quarantined(batch, verdicts.join(tried, RECORD), with_refusals, F.col("batch_id"))
    tables.replace("quarantine", others.unionByName(still).localCheckpoint(), where=where)
    rows = [row.asDict() for row in tables.read("ingested_files").where(where).collect()]
    for number, row in enumerate(rows):
        file_id = row["file_id"]
        if row["batch_id"] == counted[file_id].batch_id:
            unchanged = counts.get(file_id, {}).get(UNCHANGED, 0)
            rows[number] = corrected(row, freed.get(file_id, 0), unchanged, events.get(file_id, 0))
    tables.replace("ingested_files", tables.frame("ingested_files", rows), where=where)
