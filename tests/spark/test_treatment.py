"""Decisions to treat, as timelines hold them: the newest version of each, of the people who are asked about."""

import pytest

from salus.cohorts.treatment import Treatment
from salus.evaluation.treatment import decisions
from salus.schemas import schema_of
from salus.timelines.clocks import MICROSECONDS_PER_DAY, NEVER

DAY = MICROSECONDS_PER_DAY
CARE, USUAL, OTHER = 11, 12, 13
TREATMENT = Treatment(given=("CPT/9949",), withheld=("programme/usual-care",))


@pytest.fixture
def codes(spark):
    names = {CARE: "CPT/99490", USUAL: "programme/usual-care", OTHER: "CPT/93000"}
    rows = [(name, code, None, 1, []) for code, name in names.items()]
    return spark.createDataFrame(rows, schema_of("codes"))


@pytest.fixture
def timelines(spark):
    """``timelines({person: [(day, code, superseded)]})``."""

    def make(people):
        schema = schema_of("timelines")
        rows = []
        for person, events in people.items():
            days, of_events, until = zip(*events, strict=True) if events else ((), (), ())
            known = {
                "subject_id": person,
                "time": [day * DAY for day in days],
                "available": [day * DAY for day in days],
                "superseded": list(until),
                "code": list(of_events),
                "value": [float("nan")] * len(days),
                "events_dropped": 0,
                "values_without_unit": 0,
            }
            empty = {name: [] for name in schema.names if name.startswith("coverage_")}
            rows.append(tuple((empty | known).get(name) for name in schema.names))
        return spark.createDataFrame(rows, schema)

    return make


def test_decisions_are_found_by_person_then_time(spark, codes, timelines):
    table = timelines(
        {
            2: [(5, USUAL, NEVER), (40, CARE, NEVER)],
            1: [(3, OTHER, NEVER), (7, USUAL, NEVER), (7, CARE, NEVER)],
            3: [(1, OTHER, NEVER)],
            4: [],
        }
    )
    found = decisions(table, codes, table.select("subject_id"), TREATMENT)
    assert list(zip(*(each.tolist() for each in found), strict=True)) == [
        (1, 7 * DAY, True),  # who is said to have been treated was
        (1, 7 * DAY, False),
        (2, 5 * DAY, False),
        (2, 40 * DAY, True),
    ]


def test_a_decision_that_was_withdrawn_is_none_and_others_are_not_asked_about(spark, codes, timelines):
    table = timelines({1: [(5, CARE, 9 * DAY), (6, USUAL, NEVER)], 2: [(5, CARE, NEVER)]})
    found = decisions(table, codes, table.where("subject_id = 1").select("subject_id"), TREATMENT)
    assert found.people.tolist() == [1]
    assert found.time.tolist() == [6 * DAY]


def test_where_no_such_code_was_ever_recorded_nothing_was_decided(spark, timelines):
    table = timelines({1: [(5, CARE, NEVER)]})
    none = spark.createDataFrame([], schema_of("codes"))
    assert decisions(table, none, table.select("subject_id"), TREATMENT).people.size == 0
