"""Train a task's model and its baseline on the newest data set, and register what comes out of it."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import timedelta
from importlib.metadata import version
from typing import Any

from salus.cohorts.task import Task
from salus.datasets.export import newest_dataset
from salus.datasets.folder import Folder
from salus.datasets.manifest import Dataset
from salus.errors import EnvironmentFault
from salus.storage.ledger import code_version, now
from salus.training.launch import run_ranks
from salus.training.package import INFO, MODEL, SPEC, write_package
from salus.training.plan import NetworkPlan, TrainingPlan
from salus.training.registry import REGISTRY, Registry, tracking_uri

CHECKPOINTS = "_checkpoints"
VERSIONS_OF = ("tensorflow-cpu", "keras", "horovod", "petastorm", "pyarrow", "numpy")


def train(job, task: Task, resume: bool = False, ranks: int | None = None) -> None:
    """Train, where the same was not done before; the models stand in table ``models``.

    Args:
        job: the run.
        task: its model and its baseline are trained, in one Horovod run.
        resume: go on from the checkpoints of a run that did not end.
        ranks: Horovod ranks; None = the settings'.

    Raises:
        Refused: there is no data set, or there are fewer task slots than ranks.
        EnvironmentFault: a rank died or hung, or the ranks disagree.
    """
    ranks = ranks or job.settings.ranks
    dataset = newest_dataset(job.tables.warehouse, task.id)
    networks = networks_of(task)
    if not job.needed(
        {"task": task.id},
        reads=(),
        dataset=dataset.hash,
        ranks=ranks,
        networks=[asdict(network) for network in networks],
    ):
        return
    uri = tracking_uri(job.tables.warehouse, job.settings.tracking_uri)
    checkpoints = Folder(f"{job.tables.warehouse}/{CHECKPOINTS}/{task.id}")
    if not resume:
        checkpoints.clear()
    plan = TrainingPlan(dataset.folder.url, dataset.hash, checkpoints.url, tuple(networks), resume)
    job.progress(f"{dataset.split('train').rows:,} samples of {dataset.width} inputs, {ranks} ranks")
    with ThreadPoolExecutor(1) as meanwhile:  # a new SQLite registry takes seconds to make
        opened = meanwhile.submit(Registry, uri, task.id, f"{job.tables.warehouse}/{REGISTRY}/artifacts")
        results = run_ranks(job.spark, plan, ranks, job.progress, debug=bool(os.environ.get("SALUS_DEBUG")))
    agreed(results, dataset)
    registry = opened.result()
    rows = [_registered(job, task, dataset, network, results, registry) for network in networks]
    for after, row in enumerate(reversed(rows)):
        row["trained_at"] = now() + timedelta(microseconds=after)
    job.tables.append("models", job.tables.frame("models", rows))
    checkpoints.clear()
    best = best_epoch(results[0]["networks"][task.id]["history"])
    job.count(
        samples=dataset.split("train").rows,
        inputs=dataset.width,
        ranks=ranks,
        epochs=best["epoch"],
        **{name: figure for name, figure in best.items() if name.startswith("tuning_")},
    )


def networks_of(task: Task) -> list[NetworkPlan]:
    """The task's model, named after it, and its baseline ``<task>-<architecture>``."""
    model, baseline, label = task.model, task.baseline, task.label.kind.name
    named = ((task.id, model), (f"{task.id}-{baseline.architecture}", baseline))
    return [NetworkPlan.of(name, each.architecture, each.settings.model_dump(), label) for name, each in named]


def agreed(results: list[dict[str, Any]], dataset: Dataset) -> None:
    """Whether all ranks ended with the same weights and together saw every sample of every epoch.

    Raises:
        EnvironmentFault: they did not.
    """
    expected = dataset.split("train").rows
    for name in results[0]["networks"]:
        mine = [result["networks"][name] for result in results]
        if len({network["weights"] for network in mine}) != 1:
            raise EnvironmentFault(
                f"Received different weights of {name} from {len(mine)} ranks; expected equal ones. "
                "The ranks' hosts or libraries differ: make them equal and train again."
            )
        of_ranks = [[epoch["rank_samples"] for epoch in network["history"]] for network in mine]
        seen = {sum(epoch) for epoch in zip(*of_ranks)}
        if seen != {expected}:
            raise EnvironmentFault(
                f"Received {sorted(seen)} samples an epoch of {name}; expected {expected}. "
                "The ranks do not read one storage: put the warehouse where all can read it."
            )


def best_epoch(history: list[dict[str, Any]]) -> dict[str, Any]:
    """The epoch of the lowest tuning loss, whose weights were kept."""
    return min(history, key=lambda epoch: epoch["tuning_loss"])


def _registered(job, task, dataset, network, results, registry):
    found = results[0]["networks"][network.name]
    train_split = dataset.split("train")
    prevalence = train_split.mean_label
    tags = {
        "task": task.id,
        "task_hash": task.hash,
        "dataset": dataset.hash,
        "spec": dataset.spec_hash,
        "run_id": job.run_id,
        "code": code_version(),
        "tables": json.dumps(dataset.inputs, sort_keys=True),
    }
    info = {
        "name": network.name,
        "settings": asdict(network),
        "ranks": len(results),
        "history": _told(found["history"]),
        "best": _told([best_epoch(found["history"])])[0],
        "prevalence": prevalence,
        "samples": train_split.rows,
        "weights": found["weights"],
        "versions": {name: version(name) for name in VERSIONS_OF},
        **tags,
    }
    package = Folder(f"{job.tables.warehouse}/{REGISTRY}/packages/{network.name}/{job.run_id}")
    package_hash = write_package(
        package.url,
        {MODEL: found["model"], SPEC: dataset.spec(), INFO: json.dumps(info, indent=1, sort_keys=True).encode()},
    )
    number = registry.register(
        network.name,
        package.url,
        asdict(network) | {"ranks": len(results)},
        info["history"],
        tags | {"package_sha256": package_hash},
    )
    return {
        "task_id": task.id,
        "model_name": network.name,
        "model_version": number,
        "architecture": network.architecture,
        "feature_spec_hash": dataset.spec_hash,
        "dataset_hash": dataset.hash,
        "package_hash": package_hash,
        "package_path": package.url.removeprefix(f"{job.tables.warehouse}/"),
        "inputs": dataset.inputs,
        "prevalence": prevalence,
        "run_id": job.run_id,
    }


def _told(history):
    """Without what concerns one rank only."""
    return [{key: value for key, value in epoch.items() if not key.startswith("rank_")} for epoch in history]
