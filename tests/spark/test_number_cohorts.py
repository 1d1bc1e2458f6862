"""Cohorts of numbers in a warehouse: what the newest versions allow, and who is a high-cost claimant."""

import argparse
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from salus.cohorts.cohort import cohort, labelled_samples
from salus.cohorts.grid import grid
from salus.cohorts.task import Task
from salus.errors import Held
from salus.job import spark_job
from salus.schemas import CODES, COSTS, IDENTITY, RECORDS, TIMELINES
from salus.storage.tables import Tables
from salus.timelines.clocks import NEVER, micros

END = date(2026, 6, 30)
PEOPLE = 240
VISIT, LAB = 101, 102
ELSEWHERE = 10_000
"""Added to a person's id: the same person as another source knows them."""


@pytest.fixture(scope="module")
def tasks():
    """The tasks that ship, on two dates; a high cost is among the highest three tenths, so that each split has some."""
    asked = {name: Task.load(name) for name in ("emergency_visits_1y", "cost_1y", "high_cost_1y")}
    high = asked["high_cost_1y"]
    cost = high.label.cost.model_copy(update={"high_from_percentile": 70})
    asked["high_cost_1y"] = high.model_copy(update={"label": high.label.model_copy(update={"cost": cost})})
    return {
        name: task.model_copy(update={"index": task.index.model_copy(update={"last": 2})})
        for name, task in asked.items()
    }


def person(subject):
    """A timeline; an emergency visit on as many days of May 2024 as the id's last digit says, twice on the first."""
    visits = [micros(date(2024, 5, 1 + day)) for day in range(subject % 10)]
    events = sorted([(at, VISIT) for at in [*visits, *visits[:1]]] + [(micros(END), LAB)])
    times = [at for at, _ in events]
    left = NEVER if subject % 6 else micros(date(2025, 8, 10))
    started = micros(date(2020, 1, 1))
    forever = [NEVER] * len(times)
    values = [float("nan")] * len(times)
    born = micros(date(1950, 1, 1))
    facts = (times, times, forever, [code for _, code in events], values)
    return (
        subject,
        born,
        None,
        None,
        "female",
        None,
        *facts,
        [started],
        [left],
        [started],
        [NEVER],
        0,
        0,
        None,
        None,
        [None],
    )


def day_of(subject):
    """From before the second horizon to after both."""
    return date(2025, 3, 10) + timedelta(days=2 * subject)


def bills(subject):
    """(record, version, whose, day, allowed): what the payer said, in the order in which it said it."""
    day, mine = day_of(subject), subject * 10
    yield mine, 1, subject, day, Decimal(subject)
    yield mine + 1, 1, subject, day, Decimal("500.25")
    yield mine + 1, 2, subject, day, Decimal("0.25")  # corrected
    yield mine + 2, 1, subject, day, Decimal(7_000)  # withdrawn below
    yield mine + 3, 1, subject + ELSEWHERE, day, Decimal(100)  # of a linked source
    yield mine + 4, 1, subject, day, None  # no allowed amount
    yield mine + 5, 1, subject, date(2025, 2, 1), Decimal(9_000)  # before every horizon


def cost_rows(currency=None):
    at = datetime(2025, 1, 1)
    for subject in range(1, PEOPLE + 1):
        for record, version, whose, day, allowed in bills(subject):
            of_record = (whose, record, version, 0, at, 1, 0, None)
            yield (*of_record, "Visit", day, None, currency, None, None, allowed, *[None] * 8)


def record_rows():
    at = datetime(2025, 1, 1)
    for subject in range(1, PEOPLE + 1):
        for record, version, whose, *_ in bills(subject):
            yield record, version, whose, "payer_extract/medical_claim", 1, at, False, 1, 0
        yield subject * 10 + 2, 2, subject, "payer_extract/medical_claim", 0, at, True, 1, 0


@pytest.fixture(scope="module")
def warehouse(spark, tmp_path_factory):
    folder = tmp_path_factory.mktemp("numbers")
    tables = Tables(spark, str(folder))
    tables.replace("timelines", spark.createDataFrame(list(map(person, range(1, PEOPLE + 1))), TIMELINES))
    codes = [("ENCOUNTER/EMER/EM", VISIT, None, 9, None), ("LOINC/4548-4", LAB, None, 9, None)]
    tables.replace("codes", spark.createDataFrame(codes, CODES))
    linked = [(subject + ELSEWHERE, subject, None, None) for subject in range(1, PEOPLE + 1)]
    tables.replace("identity", spark.createDataFrame(linked, IDENTITY))
    tables.replace("costs", spark.createDataFrame(list(cost_rows()), COSTS))
    tables.replace("records", spark.createDataFrame(list(record_rows()), RECORDS))
    tables.publish("prepared")
    return folder


def run_in(folder):
    return spark_job("cohort", argparse.Namespace(warehouse=str(folder)), quiet=True)


def expected_cost(subject, at):
    return subject + 100.25 if at <= day_of(subject) < at + timedelta(days=365) else 0.0


def test_a_cost_is_what_the_newest_versions_allow_and_a_high_one_is_among_the_costliest(warehouse, tasks):
    with run_in(warehouse) as job:
        cohort(job, tasks["cost_1y"])
        rows = job.tables.read("cohorts/cost_1y").collect()
    assert job.figures["costs_without_amount"] == PEOPLE
    found = {(row["subject_id"], row["prediction_time"].date()): row["float_value"] for row in rows}
    dates = grid(tasks["cost_1y"].index, tasks["cost_1y"].label, END)
    assert found == {
        (subject, at): expected_cost(subject, at)
        for subject in range(1, PEOPLE + 1)
        for at in dates
        if subject % 6  # the others leave before the horizon
    }
    assert {(row["boolean_value"], row["integer_value"]) for row in rows} == {(None, None)}

    with run_in(warehouse) as job:
        cohort(job, tasks["high_cost_1y"])
        judged = job.tables.read("cohorts/high_cost_1y").collect()
        steps = job.tables.read("attrition").where("task_id = 'high_cost_1y'").orderBy("step").collect()
    least = job.figures["high_from"]
    train = [(row["float_value"], row["weight"]) for row in judged if row["split"] == "train"]

    def share(amount):
        return round(sum(weight for cost, weight in train if cost >= amount) / sum(weight for _, weight in train), 9)

    assert share(least) <= 0.3 < share(least - 1)
    assert all(row["boolean_value"] == (row["float_value"] >= least) for row in judged)
    assert {(row["subject_id"], row["prediction_time"].date()): row["float_value"] for row in judged} == found
    assert steps[-1]["events_left"] == job.figures["positives"] == sum(row["boolean_value"] for row in judged)


def test_a_count_is_of_days_on_which_a_code_that_begins_so_happens(warehouse, tasks, spark):
    task = tasks["emergency_visits_1y"]
    tables = Tables(spark, str(warehouse))
    samples = labelled_samples(tables.read("timelines"), tables.read("codes"), task, [date(2024, 5, 3)]).collect()
    assert {row["subject_id"]: row["value"] for row in samples} == {
        subject: float(max(0, subject % 10 - 2)) for subject in range(1, PEOPLE + 1)
    }


def test_costs_in_another_currency_are_not_added_up(warehouse, tasks, spark):
    other = tasks["cost_1y"].model_copy(update={"id": "other"})
    with pytest.raises(Held, match="costs in CAD, EUR; expected USD only"), run_in(warehouse) as job:
        for currency in ("EUR", "CAD"):
            rows = list(cost_rows(currency))[:1]
            job.tables.append("costs", spark.createDataFrame(rows, COSTS))
        cohort(job, other)
