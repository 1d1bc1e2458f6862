"""A delivery, from its files into the tables: everything or nothing, and every record accounted for."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from salus.errors import Held, Refused
from salus.job import Job
from salus.privacy.settings import policy_of
from salus.sources.absence import steps_of
from salus.sources.accounts import FIGURES, by_file, file_row, hold_too_many, quarantined, refused
from salus.sources.appending import accepted_of, append
from salus.sources.batch import Batch, landed_rows, placed, version_of
from salus.sources.columns import needed_columns
from salus.sources.declaration import TABLES, Source
from salus.sources.deliveries import Delivery, Noted, planned
from salus.sources.expected import timing
from salus.sources.files import Found, Landed, found, inspected
from salus.sources.identifying import refuse_identifying
from salus.sources.landing import PAYLOAD_TABLES
from salus.sources.linkage_model import model_path
from salus.sources.loading import load_source, source_path
from salus.sources.parsing import header_columns
from salus.sources.retry import freed_elsewhere, refused_before, retried
from salus.sources.units import units_text
from salus.sources.verdicts import index, verdicts_on, with_others
from salus.storage.ledger import now

FACTS = ("events", *PAYLOAD_TABLES, "records", "links", "linkage")
"""The tables that a file's records become rows of."""


def ingest(
    job: Job,
    source_name: str,
    folder: str,
    key: bytes,
    site: str | None = None,
    delivered_at: datetime | None = None,
    retry_quarantine: bool = False,
) -> None:
    """Take in the new files under ``folder`` as a delivery of ``source_name``.

    Args:
        job: the run; what it writes is published at its end.
        source_name: a source in conf/sources.
        folder: where the files lie; the whole of one delivery, where the source delivers snapshots.
        key: the site's key, from which every pseudonym is made.
        site: the site's name; default: the settings'.
        delivered_at: UTC; default: when each file was last changed (of a snapshot: the last of its files).
        retry_quarantine: put every refused record of the files through again, and map no known file anew.

    Raises:
        Refused: there is no such source or folder, or a file cannot be used at all; nothing is published.
        Held: too many records were refused, or are missing from a snapshot; nothing is published.
    """
    source, policy = load_source(source_name), policy_of(source_name)
    refuse_identifying(source, policy, source_path(source_name))
    site = site or job.settings.site
    rules = [units_text(), policy.hash, *([model_path().read_text(encoding="utf-8")] if source.link else [])]
    mapping_hash = source.mapping_hash(site, *rules)
    noted, number = _noted(job, source, site)
    taken = [row._replace(mapping_hash=mapping_hash) for row in noted] if retry_quarantine else noted
    there = found(job.spark, source, folder)
    delivery = planned(source, there, taken, mapping_hash, delivered_at, partial(inspected, job.spark, source))
    _tell(job, source, there, delivery)
    batch = Batch(source, site, mapping_hash, delivery.files, delivery.delivered_at, number)
    counts = _taken_in(job, batch, delivery, noted, key) if delivery.files else []
    again = 0
    if counts or retry_quarantine:
        new = {file.file_id for file in delivery.files}
        known = {file.file_id: file for file in there if file.file_id not in new and not file.is_growing}
        if source.delivery == "delta" and not retry_quarantine:
            at_hand = {file.file_id for file in there}
            known |= {file.file_id: file for file in freed_elsewhere(job, at_hand, noted, mapping_hash)}
        again = _again(job, batch, known, noted, key, None if retry_quarantine else mapping_hash)
    job.skipped = not counts and not again
    job.count(source=source.name)
    if counts:
        _count(job, counts)
    told = {
        "files_skipped": len(there) - len(counts),
        "files_growing": len(delivery.growing),
        "files_repeated": len(delivery.repeated),
        "accepted_again": again,
    }
    job.count(**{name: number for name, number in told.items() if number or name == "files_skipped"})
    _tell_late(job, source, [row.delivered_at for row in noted] + [row["delivered_at"] for row in counts])


def _noted(job, source, site) -> tuple[list[Noted], int]:
    """What ``ingested_files`` says of the source at the site, and the number of the next batch."""
    rows = job.tables.read("ingested_files").select(*Noted._fields, "source", "site").collect()
    of_source = [row for row in rows if (row["source"], row["site"]) == (source.name, site)]
    last = max((row["batch_id"] for row in rows), default=-1)
    return [Noted(*row[: len(Noted._fields)]) for row in of_source], last + 1


def _tell(job, source, there, delivery: Delivery):
    """Say which files are left aside, and why."""
    if delivery.growing:
        left = "all of the snapshot is" if source.delivery == "snapshot" else "they are"
        job.progress(f"{source.name}: still growing: {', '.join(delivery.growing)}; {left} left for the next run")
    for name, known in delivery.repeated.items():
        job.progress(f"{source.name}: {name} holds what {known} holds, and is skipped")
    if delivery.files:
        size = sum(file.bytes for file in delivery.files)
        job.progress(f"{source.name}: {len(delivery.files)} of {len(there)} files, {size:,} bytes")


