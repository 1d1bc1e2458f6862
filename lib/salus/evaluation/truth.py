"""The demo's truth, under the pseudonyms and splits that the warehouse gives to the simulated people.

The simulation knows people by number and writes each system's own id beside it. A pseudonym is one-way, so the
ids are hashed as ingest hashed them and the identities of today say who they are.
"""

import hashlib
from functools import reduce
from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from salus.cohorts.splits import split_people
from salus.cohorts.task import Task
from salus.errors import Refused
from salus.job import Job
from salus.privacy.pseudonyms import pads, pseudonym_of, read_key
from salus.schemas import DEMO_TRUTH
from salus.sources.loading import load_source

SYSTEM_IDS = {"fhir_r4": "ehr_patient_id", "payer_extract": "member_id", "wearable_daily": "wearable_id"}
"""The truth's column that holds each source's own id of a person; null where the source does not know them."""

OF_TASK = "admission_90d"
"""What the simulation knows the probability of: an unplanned admission in 90 days, and nothing else."""


def demo_truth(job: Job, task: Task, folder: Path) -> None:
    """Write table ``demo_truth`` of ``task`` from the truth files in ``folder``, where it is not there already.

    Of another task than ``OF_TASK`` there is no truth, and nothing is written.

    Raises:
        Refused: ``folder`` holds no truth.
    """
    if task.id != OF_TASK:
        job.skipped = True
        return
    files = sorted(folder.glob("truth.*.parquet"))
    if not files:
        raise Refused(
            f"Received the folder {folder}; expected truth.*.parquet in it, as `simulate` writes them. "
            "Simulate again, or name the folder that simulate wrote."
        )
    content = hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).hexdigest()
    if not job.needed({"task": task.id}, reads=["identity"], truth=content, splits=task.splits.model_dump()):
        return
    truth = job.spark.read.parquet(*(str(file) for file in files))
    systems = {column: load_source(source).system for source, column in SYSTEM_IDS.items()}
    key = pads(job.spark, read_key(job.settings.key_path))
    rows = truth_of_subjects(truth, key, job.settings.site, systems, job.tables.read("identity"), task)
    job.tables.replace("demo_truth", rows, where=f"task_id = '{task.id}'")
    people = job.tables.read("demo_truth").where(F.col("task_id") == task.id)
    [[subjects, truths]] = people.agg(F.countDistinct("subject_id"), F.count("*")).collect()
    job.count(people=subjects, truths=truths)


def truth_of_subjects(
    truth: DataFrame, key: DataFrame, site: str, systems: dict[str, str], identity: DataFrame, task: Task
) -> DataFrame:
    """One ``DEMO_TRUTH`` row a subject and index date.

    Args:
        truth: rows of the simulation: person, its ids, as_of, probabilities, outcome.
        key: one row, the pads of the site's key.
        site: hashed into every id.
        systems: the system of each column of ids in ``truth``.
        identity: who is who, with history.
        task: whose splits.

    Returns:
        Rows without those of a subject in whom two simulated people were taken for one: it has no one truth.
    """
    today = identity.where(F.col("known_until").isNull()).select("source_subject_id", "subject_id")
    known = reduce(
        DataFrame.unionByName,
        (
            truth.where(F.col(column).isNotNull())
            .select("person", F.col(column).alias("id"))
            .distinct()
            .crossJoin(key)
            .select("person", F.expr(pseudonym_of(site, system, "id")).alias("source_subject_id"))
            for column, system in systems.items()
        ),
    )
    subjects = known.join(today, "source_subject_id").select("person", "subject_id").distinct()
    alone = subjects.groupBy("subject_id").agg(F.min("person").alias("person"), F.count("*").alias("people"))
    rows = truth.join(alone.where(F.col("people") == 1).drop("people"), "person")
    return split_people(rows, identity, task).withColumn("task_id", F.lit(task.id)).select(*DEMO_TRUTH.names)
