"""Cross-validation: every model of a task, fitted anew on all folds but one and measured on the one left out.

Folds are disjoint in people. A fold's data set is the task's own export with other splits: people of the fold are
held out, and of the others those in tuning and calibration stay there and all else is training, so the vocabulary,
the statistics, the stopping and the calibration have not seen the fold either. Where there is room, the networks of
several folds are trained side by side. What comes of a finished fold is kept until all are done, so that a run that was
interrupted goes on with the next.

Folds say how far figures move with the people, and whether the network is worth more than trees; they hold out
everybody in turn, so nothing may be chosen by them that is then reported on ``held_out``.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from math import isnan
from threading import Event
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from scipy.stats import t as student

from salus.cohorts.task import Task
from salus.datasets import Dataset
from salus.datasets.export import DATASETS, labelled, positives_by, write_samples
from salus.datasets.folder import Folder
from salus.errors import Held, Refused
from salus.evaluation.classical import classical_models, scores_of
from salus.evaluation.contest import contest_by, contest_of
from salus.evaluation.evaluate import CALIBRATION, HELD_OUT
from salus.evaluation.metrics import Sample
from salus.evaluation.predictions import collected, predictions, sampled, share_of_people
from salus.evaluation.suspicion import BOUND, suspicion
from salus.evaluation.times import at_horizon
from salus.job import Job
from salus.training.launch import run_ranks
from salus.training.package import INFO, MODEL, SPEC, package_bytes, write_package
from salus.training.plan import TrainingPlan
from salus.training.side_by_side import in_turns, side_by_side
from salus.training.train import CHECKPOINTS, agreed, networks_of

FOLDS = "_folds"


def folds(job: Job, task: Task, ranks: int | None = None, at_once: int | None = None) -> None:
    """Cross-validate ``task``, into table ``folds``, where the same was not done before.

    Args:
        job: the run.
        task: its model, its baseline and the classical models go through all of its folds.
        ranks: Horovod ranks of each fold; None = the settings'.
        at_once: folds whose networks are trained side by side; None = as many as there is room for. Nothing else
            depends on it.

    Raises:
        Refused: the task holds out by time, or there is no room for so many ranks.
        Held: a fold has fewer positive labels than the task's gates ask for, or labels of one class.
    """
    if task.splits.by == "time":
        raise Refused(
            f"Received {task.id}, which holds out by time; expected splits by person or site, of which no person is "
            "in two. Measure it by `evaluate`."
        )
    ranks = ranks or job.settings.ranks
    reads = (f"cohorts/{task.id}", "timelines", "codes")
    if not job.needed({"task": task.id}, reads, task=task.hash, ranks=ranks):
        return
    place = Folder(f"{job.tables.warehouse}/{FOLDS}/{task.id}")
    finished = place / str(job.key)
    samples = labelled(job.tables.read(reads[0]), "fold", kind=task.label.kind).cache()
    try:
        _enough(samples, task)
        names = {fold: f"fold-{fold}.json" for fold in range(task.folds)}
        to_do = [fold for fold, name in names.items() if not finished.has(name)]
        for together in in_turns(job.spark, to_do, ranks, at_once):
            for fold, found in _of_folds(job, task, samples, together, ranks):
                finished.write_json(names[fold], found)
                job.progress(f"fold {fold + 1} of {task.folds}: {_said(found, fold)}")
    finally:
        samples.unpersist()
    rows: list[dict[str, Any]] = [row for name in names.values() for row in finished.read_json(name)]
    rows += across(rows, task.folds)
    if task.suspect_above is not None:
        size = {name: rows[-1][name] for name in ("people", "rows")}
        rows.append(_row("model", None, BOUND, task.suspect_above, size))
    constant = {"task_id": task.id, "run_id": job.run_id}
    job.tables.replace("folds", job.tables.frame("folds", [row | constant for row in rows]), f"task_id = '{task.id}'")
    place.clear()
    overall = {(row["model_name"], row["metric"]): row for row in rows if row["fold"] is None}
    contest = contest_of(task.label.kind)
    by = contest.ranked_by
    job.count(folds=task.folds, **{f"{by}_{name}": overall[name, by]["value"] for name in contest.models[:-1]})


def without_fold(samples: DataFrame, fold: int) -> DataFrame:
    """``samples`` (with ``fold`` and the task's own ``split``) as a data set that holds out ``fold``.

    Of the others, who was held out becomes training; tuning and calibration stay what they are.
    """
    others = F.when(F.col("split") == HELD_OUT, "train").otherwise(F.col("split"))
    return samples.withColumn("split", F.when(F.col("fold") == fold, HELD_OUT).otherwise(others)).drop("fold")


def across(rows: list[dict[str, Any]], folds: int) -> list[dict[str, Any]]:
    """Mean and spread of each metric over the folds, and the model's paired differences in the one it is ranked by.

    Folds share most of their training people, so the plain t interval of a difference is too narrow; its variance is
    multiplied by ``1/k + 1/(k - 1)`` in place of ``1/k`` (Nadeau & Bengio, Machine Learning 52, 2003).

    Args:
        rows: one a model, fold and metric.
        folds: how many, k.
    """
    contest = contest_by(rows)
    by_fold = {(row["model_name"], row["metric"], row["fold"]): row["value"] for row in rows}
    size = {fold: _size(rows, fold) for fold in range(folds)}
    total = {name: sum(each[name] for each in size.values()) for name in ("people", "rows")}
    made = []
    for model in contest.models:
        for metric in contest.metrics:
            values = [by_fold[model, metric, fold] for fold in range(folds)]
            if all(value is not None for value in values):
                mean, spread = float(np.mean(values)), float(np.std(values, ddof=1))
                made.append(_row(model, None, metric, mean, total) | {"spread": spread})
    by = contest.ranked_by
    for other in contest.rivals:
        gained = [by_fold["model", by, fold] - by_fold[other, by, fold] for fold in range(folds)]
        mean, spread = float(np.mean(gained)), float(np.std(gained, ddof=1))
        reach = float(student.ppf(0.975, folds - 1)) * spread * (1 / folds + 1 / (folds - 1)) ** 0.5
        interval = {"spread": spread, "low": mean - reach, "high": mean + reach}
        made.append(_row("model", None, contest.over(other), mean, total) | interval)
    return made


def table(rows: list[dict[str, Any]]) -> str:
    """The folds' figures as lines of text: models by metrics, mean and standard deviation."""
    contest = contest_by(rows)
    found = {(row["model_name"], row["metric"]): row for row in rows if row["fold"] is None}
    lines = ["  " + "model".ljust(16) + "".join(heading.rjust(20) for heading in contest.metrics.values())]
    for model in contest.models:
        cells = [found.get((model, metric)) for metric in contest.metrics]
        shown = ["-" if cell is None else f"{cell['value']:.3f} ± {cell['spread']:.3f}" for cell in cells]
        lines.append("  " + model.replace("_", " ").ljust(16) + "".join(cell.rjust(20) for cell in shown))
    for other in contest.rivals:
        row, heading = found["model", contest.over(other)], contest.metrics[contest.ranked_by]
        label = other.replace("_", " ")
        lines.append(f"  {heading} over {label}: {row['value']:+.3f} ({row['low']:+.3f} to {row['high']:+.3f})")
    suspected = suspected_of(rows)
    return "\n".join([*lines, f"  {suspected}"] if suspected else lines)


def suspected_of(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """What is said of models whose mean AUROC over the folds is too good to be true; None where none is."""
    over_all = {(row["model_name"], row["metric"]): row["value"] for row in rows if row["fold"] is None}
    aurocs = {name: over_all.get((name, "auroc")) for name in contest_by(rows).models}
    return suspicion(aurocs, over_all.get(("model", BOUND)))


def _of_folds(
    job: Job, task: Task, samples: DataFrame, together: Sequence[int], ranks: int
) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """The rows of each of the folds ``together``, whose networks are trained side by side."""
    place = Folder(f"{job.tables.warehouse}/{DATASETS}/{task.id}.folds")
    checkpoints = Folder(f"{job.tables.warehouse}/{CHECKPOINTS}/{task.id}.folds")
    place.clear()
    checkpoints.clear()
    try:
        datasets = [write_samples(job, task, without_fold(samples, fold), place.url) for fold in together]
        plans = [
            TrainingPlan(each.folder.url, each.hash, (checkpoints / str(fold)).url, tuple(networks_of(task)))
            for fold, each in zip(together, datasets)
        ]
        trained = side_by_side(
            {f"fold {fold + 1}": partial(_trained, job, plan, fold, ranks) for fold, plan in zip(together, plans)}
        )
        for fold, dataset, results in zip(together, datasets, trained):
            agreed(results, dataset)
            yield fold, measured_fold(job.spark, dataset, task, packed(dataset, results), fold)
    finally:
        checkpoints.clear()
        place.clear()


def _trained(job: Job, plan: TrainingPlan, fold: int, ranks: int, stop: Event) -> list[dict[str, Any]]:
    return run_ranks(job.spark, plan, ranks, lambda line: job.progress(f"fold {fold + 1}, {line}"), stop=stop)


def packed(dataset: Dataset, results: Sequence[Mapping[str, Any]]) -> list[bytes]:
    """The networks that ranks ended with, as packages in the order of their plan; they are measured, and not kept."""
    packages = []
    for name, network in results[0]["networks"].items():
        url = (dataset.folder / "packages" / name).url
        write_package(url, {MODEL: network["model"], SPEC: dataset.spec(), INFO: b"{}"})
        packages.append(package_bytes(url))
    return packages


def measured_fold(
    spark: SparkSession, dataset: Dataset, task: Task, networks: Sequence[bytes], fold: int
) -> list[dict[str, Any]]:
    """Measure trained networks, and the classical models that are fitted here, on what a fold holds out.

    Args:
        spark: the session.
        dataset: of the fold; all models are calibrated on its split calibration, all in the same way.
        task: what its labels are.
        networks: packages of its ``model`` and its ``baseline``.
        fold: its number, which the rows carry.

    Returns:
        A mapping a model and metric of the contest: model_name, fold, metric, value, people, rows.
    """
    contest = contest_of(task.label.kind)
    packages = [spark.sparkContext.broadcast(archive) for archive in networks]
    classical = classical_models(dataset, task, task.model.settings.seed)
    raw, known = {}, {}
    for split in (CALIBRATION, HELD_OUT):
        share = share_of_people(dataset.split(split).rows)
        predicted = predictions(spark, dataset, split, packages).drop(*(f"curve_{at}" for at in range(len(packages))))
        found = collected(sampled(predicted, share), len(packages))
        samples, scores = scores_of(dataset, split, classical, share)
        if not np.array_equal(samples.subject_id, found.people):
            raise ValueError(
                "Received other samples from the classical models than from the networks; expected the same."
            )
        every = Sample(found.people, found.labels, found.weights, times=found.times, days=found.days)
        place, known[split] = at_horizon(task, every)
        told = dict(zip(contest.models, found.logits)) | scores
        raw[split] = {name: scores[place] for name, scores in told.items()}
    for package in packages:
        package.unpersist()
    sample, of_calibration = known[HELD_OUT], known[CALIBRATION]
    size = {"people": int(np.unique(sample.people).size), "rows": int(sample.labels.size)}
    told = {contest.models[-1]: np.full(sample.labels.size, dataset.of_everybody)}
    for name, scores in raw[CALIBRATION].items():
        given = (of_calibration.labels, of_calibration.weights, of_calibration.people)
        told[name] = contest.fit(scores, *given, f"fold {fold}").calibrated(raw[HELD_OUT][name])
    rows = []
    for name in contest.models:
        figures = contest.figures(sample, told[name], list(contest.metrics))
        rows += [_row(name, fold, metric, value, size) for metric, value in figures.items()]
    return rows


def _enough(samples, task):
    kind, least = task.label.kind, task.gates.positives_in_each_fold_at_least
    both = "" if kind.is_number else ", and both classes"
    for fold, (rows, positives) in positives_by(samples, "fold", range(task.folds), task.label).items():
        fewest, most = min(positives.values()), max(positives.values())
        if fewest < least or (most == rows and not kind.is_number):
            raise Held(
                f"Received {fewest} {kind.positives} of {rows} labels of {task.id} in fold {fold + 1} of "
                f"{task.folds}; expected at least {least} {kind.positives}{both}. Ingest more "
                "people, or set fewer `folds`."
            )


def _row(model, fold, metric, value, size):
    return {"model_name": model, "fold": fold, "metric": metric, "value": None if isnan(value) else value, **size}


def _size(rows, fold):
    return next({name: row[name] for name in ("people", "rows")} for row in rows if row["fold"] == fold)


def _said(rows, fold):
    contest = contest_by(rows)
    by = contest.ranked_by
    found = {row["model_name"]: row["value"] for row in rows if (row["fold"], row["metric"]) == (fold, by)}
    figures = ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in found.items())
    return f"{contest.metrics[by]} {figures}"
