"""Refits: train a task's model anew with other seeds, and tell how much of a score is chance.

The refits learn from the data set of the model that they are compared with, are calibrated on its calibration split by
its method, and are measured on the people held out, each by the last prediction of them. A refit that is finished is
kept until all are, so an interrupted run goes on in the epoch where it was; then none of them is kept.
"""

import os
from dataclasses import replace
from typing import Any

import numpy as np

from salus.cohorts.task import Task
from salus.datasets import Dataset
from salus.datasets.folder import Folder
from salus.errors import Refused
from salus.evaluation.evaluate import CALIBRATION, HELD_OUT, dataset_of
from salus.evaluation.instability import instability, measured_row
from salus.evaluation.measures import measures_of
from salus.evaluation.metrics import Sample, estimates
from salus.evaluation.predictions import ROWS_AT_MOST, Predicted, collected, predictions, sampled, share_of_people
from salus.evaluation.trained import in_use, package_url
from salus.job import Job
from salus.training.launch import run_ranks
from salus.training.package import INFO, MANIFEST, MODEL, SPEC, package_bytes, package_info, write_package
from salus.training.plan import NetworkPlan, TrainingPlan
from salus.training.train import CHECKPOINTS, agreed

REFITS = "_refits"
LEAST = 2
METRICS = ("auroc", "brier", "calibration_slope")


def refits(job: Job, task: Task, number: int = 10, ranks: int | None = None) -> None:
    """Refit the model of ``task`` that scores ``number`` times, into table ``refits``, where that was not done before.

    Args:
        job: the run.
        task: whose model is refitted, with the settings that it was trained with.
        number: of refits, at least 2; refit i has the model's seed plus i.
        ranks: Horovod ranks; None = as many as the model had.

    Raises:
        Refused: the label is no event, there are fewer than two refits, no model, or its data set is gone.
        EnvironmentFault: a rank died or hung; the run goes on where it was when it is called again.
    """
    if not task.label.kind.is_event:
        raise Refused(
            f"Received the task {task.id}, whose label is a {task.label.kind.name}; expected one whose label is an "
            "event: refits compare probabilities and tiers."
        )
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
    packages = [package_url(job, model)]
    for refit in range(1, number + 1):
        packages.append((kept / str(refit)).url)
        if not Folder(packages[-1]).has(MANIFEST):
            _refit(
                job, dataset, replace(network, name=f"{task.id}.refit", seed=network.seed + refit), ranks, packages[-1]
            )
        job.progress(f"refit {refit} of {number}: seed {network.seed + refit}")
    rows = _measured(job, task, dataset, packages)
    constant = {"task_id": task.id, "model_version": model.model_version, "refits": number, "run_id": job.run_id}
    job.tables.replace("refits", job.tables.frame("refits", [row | constant for row in rows]), f"task_id = '{task.id}'")
    place.clear()
    shown = {row["metric"]: row["value"] for row in rows if row["band"] is None}
    job.count(refits=number, **{name: shown[name] for name in ("mape", "spread_p90", "tier_changed", "auroc")})


def table(rows: list[dict[str, Any]]) -> str:
    """Rows of table ``refits`` about everybody, as lines of text."""
    lines = [f"  {'over the refits':<26}{'mean':>10}{'lowest':>10}{'highest':>10}"]
    for row in sorted((row for row in rows if row["band"] is None), key=lambda row: row["metric"]):
        bounds = ["" if row[side] is None else f"{row[side]:.4f}" for side in ("lowest", "highest")]
        lines.append(f"  {row['metric'].replace('_', ' '):<26}{row['value']:>10.4f}{bounds[0]:>10}{bounds[1]:>10}")
    return "\n".join(lines)


def _refit(job: Job, dataset: Dataset, network: NetworkPlan, ranks: int, package: str) -> None:
    """Train ``network`` and leave it in the folder ``package``; goes on from the checkpoint of a killed run."""
    checkpoints = Folder(f"{job.tables.warehouse}/{CHECKPOINTS}/{network.name}")
    plan = TrainingPlan(dataset.folder.url, dataset.hash, checkpoints.url, (network,), True, job.tables.warehouse)
    results = run_ranks(job.spark, plan, ranks, job.progress, debug=bool(os.environ.get("SALUS_DEBUG")))
    agreed(results, dataset)
    Folder(package).clear()
    model = results[0]["networks"][network.name]["model"]
    write_package(package, {INFO: b"{}", SPEC: dataset.spec(), MODEL: model})
    checkpoints.clear()


def _measured(job: Job, task: Task, dataset: Dataset, packages: list[str]) -> list[dict[str, Any]]:
    """What the refits, which come after the model in ``packages``, say of people held out."""
    sent = [job.spark.sparkContext.broadcast(package_bytes(url)) for url in packages]
    try:
        calibration, held_out = (_predicted(job, dataset, split, sent) for split in (CALIBRATION, HELD_OUT))
    finally:
        for each in sent:
            each.unpersist()
    fit = measures_of(task.label.kind).fitted[task.calibration.method]
    told = np.array(
        [
            fit(of_calibration, calibration.labels, calibration.weights, calibration.people, url).calibrated(logits)
            for url, of_calibration, logits in zip(packages, calibration.logits, held_out.logits, strict=True)
        ]
    )
    sample = Sample(held_out.people, held_out.labels, held_out.weights)
    figures = [estimates(sample, each, METRICS) for each in told[1:]]
    last = np.r_[held_out.people[1:] != held_out.people[:-1], True]
    rows = instability(told[0, last], told[1:, last], task.tiers)
    rows += [measured_row(name, np.array([each[name] for each in figures]), int(last.sum())) for name in METRICS]
    return rows


def _predicted(job, dataset, split, sent) -> Predicted:
    share = share_of_people(dataset.split(split).rows, ROWS_AT_MOST // len(sent))
    return collected(sampled(predictions(job.spark, dataset, split, sent), share), len(sent))
