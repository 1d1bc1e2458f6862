"""Erasure: a person leaves every table and every file of the warehouse, and does not come back.

First the rows go, in all tables at once, as one published snapshot; then the history goes, because a Delta table keeps
what was deleted from it. Up to the publication a crash leaves everything as it was; after it, the next erasure ends
what is unfinished, with or without the same names (docs/adr/0011-erasure.md).
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from salus.errors import Refused
from salus.job import Job
from salus.privacy.derived_files import Dataset, datasets_with, drop, encoders_of, reports_with
from salus.privacy.suppression import suppress
from salus.schemas import schema_of
from salus.storage.purge import purge
from salus.storage.tables import Tables

PERSON_COLUMNS = ("source_subject_id", "other_subject_id", "subject_id")
ALSO_TOLD = ("identity_conflicts", "codes")
"""Tables without a column of the person that can tell of one: by a list of ids, by a code that nobody else has."""

AT_ONCE = 4


@dataclass(frozen=True)
class Trained:
    """A model that learnt from the person.

    Attributes:
        model, version: its name and version.
        ways: the splits that held the person (unsure: by its cohort), and the encoder that held them and that it began
            from.
    """

    model: str
    version: str
    ways: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.model} {self.version} ({', '.join(self.ways)})"


def erase(job: Job, asked: Collection[int], key: bytes) -> list[Trained]:
    """Remove the people that ``asked`` names, and end what an earlier erasure left unfinished.

    Args:
        job: the run; the removal is published within.
        asked: pseudonyms: of a person, or of one of a person's source subjects.
        key: the site's key.

    Returns:
        The models that were trained on them.

    Raises:
        Refused: nobody of that name is here, and nothing is unfinished.
    """
    tables = job.tables
    unfinished = is_unfinished(tables)
    subjects = members(tables, asked) if asked else []
    if not subjects and not unfinished:
        raise Refused(
            f"Received {len(asked)} ids, none of which is in the warehouse; expected a subject_id, or an identifier "
            "that a source declared. Look at the system's name, the site (SALUS_SITE) and the key; nothing was changed."
        )
    models: list[Trained] = []
    if subjects:
        models = _removed(job, subjects, key)
    held = [name for name in tables.published if may_hold(name)]
    tables.forget_snapshots()
    job.count(files_purged=purge(tables, held))
    return models


def may_hold(name: str) -> bool:
    """Whether table ``name`` can tell of a person."""
    return name in ALSO_TOLD or bool(set(PERSON_COLUMNS) & set(schema_of(name).names))


def members(tables: Tables, asked: Collection[int]) -> list[int]:
    """The source subjects of the people whom ``asked`` names, by what is known today; those in quarantine too.

    Raises:
        Refused: an identifier is carried by several people.
    """
    today = tables.read("identity").where("known_until IS NULL")
    own = today.where(F.col("source_subject_id").isin(*asked)).select(F.lit(0).cast("long").alias("by"), "subject_id")
    carried = tables.read("links").where(F.col("identifier_id").isin(*asked))
    shared = carried.join(today, "source_subject_id").select(F.col("identifier_id").alias("by"), "subject_id")
    named = own.unionByName(shared).distinct().collect()
    carriers = Counter(row["by"] for row in named if row["by"])
    if carriers and (most := max(carriers.values())) > 1:
        raise Refused(
            f"Received an identifier that {most} people carry; expected one person's own. Name the person by "
            "subject_id, or by the id that their source gave them; nothing was changed."
        )
    people = sorted({row["subject_id"] for row in named})
    found = today.where(F.col("subject_id").isin(*people)).select("source_subject_id").collect() if people else []
    waiting = tables.read("quarantine").where(F.col("source_subject_id").isin(*asked)).select("source_subject_id")
    return sorted({row["source_subject_id"] for row in [*found, *waiting.distinct().collect()]})


def is_unfinished(tables: Tables) -> bool:
    """Whether an erasure was published whose history was not purged to its end."""
    if tables.version("suppressed") is None:
        return False
    runs = tables.read("runs").where("job = 'erase'")
    listed = tables.read("suppressed").select("run_id").distinct()
    done = runs.where("status = 'succeeded'")
    begun = runs.where("status = 'started'").join(listed, "run_id", "left_semi")
    [[last_begun]] = begun.agg(F.max("at")).collect()
    [[last_ended]] = done.agg(F.max("at")).collect()
    return last_begun is not None and (last_ended is None or last_ended < last_begun)


def _removed(job: Job, subjects: Sequence[int], key: bytes) -> list[Trained]:
    """Take everything of ``subjects`` out and publish the tables without it."""
    tables = job.tables
    people = tables.read("identity").where(_of(subjects, "source_subject_id")).select("subject_id").distinct().count()
    datasets = datasets_with(tables, subjects)
    models = trained_on(tables, subjects, datasets)
    reports = reports_with(tables, subjects)
    identifiers = own_identifiers(tables.read("links"), subjects)
    _recount(tables, subjects)
    _forget_raw_records(tables)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        deleted = list(pool.map(lambda name: _left(tables, name, subjects), filter(may_hold, tables.published)))
    suppress(tables, key, job.run_id, subjects, identifiers)
    drop(tables, [dataset.folder for dataset in datasets] + reports)
    job.count(
        people=people,
        source_subjects=len(subjects),
        rows=sum(deleted),
        tables=sum(map(bool, deleted)),
        datasets=len(datasets),
        reports=len(reports),
        models=list(map(str, models)),
    )
    job.publish()
    return models


def own_identifiers(links: DataFrame, subjects: Sequence[int]) -> list[int]:
    """The identifiers that ``subjects`` carry and nobody else does."""
    mine = links.where(_of(subjects, "source_subject_id")).select("identifier_id").distinct()
    others = links.where(~_of(subjects, "source_subject_id")).select("identifier_id")
    rows = mine.join(others, "identifier_id", "left_anti").where(~_of(subjects, "identifier_id")).collect()
    return sorted(row["identifier_id"] for row in rows)


def trained_on(tables: Tables, subjects: Sequence[int], datasets: Sequence[Dataset]) -> list[Trained]:
    """The models that learnt from ``subjects``: by their data sets, or, where those are gone, by their cohorts.

    The heirs of an encoder that did are among them: they began from its weights.
    """
    by_hash = {dataset.hash: dataset.splits for dataset in datasets}
    learnt, cohorts = {}, {}
    named = ("task_id", "model_name", "model_version", "dataset_hash", "package_hash", "package_path")
    models = tables.read("models").select(*named).collect()
    for row in models:
        task = row["task_id"]
        splits = by_hash.get(row["dataset_hash"])
        if splits is None and not tables.holds_file(f"_datasets/{task}/{row['dataset_hash']}/manifest.json"):
            if task not in cohorts:
                cohort = tables.read(f"cohorts/{task}").where(_of(subjects, "subject_id"))
                cohorts[task] = tuple(
                    f"{one['split']} by its cohort" for one in cohort.select("split").distinct().collect()
                )
            splits = cohorts[task]
        learnt[row] = tuple(split for split in splits or () if not split.startswith("held_out"))
    encoders = encoders_of(tables, [row["package_path"] for row in models])
    learnt = with_heirs(learnt, {row: encoders.get(row["package_path"]) for row in models})
    found = (Trained(row["model_name"], row["model_version"], ways) for row, ways in learnt.items() if ways)
    return sorted(found, key=lambda one: (one.model, one.version))


def with_heirs(learnt: Mapping[Row, tuple[str, ...]], began: Mapping[Row, str | None]) -> dict[Row, tuple[str, ...]]:
    """``learnt`` with what each model has by the encoder that it began from.

    Args:
        learnt: rows of ``models`` to the splits from which they learnt of the person; none where they did not.
        began: the same rows to the package hash of that encoder; None where there was none.
    """
    told = {row["package_hash"]: f"{row['model_name']} {row['model_version']}" for row, ways in learnt.items() if ways}
    return {
        row: (*ways, f"by its encoder {told[began[row]]}") if began[row] in told else ways
        for row, ways in learnt.items()
    }


def _recount(tables: Tables, subjects: Sequence[int]) -> None:
    """Correct what counts the rows that go: each night's people, each file's refusals, each code's events."""
    _recount_nights(tables, subjects)
    refused = tables.read("quarantine").where(_of(subjects, "source_subject_id"))
    gone = refused.groupBy("file_id", "batch_id").agg(F.count("*").alias("_gone"))
    if not gone.isEmpty():
        files = tables.read("ingested_files").join(F.broadcast(gone), ["file_id", "batch_id"], "left")
        changes = {"rows_accepted": "_gone", "rows_unchanged": "_gone", "rows_quarantined": "-_gone"}
        tables.replace("ingested_files", _changed(files, changes))
    mine = tables.read("events").where(_of(subjects, "source_subject_id"))
    carried = mine.groupBy("code").agg(F.count("*").alias("_gone"))
    if tables.version("codes") is not None:
        codes = _changed(tables.read("codes").join(F.broadcast(carried), "code", "left"), {"events": "-_gone"})
        tables.replace("codes", codes.where("events > 0"))
    if tables.version("identity_conflicts") is not None:
        tables.replace("identity_conflicts", _conflicts_without(tables.read("identity_conflicts"), subjects))


