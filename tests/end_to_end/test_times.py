"""When people die, and when they are admitted unless they die, from raw files to a night's scores and a report."""

from datetime import timedelta

import numpy as np
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F

import export
import report
import score
from road import AS_OF, travelled
from salus.evaluation.incidence import observed_incidence
from salus.evaluation.times import Times
from salus.report.report import default_path
from salus.storage import Tables

pytestmark = pytest.mark.slow  # every job once, and some twice, on the files of many hundreds of people

DEATH, ADMISSION = "mortality_1y", "admission_time_1y"
UNPLANNED = ("CLAIM/INPATIENT/1", "CLAIM/INPATIENT/2")
FEWER = (
    (
        "{train: 0.6, tuning: 0.1, calibration: 0.1, held_out: 0.2}",
        "{train: 0.4, tuning: 0.2, calibration: 0.2, held_out: 0.2}",
    ),
    ("epochs: 20", "epochs: 6"),
    ("positives_at_least: 20", "positives_at_least: 10"),
)
COMPETING = (
    (f"id: {DEATH}", f"id: {ADMISSION}"),
    ("death: event ", "death: competing "),
    ("time_to_event:", f"time_to_event:\n    codes: [{', '.join(UNPLANNED)}]"),
    ("[61, 122, 183, 243, 304, 365]", "[91, 182, 365]"),
)
TASKS = {DEATH: FEWER, ADMISSION: COMPETING}  # the second follows from the first as it was changed
FILES = ("eligibility", "medical_claim")
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def warehouse(spark, tmp_path_factory):
    """A warehouse in which every job has run for both tasks, and the folder of a MEDS data set of deaths."""
    folder = tmp_path_factory.mktemp("times")
    with travelled(folder, 2000, ["payer_extract"], FILES, TASKS, ranks=2) as run:
        for task in TASKS:
            for phase in (score, report):
                run(phase, f"--task={task}", f"--as-of={AS_OF}")
        run(export, f"--task={DEATH}", "--format=meds", f"--output={folder / 'meds'}")
        yield Tables(spark, str(folder / "warehouse")), folder / "meds"


def rows_of(tables, task):
    return tables.read(f"cohorts/{task}").toPandas()


def deaths(tables):
    found = tables.read("timelines").select(
        "subject_id", F.timestamp_micros("death").cast("timestamp_ntz").alias("death")
    )
    return found.toPandas().set_index("subject_id")["death"]


def test_a_death_ends_a_time_on_its_day_and_whoever_leaves_is_known_until_then(warehouse):
    tables, _ = warehouse
    rows = rows_of(tables, DEATH)
    died = rows["subject_id"].map(deaths(tables)) - rows["prediction_time"]
    is_event = rows["event_type"] == 1
    assert 10 < is_event.sum() < len(rows) / 4
    assert (died[is_event].dt.days == rows["observed_days"][is_event]).all()
    assert (rows["observed_days"] == 365).mean() > 0.5
    left = (rows["event_type"] == 0) & (rows["observed_days"] < 365)
    assert left.sum() > 100
    assert not (died[left].dt.days < rows["observed_days"][left]).any()
    assert rows["boolean_value"].isna().equals(left)
    assert set(rows["weight"]) == {1.0}


def test_meds_gets_what_is_known_by_the_horizon(warehouse):
    tables, meds = warehouse
    labels = pq.read_table(meds / "labels" / f"{DEATH}.parquet").to_pandas()
    rows = rows_of(tables, DEATH).dropna(subset=["boolean_value"])
    keys = ["subject_id", "prediction_time"]
    told, expected = (each.set_index(keys)["boolean_value"].to_dict() for each in (labels, rows))
    assert told == expected


