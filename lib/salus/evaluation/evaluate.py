"""Evaluate a task's model: calibrate it on a split of its own, and measure it on people held out, beside others.

Everything is on the one scale of what is told: calibrated probabilities, or estimates of a count or a cost. A time to
event is calibrated and measured at its horizon as a yes or no, and over its horizon as what it is (``survival``). Of
classes the focus is measured as a yes or no, of quantiles the median, and all of them beside it (``classes``,
``quantiles``). The baseline gets a calibration of its own from the same split. In the demo the truth is known, so the
attainable and the true probability stand beside them.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from pyspark import Broadcast
from pyspark.sql import functions as F
from scipy.special import expit

from salus.cohorts.task import Task
from salus.datasets import Dataset
from salus.datasets.export import newest_dataset
from salus.datasets.folder import Folder
from salus.errors import Refused
from salus.evaluation.asked import asked, held_out_rows
from salus.evaluation.bootstrap import REPLICATES
from salus.evaluation.calibration import Calibration
from salus.evaluation.class_calibration import fit_classes
from salus.evaluation.classes import measured_classes
from salus.evaluation.completeness import by_completeness, flags_of
from salus.evaluation.leakage import CLOCKS, ROWS
from salus.evaluation.measures import Measures, measures_of
from salus.evaluation.metrics import Sample, interval_figures
from salus.evaluation.months import months_of
from salus.evaluation.predictions import (
    ROWS_AT_MOST,
    TIMES_AT_MOST,
    Predicted,
    collected,
    predictions,
    sampled,
    share_of_people,
)
from salus.evaluation.quantiles import in_order, measured_quantiles
from salus.evaluation.subgroups import GAP, MATERIAL, is_material
from salus.evaluation.survival import measured_times, told_curves
from salus.evaluation.suspicion import BOUND, suspicion
from salus.evaluation.tiers import at_tiers
from salus.evaluation.times import at_horizon, predicted_at_horizon, times_of
from salus.evaluation.trained import Trained, in_use, names_of, package_url, trained
from salus.evaluation.treatment import arms_of, by_treatment, decisions
from salus.job import Job
from salus.storage.ledger import now
from salus.timelines.spec import FeatureSpec
from salus.training.package import package_bytes

HELD_OUT, CALIBRATION = "held_out", "calibration"


def evaluate(job: Job, task: Task) -> None:
    """Calibrate and measure the newest model of ``task``, into ``calibrations`` and ``evaluations``.

    Raises:
        Refused: there is no trained model, its data set is gone, or the calibration split has one class.
    """
    model, baseline = (trained(job.tables, task.id, name) for name in names_of(task))
    reads = [f"cohorts/{task.id}", "timelines", "demo_truth"]
    if not job.needed(
        {"task": task.id},
        reads,
        model=model.package_hash,
        baseline=baseline.package_hash,
        method=task.calibration.method,
        replicates=REPLICATES,
        **task.model_dump(mode="json", include={"tiers", "treatment", "suspect_above"}),
    ):
        return
    dataset, measures = dataset_of(job, task, model), measures_of(task.label.kind)
    packages = [job.spark.sparkContext.broadcast(package_bytes(package_url(job, each))) for each in (model, baseline)]
    try:
        split = _predicted(job, dataset, CALIBRATION, packages)
        calibrations = _calibrate(job, *_to_fit(task, measures, split), (model, baseline))
        job.progress(f"calibrated on {calibrations[0].rows:,} rows of {calibrations[0].people:,} people")
        held_out = _predicted(job, dataset, HELD_OUT, packages, task)
        known = predicted_at_horizon(task, held_out)
        told = _told(known, calibrations)
        rows = _held_out_rows(measures, known, told, calibrations[0]) + _of_treatment(job, task, known, told["model"])
        rows += _of_tiers(task, known, told)
        rows = _in_place(rows, _over_horizon(task, held_out, calibrations))
        rows += _of_classes(task, held_out, calibrations)
        rows += _of_quantiles(task, held_out, calibrations)
        job.progress(f"measured on {held_out.labels.size:,} rows of people held out")
        priced = _price(job, task, measures, packages[0])
        for line in _told_of_price(priced):
            job.progress(line)
        rows += priced
    finally:
        for package in packages:
            package.unpersist()
    _write(job, task, measures, {"model": model, "baseline": baseline}, rows)


def dataset_of(job: Job, task: Task, model: Trained) -> Dataset:
    """The data set that ``model`` was trained on, which must be the task's newest.

    Raises:
        Refused: another was exported since.
    """
    dataset = newest_dataset(job.tables.warehouse, task.id)
    if dataset.hash != model.dataset_hash:
        raise Refused(
            f"Received {model.model_name} version {model.model_version}, which was trained on another data set than "
            f"the newest of {task.id}; expected the same. Train again: submit.sh train."
        )
    return dataset


def _to_fit(
    task: Task, measures: Measures, split: Predicted
) -> tuple[Callable[..., Calibration], Predicted, tuple[np.ndarray, ...]]:
    """What fits a calibration of ``task``, to which rows, and by which logits of each model."""
    fit = measures.fitted[task.calibration.method]
    if task.label.outcomes is not None:
        return partial(fit_classes, fit, task.label.outcomes), split, split.curves
    known = predicted_at_horizon(task, split)
    return fit, known, known.logits


def _calibrate(
    job: Job,
    fit: Callable[..., Calibration],
    split: Predicted,
    raw: tuple[np.ndarray, ...],
    models: tuple[Trained, ...],
) -> list[Calibration]:
    """Each model's calibration, kept in the table and, immutable, beside its package."""
    fitted = []
    for model, logits in zip(models, raw, strict=True):
        calibration = fit(logits, split.labels, split.weights, split.people, model.package_hash)
        Folder(package_url(job, model)).write(f"calibration-{calibration.version}.json", calibration.to_json().encode())
        fitted.append(calibration)
    job.tables.append(
        "calibrations",
        job.tables.frame(
            "calibrations",
            [
                {
                    "task_id": model.task_id,
                    "model_name": model.model_name,
                    "model_version": model.model_version,
                    "package_hash": model.package_hash,
                    "calibration_version": calibration.version,
                    "calibration": calibration.to_json(),
                    "fitted_at": now(),
                    "run_id": job.run_id,
                }
                for model, calibration in zip(models, fitted, strict=True)
            ],
        ),
    )
    return fitted


