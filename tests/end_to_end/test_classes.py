"""Why people are admitted, and what of several things comes, from an insurer's files to a night's scores."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import functions as F

import report
import score
from road import AS_OF, travelled
from salus.cohorts.task import Task
from salus.report.report import default_path
from salus.storage import Tables

pytestmark = pytest.mark.slow  # every job once, on the files of 2,000 people

CAUSE, SEVERAL = "admission_cause_90d", "unplanned_care_180d"
FILES = ("eligibility", "medical_claim")
STAY = ("CLAIM/INPATIENT/1", "CLAIM/INPATIENT/2")
LISTED = {
    "respiratory": ("J12", "J13", "J14", "J15", "J16", "J17", "J18", "J20", "J21", "J22", "J44.0", "J44.1", "J96"),
    "infection_or_kidney": ("A40", "A41", "N10", "N17", "N39.0"),
    "heart_failure": ("I50", "I11.0", "I13.0", "I13.2"),
    "other": ("",),
}
CHANGES = (
    ("epochs: 20", "epochs: 8"),
    ("positives_at_least: 20", "positives_at_least: 10"),
    # Some people of every class in every split.
    ("train: 0.6, tuning: 0.1, calibration: 0.1", "train: 0.4, tuning: 0.2, calibration: 0.2"),
)
TASKS = {CAUSE: CHANGES, SEVERAL: CHANGES}
VISIT = tuple(f"HCPCS/9928{level}" for level in range(1, 6))


@pytest.fixture(scope="module")
def warehouse(spark, tmp_path_factory):
    """A warehouse in which every job up to a report of classes has run."""
    folder = tmp_path_factory.mktemp("classes")
    with travelled(folder, 2000, ["payer_extract"], FILES, TASKS) as run:
        for task in TASKS:
            for phase in (score, report):
                run(phase, f"--task={task}", f"--as-of={AS_OF}")
        yield Tables(spark, str(folder / "warehouse"))


@pytest.fixture(scope="module")
def events(warehouse):
    """What the newest versions say, with each person's death."""
    newest = warehouse.read("records").groupBy("record_id").agg(F.max("version").alias("version"))
    every = warehouse.read("events").where("time IS NOT NULL").join(newest, ["record_id", "version"])
    told = every.select(F.col("source_subject_id").alias("subject_id"), "time", "code").distinct().toPandas()
    death = warehouse.read("timelines").select("subject_id", _instant("death").alias("death")).toPandas()
    return told.merge(death, on="subject_id")


def _instant(micros):
    """A clock's microseconds as the tables' own times, without a zone."""
    return F.timestamp_micros(micros).cast("timestamp_ntz")


def within(warehouse, task, happened, days):
    """Pairs of a row of the cohort and what ``happened`` (subject_id, time, death, code) in the days after it."""
    rows = warehouse.read(f"cohorts/{task}").select("subject_id", "prediction_time").toPandas()
    beside = rows.merge(happened, on="subject_id")
    after = beside["time"] - beside["prediction_time"]
    is_alive = beside["death"].isna() | (beside["time"] < beside["death"].dt.normalize() + timedelta(days=1))
    return beside[(after >= timedelta(0)) & (after < timedelta(days=days)) & is_alive]


def test_the_cause_is_that_of_the_first_claim_for_an_unplanned_stay(warehouse, events):
    stays = events[events["code"].isin(STAY)][["subject_id", "time", "death"]].drop_duplicates()
    first = within(warehouse, CAUSE, stays, 90).sort_values("time").groupby(["subject_id", "prediction_time"]).head(1)
    diagnoses = events[events["code"].str.startswith("ICD10CM/")]
    listed = first.merge(diagnoses[["subject_id", "time", "code"]], on=["subject_id", "time"])
    of_stay = listed.groupby(["subject_id", "prediction_time"])["code"].agg(set)

    def cause(codes):
        named = {code.removeprefix("ICD10CM/") for code in codes}
        return next(name for name, begins in LISTED.items() if any(each.startswith(begins) for each in named))

    expected = of_stay.map(cause)
    rows = warehouse.read(f"cohorts/{CAUSE}").toPandas().set_index(["subject_id", "prediction_time"])
    found = rows["categorical_value"]
    wanted = expected.reindex(found.index).fillna("none")
    pd.testing.assert_series_equal(found.sort_index(), wanted.sort_index(), check_names=False)
    assert set(found) == {*LISTED, "none"}
    assert (rows["boolean_value"] == (found == "heart_failure")).all()
    holds = rows["classes"].map(lambda classes: [each["class"] for each in classes if each["value"]])
    assert (holds.map(lambda names: names[0] if names else "none") == found).all()
    assert holds.map(len).max() == 1


