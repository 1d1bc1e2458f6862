"""A count of which quantiles are told: learnt by real ranks, measured, scored with reasons, and cross-validated."""

import argparse

import numpy as np
import pytest
from pyspark.sql import functions as F

from salus.cohorts.label import Label
from salus.cohorts.task import Calibration, Eligibility, Gates, Tier
from salus.datasets.export import export
from salus.evaluation.evaluate import evaluate
from salus.evaluation.folds import folds
from salus.evaluation.folds import table as folds_table
from salus.job import spark_job
from salus.report.report import sections
from salus.scoring.score import score
from salus.training.train import train
from visits_world import HORIZON, PREDICTION, fill, task_of

pytestmark = pytest.mark.slow  # a model and its folds

LEVELS = (0.1, 0.5, 0.9)
NIGHT = PREDICTION.date()


@pytest.fixture(scope="module")
def task():
    return task_of(
        label=Label(
            horizon_days=HORIZON,
            death="no_event",
            count={"codes": ["VISIT"], "unit": "visits", "quantiles": LEVELS},
        ),
        calibration=Calibration(method="none"),
        eligibility=Eligibility(enrolled_at_prediction=False),
        tiers=[Tier(name="high", from_percentile=80), Tier(name="low", from_percentile=0)],
        gates=Gates(),
    )


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory, spark, task):
    folder = str(tmp_path_factory.mktemp("quantiles") / "warehouse")
    fill(spark, folder)
    for work, given in ((export, ()), (train, ()), (evaluate, ()), (score, (NIGHT,))):
        tables = done(work, folder, task, *given)
    return tables


def done(work, folder, task, *given):
    """The tables of the warehouse in ``folder`` after a job by one rank."""
    with spark_job(work.__name__, argparse.Namespace(warehouse=folder, ranks=1), quiet=True) as job:
        work(job, task, *given)
    return job.tables


def test_quantiles_are_learnt_and_cover_whom_they_say(warehouse):
    rows = warehouse.read("evaluations").where("subgroup IS NULL").collect()
    found = {(row["model_name"], row["metric"]): row for row in rows}
    assert found["model", "d2_pinball_over_baseline"]["low"] > 0, "a line sees no count that falls and rises"
    assert found["model", "d2_absolute_error_over_baseline"]["low"] > 0
    assert found["model", "d2_absolute_error"]["low"] > 0
    assert 0.75 < found["model", "coverage"]["value"] < 0.98
    for level in LEVELS:
        assert found["model", f"share_at_most: {level}"]["high"] > level, "counts are tied, so it may be more"


def test_a_score_is_the_median_between_the_outer_quantiles_and_says_why(warehouse):
    scores = warehouse.read("scores").where(F.col("as_of") == F.lit(NIGHT)).toPandas()
    told = scores[scores["not_scored_reason"].isna()]
    assert len(told) > 900
    assert (told["estimate_low"] <= told["estimate"]).all()
    assert (told["estimate"] < told["estimate_high"]).all()
    assert (told["estimate_low"] >= 0).all()
    assert told["estimate"].to_numpy() == pytest.approx(np.maximum(told["score_raw"], 0))
    assert set(told["estimate_unit"]) == {"visits"}
    assert scores["probability"].isna().all()
    summed = told["reasons"].map(lambda reasons: sum(reason["contribution"] for reason in reasons))
    assert np.corrcoef(summed, told["score_raw"])[0, 1] > 0.99, "reasons add up to the median"


def test_folds_hold_the_median_against_trees_for_it(warehouse, task):
    rows = [row.asDict() for row in done(folds, warehouse.warehouse, task).read("folds").collect()]
    found = {(row["model_name"], row["metric"]): row["value"] for row in rows if row["fold"] is None}
    assert {name for name, _ in found} == {"model", "baseline", "boosted_trees", "median"}
    assert found["model", "d2_absolute_error"] > found["baseline", "d2_absolute_error"] + 0.05
    assert found["boosted_trees", "d2_absolute_error"] > found["baseline", "d2_absolute_error"] + 0.1
    assert found["median", "d2_absolute_error"] <= 0, "whole numbers: the median of those in training is another's"
    assert "Absolute error explained over boosted trees" in folds_table(rows)


def test_the_report_speaks_of_medians(warehouse, task):
    made = {section.id: section for section in sections(warehouse, task, NIGHT)}
    assert made["quantiles"].title == "Do the quantiles hold?"
    assert "estimates" not in made
