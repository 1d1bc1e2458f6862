"""A delivery, from its files into the tables: everything or nothing, and every record accounted for."""

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from salus.errors import EnvironmentFault, Held, Refused
from salus.job import Job
from salus.privacy.pseudonyms import pads
from salus.sources import landing
from salus.sources.declaration import Source, load_source
from salus.sources.files import Landed, inspected
from salus.sources.identity import history, identities
from salus.sources.mapping import mapped
from salus.sources.parsing import header_columns, lines, parsed
from salus.sources.units import conversions, read_units, units_path
from salus.sources.verdicts import UNCHANGED, broken, repetitions, strangers
from salus.storage.ledger import now
from salus.storage.staging import staged

LANDED_TABLES = ("events", "persons", "coverage", "costs", "notes", "records", "links", "quarantine", "ingested_files")
BLOCKS = "_path string, _block long, file_id long, file_order int, first_line_id long, first_record long, delivered_version long, delivered_at timestamp_ntz"
COUNTS = "file_id long, file string, record_type string"


@dataclass(frozen=True)
class Delivery:
    """What is ingested: a source's files that are new, at a site, under a mapping."""

    source: Source
    site: str
    mapping_hash: str
    files: list[Landed]
    skipped: int
    delivered_at: datetime | None
    batch_id: int

    def delivered(self, file: Landed) -> datetime:
        """When ``file`` came, by the delivery's own clock: as stated, else when it was last changed."""
        return self.delivered_at or file.modified


def ingest(job: Job, source_name: str, folder: str, key: bytes, site: str | None = None,
           delivered_at: datetime | None = None) -> None:
    """Take in the new files under ``folder`` as deliveries of ``source_name``.

    Args:
        job: the run; what it writes is published at its end.
        source_name: a source in conf/sources.
        folder: where the files lie.
        key: the site's key, from which every pseudonym is made.
        site: the site's name; default: the settings'.
        delivered_at: UTC; default: when each file was last changed.

    Raises:
        Refused: there is no such source or folder.
        Held: a file cannot be used at all, or too many records were refused; nothing is published.
    """
    source = load_source(source_name)
    delivery = _delivery(job, source, folder, site or job.settings.site, delivered_at)
    _hold_unusable(delivery)
    if not delivery.files:
        job.skipped = True
        job.count(source=source.name, files_skipped=delivery.skipped)
        return
    job.progress(f"{source.name}: {len(delivery.files)} new files, {sum(file.bytes for file in delivery.files):,} bytes"
                 + (f"; {delivery.skipped} known ones skipped" if delivery.skipped else ""))
    _forget_old_mapping(job, delivery)
    mapped_files = [file for file in delivery.files if file.record_type and file.records]
    if not mapped_files:
        _write_counts(job, delivery, {}, {}, {})
        return
    with staged(job.tables, _staged_rows(job, delivery, mapped_files, key)) as rows:
        _land(job, delivery, mapped_files, rows)


def _delivery(job, source, folder, site, delivered_at) -> Delivery:
    units = units_path().read_text(encoding="utf-8")
    mapping_hash = source.mapping_hash(site, units)
    found = inspected(job.spark, source, folder)
    known = {row["file_id"] for row in job.tables.read("ingested_files").where(F.col("mapping_hash") == mapping_hash)
             .select("file_id").toLocalIterator()}
    new = {file.file_id: file for file in reversed(found) if file.file_id not in known}
    files = sorted(new.values(), key=lambda file: file.name)
    last = job.tables.read("ingested_files").agg(F.max("batch_id")).head()
    batch = (last[0] if last and last[0] is not None else -1) + 1
    return Delivery(source, site, mapping_hash, files, len(found) - len(files), delivered_at, batch)


def _hold_unusable(delivery):
    """Hold the batch for a file that cannot be read, or that is nothing that the source declares."""
    for file in delivery.files:
        if file.error:
            raise Held(f"Received {file.name}, which {file.error} (rule unreadable_file); expected a whole file. "
                       "Have it delivered again, or take it out of the folder; nothing was published.")
        if file.record_type is None:
            raise Held(f"Received {file.name}, whose records are of no type that {delivery.source.name} declares "
                       f"(rule unknown_record_type); expected {', '.join(delivery.source.records)}. Declare it, list it "
                       "under `ignored`, or take it out of the folder; nothing was published.")
        if delivery.source.format == "csv" and file.record_type:
            _hold_wrong_columns(delivery.source, file)


