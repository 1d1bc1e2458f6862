"""Tune: search the settings of a task's model, each trial trained by Horovod as ever and judged on the tuning split.

The tuning split stops each training early and tells the settings apart; calibration and held-out people are never
looked at. Trials are told apart by the metric of an epoch, because a loss depends on settings such as
``label_smoothing``: the AUROC of an event, the mean one of classes, the share of the deviance that is explained of a
count, a cost or a time to event. What a finished trial gave is kept, and the next one's settings follow from those
before it and from the seed, so a search that was killed goes on in the epoch where it was, and one of more trials
begins where one of fewer ended.
"""

import hashlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import RandomSampler, TPESampler

from salus.cohorts.search_space import Candidates
from salus.cohorts.task import ModelSettings, Task
from salus.datasets import Dataset
from salus.datasets.export import newest_dataset
from salus.datasets.folder import Folder
from salus.errors import Refused
from salus.training.launch import METRICS, metric_of, run_ranks
from salus.training.plan import NetworkPlan, TrainingPlan
from salus.training.registry import Registry, registry_of
from salus.training.train import CHECKPOINTS, agreed, best_epoch, has_diverged, networks_of
from salus.training.trials import best_of

TRIALS = "_trials"
SAMPLERS = {"tpe": TPESampler, "random": RandomSampler}


def tune(
    job, task: Task, trials: int = 20, sampler: str = "tpe", seed: int = 7, ranks: int | None = None
) -> list[dict[str, Any]]:
    """Search ``task.tune``, where the same was not done before; returns the rows of table ``trials``.

    Args:
        job: the run.
        task: of its model; the first trial is of the settings that it states.
        trials: how many.
        sampler: ``tpe`` (Bergstra et al., NeurIPS 2011) looks near what did well; ``random`` looks anywhere.
        seed: of the sampler.
        ranks: Horovod ranks; None = the settings'.

    Raises:
        Refused: the task states no ``tune``, there is no data set, or all trials diverged.
        EnvironmentFault: a rank died or hung; the search goes on where it was when it is called again.
    """
    if not task.tune:
        raise Refused(f"Received the task {task.id}, which states no `tune`; expected settings to search. Add the key.")
    ranks = ranks or job.settings.ranks
    dataset, model = newest_dataset(job.tables.warehouse, task.id), networks_of(task)[0]
    space = {name: candidates.model_dump() for name, candidates in task.tune.items()}
    search = _hash([dataset.hash, asdict(model), space, sampler, seed, ranks])
    where = f"task_id = '{task.id}'"
    if job.needed({"task": task.id}, reads=(), search=search, trials=trials):
        rows = _searched(job, task, dataset, model, search, trials, sampler, seed, ranks)
        job.tables.replace("trials", job.tables.frame("trials", rows), where)
        best = rows[best_of(rows)]
        job.count(trials=trials, best_trial=best["trial"], own=rows[0]["tuning_metric"], best=best["tuning_metric"])
    return [row.asDict() for row in job.tables.read("trials").where(where).collect()]