def _predicted(
    job: Job, dataset: Dataset, split: str, packages: list["Broadcast[bytes]"], asked_of: Task | None = None
) -> Predicted:
    """What ``packages`` say of ``split``; with the truth and the subgroups that ``asked_of`` has."""
    flags = {} if asked_of is None else flags_of(FeatureSpec.from_json(dataset.spec().decode()))
    predicted = predictions(job.spark, dataset, split, packages, flags)
    timelines, truth, learnt_from = None, None, None
    if asked_of is not None:
        timelines = job.tables.read("timelines")
        if job.tables.version("demo_truth") is not None:
            truth = job.tables.read("demo_truth").where(F.col("task_id") == asked_of.id)
        if asked_of.splits.by == "time":
            cohort = job.tables.read(f"cohorts/{asked_of.id}")
            learnt_from = cohort.where(F.col("split") != HELD_OUT).select("subject_id").distinct()
    most = ROWS_AT_MOST if dataset.timed is None else TIMES_AT_MOST
    share = share_of_people(dataset.split(split).rows, most)
    return collected(sampled(predicted, share), len(packages), truth, timelines, learnt_from, flags)


def _held_out_rows(
    measures: Measures, held_out: Predicted, models: dict[str, np.ndarray], calibration: Calibration
) -> list[dict[str, Any]]:
    """Both models on everybody held out; the truth, and what needs it, on those whose truth is known."""
    everybody = Sample(held_out.people, held_out.labels, held_out.weights)
    rows = _sized(measures.of_models(everybody, models), everybody)
    rows += measures.of_subgroups(everybody, models["model"], held_out.attributes)
    rows += by_completeness(everybody.people, held_out.recorded, held_out.attributes)
    rows += measures.of_months(everybody, models["model"], months_of(held_out.times))
    known = held_out.is_known
    if not known.any():
        return rows
    truth = {"attainable": held_out.attainable[known], "oracle": held_out.true[known]}
    sample = Sample(held_out.people[known], held_out.labels[known], held_out.weights[known], held_out.true[known])
    told = {name: each[known] for name, each in models.items()}
    rows += _sized(measures.of_models(sample, told | truth, over_truth_only=models), sample)
    low, high = calibration.bounds(held_out.logits[0][known])
    return rows + _sized(interval_figures(low, high, held_out.true[known], sample.weights), sample)


