"""A delivery, from its files into the tables: everything or nothing, and every record accounted for."""

from dataclasses import replace
from datetime import datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from salus.errors import Held, Refused
from salus.job import Job
from salus.privacy.settings import policy_of
from salus.sources import landing
from salus.sources.batch import Batch, landed_rows, placed
from salus.sources.declaration import Source, load_source, source_path
from salus.sources.files import Landed, inspected
from salus.sources.identifying import refuse_identifying
from salus.sources.identity import history, identities
from salus.sources.parsing import UNCHANGED, header_columns
from salus.sources.units import units_path
from salus.sources.verdicts import RECORD, broken, index, owned, reason, repetitions, strangers

LANDED_TABLES = ("events", "persons", "coverage", "costs", "notes", "records", "links", "quarantine", "ingested_files")


def ingest(
    job: Job, source_name: str, folder: str, key: bytes, site: str | None = None, delivered_at: datetime | None = None
) -> None:
    """Take in the new files under ``folder`` as deliveries of ``source_name``.

    Args:
        job: the run; what it writes is published at its end.
        source_name: a source in conf/sources.
        folder: where the files lie.
        key: the site's key, from which every pseudonym is made.
        site: the site's name; default: the settings'.
        delivered_at: UTC; default: when each file was last changed.

    Raises:
        Refused: there is no such source or folder, or a file cannot be used at all; nothing is published.
        Held: too many records were refused; nothing is published.
    """
    source, policy = load_source(source_name), policy_of(source_name)
    refuse_identifying(source, policy, source_path(source_name))
    site = site or job.settings.site
    mapping_hash = source.mapping_hash(site, units_path().read_text(encoding="utf-8"), policy.hash)
    found = inspected(job.spark, source, folder)
    known, last = _known_files(job, mapping_hash)
    by_content = {file.file_id: file for file in reversed(found)}
    files = sorted((file for file in by_content.values() if file.file_id not in known), key=lambda file: file.name)
    if not files:
        job.skipped = True
        job.count(source=source.name, files_skipped=len(found))
        return
    batch = Batch(source, site, mapping_hash, files, delivered_at, last + 1)
    refuse_unusable(batch)
    job.progress(f"{source.name}: {len(files)} new files, {sum(file.bytes for file in files):,} bytes")
    _forget_old_mapping(job, batch)
    counts = _landed(job, batch, key) if batch.mapped else []
    counts += [_file_row(batch, file, {}, 0) for file in files if file not in batch.mapped]
    job.tables.append("ingested_files", job.tables.frame("ingested_files", counts))
    joined = _retried(job, replace(batch, files=[file for file in by_content.values() if file.file_id in known]), key)
    _count(job, source, counts, len(found) - len(files), joined)


def _known_files(job, mapping_hash) -> tuple[set[int], int]:
    """The files that went through this mapping, and the last batch's number."""
    rows = job.tables.read("ingested_files").select("file_id", "mapping_hash", "batch_id").collect()
    return {row["file_id"] for row in rows if row["mapping_hash"] == mapping_hash}, max(
        (row["batch_id"] for row in rows), default=-1
    )


def refuse_unusable(batch: Batch):
    """Refuse the batch for a file that cannot be read, or that is nothing that the source declares."""
    for file in batch.files:
        if file.error:
            raise Refused(
                f"Received {file.name}, which {file.error} (rule unreadable_file); expected a whole file. "
                "Have it delivered again, or take it out of the folder; nothing was published."
            )
        if file.record_type is None:
            raise Refused(
                f"Received {file.name}, whose records are of no type that {batch.source.name} declares "
                f"(rule unknown_record_type); expected {', '.join(batch.source.records)}. Declare it, list it "
                "under `ignored`, or take it out of the folder; nothing was published."
            )
        if batch.source.format == "csv" and file.record_type:
            _refuse_wrong_columns(batch.source, file)


def _refuse_wrong_columns(source: Source, file: Landed):
    have = header_columns(file.first_line, source.delimiter, source.quote)
    wanted = [name.strip() for name in source.records[str(file.record_type)].columns.split(",") if name.strip()]
    missing = [name for name in wanted if name not in have]
    if missing or len(have) != len(set(have)):
        what = f"lacks the columns {', '.join(missing)}" if missing else "names a column twice"
        raise Refused(
            f"Received {file.name}, which {what} (rule wrong_columns); expected a file of type {file.record_type} as "
            f"{source.name} declares it. Have it delivered again; nothing was published."
        )


