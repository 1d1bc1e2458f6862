"""A task that is indexed by discharges, in a warehouse: only new discharges are looked at, then as on that night."""

import argparse
from datetime import date, datetime, timedelta

import pytest

from salus.cohorts.cohort import cohort, eligible, labelled_samples, tonight
from salus.cohorts.grid import grid
from salus.cohorts.index import index_codes
from salus.cohorts.task import Gates, Index, IndexEvent, Task
from salus.errors import Held
from salus.job import spark_job
from salus.schemas import CODES, TIMELINES
from salus.storage.tables import Tables
from salus.timelines.clocks import MICROSECONDS_PER_DAY, NEVER, micros

END = date(2026, 6, 30)
EMERGENCY, ELECTIVE, DISCHARGE, LAB = 101, 102, 103, 104
CODE_ROWS = [
    ("ENCOUNTER/IMP/EM", EMERGENCY, None, 9, None),
    ("ENCOUNTER/IMP/EL", ELECTIVE, None, 9, None),
    ("ENCOUNTER_END/IMP", DISCHARGE, None, 9, None),
    ("LOINC/4548-4", LAB, None, 9, None),
]
STAY_DAYS = 3


@pytest.fixture(scope="module")
def task():
    shipped = Task.load("readmission_30d")
    index = shipped.index.model_copy(update={"last": 200})
    return shipped.model_copy(update={"index": index, "gates": Gates(positives_at_least=1)})


def admitted_on(subject):
    """Days of admission of a person: most have one, a third come back, some as a transfer, some too late."""
    first = date(2025, 10, 1) + timedelta(days=subject % 90)
    back = {0: 10, 1: 4, 2: 40, 3: 33, 4: 34}.get(subject % 12)
    return [first] if back is None else [first, first + timedelta(days=back)]


def person(subject):
    """Stays of three days, told as they begin and end; every twelfth person is a child, every twelfth is told late."""
    events = [(micros(END), micros(END), LAB)]
    for admission in admitted_on(subject):
        began = micros(admission) + 9 * 3_600_000_000
        ended = began + STAY_DAYS * MICROSECONDS_PER_DAY
        late = 20 * MICROSECONDS_PER_DAY if subject % 12 == 5 else 0
        events += [
            (began, began + late, ELECTIVE if subject % 12 == 6 else EMERGENCY),
            (ended, ended + late, DISCHARGE),
        ]
    time, available, code = zip(*sorted(events), strict=True)
    born, covered = date(2015, 1, 1) if subject % 12 == 7 else date(1950, 1, 1), micros(date(2022, 1, 1))
    return (
        subject,
        micros(born),
        None,
        None,
        "female",
        None,
        list(time),
        list(available),
        [NEVER] * len(time),
        list(code),
        [float("nan")] * len(time),
        [covered],
        [NEVER],
        [covered],
        [NEVER],
        0,
        0,
        None,
        None,
        [None],
    )


def expected(people):
    """(person, date) to whether somebody is readmitted, from the days of admission alone."""
    found = {}
    for subject in people:
        if subject % 12 in (5, 7):
            continue
        days = admitted_on(subject)
        for number, admission in enumerate(days):
            discharge = admission + timedelta(days=STAY_DAYS)
            after = [(each - discharge).days for each in days[number + 1 :]]
            found[subject, discharge + timedelta(days=1)] = any(2 <= gap <= 30 for gap in after)
    return found


def run_in(folder):
    return spark_job("cohort", argparse.Namespace(warehouse=str(folder)), quiet=True)


@pytest.fixture(scope="module")
def made(spark, tmp_path_factory, task):
    """The warehouse of 360 people with their cohort, its rows and its attrition."""
    folder = tmp_path_factory.mktemp("index")
    tables = Tables(spark, str(folder))
    tables.replace("timelines", spark.createDataFrame([person(each) for each in range(360)], TIMELINES).repartition(2))
    tables.replace("codes", spark.createDataFrame(CODE_ROWS, CODES))
    tables.publish("prepared")
    with run_in(folder) as job:
        cohort(job, task)
        rows, steps = (job.tables.read(name).collect() for name in ("cohorts/readmission_30d", "attrition"))
    return folder, rows, sorted(steps, key=lambda step: step["step"])


def test_the_cohort_is_its_definition_discharge_by_discharge(made, task):
    dates = set(grid(task.index, task.label, END))
    found = {(row["subject_id"], row["prediction_time"].date()): row["boolean_value"] for row in made[1]}
    wanted = {each: label for each, label in expected(range(360)).items() if each[1] in dates}
    assert found == wanted
    assert 0 < sum(wanted.values()) < len(wanted)
    assert len(found) == len(made[1])


