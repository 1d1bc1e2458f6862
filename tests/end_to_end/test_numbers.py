"""What people cost, and how often they are in an emergency department, from an insurer's files to a night's scores."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import functions as F

import report
import score
from road import AS_OF, travelled
from salus.report.report import default_path
from salus.storage import Tables

pytestmark = pytest.mark.slow  # every job once for each task, on the files of some hundreds of people

COSTS, VISITS, HIGH = "cost_1y", "emergency_visits_1y", "high_cost_1y"
UNITS = {COSTS: "USD", VISITS: "visits"}
TASKS = dict.fromkeys((COSTS, VISITS, HIGH), (("epochs: 20", "epochs: 8"),))
FILES = ("eligibility", "medical_claim", "pharmacy_claim")


@pytest.fixture(scope="module")
def warehouse(spark, tmp_path_factory):
    """A warehouse in which every job up to a report of each task has run."""
    folder = tmp_path_factory.mktemp("numbers")
    with travelled(folder, 600, ["payer_extract"], FILES, TASKS) as run:
        for task in TASKS:
            for phase in (score, report):
                run(phase, f"--task={task}", f"--as-of={AS_OF}")
        yield Tables(spark, str(folder / "warehouse"))


@pytest.fixture(scope="module")
def newest(warehouse):
    """The newest version of each record: record_id, version."""
    records = warehouse.read("records").select("record_id", "version").toPandas()
    return records.groupby("record_id", as_index=False)["version"].max()


@pytest.fixture(scope="module")
def costs(warehouse, newest):
    """What the newest versions cost, line by line: subject_id, time, amount; some were corrected or withdrawn."""
    every = warehouse.read("costs").select(
        F.col("source_subject_id").alias("subject_id"),
        "record_id",
        "version",
        F.col("incurred_date").alias("time"),
        F.col("amount_allowed").cast("double").alias("amount"),
    )
    lines = every.toPandas()
    current = lines.merge(newest, on=["record_id", "version"])
    assert 0 < len(current) < len(lines)
    return current.assign(time=pd.to_datetime(current["time"]))


def labels(warehouse, task, column):
    """The cohort's labels: subject_id and prediction_time to ``column``."""
    rows = warehouse.read(f"cohorts/{task}").select("subject_id", "prediction_time", column).toPandas()
    return rows.set_index(["subject_id", "prediction_time"])[column].sort_index()


def in_the_year_after(found, happened, number):
    """The sum of ``number`` of what ``happened`` (subject_id, time) in the year after each of the ``labels`` found."""
    joined = found.index.to_frame(index=False).merge(happened, on="subject_id", how="left")
    after = joined["time"] - joined["prediction_time"]
    is_inside = (after >= timedelta(0)) & (after < timedelta(days=365))
    inside = joined[number].where(is_inside, 0.0)
    return inside.groupby([joined["subject_id"], joined["prediction_time"]]).sum().sort_index()


def test_a_cost_is_the_sum_of_the_newest_versions_line_by_line(warehouse, costs):
    """Corrections, voids and late claims among them."""
    found = labels(warehouse, COSTS, "float_value")
    pd.testing.assert_series_equal(found, in_the_year_after(found, costs, "amount"), check_names=False)
    assert (found > 0).mean() > 0.5


def test_visits_are_the_days_with_a_bill_for_one(warehouse, newest):
    found = labels(warehouse, VISITS, "integer_value")
    billed = warehouse.read("events").where("code RLIKE '^HCPCS/9928[1-5]$'")
    days = billed.select(
        F.col("source_subject_id").alias("subject_id"), "record_id", "version", F.to_date("time").alias("time")
    )
    current = days.toPandas().merge(newest, on=["record_id", "version"])
    visits = current[["subject_id", "time"]].drop_duplicates().assign(visits=1.0)
    expected = in_the_year_after(found, visits.assign(time=pd.to_datetime(visits["time"])), "visits")
    pd.testing.assert_series_equal(found.astype(float), expected, check_names=False)
    assert found.max() > 1
    assert 0.05 < (found > 0).mean() < 0.9


def test_a_claimant_is_high_from_the_amount_that_the_training_split_says(warehouse, costs):
    found = labels(warehouse, HIGH, "boolean_value")
    spent = in_the_year_after(found, costs, "amount")
    is_high = found.to_numpy()
    assert spent[is_high].min() > spent[~is_high].max()
    assert 0.02 < is_high.mean() < 0.1


@pytest.mark.parametrize("task", UNITS)
def test_the_night_tells_estimates_that_the_evaluation_vouches_for(warehouse, task):
    rows = evaluated(warehouse, task)
    assert 0.5 < rows["model", "predictive_ratio"] < 2
    assert rows["model", "d2"] > 0.05
    scores, told = scored(warehouse, task)
    assert (told["estimate_low"] < told["estimate"]).all()
    assert (told["estimate"] < told["estimate_high"]).all()
    assert set(told["estimate_unit"]) == {UNITS[task]}
    assert scores["probability"].isna().all()
    usual = rows["model", "mean_observed"]
    assert 0.3 * usual < told["estimate"].mean() < 3 * usual
    assert np.corrcoef(told["estimate"], told["percentile"])[0, 1] > 0.5


def test_the_night_tells_who_will_be_a_high_cost_claimant(warehouse):
    rows = evaluated(warehouse, HIGH)
    assert rows["model", "auroc"] > 0.6
    scores, told = scored(warehouse, HIGH)
    assert told["probability"].between(0, 1).all()
    assert (told["probability_low"] <= told["probability"]).all()
    assert scores["estimate"].isna().all()
    assert np.corrcoef(told["probability"], told["percentile"])[0, 1] > 0.3


def evaluated(warehouse, task):
    """What was measured of everybody: (model, metric) to its value."""
    rows = warehouse.read("evaluations").where((F.col("task_id") == task) & F.col("subgroup").isNull()).toPandas()
    return rows.set_index(["model_name", "metric"])["value"]


def scored(warehouse, task):
    """The night's rows, and those of whom something was told."""
    rows = warehouse.read("scores").where((F.col("task_id") == task) & (F.col("as_of") == F.lit(AS_OF))).toPandas()
    told = rows[rows["not_scored_reason"].isna()]
    assert len(told) > 100
    return rows, told


@pytest.mark.parametrize("task", UNITS)
def test_the_report_speaks_of_estimates(warehouse, task):
    text = default_path(warehouse.warehouse, task, AS_OF).read_text(encoding="utf-8")
    assert "Do the estimates hold?" in text
    assert "Do the probabilities hold?" not in text


def test_the_report_of_a_high_cost_speaks_of_probabilities(warehouse):
    text = default_path(warehouse.warehouse, HIGH, AS_OF).read_text(encoding="utf-8")
    assert "Do the probabilities hold?" in text
    assert "Do the estimates hold?" not in text