def proposed(
    space: Mapping[str, Candidates], tried: Sequence[Mapping[str, Any]], sampler: str, seed: int
) -> dict[str, Any]:
    """The settings of the next trial.

    Args:
        space: of the search.
        tried: ``settings`` and ``tuning_metric`` of the trials before, the task's own settings first.
        sampler: of ``SAMPLERS``.
        seed: the same seed and the same trials before give the same settings.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=SAMPLERS[sampler](seed=seed + len(tried)))
    distributions = {name: _distribution(name, candidates) for name, candidates in space.items()}
    worst = min((0.0, *(trial["tuning_metric"] for trial in tried if not math.isnan(trial["tuning_metric"]))))
    for trial in tried[1:]:  # the task's own settings may lie outside the space
        params = {name: _known(value, distributions[name]) for name, value in trial["settings"].items()}
        value = worst if math.isnan(trial["tuning_metric"]) else trial["tuning_metric"]  # it diverged
        study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, value=value))
    found = study.ask(distributions).params
    return {name: json.loads(value) if isinstance(value, str) else value for name, value in found.items()}


def _distribution(name: str, candidates: Candidates) -> BaseDistribution:
    """Choices travel as JSON, since Optuna knows no lists."""
    if candidates.choices is not None:
        return CategoricalDistribution([json.dumps(choice) for choice in candidates.choices])
    low, high = candidates.examples
    if ModelSettings.model_fields[name].annotation is int:
        return IntDistribution(int(low), int(high), log=candidates.log)
    return FloatDistribution(low, high, log=candidates.log)


def _known(value: Any, distribution: BaseDistribution) -> Any:
    return json.dumps(value) if isinstance(distribution, CategoricalDistribution) else value


def _searched(
    job, task: Task, dataset: Dataset, model: NetworkPlan, search: str, trials: int, sampler: str, seed: int, ranks: int
) -> list[dict[str, Any]]:
    """Every trial of the search as a row of ``trials``; those that were finished before are not trained again."""
    searches, registry = Folder(f"{job.tables.warehouse}/{TRIALS}/{task.id}"), registry_of(job, task.id)
    for other in searches.names():
        if other != search:
            (searches / other).clear()
    finished, tried = searches / search, list[dict[str, Any]]()
    for number in range(1, trials + 1):
        file = f"trial-{number}.json"
        if not finished.has(file):
            own = {name: getattr(model, name) for name in task.tune}
            settings = proposed(task.tune, tried, sampler, seed) if tried else own
            tags = {"search": search, "trial": str(number), "dataset": dataset.hash, "run_id": job.run_id}
            finished.write_json(file, _trial(job, dataset, model, settings, ranks, registry, tags))
        tried.append(finished.read_json(file))
        job.progress(f"trial {number} of {trials}: {_said(tried[-1])}")
    best = best_of(tried)
    constant = {
        "task_id": task.id,
        "search": search,
        "architecture": model.architecture,
        "dataset_hash": dataset.hash,
        "run_id": job.run_id,
    }
    return [
        {
            **{
                name: None if isinstance(value, float) and math.isnan(value) else value for name, value in trial.items()
            },
            "settings": json.dumps(trial["settings"]),
            "trial": place + 1,
            "is_best": place == best,
            **constant,
        }
        for place, trial in enumerate(tried)
    ]


def _trial(
    job,
    dataset: Dataset,
    model: NetworkPlan,
    settings: Mapping[str, Any],
    ranks: int,
    registry: Registry,
    tags: Mapping[str, str],
) -> dict[str, Any]:
    """Train ``model`` with ``settings`` in the place of its own; goes on from the checkpoint of a killed run."""
    network = replace(model, **settings)
    checkpoints = Folder(f"{job.tables.warehouse}/{CHECKPOINTS}/{network.name}.trials")
    plan = TrainingPlan(dataset.folder.url, dataset.hash, checkpoints.url, (network,), resume=True)
    begun = time.monotonic()
    results = run_ranks(job.spark, plan, ranks, job.progress)
    agreed(results, dataset)
    history = results[0]["networks"][network.name]["history"]
    kept = best_epoch(history)
    metric = metric_of(kept)
    measured = {"tuning_metric": kept[metric], "tuning_loss": kept["tuning_loss"]}
    figures = {name: math.nan if has_diverged(kept) else value for name, value in measured.items()}
    seconds = time.monotonic() - begun
    run = registry.track(f"{network.name} trial {tags['trial']}", asdict(network) | {"ranks": ranks}, history, tags)
    checkpoints.clear()
    told = {"metric": metric, **figures, "epoch": kept["epoch"], "seconds": seconds, "tracked_as": run}
    return {"settings": dict(settings), **told}


def _said(trial):
    value = trial["tuning_metric"]
    did = "diverged" if math.isnan(value) else f"tuning {METRICS[trial['metric']]} {value:.4f}"
    return f"{did} in epoch {trial['epoch']} by {json.dumps(trial['settings'])}"


def _hash(content):
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