def _hold_wrong_columns(source, file):
    have = header_columns(file.first_line, source.delimiter)
    wanted = [name.strip() for name in source.records[file.record_type].columns.split(",") if name.strip()]
    missing = [name for name in wanted if name not in have]
    twice = len(have) != len(set(have))
    if missing or twice or file.has_wrapped_rows:
        what = (f"lacks the columns {', '.join(missing)}" if missing else "names a column twice" if twice
                else "has line breaks within quotes")
        raise Held(f"Received {file.name}, which {what}; expected a file of type {file.record_type} as "
                   f"{source.name} declares it. Have it delivered again; nothing was published.")


def _staged_rows(job, delivery, files, key) -> DataFrame:
    """Every record of ``files`` mapped: one parse a record type and header, all in one frame."""
    spark, source = job.spark, delivery.source
    keyed = pads(spark, key)
    units = conversions(spark, read_units(units_path()))
    groups: dict[tuple[str, str], list[Landed]] = {}
    for file in files:
        columns = source.records[file.record_type].columns if source.format == "ndjson" else file.first_line
        groups.setdefault((file.record_type, columns), []).append(file)
    frames = [
        mapped(parsed(lines(spark, [file.path for file in group]), source, columns), source, kind, delivery.site, keyed, units)
        for (kind, columns), group in groups.items()
    ]
    whole = frames[0]
    for frame in frames[1:]:
        whole = whole.unionByName(frame)
    return whole


def _land(job, delivery, files, staged_rows):
    placed, blocks = _placed(job, delivery, files, staged_rows)
    refused = broken(placed).persist()
    verdicts = [refused]
    kinds = {file.record_type for file in files}
    if not all(delivery.source.records[kind].declares_subject for kind in kinds):
        verdicts.append(strangers(placed, refused, job.tables.read("persons")).persist())
    bad = _union(verdicts)
    verdicts.append(repetitions(placed, bad, job.tables.read("records")).persist())
    every = _union(verdicts).persist()
    counts = _verdict_counts(every)
    _hold_too_many(delivery, files, counts)
    accepted = placed.join(every.select("file_id", "record"), ["file_id", "record"], "left_anti")
    _append(job, delivery, accepted, every)
    events = {row["file_id"]: row["events"] for row in accepted.where("code IS NOT NULL").groupBy("file_id")
              .agg(F.count("*").alias("events")).collect()}
    _write_counts(job, delivery, counts, events, blocks)
    for frame in [*verdicts, every]:
        frame.unpersist()


def _placed(job, delivery, files, rows) -> tuple[DataFrame, dict[int, int]]:
    """``rows`` with file and position, and how many records the parser saw in each file.

    Raises:
        EnvironmentFault: the parser saw another number of records than the file's bytes hold.
    """
    by_uri = {quote(file.path): file for file in files} | {file.path: file for file in files}
    order = {file.file_id: number for number, file in enumerate(files)}
    found = rows.where("is_head").groupBy("_path", "_block").agg(
        F.min("_line_id").alias("least"), F.count("*").alias("records")).orderBy("_path", "_block").collect()
    seen: dict[int, int] = {}
    blocks = []
    header = 1 if delivery.source.format == "csv" else 0
    for row in found:
        file = by_uri["/" + row["_path"].removeprefix("file:").lstrip("/")]
        first = seen.get(file.file_id, 0)
        delivered = delivery.delivered(file)
        micros = int((delivered - datetime(1970, 1, 1)).total_seconds()) * 1_000_000
        blocks.append((row["_path"], row["_block"], file.file_id, order[file.file_id], row["least"], first - header, micros, delivered))
        seen[file.file_id] = first + row["records"]
    for file in files:
        if seen.get(file.file_id, 0) - header != file.records:
            raise EnvironmentFault(
                f"Received {seen.get(file.file_id, 0) - header} records from the parser for {file.name}; expected the "
                f"{file.records} that its bytes hold. Its rows were split wrongly; please report the file's form.")
    placing = F.broadcast(job.spark.createDataFrame(blocks, BLOCKS))
    live = delivery.source.clock == "live"
    placed = rows.join(placing, ["_path", "_block"]).withColumns({
        "record": F.col("_line_id") - F.col("first_line_id") + F.col("first_record"),
        "version": F.coalesce("version", "delivered_version"),
        "available_time": F.when(F.col("available_time").isNotNull(), F.greatest("available_time", "delivered_at"))
        if live else F.col("available_time"),
    }).where("record >= 0")
    return placed, {file_id: count - header for file_id, count in seen.items()}


