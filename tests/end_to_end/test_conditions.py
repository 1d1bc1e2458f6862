"""Onset of diabetes and admissions with heart failure, from the files of both systems to a night's scores."""

from datetime import datetime, time, timedelta

import pandas as pd
import pytest
from pyspark.sql import Window
from pyspark.sql import functions as F

import report
import score
from road import AS_OF, travelled
from salus.report.report import default_path
from salus.storage import Tables

pytestmark = pytest.mark.slow  # every job once for each task, on the files of 3,000 people

ONSET, ADMISSION = "diabetes_onset_1y", "heart_failure_admission_90d"
HORIZON = {ONSET: 365, ADMISSION: 90}
FILES = ("Patient", "Encounter", "Condition", "eligibility", "medical_claim")  # what else there is costs minutes
STAY = ("CLAIM/INPATIENT/1", "CLAIM/INPATIENT/2")
TYPE_2 = ("ICD10CM/E11", "SNOMED/44054006")
ANY_TYPE = (*TYPE_2, "ICD10CM/E08", "ICD10CM/E09", "ICD10CM/E10", "ICD10CM/E13", "SNOMED/46635009", "SNOMED/73211009")
FAILURE = ("ICD10CM/I50", "ICD10CM/I11.0", "ICD10CM/I13.0", "ICD10CM/I13.2")
CHANGES = (
    ("epochs: 20", "epochs: 6"),
    # Somebody with the event in every split.
    ("train: 0.6, tuning: 0.1, calibration: 0.1", "train: 0.4, tuning: 0.2, calibration: 0.2"),
)
TASKS = dict.fromkeys(HORIZON, CHANGES)


@pytest.fixture(scope="module")
def warehouse(spark, tmp_path_factory):
    """A warehouse in which every job up to a report of either task has run."""
    folder = tmp_path_factory.mktemp("conditions")
    with travelled(folder, 3000, ["fhir_r4", "payer_extract"], FILES, TASKS) as run:
        for task in TASKS:
            for phase in (score, report):
                run(phase, f"--task={task}", f"--as-of={AS_OF}")
        yield Tables(spark, str(folder / "warehouse"))


@pytest.fixture(scope="module")
def events(warehouse):
    """What the newest versions say of the people of today: subject_id, time, code, and when the first one was known."""
    today = warehouse.read("identity").where("known_until IS NULL").select("source_subject_id", "subject_id")
    newest = warehouse.read("records").groupBy("record_id").agg(F.max("version").alias("version"))
    every = warehouse.read("events").where("time IS NOT NULL").join(today, "source_subject_id")
    known = F.min(F.greatest("time", "available_time")).over(Window.partitionBy("record_id", "code"))
    return (
        every.withColumn("known", known)
        .join(newest, ["record_id", "version"])
        .select("subject_id", "time", "code", "known")
        .distinct()
        .toPandas()
    )


def of_codes(events, begins):
    return events[events["code"].str.startswith(begins)]


def happened(events, task):
    """When the event of ``task`` took place: subject_id, time."""
    if task == ONSET:
        return of_codes(events, TYPE_2)[["subject_id", "time"]]
    keys = ["subject_id", "time"]
    return of_codes(events, STAY)[keys].merge(of_codes(events, FAILURE)[keys], on=keys).drop_duplicates()


def cohort_of(warehouse, task):
    return warehouse.read(f"cohorts/{task}").select("subject_id", "prediction_time", "boolean_value").toPandas()


@pytest.mark.parametrize("task", HORIZON)
def test_a_label_is_whether_it_happens_within_the_horizon(warehouse, events, task):
    rows = cohort_of(warehouse, task)
    beside = rows.merge(happened(events, task), on="subject_id")
    after = beside["time"] - beside["prediction_time"]
    came = beside[(after >= timedelta(0)) & (after < timedelta(days=HORIZON[task]))]
    keys = ["subject_id", "prediction_time"]
    expected = pd.MultiIndex.from_frame(rows[keys]).isin(pd.MultiIndex.from_frame(came[keys]))
    assert (rows["boolean_value"].astype(bool).to_numpy() == expected).all()
    assert 20 < expected.sum() < len(rows) / 4


def test_nobody_whose_diabetes_was_known_is_asked_about_its_onset(warehouse, events):
    rows = cohort_of(warehouse, ONSET).merge(of_codes(events, ANY_TYPE), on="subject_id")
    assert not (rows["known"] <= rows["prediction_time"]).any()
    assert len(rows) > 20
    scored = set(warehouse.read("scores").where(F.col("task_id") == ONSET).toPandas()["subject_id"])
    diabetic = of_codes(events, ANY_TYPE)
    known = set(diabetic["subject_id"][diabetic["known"] <= datetime.combine(AS_OF, time.min)])
    assert len(known) > 100
    assert scored
    assert not scored & known


@pytest.mark.parametrize("task", HORIZON)
def test_the_model_ranks_and_the_night_reconciles(warehouse, task):
    is_task = F.col("task_id") == task
    rows = warehouse.read("evaluations").where(is_task & F.col("subgroup").isNull()).toPandas()
    value = rows.set_index(["model_name", "metric"])["value"]
    assert value["model", "auroc"] > 0.6
    scores = warehouse.read("scores").where(is_task).toPandas()
    run = warehouse.read("score_runs").where(is_task).toPandas().iloc[0]
    assert run["eligible"] == len(scores) == run["scored"] + run["not_scored"]
    told = scores[scores["not_scored_reason"].isna()]
    assert len(told) == run["scored"] > 500
    assert told["probability"].between(0, 1).all()
    assert (told["reasons"].map(len) > 0).all()
    assert "Do the probabilities hold?" in default_path(warehouse.warehouse, task, AS_OF).read_text(encoding="utf-8")