def _told(held_out: Predicted, calibrations: list[Calibration]) -> dict[str, np.ndarray]:
    """What each model tells of every row."""
    models = zip(("model", "baseline"), calibrations, held_out.logits, strict=True)
    return {name: calibration.calibrated(logits) for name, calibration, logits in models}


def _of_tiers(task: Task, held_out: Predicted, models: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """Both models at each tier of the task and above, on everybody held out; nothing of numbers."""
    if task.label.kind.is_number:
        return []
    sample = Sample(held_out.people, held_out.labels, held_out.weights, times=held_out.times)
    found = at_tiers(sample, models, task.tiers, task.index.event is not None)
    return _sized(found, sample)


def _over_horizon(task: Task, held_out: Predicted, calibrations: list[Calibration]) -> list[dict[str, Any]]:
    """Both models of a time to event, over its horizon, on everybody held out; nothing of other labels."""
    if task.label.intervals is None:
        return []
    models = {
        name: told_curves(expit(curves.astype(np.float64)), calibration.calibrated(logits))
        for name, calibration, logits, curves in zip(
            ("model", "baseline"), calibrations, held_out.logits, held_out.curves, strict=True
        )
    }
    times = times_of(held_out, task.label.horizon_days)
    found = measured_times(times, task.label.intervals.ends, models, task.tiers)
    return _sized(found, Sample(held_out.people, held_out.labels, held_out.weights))


def _of_treatment(job: Job, task: Task, held_out: Predicted, told: np.ndarray) -> list[dict[str, Any]]:
    """The model's highest tier by what followed its predictions; nothing of a task that names no treatment."""
    if task.treatment is None:
        return []
    cohort = job.tables.read(f"cohorts/{task.id}").where(F.col("split") == HELD_OUT)
    people = cohort.select("subject_id").distinct()
    found = decisions(job.tables.read("timelines"), job.tables.read("codes"), people, task.treatment)
    arms = arms_of(held_out.people, held_out.times, found, task.treatment)
    sample = Sample(held_out.people, held_out.labels, held_out.weights)
    return by_treatment(sample, told, arms, task.tiers)


def _of_classes(task: Task, held_out: Predicted, calibrations: list[Calibration]) -> list[dict[str, Any]]:
    """Both models of several classes, class by class, on everybody held out; nothing of other labels."""
    if task.label.outcomes is None:
        return []
    models = {
        name: calibration.of_classes(logits.astype(np.float64))
        for name, calibration, logits in zip(("model", "baseline"), calibrations, held_out.curves, strict=True)
    }
    sample = Sample(held_out.people, held_out.labels, held_out.weights)
    return _sized(measured_classes(sample, task.label.outcomes, models), sample)


def _of_quantiles(task: Task, held_out: Predicted, calibrations: list[Calibration]) -> list[dict[str, Any]]:
    """Both models' quantiles, on everybody held out; nothing of other labels."""
    levels = task.label.kind.quantiles
    if not levels:
        return []
    models = {
        name: in_order(calibration.calibrated(scores), levels)
        for name, calibration, scores in zip(("model", "baseline"), calibrations, held_out.curves, strict=True)
    }
    sample = Sample(held_out.people, held_out.labels, held_out.weights)
    return _sized(measured_quantiles(sample, models, levels), sample)


def _in_place(rows: list[dict[str, Any]], found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """``rows`` with ``found`` in the place of those of everybody that measure the same."""
    same = {(row["model_name"], row["metric"]) for row in found}
    return [row for row in rows if row.get("subgroup") or (row["model_name"], row["metric"]) not in same] + found


def _price(job: Job, task: Task, measures: Measures, package: "Broadcast[bytes]") -> list[dict[str, Any]]:
    """Leakage's price on about ``ROWS`` labelled rows of people held out."""
    rows = held_out_rows(job.tables, task, ROWS)
    questions = [(package, clock) for clock in CLOCKS]
    sample, answers = asked(rows, job.tables.read("timelines"), questions)
    place, known = at_horizon(task, sample)
    return _sized(measures.price(known, *(each[place] for each in answers)), known)


def _told_of_price(rows: list[dict[str, Any]]) -> list[str]:
    """Leakage's price with its paired interval as a line of text; none where it could not be had."""
    prices = [row for row in rows if row["metric"] == "leakage_price"]
    return [
        f"leakage's price: {row['value']:+.3f} ({row['low']:+.3f} to {row['high']:+.3f}), which features by `time` "
        "would have promised above what can be kept"
        for row in prices
    ]


def _sized(rows: list[dict[str, Any]], sample: Sample) -> list[dict[str, Any]]:
    size = {"people": int(np.unique(sample.people).size), "rows": int(sample.labels.size)}
    return [row | size for row in rows]


def _write(job: Job, task: Task, measures: Measures, models: dict[str, Trained], rows: list[dict[str, Any]]) -> None:
    versions = {name: model.model_version for name, model in models.items()}
    if task.suspect_above is not None:
        rows = [*rows, {"model_name": "model", "metric": BOUND, "value": task.suspect_above}]
    constant = {"task_id": task.id, "split": HELD_OUT, "run_id": job.run_id}
    kept = [
        {name: _number(value) for name, value in row.items()}
        | {"model_version": versions.get(row["model_name"], "")}
        | constant
        for row in rows
    ]
    job.tables.replace("evaluations", job.tables.frame("evaluations", kept), _outdated(job, task, models["model"]))
    found = {(row["model_name"], row["metric"]): row.get("value") for row in kept if not row.get("subgroup")}
    suspected = suspicion({name: found.get((name, "auroc")) for name in models}, task.suspect_above)
    if suspected:
        job.progress(suspected)
    job.count(material_gaps=sum(map(_is_material_gap, kept)))
    job.count(**{name: value for name, key in measures.shown.items() if (value := found.get(key)) is not None})


def _outdated(job, task, model):
    """Evaluations that make room: all of the task, but for its champion's where that is another model."""
    of_task = f"task_id = '{task.id}'"
    champion = in_use(job.tables, task)
    if champion.package_hash == model.package_hash:
        return of_task
    of_champion = (F.col("task_id") == task.id) & (F.col("model_version") == champion.model_version)
    evaluated = job.tables.read("evaluations").where(of_champion & (F.col("model_name") == "model"))
    runs = ", ".join(f"'{row['run_id']}'" for row in evaluated.select("run_id").distinct().collect())
    return f"{of_task} AND run_id NOT IN ({runs})" if runs else of_task


def _is_material_gap(row):
    metric = row["metric"].removesuffix(GAP)
    return metric in MATERIAL and metric != row["metric"] and is_material(metric, row["value"], row["low"], row["high"])


def _number(value):
    """numpy's floats as Python's, and NaN, which means that there is nothing to say, as null."""
    if not isinstance(value, float):
        return value
    return None if math.isnan(value) else float(value)