def _taken_in(job: Job, batch: Batch, delivery: Delivery, noted: Sequence[Noted], key: bytes) -> list[dict]:
    """Map and land the batch's files, and account for each of them; rows of ``ingested_files``."""
    refuse_unusable(batch)
    _hold_empty_snapshot(batch)
    _forget(job, batch, delivery.anew)
    forgotten = {(row.file_id, row.batch_id) for row in delivery.anew}
    stale = sorted(
        row.file_id
        for row in noted
        if row.mapping_hash != batch.mapping_hash and (row.file_id, row.batch_id) not in forgotten
    )
    counts = _landed(job, batch, delivery, key, stale) if batch.mapped else []
    counts += [file_row(batch, file, {}, 0) for file in batch.files if file not in batch.mapped]
    job.tables.append("ingested_files", job.tables.frame("ingested_files", counts))
    return counts


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
        if batch.source.format in ("csv", *TABLES) and file.record_type:
            _refuse_wrong_columns(batch.source, file)


def _refuse_wrong_columns(source: Source, file: Landed):
    is_csv = source.format == "csv"
    have = header_columns(file.first_line, source.delimiter, source.quote) if is_csv else list(file.columns)
    missing = [name for name in needed_columns(source, str(file.record_type)) if name not in have]
    if missing or len(have) != len(set(have)):
        what = f"lacks the columns {', '.join(missing)}" if missing else "names a column twice"
        raise Refused(
            f"Received {file.name}, which {what} (rule wrong_columns); expected a file of type {file.record_type} as "
            f"{source.name} declares it. Have it delivered again; nothing was published."
        )


def _hold_empty_snapshot(batch: Batch):
    """Hold a snapshot in which there is nothing: it was cut, more likely than that everything ended."""
    empty = [file.name for file in batch.files if file.record_type]
    if batch.source.delivery == "snapshot" and empty and not batch.mapped:
        raise Held(
            f"Received a snapshot of {batch.source.name} whose files ({', '.join(empty)}) hold no record; expected "
            "some. Have it delivered whole; nothing was published."
        )


def _landed(job: Job, batch: Batch, delivery: Delivery, key: bytes, stale: Sequence[int]) -> list[dict]:
    """Land what is accepted of ``batch``, quarantine the rest; rows of ``ingested_files``."""
    with landed_rows(job.tables, batch, key) as staged:
        placed_rows = with_others(job.tables, batch, placed(job.spark, batch, staged))
        slim = index(placed_rows).persist()
        verdicts, is_any = verdicts_on(job.tables, batch, slim, stale)
        counts, events = by_file(slim, verdicts, is_any)
        hold_too_many(batch, counts)
        accepted = accepted_of(slim, verdicts, is_any)
        steps = steps_of(job.tables, batch, delivery.next_at, accepted, slim)
        rows = accepted_of(placed_rows, verdicts, is_any)
        events = append(job, batch, rows, accepted, events, steps, bool(delivery.anew))
        if with_refusals := [file_id for file_id, rules in counts.items() if refused(rules)]:
            job.tables.append("quarantine", quarantined(batch, verdicts, with_refusals))
        slim.unpersist()
        verdicts.unpersist()
    return [file_row(batch, file, counts.get(file.file_id, {}), events.get(file.file_id, 0)) for file in batch.mapped]


def _again(job, batch, known: dict[int, Found], noted, key, mapping_hash) -> int:
    """Put refused records of ``known`` files through again; how many were accepted now."""
    waiting, rows = refused_before(job, known, noted, mapping_hash)
    if not rows:
        return 0
    files = inspected(job.spark, batch.source, [known[row.file_id] for row in rows])
    return retried(job, replace(batch, files=files), key, noted, rows, waiting)


def _forget(job: Job, batch: Batch, anew: Sequence[Noted]):
    """Take back what another mapping made of the same files in the same delivery: they are mapped anew.

    What the files say is not changed by it, only how it was read; the reading of before stands in the snapshots of
    before.
    """
    if not anew:
        return
    ids = ", ".join(str(row.file_id) for row in anew)
    batches = ", ".join(sorted({str(row.batch_id) for row in anew}))
    where = f"file_id IN ({ids})"
    versions = ""
    if batch.source.delivery == "snapshot":
        at = version_of(anew[0].delivered_at)
        versions = f" AND version BETWEEN {at - 1} AND {at}"
    conditions = dict.fromkeys(FACTS, where + versions)
    conditions |= dict.fromkeys(("quarantine", "ingested_files"), f"{where} AND batch_id IN ({batches})")
    for table, condition in conditions.items():
        if job.tables.version(table) is not None:
            job.tables.replace(table, job.tables.read(table).where("false"), where=condition)


def _count(job: Job, counts: list[dict]):
    total = {name: sum(row[name] for row in counts) for name in FIGURES}
    job.count(
        files=len(counts),
        records_read=total["rows_read"],
        accepted=total["rows_accepted"],
        quarantined=total["rows_quarantined"],
        unchanged=total["rows_unchanged"],
        events=total["events_written"],
    )


def _tell_late(job, source, delivered: list[datetime]):
    """Say so where what is here now is not what should be here by today."""
    due = timing(source.expected, max(delivered, default=None), now().date())
    if due.is_missing:
        job.progress(
            f"{source.name}: the delivery that was due on {due.next_expected} is missing: {due.days_late} days"
        )
        job.count(days_late=due.days_late)
