"""Export: a task's labelled samples as a training data set, under ``<warehouse>/_datasets/<task>/<hash>``."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from salus.cohorts.label import EVENT, Kind, Label
from salus.cohorts.task import Task
from salus.datasets.folder import Folder
from salus.datasets.groups import multiple_for
from salus.datasets.manifest import MANIFEST, Dataset, open_dataset
from salus.datasets.writing import write_dataset
from salus.errors import Refused
from salus.timelines.features import definitions
from salus.timelines.fit import fit_spec
from salus.timelines.model_inputs import model_inputs
from salus.timelines.spec import FeatureSpec
from salus.timelines.standardise import standardise

DATASETS = "_datasets"
NEWEST = "newest.json"


def export(job, task: Task) -> None:
    """Fit the feature spec on the training split and write the data set, where the same was not done before.

    Raises:
        Refused: there is no cohort, or a split that is learnt from has labels of one class only, or all nought.
    """
    datasets = Folder(f"{job.tables.warehouse}/{DATASETS}/{task.id}")
    cohort, multiple = f"cohorts/{task.id}", multiple_for(job.settings.ranks)
    reads = (cohort, "timelines", "codes")
    features = task.features.model_dump(mode="json")
    groups = definitions(task.features)
    is_new = job.needed({"task": task.id}, reads=reads, features=features, groups=groups, multiple=multiple)
    if not is_new and datasets.has(NEWEST) and (datasets / datasets.read_json(NEWEST)["hash"]).has(MANIFEST):
        return
    job.skipped = False
    samples = labelled(job.tables.read(cohort), kind=task.label.kind).cache()
    dataset = write_samples(job, task, samples, datasets.url)
    samples.unpersist()
    datasets.write_json(NEWEST, {"hash": dataset.hash})
    job.count(
        inputs=dataset.width,
        **{f"{name}_samples": dataset.split(name).rows for name in dataset.content["splits"]},
        row_groups=sum(len(dataset.split(name).groups) for name in dataset.content["splits"]),
    )


def write_samples(job, task: Task, samples: DataFrame, datasets: str) -> Dataset:
    """Fit the feature spec on the samples of the split train, and write all of them as a data set.

    Args:
        job: the run.
        task: whose features.
        samples: what ``labelled`` gives; read more than once, so best cached.
        datasets: folder of data sets, on storage that all nodes share.

    Raises:
        Refused: a split that is learnt from has labels of one class only, or all nought.
    """
    reads = (f"cohorts/{task.id}", "timelines", "codes")
    timelines = job.tables.read("timelines")
    _learnable(samples, task)
    spec = fit_spec(task.features, job.tables.read("codes"), timelines, samples.where("split = 'train'"))
    facts = {
        "task": task.id,
        "task_hash": task.cohort_hash,
        "label": {
            "kind": task.label.kind.name,
            "unit": task.label.unit,
            **_timed(samples, task),
            **_classed(samples, task),
            **_quantiled(samples, task),
        },
        "spec_hash": spec.hash,
        "tables": job.tables.versions(reads),
    }
    multiple = multiple_for(job.settings.ranks)
    folder = write_dataset(samples, timelines, inputs_by(spec), datasets, spec.blocks, facts, spec.to_json(), multiple)
    return open_dataset(folder.url)


def newest_dataset(warehouse: str, task_id: str) -> Dataset:
    """The newest data set of a task.

    Raises:
        Refused: there is none.
    """
    datasets = Folder(f"{warehouse}/{DATASETS}/{task_id}")
    if not datasets.has(NEWEST):
        raise Refused(
            f"Received the task {task_id}, which has no data set in {datasets.url}; expected one. "
            "Run cohort and export first."
        )
    return open_dataset(f"{datasets.url}/{datasets.read_json(NEWEST)['hash']}")


def labelled(cohort: DataFrame, *kept: str, kind: Kind = EVENT) -> DataFrame:
    """The samples of a cohort that have a label, as an export needs them, with the columns ``kept`` as they are."""
    return cohort.where(F.col(kind.column).isNotNull()).select(
        "subject_id",
        F.expr("unix_micros(CAST(prediction_time AS TIMESTAMP))").alias("prediction_time"),
        F.expr(kind.value).cast("float").alias("label"),
        F.col("weight").cast("float").alias("weight"),
        F.coalesce("observed_days", F.lit(0)).cast("float").alias("observed_days"),
        "split",
        *kept,
    )


def inputs_by(spec: FeatureSpec) -> Callable[[pa.RecordBatch, np.ndarray, np.ndarray], dict[str, np.ndarray]]:
    """A function that makes standardised inputs by ``spec``: the one that scoring uses too."""

    def inputs(batch, sample_row, prediction_times):
        return standardise(model_inputs(batch, sample_row, prediction_times, spec), spec)

    return inputs


def _timed(samples, task):
    """Intervals and training hazards of a time to event, for the manifest; counted by day, of which there are few."""
    intervals = task.label.intervals
    if intervals is None:
        return {}
    counts = samples.where("split = 'train'").groupBy("label", "observed_days").count().collect()
    event_type, days, rows = np.array(counts, np.float64).T
    hazards = intervals.hazards(intervals.targets(event_type, days), rows)
    return {"intervals_days": list(intervals.ends), "causes": intervals.causes, "hazards": hazards.tolist()}


def _classed(samples, task):
    """The classes, and the share of each in training, for the manifest; counted by set, of which there are few."""
    outcomes = task.label.outcomes
    if outcomes is None:
        return {}
    label, rows = np.array(samples.where("split = 'train'").groupBy("label").count().collect(), np.float64).T
    shares = rows @ outcomes.holding(label) / rows.sum()
    return {"classes": list(outcomes.names), "is_exclusive": outcomes.is_exclusive, "shares": shares.tolist()}


def _quantiled(samples, task):
    """The levels of what is told by quantiles, and the training labels' own, for the manifest."""
    levels = list(task.label.kind.quantiles)
    if not levels:
        return {}
    found = samples.where("split = 'train'").agg(F.percentile_approx("label", levels)).head()[0]
    return {"levels": levels, "of_everybody": [float(each) for each in found]}


def positives_by(
    samples: DataFrame, column: str, values: Iterable[Any], label: Label
) -> dict[Any, tuple[int, dict[str, int]]]:
    """How many of ``samples`` each of a few ``values`` of ``column`` has: all, and the positive ones by what they are.

    Those of classes are counted class by class.
    """
    outcomes, asked = label.outcomes, {label.kind.positives: "label > 0"}
    if outcomes is not None:
        asked = {f"of {name}": outcomes.holds(place, "label") for place, name in enumerate(outcomes.names)}
    counts = [F.count_if(F.expr(condition)) for condition in asked.values()]
    found = {value: each for value, *each in samples.groupBy(column).agg(F.count("*"), *counts).collect()}
    of_each = ((value, found.get(value, [0] * (1 + len(asked)))) for value in values)
    return {value: (rows, dict(zip(asked, positives))) for value, (rows, *positives) in of_each}


def _learnable(samples, task):
    """Training and tuning need both classes of an event, and of each of several; of a number something above nought."""
    is_number = task.label.kind.is_number
    expected = "some above nought" if is_number else "labels of both classes"
    for split, (rows, positives) in positives_by(samples, "split", ("train", "tuning"), task.label).items():
        for name, of_it in positives.items():
            if not of_it or (of_it == rows and not is_number):
                raise Refused(
                    f"Received {rows} labelled samples of {task.id} in the split {split}, {of_it} of them {name}; "
                    f"expected {expected}. Ingest more people, or mend the task's label or splits."
                )
