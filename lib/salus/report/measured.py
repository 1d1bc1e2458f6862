"""Measured: how well the model, and what it is compared with, did on people held out."""

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import functions as F

from salus.evaluation.months import MONTH
from salus.evaluation.treatment import TREATMENT
from salus.report import words
from salus.storage.tables import Tables

HELD_OUT = "held_out"

MODELS = ("model", "baseline", "attainable", "oracle")
"""In the order in which they are shown; the last two exist only where the truth is known (the demo)."""

MEANING = {
    "model": "Model",
    "baseline": "Baseline (logistic regression)",
    "attainable": "Attainable (true model, recorded data)",
    "oracle": "Oracle (true probability)",
}


@dataclass(frozen=True)
class Measure:
    """An estimate with its 95 % interval, and the curve where the metric is one."""

    value: float | None
    low: float | None = None
    high: float | None = None
    people: int | None = None
    rows: int | None = None
    x: Sequence[float] = ()
    y: Sequence[float] = ()


Measures = dict[tuple[str, str], Measure]
"""(model name, metric) -> its measure on the held-out split."""


Subgroups = dict[str, dict[str, Measure]]
"""Subgroup -> metric -> its measure of the model in that subgroup."""


def measures(tables: Tables, task_id: str, model_version: str | None = None) -> tuple[Measures, Subgroups]:
    """What the newest evaluation of ``task_id`` measured on the held-out split; empty where there is none.

    Args:
        tables: of the warehouse.
        task_id: the task.
        model_version: of the model that was evaluated, such as the one that scores; None = any.

    Returns:
        The measures of everybody, and of the model in each subgroup, months of prediction and what followed it among
        them.
    """
    rows = (
        tables.read("evaluations")
        .where((F.col("task_id") == task_id) & (F.col("split") == HELD_OUT))
        .limit(10_000)
        .collect()
    )
    of_model = [row for row in rows if row["model_name"] == "model" and model_version in (None, row["model_version"])]
    newest = _newest(tables, {row["run_id"] for row in of_model})
    everybody: Measures = {}
    subgroups: Subgroups = {}
    for row in rows:
        if row["run_id"] != newest:
            continue
        measure = Measure(
            row["value"],
            row["low"],
            row["high"],
            row["people"],
            row["rows"],
            tuple(row["curve_x"] or ()),
            tuple(row["curve_y"] or ()),
        )
        if row["subgroup"] is None:
            everybody[row["model_name"], row["metric"]] = measure
        else:
            subgroups.setdefault(row["subgroup"], {})[row["metric"]] = measure
    return everybody, subgroups


def cell(measured: Measures, name: str, metric: str, digits: int = 3) -> str:
    """A figure of the model ``name`` with its interval, as a table shows it; a dash where it was not measured."""
    found = measured.get((name, metric))
    return words.interval(found.value, found.low, found.high, digits) if found else words.ABSENT


def apart(subgroups: Subgroups) -> tuple[Subgroups, Subgroups, Subgroups]:
    """What the evaluation keeps among subgroups: those of people, the months of prediction, what followed it.

    Months such as ``2026-03`` ascend; what followed is such as ``given``.
    """
    months, arms = (
        {name.removeprefix(kind): subgroups[name] for name in sorted(subgroups) if name.startswith(kind)}
        for kind in (MONTH, TREATMENT)
    )
    people = {name: found for name, found in subgroups.items() if not name.startswith((MONTH, TREATMENT))}
    return people, months, arms


def _newest(tables, run_ids):
    """The run that started last; the ledger knows when, the evaluations only which run."""
    if len(run_ids) < 2:
        return next(iter(run_ids), None)
    started = tables.read("runs").where(F.col("run_id").isin(*run_ids)).groupBy("run_id").agg(F.min("at").alias("at"))
    newest = started.orderBy(F.desc("at"), F.desc("run_id")).limit(1).head()
    return newest["run_id"] if newest else max(run_ids)