def test_each_of_several_is_whether_it_came_by_itself(warehouse, events):
    death = events.groupby("subject_id", as_index=False)["death"].first().dropna()
    happened = {
        "emergency_visit": events[events["code"].isin(VISIT)],
        "unplanned_admission": events[events["code"].isin(STAY)],
        "death": death.assign(time=death["death"]),
    }
    rows = warehouse.read(f"cohorts/{SEVERAL}").toPandas().set_index(["subject_id", "prediction_time"])
    assert rows["categorical_value"].isna().all()
    for name, each in happened.items():
        came = within(warehouse, SEVERAL, each[["subject_id", "time", "death"]], 180)
        expected = rows.index.isin(pd.MultiIndex.from_frame(came[["subject_id", "prediction_time"]]))
        found = rows["classes"].map(lambda classes, name=name: {one["class"]: one["value"] for one in classes}[name])
        assert (found == expected).all()
        assert 10 < found.sum() < len(rows) / 2
    held = rows["classes"].map(lambda classes: sum(each["value"] for each in classes))
    assert held.max() > 1


@pytest.mark.parametrize("task", [CAUSE, SEVERAL])
def test_the_model_learns_every_class_beside_its_baseline(warehouse, task):
    outcomes = Task.load(task).label.outcomes
    rows = warehouse.read("evaluations").where((F.col("task_id") == task) & F.col("subgroup").isNull()).toPandas()
    value = rows.set_index(["model_name", "metric"])["value"]
    areas = [value["model", f"auroc: {name}"] for name in outcomes.names]
    assert value["model", "macro_auroc"] == pytest.approx(np.mean(areas))
    assert value["model", "macro_auroc"] > 0.55
    assert value["model", "scaled_log_loss"] > -0.05
    assert value["model", f"auroc: {outcomes.focus}"] == pytest.approx(value["model", "auroc"], abs=1e-6)
    assert {"log_loss", "macro_auroc", "calibration_slope"} <= set(value["baseline"].index)
    assert any(metric.startswith("confusion: ") for metric in value["model"].index) == outcomes.is_exclusive


@pytest.mark.parametrize("task", [CAUSE, SEVERAL])
def test_the_night_tells_every_class_of_everybody_scored(warehouse, task):
    outcomes = Task.load(task).label.outcomes
    is_night = (F.col("as_of") == F.lit(AS_OF)) & (F.col("task_id") == task)
    scores = warehouse.read("scores").where(is_night).toPandas()
    run = warehouse.read("score_runs").where(is_night).toPandas().iloc[0]
    assert run["eligible"] == len(scores) == run["scored"] + run["not_scored"]
    told = scores[scores["not_scored_reason"].isna()]
    assert len(told) == run["scored"] > 100
    assert scores.loc[scores["not_scored_reason"].notna(), "classes"].isna().all()
    for _, row in told.iterrows():
        each = {one["class"]: one["probability"] for one in row["classes"]}
        assert set(each) == set(outcomes.told)
        assert each[outcomes.focus] == row["probability"]
        assert not outcomes.is_exclusive or sum(each.values()) == pytest.approx(1)
        assert row["probability_low"] < row["probability"] < row["probability_high"]
        assert len(row["reasons"]) > 0


def test_the_report_has_a_section_of_every_class(warehouse):
    text = default_path(warehouse.warehouse, CAUSE, AS_OF).read_text(encoding="utf-8")
    assert "Which of them is it?" in text
    assert "infection or kidney" in text
    assert "Do the probabilities hold?" in text
