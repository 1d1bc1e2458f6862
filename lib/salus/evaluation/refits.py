"""Refits: train a task's model anew with other seeds, and tell how much of a score is chance.

The refits learn from the data set of the model that they are compared with, are calibrated on its calibration split by
its method, and are measured on the people held out, each by the last prediction of them: the probability of an event,
of one by the horizon, or of the class in the focus, or the estimate of a count or a cost. A refit that is finished is
kept until all are, so an interrupted run goes on in the epoch where it was; then none of them is kept. Where there is
room, several are trained side by side.
"""

from dataclasses import replace
from functools import partial
from threading import Event
from typing import Any

import numpy as np

from salus.cohorts.task import Task
from salus.datasets import Dataset
from salus.datasets.folder import Folder
from salus.errors import Refused
from salus.evaluation.contest import contest_of
from salus.evaluation.evaluate import CALIBRATION, HELD_OUT, dataset_of
from salus.evaluation.instability import instability, measured_row
from salus.evaluation.measures import measures_of
from salus.evaluation.metrics import Sample
from salus.evaluation.predictions import ROWS_AT_MOST, Predicted, collected, predictions, sampled, share_of_people
from salus.evaluation.times import at_horizon, predicted_at_horizon
from salus.evaluation.trained import in_use, package_url
from salus.job import Job
from salus.training.launch import run_ranks
from salus.training.package import INFO, MANIFEST, MODEL, SPEC, package_bytes, package_info, write_package
from salus.training.plan import NetworkPlan, TrainingPlan
from salus.training.side_by_side import in_turns, side_by_side
from salus.training.train import CHECKPOINTS, agreed

REFITS = "_refits"
LEAST = 2


def refits(job: Job, task: Task, number: int = 10, ranks: int | None = None, at_once: int | None = None) -> None:
    """Refit the model of ``task`` that scores ``number`` times, into table ``refits``, where that was not done before.

    Args:
        job: the run.
        task: whose model is refitted, with the settings that it was trained with.
        number: of refits, at least 2; refit i has the model's seed plus i.
        ranks: Horovod ranks of each refit; None = as many as the model had.
        at_once: refits that are trained side by side; None = as many as there is room for. Nothing else depends on it.

    Raises:
        Refused: there are fewer than two refits, no model, or its data set is gone.
        EnvironmentFault: a rank died or hung; the run goes on where it was when it is called again.
    """
    if number < LEAST:
        raise Refused(f"Received {number} refits; expected at least {LEAST}, of which a spread can be told.")
    model = in_use(job.tables, task)
    dataset, info = dataset_of(job, task, model), package_info(package_url(job, model))
    ranks = ranks or int(info["ranks"])
    asked = {"package": model.package_hash, "number": number, "ranks": ranks}
    tells = {"method": task.calibration.method, "tiers": [tier.model_dump() for tier in task.tiers]}
    if not job.needed({"task": task.id}, reads=(), **asked, **tells):
        return
    place = Folder(f"{job.tables.warehouse}/{REFITS}/{task.id}")
    kept = place / f"{model.package_hash[:16]}-{ranks}"
    network = NetworkPlan(**info["settings"])
    anew = {
        refit: replace(network, name=f"{task.id}.refit", seed=network.seed + refit) for refit in range(1, number + 1)
    }
    packages = {refit: kept / str(refit) for refit in anew}
    to_do = [refit for refit, package in packages.items() if not package.has(MANIFEST)]
    checkpoints = Folder(f"{job.tables.warehouse}/{CHECKPOINTS}/{task.id}.refits")
    for together in in_turns(job.spark, to_do, ranks, at_once):
        side_by_side(
            {
                f"refit {refit}": partial(
                    _refit, job, dataset, anew[refit], refit, ranks, packages[refit], checkpoints / str(refit)
                )
                for refit in together
            }
        )
        for refit in together:
            job.progress(f"refit {refit} of {number}: seed {anew[refit].seed}")
    rows = _measured(job, task, dataset, [package_url(job, model), *(package.url for package in packages.values())])
    constant = {"task_id": task.id, "model_version": model.model_version, "refits": number, "run_id": job.run_id}
    job.tables.replace("refits", job.tables.frame("refits", [row | constant for row in rows]), f"task_id = '{task.id}'")
    place.clear()
    checkpoints.clear()
    shown = {row["metric"]: row["value"] for row in rows if row["band"] is None}
    names = ("mape", "spread_p90", "tier_changed", contest_of(task.label.kind).ranked_by)
    job.count(refits=number, **{name: shown[name] for name in names})