def test_attrition_begins_with_the_new_discharges(made, task):
    children = [each for each in range(360) if each % 12 == 7]
    looked_at, _, of_age = made[2][:3]
    assert looked_at["rows_before"] == len(made[1]) + len(children)
    assert "ENCOUNTER_END/IMP or CLAIM_END/INPATIENT of the last 1 d became known" in looked_at["criterion"]
    assert of_age["rows_lost"] == len(children)


def test_a_night_finds_whom_training_finds_for_that_night(made, task):
    nights = [date(2025, 11, 1), date(2025, 11, 14), date(2025, 9, 1)]
    with run_in(made[0]) as job:
        timelines, codes = job.tables.read("timelines"), job.tables.read("codes")
        trained = set(map(tuple, eligible(timelines, codes, task, grid(task.index, task.label, END)).collect()))
        for night in nights:
            then = set(map(tuple, eligible(timelines, codes, task, [night]).collect()))
            assert then == {row for row in trained if row[1] == datetime.combine(night, datetime.min.time())}
            steps = tonight(job, task, night)
            assert steps[0]["rows_before"] == len(then)
            assert steps[-1]["rows_before"] - steps[-1]["rows_lost"] == sum(row[2] == 0 for row in then)
    assert then == set()


def test_codes_that_nothing_begins_with_are_held_with_what_was_looked_for(made, task):
    nothing = Index(every="day", last=200, event=IndexEvent(codes=("VISIT_END/",)))
    with pytest.raises(Held, match=r"Received nobody.*VISIT_END/ of the last 1 d") as held, run_in(made[0]) as job:
        cohort(job, task.model_copy(update={"index": nothing}))
    assert held.value.exit_code == 3


def test_the_codes_of_an_index_are_looked_up_by_how_they_begin(spark, task):
    found = index_codes(spark.createDataFrame(CODE_ROWS, CODES), task.index.event)
    assert (found.ends.tolist(), found.starts.tolist(), found.within_days) == ([DISCHARGE], [EMERGENCY, ELECTIVE], 1)


BOOKED, MISSED = 105, 106
BOOKINGS = [("APPOINTMENT/BOOKED", BOOKED, None, 9, None), ("APPOINTMENT/NOSHOW", MISSED, None, 9, None)]


def booked_person(subject):
    """A booking ten days ahead, told as it is made; of every third it is called off, of every other third missed."""
    made = micros(date(2026, 1, 1) + timedelta(days=subject % 60)) + 9 * 3_600_000_000
    due = made + 10 * MICROSECONDS_PER_DAY
    off = made + (2 if subject % 2 else 8) * MICROSECONDS_PER_DAY if subject % 3 == 0 else NEVER
    rows = [(made, made, off, BOOKED, 10.0), (micros(END), micros(END), NEVER, LAB, float("nan"))]
    rows += [(due, due, NEVER, MISSED, float("nan"))] if subject % 3 == 1 else []
    time, available, superseded, code, value = map(list, zip(*sorted(rows), strict=True))
    whole = dict(zip(TIMELINES.names, person(subject), strict=True))
    whole |= {"time": time, "available": available, "superseded": superseded, "code": code, "value": value}
    return tuple(whole[name] for name in TIMELINES.names)


def test_a_booking_that_stands_three_days_before_it_is_looked_at_then_in_training_and_tonight(spark):
    shipped = Task.load("no_show")
    people = spark.createDataFrame([booked_person(each) for each in range(60)], TIMELINES).repartition(2)
    codes = spark.createDataFrame(BOOKINGS, CODES)
    due = {subject: date(2026, 1, 11) + timedelta(days=subject) for subject in range(60)}
    stands = {subject for subject in due if subject % 3 or subject % 2 == 0}
    expected = {(subject, due[subject] - timedelta(days=3)) for subject in stands}
    nights = grid(shipped.index, shipped.label, END)
    found = {(row[0], row[1].date()): row[2] for row in eligible(people, codes, shipped, nights).collect()}
    assert found == dict.fromkeys(expected, 0)
    for night in (date(2026, 1, 9), date(2026, 1, 11)):
        then = {(row[0], row[1].date()): row[2] for row in eligible(people, codes, shipped, [night]).collect()}
        assert then == {each: step for each, step in found.items() if each[1] == night}
    labelled = labelled_samples(people, codes, shipped, nights).collect()
    labels = {row["subject_id"]: row["is_positive"] for row in labelled if row["step_lost"] == 0}
    assert labels == {subject: True for subject in due if subject % 3 == 1}  # of the others nobody says what became
