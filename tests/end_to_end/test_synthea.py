"""The shipped tasks on people whom Synthea made, from its files to a night's estimates: what runs, and what lacks what.

Its FHIR has everybody's records and states no coverage; that comes from its CSV, whose people have the same identifier.
docs/tasks.md has the table of which this is the proof.
"""

import json
import re
import shutil
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import pytest

import cohort
import evaluate
import export
import ingest
import score
import synthea
import timelines
import train
from road import KEY, at_home
from salus.cohorts.grid import data_end
from salus.errors import Held
from salus.privacy.pseudonyms import pseudonym
from salus.settings import conf_dir
from salus.storage import Tables

pytestmark = [pytest.mark.real_data, pytest.mark.slow]  # 150 MB of FHIR, and a cohort of each task

FILES = {
    "fhir_r4": (
        "fhir",
        ("Patient", "Encounter", "Condition", "Medication", "MedicationRequest", "ExplanationOfBenefit"),
    ),
    "synthea_csv": ("csv", ("patients", "payer_transitions")),
}
"""Of each source its folder and the files that are taken in: what else there is costs minutes."""

TRAINED = "emergency_visits_1y"
NO_TYPE, RUNS = "admission_90d", "runs"
ALL_NEGATIVE = r"Received [\d,]+ labels, all negative"
NOBODY = "Received nobody to look at"
HELD_BY_NUMBER = r"Received [\d,]+ (events|positive labels) "
EXPECTED = {
    TRAINED: RUNS,
    "cost_1y": RUNS,
    # It happens to so few of a hundred people that it is chance whether the gates let it through.
    "high_cost_1y": f"{RUNS}|{HELD_BY_NUMBER}",
    "mortality_1y": f"{RUNS}|{HELD_BY_NUMBER}|{ALL_NEGATIVE}",
    "diabetes_onset_1y": f"{RUNS}|{HELD_BY_NUMBER}|{ALL_NEGATIVE}",
    # Admissions state no priority, and no claim tells of one.
    **dict.fromkeys(
        ("readmission_30d", "unplanned_care_180d", "admission_cause_90d", "heart_failure_admission_90d", NO_TYPE),
        ALL_NEGATIVE,
    ),
    # No appointments, no fills of a pharmacy, and no such encounters.
    **dict.fromkeys(("no_show", "medication_nonadherence_180d", "diabetes_readmission_uci"), NOBODY),
    # As docs/tasks.md says where no priority is stated.
    "admission_of_any_type": RUNS,
    # Of eight years the labels are there, be they few.
    "deaths_of_eight_years": f"{RUNS}|{HELD_BY_NUMBER}",
    "onsets_of_eight_years": f"{RUNS}|{HELD_BY_NUMBER}",
}
"""What ``cohort`` says of each task: that it runs, or how the reason begins for which it does not."""

TASKS = {
    TRAINED: (("epochs: 20", "epochs: 6"),),
    "admission_of_any_type": (
        (f"id: {NO_TYPE}", "id: admission_of_any_type"),
        ("CLAIM/INPATIENT/UNPLANNED]", "CLAIM/INPATIENT/UNPLANNED, ENCOUNTER/IMP]"),
        ("last: 24", "last: 96"),
        ("train: 0.6, tuning: 0.1, calibration: 0.1", "train: 0.4, tuning: 0.2, calibration: 0.2"),
    ),
    "deaths_of_eight_years": (("id: mortality_1y", "id: deaths_of_eight_years"), ("last: 12", "last: 96")),
    "onsets_of_eight_years": (("id: diabetes_onset_1y", "id: onsets_of_eight_years"), ("last: 12", "last: 96")),
}


@pytest.fixture(scope="module")
def landing(tmp_path_factory):
    """The files of ten years of Synthea's that are taken in, a folder a source."""
    made = synthea.population(tmp_path_factory.mktemp("synthea"), people=120, years=10)
    folder = tmp_path_factory.mktemp("landing")
    for source, (part, kept) in FILES.items():
        (folder / source).mkdir()
        for path in (made / part).iterdir():
            if path.name.partition(".")[0] in kept:
                shutil.copy2(path, folder / source)
    return folder


@pytest.fixture(scope="module")
def road(spark, landing, tmp_path_factory):
    """A warehouse with everybody's timelines: a function that runs a job on it, and one that reads a table of now."""
    folder = tmp_path_factory.mktemp("road")
    with at_home(folder, TASKS) as run:
        for source in FILES:
            run(ingest, f"--source={source}", f"--input={landing / source}")
        run(timelines)
        yield run, lambda table: Tables(spark, str(folder / "warehouse")).read(table)


def lines_of(landing, kind):
    """The resources of a kind."""
    with open(landing / "fhir_r4" / f"{kind}.ndjson", encoding="utf-8") as file:
        yield from map(json.loads, file)


def what_cohort_says(road, task):
    try:
        road[0](cohort, f"--task={task}")
    except Held as held:
        return str(held)
    return RUNS


def test_every_shipped_task_is_looked_at():
    shipped = {path.stem for path in (conf_dir() / "tasks").glob("*.yml")}
    assert shipped | TASKS.keys() == EXPECTED.keys()


def test_both_sources_are_of_the_same_people(road, landing):
    """Synthea has so few numbers of driving licences that people share one, which parts them and nobody else."""
    identity = road[1]("identity").where("known_until IS NULL").toPandas()
    assert len(identity) == 2 * sum(1 for _ in lines_of(landing, "Patient"))
    assert (identity.groupby("subject_id").size() == 2).all()


@pytest.mark.parametrize("task", EXPECTED)
def test_a_task_runs_or_says_what_is_lacking(road, task):
    assert re.match(EXPECTED[task], what_cohort_says(road, task))


@pytest.mark.parametrize(
    ("task", "of_class", "label", "days"),
    [(TRAINED, "EMER", "integer_value", 365), ("admission_of_any_type", "IMP", "boolean_value", 90)],
)
def test_labels_are_what_the_files_say(road, landing, task, of_class, label, days):
    begun = defaultdict(set)
    for one in lines_of(landing, "Encounter"):
        if one["class"]["code"] == of_class:
            person = pseudonym(bytes.fromhex(KEY), "main", "fhir", one["subject"]["reference"].removeprefix("Patient/"))
            begun[person].add(datetime.fromisoformat(one["period"]["start"]).astimezone(UTC).replace(tzinfo=None))
    assert what_cohort_says(road, task) == RUNS
    rows = road[1](f"cohorts/{task}").toPandas()
    until = timedelta(days=days)
    expected = [
        len({at.date() for at in begun[person] if after <= at < after + until})
        for person, after in zip(rows["subject_id"], rows["prediction_time"])
    ]
    if label == "boolean_value":
        expected = [found > 0 for found in expected]
    assert rows[label].tolist() == expected
    assert 20 < sum(expected) < len(rows)


def test_the_night_of_visits_reconciles(road):
    run, read = road
    for job, *arguments in ((cohort,), (export,), (train, "--force"), (evaluate,)):
        run(job, f"--task={TRAINED}", *arguments)
    night = data_end(read("timelines"), read("ingested_files"))
    run(score, f"--task={TRAINED}", f"--as-of={night}")
    scores = read("scores").toPandas()
    [of_night] = read("score_runs").toPandas().to_dict("records")
    assert of_night["eligible"] == len(scores) == of_night["scored"] + of_night["not_scored"]
    told = scores[scores["not_scored_reason"].isna()]
    assert len(told) == of_night["scored"] > 50
    assert (told["estimate"] > 0).all()
    assert set(told["estimate_unit"]) == {"visits"}
