"""Readmission after a discharge, from raw files to a night's scores: the whole road of a task that an event indexes."""

from datetime import datetime, timedelta

import pandas as pd
import pytest
from pyspark.sql import functions as F

import score
from road import AS_OF, travelled
from salus.cohorts.cohort import eligible
from salus.cohorts.grid import data_end, grid
from salus.cohorts.task import Task
from salus.storage import Tables

pytestmark = pytest.mark.slow  # every job once, on the files of some hundreds of people

TASK = "readmission_30d"
# These people have a few dozen readmissions: enough for both classes in every split, if these are even.
CHANGES = (
    (
        "{train: 0.6, tuning: 0.1, calibration: 0.1, held_out: 0.2}",
        "{train: 0.4, tuning: 0.2, calibration: 0.2, held_out: 0.2}",
    ),
    ("epochs: 20", "epochs: 2"),
    ("positives_at_least: 20", "positives_at_least: 10"),
)
TASKS = {TASK: CHANGES}
FILES = ("Patient", "Encounter", "Condition", "eligibility", "medical_claim")  # what else there is costs minutes
DISCHARGES = ["ENCOUNTER_END/IMP", "CLAIM_END/INPATIENT"]
UNPLANNED = ["ENCOUNTER/IMP/EM", "ENCOUNTER/IMP/UR", "CLAIM/INPATIENT/1", "CLAIM/INPATIENT/2"]
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def warehouse(spark, tmp_path_factory):
    """A warehouse in which every job up to a model of readmissions has run."""
    folder = tmp_path_factory.mktemp("readmission")
    with travelled(folder, 1500, ["fhir_r4", "payer_extract"], FILES, TASKS) as run:
        yield (
            Tables(spark, str(folder / "warehouse")),
            lambda night: run(score, f"--task={TASK}", f"--as-of={night}"),
        )


@pytest.fixture(scope="module")
def task():
    return Task.load(TASK)


@pytest.fixture(scope="module")
def stays(warehouse):
    """Every version of every admission and discharge, of the people of today: subject_id, code, time, known."""
    tables = warehouse[0]
    today = tables.read("identity").where("known_until IS NULL").select("source_subject_id", "subject_id")
    events = tables.read("events").where(F.col("code").isin(*DISCHARGES, *UNPLANNED))
    return (
        events.join(today, "source_subject_id")
        .select("subject_id", "code", "time", F.greatest("time", "available_time").alias("known"))
        .toPandas()
    )


def test_each_row_is_the_midnight_after_a_discharge_and_looks_thirty_days_ahead(warehouse, stays, task):
    rows = warehouse[0].read(f"cohorts/{TASK}").select("subject_id", "prediction_time", "boolean_value").toPandas()
    assert not rows.duplicated(["subject_id", "prediction_time"]).any()
    of_person = rows.merge(stays, on="subject_id")
    before, after = of_person["prediction_time"] - DAY, of_person["prediction_time"]
    is_discharge = of_person["code"].isin(DISCHARGES)
    is_new = (
        is_discharge & (of_person["known"] > before) & (of_person["known"] <= after) & (of_person["time"] >= before)
    )
    keys = ["subject_id", "prediction_time"]
    assert len(of_person[is_new].drop_duplicates(keys)) == len(rows)
    comes_back = (
        of_person["code"].isin(UNPLANNED) & (of_person["time"] >= after + DAY) & (of_person["time"] < after + 30 * DAY)
    )
    positive = of_person[comes_back].drop_duplicates(keys)[keys].assign(comes_back=True)
    labels = rows.merge(positive, "left", keys)
    assert (labels["boolean_value"] <= labels["comes_back"].notna()).all()
    assert 10 < labels["boolean_value"].sum() < len(labels) / 2


def test_every_night_finds_whom_training_finds_for_that_night(warehouse, task):
    tables = warehouse[0]
    people, codes = tables.read("timelines"), tables.read("codes")
    dates = grid(task.index, task.label, data_end(people, tables.read("ingested_files")))
    trained = eligible(people, codes, task, dates).toPandas()
    assert 0 < (trained["step_lost"] == 0).sum() < len(trained)
    busiest = trained["prediction_time"].value_counts().index[:4]
    for night in busiest:
        then = eligible(people, codes, task, [night.date()]).toPandas()
        expected = trained[trained["prediction_time"] == night]
        order = ["subject_id"]
        pd.testing.assert_frame_equal(
            then.sort_values(order, ignore_index=True), expected.sort_values(order, ignore_index=True)
        )


def test_a_night_scores_the_new_discharges_and_a_night_without_any_nobody(warehouse, task):
    tables, score_on = warehouse
    people, codes = tables.read("timelines"), tables.read("codes")
    nights = [AS_OF - timedelta(days=days) for days in range(60)]
    kept = eligible(people, codes, task, nights).where("step_lost = 0").toPandas()
    found = {
        night: set(kept["subject_id"][kept["prediction_time"] == datetime.combine(night, datetime.min.time())])
        for night in nights
    }
    busy, quiet = max(nights, key=lambda night: len(found[night])), min(nights, key=lambda night: len(found[night]))
    assert found[busy]
    assert not found[quiet]
    for night in (busy, quiet):
        score_on(night)
        tables = Tables(tables.spark, tables.warehouse)  # as it is published now
        rows = tables.read("scores").where(F.col("as_of") == F.lit(night)).toPandas()
        run = tables.read("score_runs").where(F.col("as_of") == F.lit(night)).head()
        assert set(rows["subject_id"]) == found[night]
        assert (run["eligible"], run["population"]) == (len(found[night]), people.count())
        assert run["scored"] + run["not_scored"] == run["eligible"]
        assert rows["probability"].between(0, 1).all()
