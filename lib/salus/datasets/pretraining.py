"""The data set of pre-training: everybody's sequences of events, with a label or without.

Nobody but people of the training split is in it, each as of some cut times, the task's index dates; what was not
available at its cut time is not in a sample. One training person in ten, by hash, is kept for stopping early, so that
neither tuning nor calibration nor held-out people have been seen when a task's model begins from what was learnt here.
"""

from collections.abc import Sequence
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from salus.cohorts.grid import data_end, grid
from salus.cohorts.splits import fold_column, learnt_until, split_samples
from salus.cohorts.task import Pretraining, Task
from salus.datasets.export import DATASETS, inputs_by
from salus.datasets.groups import multiple_for
from salus.datasets.manifest import Dataset, open_dataset
from salus.datasets.writing import write_dataset
from salus.errors import Refused
from salus.timelines.clocks import STATIC, micros
from salus.timelines.spec import FeatureSpec, Statistics

LEARNT_BY = ("train", "tuning")
"""The data set's splits, both of people of the task's split train: who is learnt from, and who says when to stop."""

ONE_IN = 10
"""Training people for each one whose loss says when to stop."""

LEAST_EVENTS = 2
"""Known at a cut time, static facts apart: from one event alone nothing follows."""

READS = ("timelines", "identity", "ingested_files")


def sequence_spec(spec: FeatureSpec) -> FeatureSpec:
    """What an encoder reads of ``spec``: its sequence, and the age on its scale. Specs of equal ones share encoders.

    Raises:
        Refused: it has no sequence.
    """
    if spec.sequence is None or spec.statistics is None:
        raise Refused(
            "Received a data set without a sequence of events for pre-training; expected one. "
            "Add `features.sequence` to the task and export again."
        )
    bare = FeatureSpec(
        windows_days=(),
        numeric_windows_days=(),
        count_statistics=(),
        numeric_statistics=(),
        groups=(),
        sequence=spec.sequence,
    )
    age, *others = bare.names
    assert spec.names[0] == age
    mean, std = (0.0,) * len(others), (1.0,) * len(others)
    statistics = Statistics(mean=(spec.statistics.mean[0], *mean), std=(spec.statistics.std[0], *std))
    return bare.model_copy(update={"statistics": statistics})


def cut_dates(dates: Sequence[date], asked: Pretraining) -> list[date]:
    """At most ``asked.cuts`` of ``dates`` (ascending), the newest that lie ``asked.apart_days`` apart."""
    chosen: list[date] = []
    for day in reversed(dates):
        if not chosen or (chosen[-1] - day).days >= asked.apart_days:
            chosen.append(day)
    return chosen[: asked.cuts]


def cut_samples(timelines: DataFrame, identity: DataFrame, task: Task, dates: Sequence[date]) -> DataFrame:
    """The samples, as a data set is written of them: training people at their cut times.

    Args:
        timelines: table ``timelines``.
        identity: who was who, with history.
        task: who is learnt from, and at which cuts.
        dates: the index dates, ascending.
    """
    until = learnt_until(task, dates)
    cuts = cut_dates([day for day in dates if until is None or day <= until], task.pretraining)
    times = F.explode(F.array(*(F.lit(micros(day)) for day in cuts)))
    events = F.expr(f"size(filter(available, at -> at > {STATIC} AND at <= cut))")
    known = timelines.select("subject_id", "available", times.alias("cut")).where(events >= LEAST_EVENTS)
    pairs = known.select("subject_id", "cut", F.expr("CAST(timestamp_micros(cut) AS TIMESTAMP_NTZ) AS prediction_time"))
    stops = fold_column(F.col("subject_id"), ONE_IN) == 0
    return (
        split_samples(pairs, identity, timelines, task, dates)
        .where("split = 'train'")
        .select(
            "subject_id",
            F.col("cut").alias("prediction_time"),
            F.lit(0.0).cast("float").alias("label"),
            F.lit(1.0).cast("float").alias("weight"),
            F.lit(0.0).cast("float").alias("observed_days"),
            F.when(stops, LEARNT_BY[1]).otherwise(LEARNT_BY[0]).alias("split"),
        )
    )


def write_sequences(job, task: Task, spec: FeatureSpec) -> Dataset:
    """Write the data set, beside those of the task.

    Args:
        job: the run.
        task: who is learnt from, and at which cuts.
        spec: of the sequences, what ``sequence_spec`` gives.

    Raises:
        Refused: nothing is known of any training person, or of none that stops.
    """
    timelines, identity = job.tables.read("timelines"), job.tables.read("identity")
    end = data_end(timelines, job.tables.read("ingested_files"))
    if end is None:
        raise Refused("Received no timelines to pre-train on; expected some. Run ingest and timelines first.")
    samples = cut_samples(timelines, identity, task, grid(task.index, task.label, end)).cache()
    found = {row["split"]: row["count"] for row in samples.groupBy("split").count().collect()}
    if len(found) < len(LEARNT_BY):
        raise Refused(
            f"Received {sum(found.values())} sequences of the training people of {task.id}; expected some to learn "
            "from and some to stop by. Ingest more people and build timelines first."
        )
    facts = {
        "task": task.id,
        "task_hash": task.cohort_hash,
        "pretraining": task.pretraining.of_samples,
        "spec_hash": spec.hash,
        "tables": job.tables.versions(READS),
    }
    folder = write_dataset(
        samples,
        timelines,
        inputs_by(spec),
        f"{job.tables.warehouse}/{DATASETS}/{task.id}",
        spec.blocks,
        facts,
        spec.to_json(),
        multiple_for(job.settings.ranks),
    )
    samples.unpersist()
    return open_dataset(folder.url)
