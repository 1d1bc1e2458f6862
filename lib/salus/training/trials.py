"""Trials of a search: which settings were tried, how each did on the tuning split, and which were best."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import functions as F

from salus.cohorts.task import Task
from salus.errors import Refused
from salus.storage.tables import Tables
from salus.training.launch import METRICS


@dataclass(frozen=True)
class Trial:
    """One setting of a model, tried.

    Attributes:
        search: hash of what the search is.
        trial: its number; 1 = the task's own settings.
        settings: those that were searched.
        metric: by which trials were told apart, such as ``tuning_auroc``.
        tuning_metric: its value, of the weights kept, on the tuning split.
    """

    search: str
    trial: int
    settings: Mapping[str, Any]
    metric: str
    tuning_metric: float


def best_trial(tables: Tables, task: Task) -> Trial:
    """The best trial of the newest search of ``task``.

    Raises:
        Refused: there was no search of this architecture.
    """
    row = (
        tables.read("trials")
        .where((F.col("task_id") == task.id) & F.col("is_best") & (F.col("architecture") == task.model.architecture))
        .limit(1)
        .head()
    )
    if row is None:
        raise Refused(
            f"Received the task {task.id}, for whose {task.model.architecture} the warehouse has no finished search; "
            "expected one. Search first: submit.sh tune."
        )
    return Trial(row["search"], row["trial"], json.loads(row["settings"]), row["metric"], row["tuning_metric"])


def best_of(trials: Sequence[Mapping[str, Any]]) -> int:
    """The place of the highest ``tuning_metric``; the first of equal ones.

    Raises:
        Refused: training diverged in all of them.
    """
    values = [each["tuning_metric"] for each in trials]
    if all(math.isnan(value) for value in values):
        raise Refused(
            f"Received {len(values)} trials that all diverged; expected some to converge. Lower `learning_rate` in the "
            "task's `tune`."
        )
    return max(range(len(values)), key=lambda place: -math.inf if math.isnan(values[place]) else values[place])


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of ``trials`` as lines of text, the best marked and repeated below as a task states it."""
    names = list(json.loads(rows[0]["settings"]))
    heading = f"tuning {METRICS[rows[0]['metric']]}"
    width = max(14, len(heading) + 2)
    lines = ["  trial" + "".join(f"{name:>16}" for name in names) + f"   epoch   tuning loss{heading:>{width}}"]
    for row in sorted(rows, key=lambda row: row["trial"]):
        settings = json.loads(row["settings"])
        loss, metric = (_said(row[name]) for name in ("tuning_loss", "tuning_metric"))
        lines.append(
            f"  {row['trial']:>5}"
            + "".join(f"{_setting(settings[name]):>16}" for name in names)
            + f"{row['epoch']:>8}{loss:>14}{metric:>{width}}{'  best' if row['is_best'] else ''}"
        )
    best = next(json.loads(row["settings"]) for row in rows if row["is_best"])
    return "\n".join([*lines, f"  best: {', '.join(f'{name}: {_setting(value)}' for name, value in best.items())}"])


def _setting(value):
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value)


def _said(value):
    return "diverged" if value is None else f"{value:.4f}"
