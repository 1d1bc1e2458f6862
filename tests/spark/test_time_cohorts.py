"""Cohorts of times to event in a warehouse: who leaves stays in, and MEDS gets only what is known at the horizon."""

import argparse
from collections import Counter
from datetime import date, datetime, timedelta

import pytest

from salus.cohorts.cohort import cohort
from salus.cohorts.grid import grid
from salus.cohorts.task import Task
from salus.job import spark_job
from salus.schemas import CODES, TIMELINES
from salus.storage.tables import Tables
from salus.timelines.clocks import NEVER, micros

END = date(2026, 6, 30)
PEOPLE = 240
STROKE, LAB = 101, 102
FAR = date(2030, 1, 1)


@pytest.fixture(scope="module")
def task():
    """Strokes with competing deaths, on two dates."""
    asked = Task.load("mortality_1y")
    timed = {"codes": ["ICD10CM/I63"], "intervals_days": [100, 365]}
    label = type(asked.label).model_validate(asked.label.model_dump() | {"death": "competing", "time_to_event": timed})
    return asked.model_copy(update={"label": label, "index": asked.index.model_copy(update={"last": 2})})


def days_of(subject):
    """When somebody has a stroke, dies and leaves the insurer; ``FAR`` = not."""
    begun = date(2025, 5, 1)
    stroke, death, left = (begun + timedelta(days=subject) if subject % every == 0 else FAR for every in (4, 6, 10))
    return stroke, death + timedelta(days=9), left + timedelta(days=4)


def person(subject):
    stroke, death, left = days_of(subject)
    events = sorted([(micros(stroke), STROKE)] * (stroke < FAR) + [(micros(END), LAB)])
    times = [at for at, _ in events]
    forever = [NEVER] * len(times)
    started = micros(date(2020, 1, 1))
    died = None if death > date(2029, 1, 1) else micros(death)
    facts = (times, times, forever, [code for _, code in events], [float("nan")] * len(times))
    until = micros(left) if left < date(2029, 1, 1) else NEVER
    born = micros(date(1950, 1, 1))
    return (
        subject,
        born,
        died,
        died,
        "female",
        None,
        *facts,
        [started],
        [until],
        [started],
        [NEVER],
        0,
        0,
        None,
        None,
        [None],
    )


def expected(subject, at):
    """(event type, days, is it known by the horizon); None = left out."""
    stroke, death, left = days_of(subject)
    horizon = at + timedelta(days=365)
    if death <= at or left <= at:
        return None
    ends = {1: stroke if stroke <= death else FAR, -1: death, 0: min(left, horizon)}
    kind = min(ends, key=lambda each: (ends[each], each == 1, -abs(each)))
    days = (ends[kind] - at).days
    return kind, days, {1: True, -1: False, 0: False if ends[0] == horizon else None}[kind]


def test_whoever_leaves_is_known_until_then_and_weighs_as_everybody(spark, tmp_path, task):
    tables = Tables(spark, str(tmp_path))
    tables.replace("timelines", spark.createDataFrame(list(map(person, range(1, PEOPLE + 1))), TIMELINES))
    codes = [("ICD10CM/I63.9", STROKE, None, 9, None), ("LOINC/4548-4", LAB, None, 9, None)]
    tables.replace("codes", spark.createDataFrame(codes, CODES))
    tables.publish("prepared")
    with spark_job("cohort", argparse.Namespace(warehouse=str(tmp_path)), quiet=True) as job:
        cohort(job, task)
        rows = job.tables.read("cohorts/mortality_1y").collect()
        steps = job.tables.read("attrition").orderBy("step").collect()
    found = {
        (row["subject_id"], row["prediction_time"]): (row["event_type"], row["observed_days"], row["boolean_value"])
        for row in rows
    }
    midnights = [datetime.combine(at, datetime.min.time()) for at in grid(task.index, task.label, END)]
    whole = {(one, at): expected(one, at.date()) for one in range(1, PEOPLE + 1) for at in midnights}
    assert found == {key: told for key, told in whole.items() if told is not None}
    assert {row["weight"] for row in rows} == {1.0}
    kinds = Counter(told[0] for told in found.values())
    assert min(kinds.values()) > 20
    assert steps[-1]["events_left"] == job.figures["positives"] == kinds[1]
    assert sum(told[2] is None for told in found.values()) > 10