def _landed(job: Job, batch: Batch, key: bytes) -> list[dict]:
    """Land what is accepted of ``batch``, quarantine the rest; rows of ``ingested_files``."""
    with landed_rows(job.tables, batch, key) as rows:
        placed_rows = _with_owners(job, batch, placed(job.spark, batch, rows))
        slim = index(placed_rows).persist()
        verdicts = _verdicts(job, batch, slim)
        counts = _by_file(verdicts)
        _hold_too_many(batch, counts)
        events = _append(job, batch, placed_rows, slim, verdicts)
        if any(set(rules) - {UNCHANGED} for rules in counts.values()):
            job.tables.append("quarantine", _quarantine(batch, verdicts))
        slim.unpersist()
        verdicts.unpersist()
    return [_file_row(batch, file, counts.get(file.file_id, {}), events.get(file.file_id, 0)) for file in batch.mapped]


def _with_owners(job: Job, batch: Batch, rows: DataFrame) -> DataFrame:
    """``rows`` with the person of those that are known by another record."""
    if not any(record.subject_of for record in batch.kinds.values()):
        return rows
    return owned(rows, job.tables.read("records"))


def _verdicts(job: Job, batch: Batch, rows: DataFrame) -> DataFrame:
    """The verdict on every record that is not simply accepted, each record once."""
    known = job.tables.read("records").where(F.col("record_type").startswith(f"{batch.source.name}/"))
    verdicts = broken(rows).persist()
    if not all(record.declares_subject for record in batch.kinds.values()):
        verdicts = verdicts.unionByName(strangers(rows, verdicts, job.tables.read("persons"))).persist()
    return verdicts.unionByName(repetitions(rows, verdicts, known)).persist()


def _append(job: Job, batch: Batch, rows: DataFrame, slim: DataFrame, verdicts: DataFrame) -> dict[int, int]:
    """Write what is accepted into every table that the batch's record types fill; the events of each file."""
    tables, source, kinds = job.tables, batch.source, batch.kinds
    decided = verdicts.select(*RECORD)
    accepted = rows.join(decided, RECORD, "left_anti")
    accepted_slim = slim.join(decided, RECORD, "left_anti").persist()
    tables.append("events", landing.events(accepted))
    for table, (key, _) in landing.PAYLOAD_TABLES.items():
        if filling := [kind for kind, record in kinds.items() if getattr(record, key)]:
            tables.append(table, landing.payload(accepted.where(F.col("record_type").isin(filling)), table))
    tables.append("records", landing.records(accepted_slim, source.name))
    if declaring := [kind for kind, record in kinds.items() if record.declares_subject]:
        _join_people(job, batch, accepted.where(F.col("record_type").isin(declaring)))
    counted = accepted_slim.where("is_event").groupBy("file_id").agg(F.count("*").alias("events")).collect()
    accepted_slim.unpersist()
    return {row["file_id"]: row["events"] for row in counted}


def _join_people(job: Job, batch: Batch, accepted: DataFrame):
    """Keep new links, and derive who is who anew where links came or persons changed."""
    tables = job.tables
    new = landing.links(accepted, tables.read("links"), batch.source.system_priority, batch.source.clock).persist()
    if not new.isEmpty():
        tables.append("links", new)
    elif accepted.where("person IS NOT NULL").isEmpty():
        return
    found = identities(tables.read("links"), tables.read("persons"))
    current, before = found.current.persist(), tables.read("identity")
    held = before.where("known_until IS NULL").select("source_subject_id", "subject_id")
    if not current.join(held, ["source_subject_id", "subject_id"], "left_anti").isEmpty():
        after = history(before, current, max(map(batch.delivered, batch.files)))
        tables.replace("identity", after.localCheckpoint())
    conflicts = found.conflicts.localCheckpoint()
    if not (conflicts.isEmpty() and tables.read("identity_conflicts").isEmpty()):
        tables.replace("identity_conflicts", conflicts)
    for frame in (new, current):
        frame.unpersist()


def _retried(job: Job, batch: Batch, key: bytes) -> int:
    """Try again those refused as ``unknown_person`` whose file is still there; how many were accepted now."""
    waiting = job.tables.read("quarantine").where(
        (F.col("rule") == "unknown_person")
        & (F.col("mapping_hash") == batch.mapping_hash)
        & F.col("file_id").isin([file.file_id for file in batch.files])
    )
    ids = {row["file_id"] for row in waiting.select("file_id").distinct().collect()} if batch.files else set()
    if not ids:
        return 0
    batch = replace(batch, files=[file for file in batch.files if file.file_id in ids])
    tables, where = job.tables, f"file_id IN ({', '.join(map(str, sorted(ids)))})"
    with landed_rows(tables, batch, key) as rows:
        again = _with_owners(job, batch, placed(job.spark, batch, rows)).join(
            waiting.select(*RECORD), RECORD, "left_semi"
        )
        slim = index(again).persist()
        verdicts = _verdicts(job, batch, slim)
        counts = _by_file(verdicts)
        tried = waiting.groupBy("file_id").count().collect()
        freed = {
            row["file_id"]: row["count"]
            - sum(number for rule, number in counts.get(row["file_id"], {}).items() if rule != UNCHANGED)
            for row in tried
        }
        if not any(freed.values()):
            return 0
        events = _append(job, batch, again, slim, verdicts)
        kept = tables.read("quarantine").where(where).join(waiting.select(*RECORD), RECORD, "left_anti")
        tables.replace("quarantine", kept.unionByName(_quarantine(batch, verdicts)).localCheckpoint(), where=where)
        corrected = [
            row.asDict()
            | {
                "rows_accepted": row["rows_accepted"] + freed[row["file_id"]],
                "rows_quarantined": row["rows_quarantined"] - freed[row["file_id"]],
                "rows_unchanged": row["rows_unchanged"] + counts.get(row["file_id"], {}).get(UNCHANGED, 0),
                "events_written": row["events_written"] + events.get(row["file_id"], 0),
            }
            for row in tables.read("ingested_files").where(where).collect()
        ]
        tables.replace("ingested_files", tables.frame("ingested_files", corrected), where=where)
        verdicts.unpersist()
    return sum(freed.values())