def _recount_nights(tables, subjects):
    nights = [
        tables.read(name).where(_of(subjects, "subject_id")).select("run_id", "not_scored_reason")
        for name in ("scores", "scores_superseded")
    ]
    not_scored = F.col("not_scored_reason").isNotNull()
    gone = (
        nights[0]
        .unionByName(nights[1])
        .groupBy("run_id")
        .agg(
            F.count("*").alias("_gone"), F.count_if(~not_scored).alias("_scored"), F.count_if(not_scored).alias("_not")
        )
    )
    if not gone.isEmpty():
        runs = tables.read("score_runs").join(F.broadcast(gone), "run_id", "left")
        changes = {"eligible": "-_gone", "population": "-_gone", "scored": "-_scored", "not_scored": "-_not"}
        tables.replace("score_runs", _changed(runs, changes))


def _changed(rows: DataFrame, changes: dict[str, str]) -> DataFrame:
    """``rows`` with each column of ``changes`` moved by another, where there is one, and worked out at once."""
    moved = {column: F.expr(f"{column} + coalesce({by}, 0)") for column, by in changes.items()}
    return rows.withColumns(moved).localCheckpoint()


def _forget_raw_records(tables: Tables) -> None:
    """Empty all raw records in quarantine: what was refused may not say whose it is, or may be of several people."""
    refused = tables.read("quarantine")
    if not refused.where("raw IS NOT NULL").isEmpty():
        tables.replace("quarantine", refused.withColumn("raw", F.lit(None).cast("string")).localCheckpoint())


def _conflicts_without(conflicts: DataFrame, subjects: Sequence[int]) -> DataFrame:
    """``conflicts`` among those who are left; one person alone is in conflict with nobody."""
    mine = F.array(*[F.lit(one).cast("long") for one in subjects])
    left = F.array_except("source_subject_ids", mine)
    gone = (F.size("source_subject_ids") - F.size(left)).cast("long")
    changed = conflicts.withColumns({"subjects": F.col("subjects") - gone, "source_subject_ids": left})
    return changed.where("subjects > 1").localCheckpoint()


def _left(tables: Tables, name: str, subjects: Sequence[int]) -> int:
    """Delete the rows of table ``name`` that are of ``subjects``, and seal it; how many they were."""
    columns = [column for column in PERSON_COLUMNS if column in schema_of(name).names]
    ids = ", ".join(map(str, subjects))
    rows = tables.delete(name, " OR ".join(f"{column} IN ({ids})" for column in columns)) if columns else 0
    tables.seal(name)
    return rows


def _of(subjects: Sequence[int], column: str):
    return F.col(column).isin(*subjects)
