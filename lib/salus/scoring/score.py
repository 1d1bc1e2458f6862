"""Score a task's whole population as of a date, and publish it in one step, or not at all.

Everybody with a timeline goes through the model once; who is eligible has a probability or a reason why not. The
rows are counted before they are written and again in the table, and the run is held where one person is missing.
A second scoring of the same task and date takes the first one's place; what it replaces is kept.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from functools import partial
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from salus.cohorts.exclusions import excluded_codes, fill_codes
from salus.cohorts.grid import check_as_of
from salus.cohorts.index import index_codes
from salus.cohorts.task import Task
from salus.errors import Held
from salus.evaluation.calibration import Calibration
from salus.evaluation.trained import Trained, calibration_of, in_use, package_url
from salus.explanation.reasons import METHOD
from salus.job import Job
from salus.schemas import SCORES
from salus.scoring.changes import change_reasons, previous_night
from salus.scoring.outcome import TOLD, Night
from salus.scoring.percentiles import with_percentiles
from salus.scoring.population import outcomes
from salus.scoring.tiers import tier_of
from salus.storage.at_once import at_once
from salus.storage.ledger import code_version, now
from salus.timelines.clocks import micros
from salus.training.package import package_bytes


def score(job: Job, task: Task, as_of: date) -> None:
    """Write the rows of ``scores`` and ``score_runs`` of ``task`` as of ``as_of``.

    Raises:
        Refused: there is no trained and calibrated model, or ``as_of`` lies after the end of data.
        Held: eligible people are not those scored and those not scored, or not those in the table.
    """
    check_as_of(job.tables, as_of)
    model = in_use(job.tables, task)
    calibration = calibration_of(job.tables, model)
    if not job.needed(
        {"task": task.id, "as_of": as_of},
        ["timelines", "codes"],
        definition=task.hash,
        model=model.package_hash,
        calibration=calibration.version,
    ):
        return
    timelines = job.tables.read("timelines")
    package = job.spark.sparkContext.broadcast(package_bytes(package_url(job, model)))
    codes = job.tables.read("codes")
    excluded, fills = (tuple(of(codes, task.eligibility).tolist()) for of in (excluded_codes, fill_codes))
    night = Night(micros(as_of), task.eligibility, calibration, excluded, index_codes(codes, task.index.event), fills)
    found = outcomes(timelines, package, night).persist()
    asked: list[Callable[[], Any]] = [
        partial(counted, found),
        partial(previous_night, job.tables.read("scores"), task.id, as_of),
        timelines.count,
    ]
    try:
        counts, previous, population = at_once(job.spark, asked)
        reconcile(counts, population)
        job.progress(f"{counts['scored']:,} of {counts['eligible']:,} eligible people scored")
        _publish(job, task, as_of, model, calibration, found, counts, previous)
    finally:
        found.unpersist()
        package.unpersist()
    job.count(eligible=counts["eligible"], scored=counts["scored"], not_scored=counts["not_scored"])


def counted(found: DataFrame) -> dict[str, Any]:
    """How many people went through, were eligible, scored, not scored, both or neither; and the newest fact seen."""
    has_score, has_reason = F.coalesce(*TOLD).isNotNull(), F.col("not_scored_reason").isNotNull()
    return (
        found.agg(
            F.count(F.lit(1)).alias("population"),
            F.count_if("is_eligible").alias("eligible"),
            F.count_if(has_score).alias("scored"),
            F.count_if(has_reason).alias("not_scored"),
            F.count_if((has_score == has_reason) & F.col("is_eligible")).alias("both_or_neither"),
            F.max("data_available_through").alias("data_available_through"),
        )
        .collect()[0]
        .asDict()
    )


def reconcile(counts: Mapping[str, Any], population: int) -> None:
    """Hold the run unless everybody is accounted for.

    Args:
        counts: what ``counted`` found.
        population: people with a timeline.

    Raises:
        Held: somebody is missing, or has both a score and a reason for none.
    """
    whole = counts["eligible"] == counts["scored"] + counts["not_scored"]
    if not whole or counts["both_or_neither"] or counts["population"] != population:
        raise Held(
            f"Received {counts['scored']} scored and {counts['not_scored']} not scored of {counts['eligible']} "
            f"eligible, {counts['both_or_neither']} with both or neither, {counts['population']} of {population} "
            "people seen; expected everybody accounted for once. Nothing was published: score again, and report it "
            "if it stays so."
        )


def score_rows(
    found: DataFrame,
    previous: DataFrame,
    task: Task,
    as_of: date,
    model: Trained,
    calibration: Calibration,
    run_id: str,
    data_available_through: datetime,
) -> DataFrame:
    """The eligible of ``found`` as rows of ``scores``.

    Args:
        found: what ``outcomes`` gave.
        previous: what ``previous_night`` gave.
        task: for its tiers and its horizon.
        as_of: the date.
        model: that scored.
        calibration: of the model.
        run_id: of this run.
        data_available_through: when the newest fact that the night could see became available.
    """
    start = datetime.combine(as_of, time())
    told = F.coalesce(*TOLD)
    scored = told.isNotNull()
    constant = {
        "run_id": run_id,
        "task_id": task.id,
        "as_of": as_of,
        "prediction_start": start,
        "data_available_through": data_available_through,
        "prediction_end": start + timedelta(days=task.label.horizon_days),
        "model_name": model.model_name,
        "model_version": model.model_version,
        "calibration_version": calibration.version,
        "feature_spec_hash": model.feature_spec_hash,
        "code_version": code_version(),
    }
    kinds = {column.name: column.dataType for column in SCORES}
    rows = (
        with_percentiles(found.where("is_eligible").drop("data_available_through"), told, model.prevalence)
        .join(previous, "subject_id", "left")
        .withColumns({name: F.lit(value).cast(kinds[name]) for name, value in constant.items()})
        .withColumns(
            {
                "prior_probability": F.when(F.col("probability").isNotNull(), F.lit(model.prevalence)),
                "relative_risk": told / F.lit(model.prevalence),
                "estimate_unit": F.when(F.col("estimate").isNotNull(), F.lit(task.label.unit).cast("string")),
                "tier": F.when(scored, tier_of(task.tiers)),
                "reason_method": F.when(scored, F.lit(METHOD)),
                "change_reasons": change_reasons(),
            }
        )
    )
    return rows.select(*SCORES.names)


def _publish(
    job: Job,
    task: Task,
    as_of: date,
    model: Trained,
    calibration: Calibration,
    found: DataFrame,
    counts: Mapping[str, Any],
    previous: DataFrame,
) -> None:
    slot = f"task_id = '{task.id}' AND as_of = DATE'{as_of.isoformat()}'"
    replaced = job.tables.read("scores").where(slot)
    through = counts["data_available_through"] or datetime.combine(as_of, time())
    rows = score_rows(found, previous, task, as_of, model, calibration, job.run_id, through)
    runs = job.tables.read("score_runs").where(slot).withColumn("status", F.lit("superseded"))
    if not runs.isEmpty():
        job.tables.append("scores_superseded", replaced.withColumn("superseded_by", F.lit(job.run_id)))
    job.tables.replace("scores", rows, slot)
    written = counted(job.tables.read("scores").where(slot).withColumn("is_eligible", F.lit(True)))
    reconcile(written, counts["eligible"])
    run = {
        "run_id": job.run_id,
        "task_id": task.id,
        "as_of": as_of,
        "status": "published",
        **{name: counts[name] for name in ("eligible", "scored", "not_scored", "population")},
        "model_name": model.model_name,
        "model_version": model.model_version,
        "feature_spec_hash": model.feature_spec_hash,
        "inputs": job.tables.versions(["timelines", "models", "calibrations"]),
        "code_version": code_version(),
        "finished_at": now(),
    }
    job.tables.replace("score_runs", runs.unionByName(job.tables.frame("score_runs", [run])), slot)
