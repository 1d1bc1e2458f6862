"""The ledger of runs, the snapshots through which everybody reads, who was erased, and who was told of whom."""

from pyspark.sql.types import StructType

from salus.schemas.fields import DATE, DOUBLE, LONG, STRING, TIME, VERSIONS, field

RUNS = StructType(
    [
        field("run_id", STRING, "unique", True),
        field("job", STRING, "the job's name", True),
        field("status", STRING, "started, succeeded, skipped, refused, held or failed", True),
        field("at", TIME, "UTC; when this row was written", True),
        field("seconds", DOUBLE, "wall seconds since the start"),
        field("work_key", STRING, "hash of the work: job, arguments, inputs' versions; equal work is done once"),
        field("arguments", STRING, "JSON of the job's arguments"),
        field("figures", STRING, "JSON of what the job counted"),
        field("code_version", STRING, "Salus version and commit", True),
    ]
)

SNAPSHOTS = StructType(
    [
        field("snapshot_id", STRING, "unique", True),
        field("published_at", TIME, "UTC; strictly ascending", True),
        field("run_id", STRING, "the run that published", True),
        field("versions", VERSIONS, "Delta version of every table", True),
    ]
)

SUPPRESSED = StructType(
    [
        field("suppression_id", LONG, "keyed hash of a pseudonym: names nobody", True),
        field("kind", STRING, "subject or identifier", True),
        field("run_id", STRING, "the erasure, or `ingest` where the person came under another id", True),
    ]
)

DISCLOSURES = StructType(
    [
        field("run_id", STRING, "the run that delivered", True),
        field("at", TIME, "UTC", True),
        field("user_name", STRING, "the operating system's user who asked", True),
        field("task_id", STRING, "task", True),
        field("as_of", DATE, "the prediction was at its 00:00 UTC", True),
        field("rows_asked", LONG, "patients on the list", True),
        field("rows_scored", LONG, "of whom so many have a score", True),
    ]
)
