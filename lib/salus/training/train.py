"""Train a task's model and its baseline on the newest data set, and register what comes out of it."""

import json
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from salus.cohorts.task import Task
from salus.datasets.export import newest_dataset
from salus.datasets.folder import Folder
from salus.datasets.manifest import Dataset
from salus.errors import EnvironmentFault, Refused
from salus.storage.ledger import code_version, now
from salus.training.champion import take_stand
from salus.training.encoders import newest_encoder, told_of
from salus.training.environment import environment
from salus.training.launch import run_ranks
from salus.training.package import INFO, MODEL, SPEC, write_package
from salus.training.plan import NetworkPlan, TrainingPlan
from salus.training.registry import REGISTRY, Registry, registry_of, tracking_uri
from salus.training.sample_size import sample_size
from salus.training.trials import best_trial

CHECKPOINTS = "_checkpoints"


def train(
    job,
    task: Task,
    resume: bool = False,
    ranks: int | None = None,
    force: bool = False,
    is_tuned: bool = False,
    is_pretrained: bool = False,
    restarts: int = 0,
) -> None:
    """Train, where the same was not done before; the models stand in table ``models``.

    Args:
        job: the run.
        task: its model and its baseline are trained, in one Horovod run.
        resume: go on from the checkpoints of a run that did not end.
        ranks: Horovod ranks; None = the settings'.
        force: train on fewer rows than the task's gate asks for.
        is_tuned: the model takes the best settings of the task's newest search.
        is_pretrained: the model begins from the task's newest encoder.
        restarts: how often all ranks may begin again from the last checkpoint where one died or hung.

    Raises:
        Held: there are fewer rows than the task's gate asks for.
        Refused: there is no data set, no search to take settings from, or no encoder to begin from; training diverged;
            or there are fewer task slots than ranks.
        EnvironmentFault: a rank died or hung, or the ranks disagree.
    """
    ranks = ranks or job.settings.ranks
    dataset = newest_dataset(job.tables.warehouse, task.id)
    best = best_trial(job.tables, task) if is_tuned else None
    encoder = newest_encoder(job.tables, task, dataset) if is_pretrained else None
    networks = networks_of(task, best.settings if best else None, encoder)
    size = sample_size(task, dataset, force) if task.label.kind.is_event else None
    if size:
        job.progress(str(size))
    if not job.needed(
        {"task": task.id},
        reads=(),
        dataset=dataset.hash,
        ranks=ranks,
        networks=[asdict(network) for network in networks],
        forced=bool(size and size.forced),
    ):
        return
    tracking_uri(job.tables.warehouse, job.settings.tracking_uri)  # refused before anything is trained
    checkpoints = Folder(f"{job.tables.warehouse}/{CHECKPOINTS}/{task.id}")
    job.progress(f"{dataset.split('train').rows:,} samples of {dataset.width} inputs, {ranks} ranks")
    with ThreadPoolExecutor(1) as meanwhile:  # a new SQLite registry takes seconds to make
        opened = meanwhile.submit(registry_of, job, task.id)
        results = trained(job, dataset, networks, checkpoints, resume, ranks, restarts)
    registry = opened.result()
    notes = {"sample_size": size.told() if size else None, "tuned": asdict(best) if best else None}
    begun = {"pretrained": told_of(job.tables.warehouse, encoder)} if encoder else {}
    rows = [
        registered(job, task, dataset, notes | (begun if network.encoder else {}), network, results, registry)
        for network in networks
    ]
    for after, row in enumerate(reversed(rows)):
        row["trained_at"] = now() + timedelta(microseconds=after)
    stand = take_stand(job, task, rows[0], registry)
    job.tables.append_all({"models": job.tables.frame("models", rows), **stand})
    checkpoints.clear()
    kept = best_epoch(results[0]["networks"][task.id]["history"])
    job.count(
        samples=dataset.split("train").rows,
        **({"samples_required": size.required} if size else {}),
        inputs=dataset.width,
        ranks=ranks,
        epochs=kept["epoch"],
        **{name: figure for name, figure in kept.items() if name.startswith("tuning_")},
    )


def trained(
    job,
    dataset: Dataset,
    networks: Sequence[NetworkPlan],
    checkpoints: Folder,
    resume: bool,
    ranks: int,
    restarts: int,
) -> list[dict[str, Any]]:
    """What the ranks ended with, in their order: they agree, and every network has converged.

    Args:
        job: the run.
        dataset: what is learnt from.
        networks: what to train, one after the other.
        checkpoints: emptied first, unless ``resume`` goes on from what is there.
        ranks, restarts: how many there are, and how often they may begin again.

    Raises:
        Refused: training diverged, or there are fewer task slots than ranks.
        EnvironmentFault: a rank died or hung, or the ranks disagree.
    """
    if not resume:
        checkpoints.clear()
    plan = TrainingPlan(
        dataset.folder.url, dataset.hash, checkpoints.url, tuple(networks), resume, job.tables.warehouse
    )
    results = run_ranks(job.spark, plan, ranks, job.progress, restarts)
    agreed(results, dataset)
    converged(results)
    return results


def networks_of(
    task: Task, settings: Mapping[str, Any] | None = None, encoder: Mapping[str, Any] | None = None
) -> list[NetworkPlan]:
    """The task's model, named after it, and its baseline ``<task>-<architecture>``.

    ``settings`` take the place of those that the task states for its model; ``encoder`` is the row of ``models`` of the
    one that it begins from.
    """
    model, baseline, label = task.model, task.baseline, task.label.kind.name
    of_model = model.settings.model_dump() | dict(settings or {})
    if encoder is not None:
        of_model |= {"encoder": encoder["package_path"], "encoder_hash": encoder["package_hash"]}
        of_model["encoder_rate"] = task.pretraining.encoder_rate
    of_baseline = baseline.settings.model_dump()
    return [
        NetworkPlan.of(task.id, model.architecture, of_model, label),
        NetworkPlan.of(f"{task.id}-{baseline.architecture}", baseline.architecture, of_baseline, label),
    ]


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


def converged(results: list[dict[str, Any]]) -> None:
    """Whether every network has an epoch whose weights mean something.

    Raises:
        Refused: one has none.
    """
    for name, network in results[0]["networks"].items():
        if has_diverged(best_epoch(network["history"])):
            raise Refused(
                f"Received no number for the tuning loss of {name} in any epoch; expected training to converge. Lower "
                "`learning_rate` in its settings."
            )


def has_diverged(epoch: dict[str, Any]) -> bool:
    """Whether the weights of ``epoch`` mean nothing."""
    return not math.isfinite(epoch["tuning_loss"])


def best_epoch(history: list[dict[str, Any]]) -> dict[str, Any]:
    """The epoch of the lowest tuning loss, whose weights were kept."""
    return min(history, key=lambda epoch: epoch["tuning_loss"])


def registered(
    job,
    task: Task,
    dataset: Dataset,
    notes: Mapping[str, Any],
    network: NetworkPlan,
    results: list[dict[str, Any]],
    registry: Registry,
) -> dict[str, Any]:
    """Package and register what came of ``network``; returns its row of ``models``, without ``trained_at``.

    ``notes`` stand beside everything else in the package.
    """
    found = results[0]["networks"][network.name]
    train_split = dataset.split("train")
    prevalence = dataset.mean_label
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
        "label_hash": task.label_hash,
        "splits": task.splits.stated,
        **notes,
        "weights": found["weights"],
        "versions": environment(),
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
