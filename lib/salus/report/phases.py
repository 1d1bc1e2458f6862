"""Phases: how long each job of the road last worked, by the ledger of runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from pyspark.sql import functions as F

from salus.storage.tables import Tables

ROAD = (
    "simulate",
    "ingest",
    "demo_truth",
    "quality",
    "timelines",
    "cohort",
    "export",
    "tune",
    "train",
    "evaluate",
    "explain",
    "promote",
    "score",
    "report",
)
"""The jobs in the order in which a night or a demo runs them; others stand behind them."""

AROUND = ("demo", "nightly", "shell")
"""Jobs that only call others: their time is already counted."""

DATED = ("score", "report")
"""Jobs that work for one ``--as-of``."""


@dataclass(frozen=True)
class Phase:
    """A job, of one source where it has one, as the ledger last saw it end well."""

    job: str
    source: str
    latest_status: str
    latest_seconds: float
    worked_seconds: float | None
    worked_at: datetime | None

    @property
    def name(self) -> str:
        """The job, and the source that it took in."""
        return f"{self.job} {self.source}".strip()


def phases(tables: Tables, task_id: str, as_of: date) -> list[Phase]:
    """The phases that led to the scores of ``task_id`` as of ``as_of``, in the order of the road.

    A skipped run found its work already done: ``worked_seconds`` is of the last run that did it.
    """

    def argument(name):
        return F.get_json_object("arguments", f"$.{name}")

    runs = (
        tables.read("runs")
        .where(F.col("status").isin("succeeded", "skipped") & ~F.col("job").isin(*AROUND))
        .where(F.coalesce(argument("task"), F.lit(task_id)) == task_id)
        .where(~F.col("job").isin(*DATED) | (F.coalesce(argument("as_of"), F.lit(str(as_of))) == str(as_of)))
        .withColumn("worked", F.when(F.col("status") == "succeeded", F.struct("seconds", "at")))
    )
    ended = runs.groupBy("job", F.coalesce(argument("source"), F.lit("")).alias("source")).agg(
        F.max_by(F.struct("status", "seconds"), "at").alias("latest"),
        F.max_by("worked", F.when(F.col("worked").isNotNull(), F.col("at"))).alias("worked"),
    )
    found = [
        Phase(
            row["job"],
            row["source"],
            row["latest"]["status"],
            row["latest"]["seconds"] or 0.0,
            row["worked"]["seconds"] if row["worked"] else None,
            row["worked"]["at"] if row["worked"] else None,
        )
        for row in ended.limit(200).collect()
    ]
    return in_order(found)


def in_order(found: Sequence[Phase]) -> list[Phase]:
    """``found`` in the order of the road; phases of one job by when they worked."""

    def place(phase):
        rank = ROAD.index(phase.job) if phase.job in ROAD else len(ROAD)
        return rank, phase.worked_at or datetime.max, phase.name

    return sorted(found, key=place)