def test_an_admission_is_the_first_in_time_and_a_death_before_it_competes(warehouse):
    tables, _ = warehouse
    today = tables.read("identity").where("known_until IS NULL").select("source_subject_id", "subject_id")
    newest = tables.read("records").groupBy("record_id").agg(F.max("version").alias("version"))
    admissions = (
        tables.read("events")
        .where(F.col("code").isin(*UNPLANNED))
        .join(newest, ["record_id", "version"])
        .join(today, "source_subject_id")
        .select("subject_id", "time")
        .toPandas()
    )
    rows = rows_of(tables, ADMISSION)
    joined = rows.merge(admissions, on="subject_id")
    joined["after"] = (joined["time"] - joined["prediction_time"]).dt.days
    first = joined[joined["after"] >= 0].groupby(["subject_id", "prediction_time"])["after"].min().rename("first")
    rows = rows.merge(first, "left", on=["subject_id", "prediction_time"])
    kinds = rows["event_type"].value_counts()
    assert kinds.min() > 10
    is_event = rows["event_type"] == 1
    assert (rows["first"][is_event] == rows["observed_days"][is_event]).all()
    assert not (rows["first"][~is_event] < rows["observed_days"][~is_event]).any()
    died = (rows["subject_id"].map(deaths(tables)) - rows["prediction_time"]).dt.days
    competes = rows["event_type"] == -1
    assert (died[competes] == rows["observed_days"][competes]).all()


@pytest.mark.parametrize("task", [DEATH, ADMISSION])
def test_the_night_tells_probabilities_that_the_evaluation_vouches_for(warehouse, task):
    tables, _ = warehouse
    every = tables.read("evaluations").where((F.col("task_id") == task) & F.col("subgroup").isNull()).toPandas()
    rows = every.set_index(["model_name", "metric"])
    value = rows["value"]
    if task == ADMISSION:  # of those who die here, a handful are held out
        assert value["model", "c_index"] > 0.6
    assert value["model", "c_index_over_baseline"] == pytest.approx(
        value["model", "c_index"] - value["baseline", "c_index"]
    )
    assert 0.5 < value["model", "auroc"] < 1
    assert value["model", "scaled_integrated_brier"] < 1
    assert (
        rows.loc[("model", "observed_incidence_low: high"), "curve_y"][-1]
        <= (rows.loc[("model", "observed_incidence_high: high"), "curve_y"][-1])
    )
    high, low = (rows.loc[("model", f"observed_incidence: {tier}"), "curve_y"][-1] for tier in ("high", "low"))
    assert high > low
    scores = tables.read("scores").where(F.col("task_id") == task).toPandas()
    run = tables.read("score_runs").where(F.col("task_id") == task).head()
    assert run["eligible"] == len(scores) == run["scored"] + run["not_scored"]
    told = scores[scores["not_scored_reason"].isna()]
    assert len(told) > 300
    assert told["probability"].between(0, 1).all()
    assert ((told["probability_low"] < told["probability"]) & (told["probability"] < told["probability_high"])).all()
    assert told["reasons"].map(len).min() > 0
    assert set(told["tier"]) == {"high", "rising", "low"}
    cohort, prior = rows_of(tables, task), told["prior_probability"].iloc[0]
    train = cohort[cohort["split"] == "train"]
    columns = (train[name].to_numpy() for name in ("subject_id", "event_type", "observed_days", "prediction_time"))
    times = Times.of(*columns, 365)
    observed = observed_incidence(times, np.zeros(len(train), int), np.ones(len(train)))[0, -1]
    assert prior == pytest.approx(observed, rel=0.02)
    assert 0.4 * prior < told["probability"].mean() < 2.5 * prior
    assert np.corrcoef(told["score_raw"], told["percentile"])[0, 1] > 0.8


def test_two_ranks_learnt_both_causes_by_hazards(warehouse):
    tables, _ = warehouse
    names = {row["model_name"] for row in tables.read("models").collect()}
    assert names == {f"{task}{baseline}" for task in (DEATH, ADMISSION) for baseline in ("", "-logistic")}
    figures = [row["figures"] for row in tables.read("runs").where("job = 'train' AND status = 'succeeded'").collect()]
    assert all('"tuning_d2"' in each and '"ranks": 2' in each for each in figures)


def test_the_report_draws_the_incidence_of_each_tier(warehouse):
    tables, _ = warehouse
    texts = {
        task: default_path(tables.warehouse, task, AS_OF).read_text(encoding="utf-8") for task in (DEATH, ADMISSION)
    }
    for text in texts.values():
        assert "When does it happen?" in text
        assert "C-index, model" in text
    assert "can no longer have it" in texts[ADMISSION]
    assert "can no longer have it" not in texts[DEATH]
