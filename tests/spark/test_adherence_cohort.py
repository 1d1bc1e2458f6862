"""The cohort of second fills in a warehouse: fills are told from orders, and whose supply is unknown is a step."""

import argparse
from datetime import date, timedelta

import pytest

from salus.cohorts.cohort import cohort, eligible, tonight
from salus.cohorts.task import Gates, Task
from salus.job import spark_job
from salus.schemas import CODES, TIMELINES
from salus.storage.tables import Tables
from salus.timelines.clocks import NEVER, micros

END = date(2026, 6, 30)
FILL, OTHER_FILL, ORDER, LAB = 101, 102, 103, 104
CODE_ROWS = [
    ("NDC/00006073531", FILL, None, 9, None),
    ("NDC/99999999999", OTHER_FILL, None, 9, ["RxNorm/83367", "ATC/C10AA05"]),
    ("RxNorm/83367", ORDER, None, 9, ["ATC/C10AA05"]),
    ("LOINC/4548-4", LAB, None, 9, None),
]
PEOPLE = range(180)
NAN = float("nan")


@pytest.fixture(scope="module")
def task():
    shipped = Task.load("medication_nonadherence_180d")
    index = shipped.index.model_copy(update={"last": 300})
    return shipped.model_copy(update={"index": index, "gates": Gates(positives_at_least=1)})


def first_fill(subject):
    return date(2025, 2, 1) + timedelta(days=subject % 90)


def fills(subject):
    """(days since the first, code, supply): every sixth has one only, of every sixth a supply is missing, some stop."""
    kind = subject % 6
    if kind == 0:
        return [(0, FILL, 30.0)]
    if kind == 1:
        return [(0, FILL, 30.0), (30, FILL, NAN)]
    if kind == 2:
        return [(0, FILL, 30.0), (30, FILL, 30.0), (60, OTHER_FILL, NAN)]
    if kind == 3:
        return [(0, FILL, 30.0), (25, OTHER_FILL, 30.0)]
    return [(30 * number, OTHER_FILL if number % 2 else FILL, 30.0) for number in range(8)]


def person(subject):
    """Orders on the days between, which are no fills; a claim is known the day after."""
    first = micros(first_fill(subject))
    day = micros(date(1970, 1, 2))
    events = [(first + after * day, first + (after + 1) * day, code, supply) for after, code, supply in fills(subject)]
    events += [(first + 10 * day, first + 10 * day, ORDER, NAN), (micros(END), micros(END), LAB, 1.0)]
    time, available, code, value = zip(*sorted(events, key=lambda event: event[0]), strict=True)
    covered = micros(date(2022, 1, 1))
    facts = (list(time), list(available), [NEVER] * len(time), list(code), list(value))
    spans = ([covered], [NEVER], [covered], [NEVER])
    return (subject, micros(date(1950, 1, 1)), None, None, "female", None, *facts, *spans, 0, 0, None, None, [None])


def test_the_cohort_is_of_second_fills_and_who_lacks_a_supply_is_lost_where_it_is_known(spark, tmp_path, task):
    tables = Tables(spark, str(tmp_path))
    tables.replace("timelines", spark.createDataFrame([person(each) for each in PEOPLE], TIMELINES).repartition(2))
    tables.replace("codes", spark.createDataFrame(CODE_ROWS, CODES))
    tables.publish("prepared")
    with spark_job("cohort", argparse.Namespace(warehouse=str(tmp_path)), quiet=True) as job:
        cohort(job, task)
        rows, steps = (job.tables.read(name).collect() for name in (f"cohorts/{task.id}", "attrition"))
        night = first_fill(1) + timedelta(days=31)
        then = tonight(job, task, night)
        seen = eligible(job.tables.read("timelines"), job.tables.read("codes"), task, [night]).collect()
    found = {row["subject_id"]: (row["prediction_time"].date(), row["boolean_value"]) for row in rows}
    assert len(found) == len(rows)
    assert found == {
        each: (first_fill(each) + timedelta(days=26 if each % 6 == 3 else 31), each % 6 == 3)
        for each in PEOPLE
        if each % 6 > 2
    }
    lost = {step["criterion"]: step["rows_lost"] for step in steps}
    assert lost["days' supply known of every fill"] == lost["days' supply known of every fill before the horizon"] == 30
    assert sum(lost.values()) == 60
    [begins] = [step for step in steps if step["step"] == 0]
    assert begins["rows_before"] == 150
    assert begins["criterion"].startswith("people of whom day 2 with ATC/C10AA or NDC/")
    # On a night, as in training: who lacks a supply is lost at the last step, and nobody for what came later.
    expected = {each for each in PEOPLE if each % 6 in (1, 2, 4, 5) and first_fill(each) == first_fill(1)} | {
        each for each in PEOPLE if each % 6 == 3 and first_fill(each) + timedelta(days=26) == night
    }
    assert {row["subject_id"]: row["step_lost"] > 0 for row in seen} == {each: each % 6 == 1 for each in expected}
    assert [step["rows_lost"] for step in then][1:] == [0] * 7 + [sum(each % 6 == 1 for each in expected)]
