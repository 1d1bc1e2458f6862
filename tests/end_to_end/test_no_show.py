"""Missed appointments, from the EHR's files to a night's scores: the whole road of a task of what is planned."""

import json
from collections import defaultdict
from datetime import datetime, time, timedelta

import pandas as pd
import pytest
from pyspark.sql import functions as F

import score
from road import AS_OF, KEY, travelled
from salus.cohorts.cohort import eligible
from salus.cohorts.grid import data_end, grid
from salus.cohorts.task import Task
from salus.privacy.pseudonyms import pseudonym
from salus.storage import Tables

pytestmark = pytest.mark.slow  # every job once, on the files of some hundreds of people

TASK = "no_show"
TASKS = {TASK: (("epochs: 20", "epochs: 2"),)}
FILES = ("Patient", "Encounter", "Condition", "Appointment")  # what else there is costs minutes
DAY, DAYS_BEFORE = timedelta(days=1), 3


@pytest.fixture(scope="module")
def road(spark, tmp_path_factory):
    """A warehouse in which every job up to a model of missed appointments has run, and the folder of its files."""
    folder = tmp_path_factory.mktemp("no_show")
    with travelled(folder, 600, ["fhir_r4"], FILES, TASKS) as run:
        yield (
            Tables(spark, str(folder / "warehouse")),
            folder / "landing" / "ehr",
            lambda night: run(score, f"--task={TASK}", f"--as-of={night}"),
        )


@pytest.fixture(scope="module")
def task():
    return Task.load(TASK)


def instant(text):
    return datetime.fromisoformat(text.removesuffix("Z"))


@pytest.fixture(scope="module")
def told(road):
    """The appointments of the files: id to its versions, oldest first, each (known, status, start, created, person)."""
    versions = defaultdict(list)
    for path in sorted(road[1].glob("Appointment.*.ndjson")):
        for one in map(json.loads, path.read_text().splitlines()):
            [reference] = [each["actor"]["reference"] for each in one["participant"]]
            person = pseudonym(bytes.fromhex(KEY), "main", "fhir", reference.removeprefix("Patient/"))
            known = instant(one["meta"]["lastUpdated"])
            versions[one["id"]].append((known, one["status"], instant(one["start"]), instant(one["created"]), person))
    return {name: sorted(of_it) for name, of_it in versions.items()}


def looked_at(told, dates):
    """(person, night) to the ids of the appointments of three days later that stood on that night."""
    found = defaultdict(list)
    for name, versions in told.items():
        _, _, start, created, person = versions[0]
        night = datetime.combine(start.date(), time()) - DAYS_BEFORE * DAY
        called_off = any(status == "cancelled" and known <= night for known, status, *_ in versions)
        if created <= night and not called_off and night.date() in dates:
            found[person, night].append(name)
    return found


def test_every_booking_and_outcome_is_taken_in(road, told):
    tables = road[0]
    assert tables.read("quarantine").isEmpty()
    counted = tables.read("records").where("record_type = 'fhir_r4/Appointment'").groupBy("is_void").count().collect()
    assert [tuple(row) for row in counted] == [(False, sum(map(len, told.values())))]


def test_each_row_is_three_days_before_an_appointment_that_stood_and_its_label_whether_it_was_missed(road, told, task):
    tables = road[0]
    dates = set(grid(task.index, task.label, data_end(tables.read("timelines"), tables.read("ingested_files"))))
    rows = tables.read(f"cohorts/{TASK}").select("subject_id", "prediction_time", "boolean_value").toPandas()
    found = {(person, night.to_pydatetime()): label for person, night, label in rows.itertuples(index=False)}
    assert len(found) == len(rows)
    expected = looked_at(told, dates)
    dead = tables.read("timelines").where("death IS NOT NULL").select("subject_id").toPandas()["subject_id"]
    lost = expected.keys() - found.keys()
    assert found.keys() <= expected.keys()
    assert {person for person, _ in lost} <= set(dead)  # eligible as of that night, or known to have died by then
    status = {name: versions[-1][1] for name, versions in told.items()}
    for each, label in found.items():
        assert label == any(status[name] == "noshow" for name in expected[each]), each[1]
    assert 0.08 < rows["boolean_value"].mean() < 0.3
    called_off = [each for each in found if all(status[name] == "cancelled" for name in expected[each])]
    assert called_off
    assert not any(found[each] for each in called_off)


def test_every_night_finds_whom_training_finds_for_that_night(road, task):
    tables = road[0]
    people, codes = tables.read("timelines"), tables.read("codes")
    dates = grid(task.index, task.label, data_end(people, tables.read("ingested_files")))
    trained = eligible(people, codes, task, dates).toPandas()
    for night in trained["prediction_time"].value_counts().index[:3]:
        then = eligible(people, codes, task, [night.date()]).toPandas()
        expected = trained[trained["prediction_time"] == night]
        pd.testing.assert_frame_equal(
            then.sort_values("subject_id", ignore_index=True), expected.sort_values("subject_id", ignore_index=True)
        )


def test_a_night_scores_the_appointments_that_are_booked_ahead(road, told, task):
    """Tonight's among them: nobody knows yet what becomes of them."""
    tables, _, score_on = road
    alive = tables.read("timelines").where("death IS NULL").select("subject_id").toPandas()["subject_id"]
    nights = [AS_OF - timedelta(days=days) for days in range(14)]
    ahead = {each: names for each, names in looked_at(told, set(nights)).items() if each[0] in set(alive)}
    busiest = max(nights[:7], key=lambda night: sum(at.date() == night for _, at in ahead))
    for night in {AS_OF, busiest}:
        score_on(night)
        tables = Tables(tables.spark, tables.warehouse)  # as it is published now
        rows = tables.read("scores").where(F.col("as_of") == F.lit(night)).toPandas()
        assert set(rows["subject_id"]) == {person for person, at in ahead if at.date() == night}
        assert rows["probability"].between(0, 1).all()
    assert any(at.date() == busiest for _, at in ahead)


def test_who_missed_appointments_before_and_booked_long_ahead_is_told_a_higher_risk(road):
    """The planted risk is learnt: the discrimination of both models is clearly above chance."""
    tables = road[0]
    measures = tables.read("evaluations").where((F.col("task_id") == TASK) & (F.col("metric") == "auroc")).toPandas()
    assert measures["value"].max() > 0.6
