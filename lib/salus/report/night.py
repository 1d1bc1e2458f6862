"""Night: which run scored a task as of a date, with what model, and how many people it reached."""

from dataclasses import dataclass
from datetime import date, datetime

from pyspark.sql import functions as F

from salus.storage.tables import Tables


@dataclass(frozen=True)
class Night:
    """The published scoring of one task as of one date."""

    run_id: str
    population: int
    eligible: int
    scored: int
    not_scored: int
    model_name: str
    model_version: str
    feature_spec_hash: str
    inputs: dict[str, int]
    code_version: str
    finished_at: datetime
    data_through: datetime | None
    calibration_version: str | None


def night(tables: Tables, task_id: str, as_of: date) -> Night | None:
    """The newest published scoring of ``task_id`` as of ``as_of``; None where there is none."""
    run = (
        tables.read("score_runs")
        .where((F.col("task_id") == task_id) & (F.col("as_of") == F.lit(as_of)) & (F.col("status") == "published"))
        .orderBy(F.desc("finished_at"))
        .limit(1)
        .head()
    )
    if run is None:
        return None
    of_all = (
        scores_of(tables, task_id, as_of)
        .agg(F.max("data_available_through").alias("through"), F.max("calibration_version").alias("calibration"))
        .collect()[0]
    )
    return Night(
        run["run_id"],
        run["population"],
        run["eligible"],
        run["scored"],
        run["not_scored"],
        run["model_name"],
        run["model_version"],
        run["feature_spec_hash"],
        dict(run["inputs"] or {}),
        run["code_version"],
        run["finished_at"],
        of_all["through"],
        of_all["calibration"],
    )


def scores_of(tables: Tables, task_id: str, as_of: date):
    """The rows of ``scores`` of one task and date, population-sized: to be aggregated in Spark."""
    return tables.read("scores").where((F.col("task_id") == task_id) & (F.col("as_of") == F.lit(as_of)))
