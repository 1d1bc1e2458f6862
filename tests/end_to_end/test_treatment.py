"""Care management for people at high risk, from the files to the report: what it hides, and how chance tells it."""

from datetime import datetime

import numpy as np
import pyarrow.parquet as pq
import pytest

import report
import score
from road import AS_OF, KEY, travelled
from salus.cohorts.task import Task
from salus.datasets.export import newest_dataset
from salus.evaluation.predictions import collected, predictions
from salus.evaluation.tiers import tier_places
from salus.evaluation.trained import calibration_of, trained
from salus.evaluation.treatment import arms_of, decisions
from salus.privacy.pseudonyms import pseudonym
from salus.report.report import default_path
from salus.storage import Tables
from salus.training.package import package_bytes

pytestmark = pytest.mark.slow  # every job once, on the files of 3,000 people

TASK = "admission_90d"
FILES = ("Patient", "Encounter", "Condition", "Procedure", "eligibility", "medical_claim")
CHANGES = (
    ("epochs: 30", "epochs: 6"),
    # The programme begins with the first date that is held out: whoever is learnt from was untreated.
    (
        "splits: {train: 0.6, tuning: 0.1, calibration: 0.1, held_out: 0.2}",
        "splits: {by: time, held_out_last: 12, train: 0.5, tuning: 0.2, calibration: 0.25, held_out: 0.05}",
    ),
    ("from_percentile: 95", "from_percentile: 85"),
    ("gates:\n", "treatment: {given: [CPT/99490], withheld: [programme/usual-care]}\n\ngates:\n"),
)
TASKS = {TASK: CHANGES}
FIGURES = ("events", "mean_predicted", "observed", "observed_over_expected")


@pytest.fixture(scope="module")
def road(spark, tmp_path_factory):
    """The tables of a warehouse in which the report has been written, and the folder that all of it is in."""
    folder = tmp_path_factory.mktemp("treatment")
    plant = ["--plant=treatment"]
    with travelled(folder, 3000, ["fhir_r4", "payer_extract"], FILES, TASKS, plant=plant) as run:
        for job in (score, report):
            run(job, f"--task={TASK}", f"--as-of={AS_OF}")
        yield Tables(spark, str(folder / "warehouse")), folder


@pytest.fixture(scope="module")
def task(road):
    return Task.load(TASK)


@pytest.fixture(scope="module")
def truth(road):
    """Rows of the simulation with the subject_id of each, of those whom the EHR knows."""
    tables, folder = road
    today = tables.read("identity").where("known_until IS NULL").collect()
    subject = {row["source_subject_id"]: row["subject_id"] for row in today}
    rows = pq.read_table(folder / "landing" / "truth" / "truth.000.parquet").to_pylist()
    who = {
        each: subject[pseudonym(bytes.fromhex(KEY), "main", "fhir", each)]
        for each in {row["ehr_patient_id"] for row in rows} - {None}
    }
    return [row | {"subject_id": who[row["ehr_patient_id"]]} for row in rows if row["ehr_patient_id"]]


@pytest.fixture(scope="module")
def found(road, task):
    """The decisions that evaluation finds of everybody."""
    tables = road[0]
    timelines = tables.read("timelines")
    return decisions(timelines, tables.read("codes"), timelines.select("subject_id"), task.treatment)


@pytest.fixture(scope="module")
def told(road, spark, task, found, truth):
    """The held-out predictions of the highest tier: labels, what was told, arms, and the untreated probability."""
    tables = road[0]
    model = trained(tables, TASK, TASK)
    package = spark.sparkContext.broadcast(package_bytes(tables.path(model.package_path)))
    rows = collected(predictions(spark, newest_dataset(tables.warehouse, TASK), "held_out", [package]), 1)
    probability = calibration_of(tables, model).calibrated(rows.logits[0])
    arms = arms_of(rows.people, rows.times, found, task.treatment)
    untreated = {
        (row["subject_id"], np.datetime64(row["as_of"], "us").astype(np.int64)): row["untreated_probability"]
        for row in truth
    }
    at_risk = np.array([untreated.get(key, np.nan) for key in zip(rows.people, rows.times, strict=True)])
    top = tier_places(probability, task.tiers) == 0
    return rows.labels[top], probability[top], arms[top], at_risk[top]


def test_the_decisions_that_are_found_are_those_of_the_simulation(found, truth):
    told = {
        (row["subject_id"], datetime(*row["as_of"].timetuple()[:3], 10), row["programme"] == "given")
        for row in truth
        if row["programme"]
    }
    at = found.time.astype("datetime64[us]").astype(datetime)
    assert len(told) == found.people.size > 800
    assert set(zip(found.people.tolist(), at.tolist(), found.is_given.tolist(), strict=True)) == told


def test_the_evaluation_tells_the_highest_tier_apart_by_what_followed(road, told):
    labels, probability, arms, _ = told
    kept = {
        (row["subgroup"], row["metric"]): row
        for row in road[0].read("evaluations").where("subgroup LIKE 'treatment: %'").collect()
    }
    assert {name for name, _ in kept} == {f"treatment: {arm}" for arm in (*np.unique(arms), "offered")}
    for arm in np.unique(arms):
        rows = [kept[f"treatment: {arm}", metric] for metric in FIGURES]
        assert {row["rows"] for row in rows} == {(arms == arm).sum()}
        assert rows[0]["value"] == labels[arms == arm].sum()
        assert rows[1]["value"] == pytest.approx(probability[arms == arm].mean(), rel=0.02)  # weighted


def test_the_untreated_risk_lies_in_the_interval_that_the_randomised_part_gives(road, told):
    *_, arms, untreated = told
    kept = {
        (row["subgroup"], row["metric"]): row
        for row in road[0].read("evaluations").where("subgroup LIKE 'treatment: %'").collect()
    }
    true = np.nanmean(untreated[np.isin(arms, ("given", "withheld"))])
    left, treated = kept["treatment: withheld", "observed"], kept["treatment: given", "observed"]
    assert left["low"] < true < left["high"]
    assert treated["high"] < true
    assert treated["people"] > 100


def test_the_report_says_what_treatment_hides(road, task):
    html = default_path(road[0].warehouse, TASK, AS_OF).read_text(encoding="utf-8")
    assert "What does treatment hide?" in html
    assert "Left untreated at random" in html
    assert "Treated after the prediction" in html