def table(rows: list[dict[str, Any]]) -> str:
    """Rows of table ``refits`` about everybody, as lines of text."""
    lines = [f"  {'over the refits':<26}{'mean':>10}{'lowest':>10}{'highest':>10}"]
    for row in sorted((row for row in rows if row["band"] is None), key=lambda row: row["metric"]):
        bounds = ["" if row[side] is None else f"{row[side]:.4f}" for side in ("lowest", "highest")]
        lines.append(f"  {row['metric'].replace('_', ' '):<26}{row['value']:>10.4f}{bounds[0]:>10}{bounds[1]:>10}")
    return "\n".join(lines)


def _refit(
    job: Job,
    dataset: Dataset,
    network: NetworkPlan,
    refit: int,
    ranks: int,
    package: Folder,
    checkpoints: Folder,
    stop: Event,
) -> None:
    """Train ``network`` and leave it in the folder ``package``; goes on from the checkpoint of a killed run."""
    plan = TrainingPlan(dataset.folder.url, dataset.hash, checkpoints.url, (network,), True, job.tables.warehouse)
    results = run_ranks(job.spark, plan, ranks, lambda line: job.progress(f"refit {refit}, {line}"), stop=stop)
    agreed(results, dataset)
    package.clear()
    model = results[0]["networks"][network.name]["model"]
    write_package(package.url, {INFO: b"{}", SPEC: dataset.spec(), MODEL: model})
    checkpoints.clear()


def _measured(job: Job, task: Task, dataset: Dataset, packages: list[str]) -> list[dict[str, Any]]:
    """What the refits, which come after the model in ``packages``, say of people held out."""
    sent = [job.spark.sparkContext.broadcast(package_bytes(url)) for url in packages]
    try:
        calibration, held_out = (_predicted(job, dataset, split, sent) for split in (CALIBRATION, HELD_OUT))
    finally:
        for each in sent:
            each.unpersist()
    fit, contest = measures_of(task.label.kind).fitted[task.calibration.method], contest_of(task.label.kind)
    calibration = predicted_at_horizon(task, calibration)
    told = np.array(
        [
            fit(of_calibration, calibration.labels, calibration.weights, calibration.people, url).calibrated(logits)
            for url, of_calibration, logits in zip(packages, calibration.logits, held_out.logits, strict=True)
        ]
    )
    place, known = at_horizon(
        task, Sample(held_out.people, held_out.labels, held_out.weights, times=held_out.times, days=held_out.days)
    )
    figures = [contest.figures(known, each[place], list(contest.metrics)) for each in told[1:]]
    last = np.r_[held_out.people[1:] != held_out.people[:-1], True]
    rows = instability(told[0, last], told[1:, last], task.tiers)
    rows += [
        measured_row(name, np.array([each[name] for each in figures]), int(last.sum())) for name in contest.metrics
    ]
    return rows


def _predicted(job, dataset, split, sent) -> Predicted:
    share = share_of_people(dataset.split(split).rows, ROWS_AT_MOST // len(sent))
    predicted = predictions(job.spark, dataset, split, sent).drop(*(f"curve_{at}" for at in range(len(sent))))
    return collected(sampled(predicted, share), len(sent))