def _forget_old_mapping(job: Job, batch: Batch):
    """Take back what another mapping of the source made of the same files: they are mapped anew."""
    tables = job.tables
    before = tables.read("ingested_files").where(
        (F.col("source") == batch.source.name)
        & (F.col("site") == batch.site)
        & F.col("file_id").isin([file.file_id for file in batch.files])
    )
    ids = sorted(row["file_id"] for row in before.select("file_id").collect())
    for table in LANDED_TABLES if ids else ():
        if tables.version(table) is not None:
            tables.replace(table, tables.read(table).where("false"), where=f"file_id IN ({', '.join(map(str, ids))})")


def _hold_too_many(batch: Batch, counts: dict[int, dict[str, int]]):
    """Hold the batch where a larger share is refused than the source bears; nothing is published."""
    read = sum(file.records for file in batch.mapped)
    refused: dict[str, int] = {}
    for rules in counts.values():
        for rule, number in rules.items():
            if rule != UNCHANGED:
                refused[rule] = refused.get(rule, 0) + number
    if sum(refused.values()) <= batch.source.refuse_above * read:
        return
    worst = max(refused, key=refused.__getitem__)
    first = next(file.name for file in batch.mapped if worst in counts.get(file.file_id, {}))
    raise Held(
        f"Received {sum(refused.values()):,} of {read:,} records that {batch.source.name} refuses, {refused[worst]:,} "
        f"of them under {worst}, first in {first}; expected at most {batch.source.refuse_above:.0%}. Mend the files, "
        "or raise `refuse_above`; nothing was published."
    )


def _quarantine(batch: Batch, verdicts: DataFrame) -> DataFrame:
    return verdicts.where(F.col("rule") != UNCHANGED).select(
        *RECORD,
        F.lit(batch.source.name).alias("source"),
        "record_type",
        "rule",
        reason(F.col("rule")).alias("reason"),
        F.lit(batch.mapping_hash).alias("mapping_hash"),
        F.lit(batch.number).cast("long").alias("batch_id"),
    )


def _by_file(verdicts) -> dict[int, dict[str, int]]:
    """How many records of each file met with each verdict."""
    counts: dict[int, dict[str, int]] = {}
    for row in verdicts.groupBy("file_id", "rule").count().collect():
        counts.setdefault(row["file_id"], {})[row["rule"]] = row["count"]
    return counts


def _file_row(batch: Batch, file: Landed, rules: dict[str, int], events: int) -> dict:
    unchanged = rules.get(UNCHANGED, 0)
    quarantined = sum(rules.values()) - unchanged
    return {
        "file_id": file.file_id,
        "file": file.name,
        "source": batch.source.name,
        "site": batch.site,
        "record_type": file.record_type or "ignored",
        "bytes": file.bytes,
        "rows_read": file.records,
        "rows_accepted": file.records - quarantined,
        "rows_quarantined": quarantined,
        "rows_unchanged": unchanged,
        "events_written": events,
        "mapping_hash": batch.mapping_hash,
        "delivered_at": batch.delivered(file),
        "batch_id": batch.number,
    }


def _count(job: Job, source: Source, counts: list[dict], skipped: int, joined: int):
    total = {
        name: sum(row[name] for row in counts)
        for name in ("rows_read", "rows_accepted", "rows_quarantined", "rows_unchanged", "events_written")
    }
    job.count(
        source=source.name,
        files=len(counts),
        files_skipped=skipped,
        records_read=total["rows_read"],
        accepted=total["rows_accepted"],
        quarantined=total["rows_quarantined"],
        unchanged=total["rows_unchanged"],
        events=total["events_written"],
    )
    if joined:
        job.count(accepted_again=joined)
