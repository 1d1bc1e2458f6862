"""The champion of a task: the model that scores until a challenger takes its place.

Table ``promotions`` says who is champion, and everything that was ever decided; a challenger is the newest model that
is not. MLflow's aliases say the same to whoever looks there.
"""

from collections.abc import Mapping
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from salus.cohorts.task import Task
from salus.storage.ledger import now
from salus.storage.tables import Tables
from salus.training.registry import Registry

CHAMPION, CHALLENGER = "champion", "challenger"
FIRST, PROMOTED, FORCED, HELD = "first", "promoted", "forced", "held"


def champion_package(tables: Tables, task: Task) -> str | None:
    """The package hash of the champion; None where no model of what ``task`` predicts is one."""
    row = (
        tables.read("promotions")
        .where((F.col("task_id") == task.id) & (F.col("label_hash") == task.label_hash) & (F.col("decision") != HELD))
        .orderBy(F.desc("decided_at"))
        .limit(1)
        .head()
    )
    return row["package_hash"] if row else None


def decision(
    job, task: Task, model: Mapping[str, Any], decided: str, compared: Mapping[str, Any] | None = None
) -> DataFrame:
    """What was decided of ``model``, as a row for ``promotions``.

    Args:
        job: the run.
        task: the task.
        model: its model_name, model_version and package_hash.
        decided: ``FIRST``, ``PROMOTED``, ``FORCED`` or ``HELD``.
        compared: columns of the comparison, where there was one.
    """
    named = {name: model[name] for name in ("model_name", "model_version", "package_hash")}
    of_task = {"task_id": task.id, "label_hash": task.label_hash, "decision": decided}
    row = {**of_task, **named, **(compared or {}), "decided_at": now(), "run_id": job.run_id}
    return job.tables.frame("promotions", [row])


def crown(registry: Registry, name: str, version: str) -> None:
    """Let MLflow's alias of the champion mean ``version`` of the model ``name``, and that of the challenger nothing."""
    registry.point(CHAMPION, name, version)
    registry.unpoint(CHALLENGER, name)


def take_stand(job, task: Task, model: Mapping[str, Any], registry: Registry) -> dict[str, DataFrame]:
    """Let MLflow know a newly trained model as challenger, or as champion where there is none yet.

    Returns:
        What is to be appended to ``promotions``, by that name.
    """
    name, version = model["model_name"], model["model_version"]
    if champion_package(job.tables, task) is not None:
        registry.point(CHALLENGER, name, version)
        job.progress(f"version {version} is the challenger: evaluate it, then promote")
        return {}
    crown(registry, name, version)
    job.progress(f"version {version} is the champion: the first of this label")
    return {"promotions": decision(job, task, model, FIRST)}
