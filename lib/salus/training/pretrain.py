"""Pretrain: teach the encoder of a task's sequence network on everybody's events, and register it.

The encoder is a package as a model's is, and a row of table ``models``, ``<task>-encoder``; ``train --pretrained``
begins from the newest.
"""

from dataclasses import asdict

from salus.cohorts.task import Task
from salus.datasets.export import newest_dataset
from salus.datasets.folder import Folder
from salus.datasets.pretraining import READS, write_sequences
from salus.storage.ledger import now
from salus.timelines.blocks import EVENT_CODES
from salus.training.encoders import encoder_plan, spec_of_sequences
from salus.training.registry import registry_of, tracking_uri
from salus.training.train import CHECKPOINTS, best_epoch, registered, trained


def pretrain(job, task: Task, resume: bool = False, ranks: int | None = None, restarts: int = 0) -> None:
    """Pre-train the encoder of ``task``, where the same was not done before.

    Args:
        job: the run.
        task: of its model, with the vocabulary of its newest data set.
        resume: go on from the checkpoint of a run that did not end.
        ranks: Horovod ranks; None = the settings'.
        restarts: how often all ranks may begin again from the last checkpoint where one died or hung.

    Raises:
        Refused: there is no data set with a sequence, the architecture reads none, or training diverged.
        EnvironmentFault: a rank died or hung, or the ranks disagree.
    """
    ranks = ranks or job.settings.ranks
    network, spec = encoder_plan(task), spec_of_sequences(newest_dataset(job.tables.warehouse, task.id))
    work = {"spec": spec.hash, "network": asdict(network), "cohort": task.cohort_hash, "ranks": ranks}
    if not job.needed({"task": task.id}, READS, pretraining=task.pretraining.of_samples, **work):
        return
    tracking_uri(job.tables.warehouse, job.settings.tracking_uri)  # refused before anything is trained
    dataset = write_sequences(job, task, spec)
    checkpoints = Folder(f"{job.tables.warehouse}/{CHECKPOINTS}/{network.name}")
    sequences, events = dataset.split("train").rows, spec.blocks[EVENT_CODES]
    job.progress(f"{sequences:,} sequences of up to {events.size} events of {events.ids - 1} codes, {ranks} ranks")
    results = trained(job, dataset, [network], checkpoints, resume, ranks, restarts)
    row = registered(job, task, dataset, {}, network, results, registry_of(job, task.id))
    job.tables.append("models", job.tables.frame("models", [row | {"trained_at": now()}]))
    checkpoints.clear()
    kept = best_epoch(results[0]["networks"][network.name]["history"])
    figures = {name: figure for name, figure in kept.items() if name.startswith("tuning_")}
    job.count(samples=sequences, codes=events.ids - 1, ranks=ranks, epochs=kept["epoch"], **figures)
