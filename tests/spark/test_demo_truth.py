"""The demo's truth: simulated people under the pseudonyms, identities and splits of the warehouse."""

from datetime import date, datetime

import pytest

from salus.cohorts.task import Task
from salus.errors import Refused
from salus.evaluation.truth import demo_truth, truth_of_subjects
from salus.privacy.pseudonyms import pads, pseudonym
from salus.schemas import schema_of
from salus.storage.tables import conform

KEY = bytes(range(32))
SITE = "main"
SYSTEMS = {"ehr_patient_id": "urn:test:ehr", "member_id": "urn:test:payer", "wearable_id": "urn:test:wearable"}
AS_OF = date(2026, 6, 1)
TRUTH = (
    "person long, ehr_patient_id string, member_id string, wearable_id string, as_of date, "
    "true_probability double, attainable_probability double, outcome boolean"
)


def known_as(column, value):
    return pseudonym(KEY, SITE, SYSTEMS[column], value)


@pytest.fixture
def rows(spark):
    """``rows(truth, identity)``: the truth of each subject, where ``identity`` maps source subjects to subjects."""

    def make(truth, identity):
        current = [(source, subject, None, None) for source, subject in identity.items()]
        return truth_of_subjects(
            spark.createDataFrame(truth, TRUTH),
            pads(spark, KEY),
            SITE,
            SYSTEMS,
            spark.createDataFrame(current, schema_of("identity")),
            Task.load("admission_90d"),
        )

    return make


def test_a_person_of_several_systems_is_one_subject_with_one_truth(rows):
    identity = {
        known_as("ehr_patient_id", "e1"): 11,
        known_as("member_id", "m1"): 11,
        known_as("wearable_id", "w1"): 11,
        known_as("member_id", "m2"): 22,
    }
    truth = [
        (1, "e1", "m1", "w1", AS_OF, 0.2, 0.1, True),
        (1, "e1", "m1", "w1", date(2026, 5, 1), 0.3, 0.2, False),
        (2, None, "m2", None, AS_OF, 0.4, 0.5, None),
    ]
    found = conform(rows(truth, identity), schema_of("demo_truth")).collect()
    assert {
        (row["subject_id"], row["as_of"], row["true_probability"], row["attainable_probability"], row["outcome"])
        for row in found
    } == {(11, AS_OF, 0.2, 0.1, True), (11, date(2026, 5, 1), 0.3, 0.2, False), (22, AS_OF, 0.4, 0.5, None)}
    assert len(found) == 3
    assert {row["task_id"] for row in found} == {"admission_90d"}


def test_whoever_stays_apart_in_two_systems_has_the_truth_twice(rows):
    identity = {known_as("ehr_patient_id", "e1"): 11, known_as("member_id", "m1"): 12}
    found = rows([(1, "e1", "m1", None, AS_OF, 0.2, 0.1, True)], identity).collect()
    assert sorted(row["subject_id"] for row in found) == [11, 12]


def test_two_people_taken_for_one_have_no_truth(rows):
    identity = {known_as("ehr_patient_id", "e1"): 11, known_as("member_id", "m2"): 11, known_as("member_id", "m3"): 33}
    truth = [
        (1, "e1", None, None, AS_OF, 0.2, 0.1, True),
        (2, None, "m2", None, AS_OF, 0.4, 0.5, False),
        (3, None, "m3", None, AS_OF, 0.6, 0.6, False),
    ]
    assert [row["subject_id"] for row in rows(truth, identity).collect()] == [33]


def test_a_folder_without_truth_is_refused_but_of_another_task_none_is_looked_for(job_in, tmp_path):
    with job_in(tmp_path / "warehouse", "demo_truth") as job:
        demo_truth(job, Task.load("cost_1y"), tmp_path)
        assert job.tables.version("demo_truth") is None
        with pytest.raises(Refused, match="expected truth"):
            demo_truth(job, Task.load("admission_90d"), tmp_path)


def test_who_somebody_once_was_does_not_count(spark):
    source = known_as("ehr_patient_id", "e1")
    history = [(source, 11, None, datetime(2026, 1, 1)), (source, 12, datetime(2026, 1, 1), None)]
    found = truth_of_subjects(
        spark.createDataFrame([(1, "e1", None, None, AS_OF, 0.2, 0.1, True)], TRUTH),
        pads(spark, KEY),
        SITE,
        SYSTEMS,
        spark.createDataFrame(history, schema_of("identity")),
        Task.load("admission_90d"),
    ).collect()
    assert [row["subject_id"] for row in found] == [12]
