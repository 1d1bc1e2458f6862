"""What is accepted of a batch goes into every table that its record types fill."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from salus.job import Job
from salus.sources import landing
from salus.sources.absence import Steps, copied
from salus.sources.batch import Batch
from salus.sources.joining import join_people
from salus.sources.verdicts import RECORD


def accepted_of(rows: DataFrame, verdicts: DataFrame, is_any: bool) -> DataFrame:
    """``rows`` without the records that have a verdict; where none has any, nothing need be compared."""
    return rows.join(verdicts.select(*RECORD), RECORD, "left_anti") if is_any else rows


def append(
    job: Job,
    batch: Batch,
    accepted: DataFrame,
    slim: DataFrame,
    events: dict[int, int],
    steps: Steps | None,
    is_anew: bool = False,
) -> dict[int, int]:
    """Write accepted rows, and what a snapshot changes beside them; the events of each file.

    Args:
        job: the run that writes.
        batch: what they are of.
        accepted: ``placed`` rows of accepted records.
        slim: their ``index``.
        events: how many events there are in each file's accepted records; it has no other files.
        steps: what a snapshot withdraws, and what holds again after it; None in a delta.
        is_anew: facts of the same files were taken back.
    """
    tables, source, kinds = job.tables, batch.source, batch.kinds
    if steps:
        accepted = accepted.unionByName(steps.voids, allowMissingColumns=True)
        slim = slim.unionByName(index_of_voids(steps.voids), allowMissingColumns=True)
        voids = {row["file_id"]: row["count"] for row in steps.voids.groupBy("file_id").count().collect()}
        events = {id: events.get(id, 0) + voids.get(id, 0) for id in events | voids}
    if not events:
        return {}
    rows = {"records": landing.records(slim, source.name)}
    if any(events.values()):
        rows["events"] = landing.events(accepted)
    for table, (key, _) in landing.PAYLOAD_TABLES.items():
        if filling := [kind for kind, record in kinds.items() if getattr(record, key)]:
            rows[table] = landing.payload(accepted.where(F.col("record_type").isin(filling)), table)
    declaring = [kind for kind, record in kinds.items() if record.declares_subject]
    before, links = tables.read("links"), None
    if declaring:
        people = accepted.where(F.col("record_type").isin(declaring))
        links = rows["links"] = landing.links(people, source.system_priority, source.clock)
        if source.link:
            dataset = f"{batch.site}/{source.system}"
            rows["linkage"] = landing.linkage(people, dataset, source.link_above, source.clock)
    tables.append_all(rows)
    if steps and steps.copies is not None:
        _hold_again(job, steps.copies, source.clock == "live")
    if links is not None:
        join_people(tables, before, links, is_anew, is_compared=bool(source.link))
    for frame in steps.kept if steps else ():
        frame.unpersist()
    return events


def index_of_voids(voids: DataFrame) -> DataFrame:
    """``voids`` as ``index`` would give them."""
    return voids.drop("time", "available_time", "code", "delivered_at").withColumn("is_event", F.lit(True))


def _hold_again(job, copies, is_live):
    """Write what holds again after a snapshot that came late."""
    copies = copies.localCheckpoint()
    if copies.isEmpty():
        return
    for table in ("events", *landing.PAYLOAD_TABLES, "records", "links", "linkage"):
        if job.tables.version(table) is not None:
            again = copied(job.tables.read(table), copies, is_live).localCheckpoint()
            if not again.isEmpty():
                job.tables.append(table, again)