def _union(frames):
    whole = frames[0]
    for frame in frames[1:]:
        whole = whole.unionByName(frame)
    return whole


def _verdict_counts(verdicts) -> dict[int, dict[str, int]]:
    counts: dict[int, dict[str, int]] = {}
    for row in verdicts.groupBy("file_id", "rule").count().collect():
        counts.setdefault(row["file_id"], {})[row["rule"]] = row["count"]
    return counts


def _hold_too_many(delivery, files, counts):
    read = sum(file.records for file in files)
    refused = {}
    for rules in counts.values():
        for rule, number in rules.items():
            if rule != UNCHANGED:
                refused[rule] = refused.get(rule, 0) + number
    share, limit = sum(refused.values()) / max(read, 1), delivery.source.refuse_above
    if share > limit:
        worst = max(refused, key=refused.__getitem__)
        names = [file.name for file in files if set(counts.get(file.file_id, {})) - {UNCHANGED}]
        raise Held(
            f"Received {sum(refused.values()):,} of {read:,} records that {delivery.source.name} refuses, {refused[worst]:,} of "
            f"them under {worst}, first in {names[0]}; expected at most {limit:.0%}. Have the files mended, or raise "
            "`refuse_above`; nothing was published.")


def _append(job, delivery, accepted, verdicts):
    tables, source = job.tables, delivery.source
    kinds = [source.records[file.record_type] for file in delivery.files if file.record_type]
    tables.append("events", landing.events(accepted))
    for table, (key, _) in landing.PAYLOAD_TABLES.items():
        if any(getattr(record, key) for record in kinds):
            tables.append(table, landing.payload(accepted, table))
    tables.append("records", landing.records(accepted, source.name))
    refused = verdicts.where(F.col("rule") != UNCHANGED)
    if not refused.isEmpty():
        tables.append("quarantine", refused.select(
            "file_id", "record", F.lit(source.name).alias("source"), "record_type", "rule",
            F.concat(F.lit("expected "), F.translate("rule", "_", " "), F.lit(" not to happen")).alias("reason"),
            F.lit(delivery.mapping_hash).alias("mapping_hash"), F.lit(delivery.batch_id).cast("long").alias("batch_id")))
    _join_people(job, delivery, accepted)


def _join_people(job, delivery, accepted):
    tables = job.tables
    new = landing.links(accepted, tables.read("links"), delivery.source.system_priority).persist()
    if not new.isEmpty():
        tables.append("links", new)
        found = identities(tables.read("links"), tables.read("persons"))
        tables.replace("identity", history(tables.read("identity"), found.current, max(map(delivery.delivered, delivery.files))).localCheckpoint())
        tables.replace("identity_conflicts", found.conflicts)
    new.unpersist()


def _forget_old_mapping(job, delivery):
    """Take back what another mapping of the source made of the same files: they are mapped anew."""
    tables = job.tables
    ids = ", ".join(str(file.file_id) for file in delivery.files)
    where = f"file_id IN ({ids})"
    if tables.read("ingested_files").where(where).isEmpty():
        return
    for table in LANDED_TABLES:
        if tables.version(table) is not None:
            tables.replace(table, tables.read(table).where("false"), where=where)


def _write_counts(job, delivery, counts, events, seen):
    rows = []
    for file in delivery.files:
        rules = counts.get(file.file_id, {})
        unchanged = rules.get(UNCHANGED, 0)
        quarantined = sum(rules.values()) - unchanged
        rows.append({
            "file_id": file.file_id, "file": file.name, "source": delivery.source.name, "site": delivery.site,
            "record_type": file.record_type or "ignored", "bytes": file.bytes, "rows_read": file.records,
            "rows_accepted": file.records - quarantined, "rows_quarantined": quarantined, "rows_unchanged": unchanged,
            "events_written": events.get(file.file_id, 0), "mapping_hash": delivery.mapping_hash,
            "delivered_at": delivery.delivered(file), "batch_id": delivery.batch_id,
        })
    job.tables.append("ingested_files", job.tables.frame("ingested_files", rows))
    total = {name: sum(row[name] for row in rows) for name in ("rows_read", "rows_accepted", "rows_quarantined", "rows_unchanged", "events_written")}
    job.count(source=delivery.source.name, files=len(rows), files_skipped=delivery.skipped, records_read=total["rows_read"],
              accepted=total["rows_accepted"], quarantined=total["rows_quarantined"], unchanged=total["rows_unchanged"],
              events=total["events_written"])
