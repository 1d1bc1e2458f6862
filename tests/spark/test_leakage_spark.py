"""What became available after a prediction changes neither inputs nor eligibility, from raw rows through Spark."""

import random
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np
import pyarrow as pa
from pyspark.sql import functions as F

from salus.cohorts.eligibility import eligibility
from salus.cohorts.task import Eligibility
from salus.schemas import COSTS, COVERAGE, EVENTS, IDENTITY, PERSONS, VOID_CODE
from salus.timelines.blocks import DAYS, EVENT_CODES, EVENT_VALUES, INPUTS, Channel, DailyMatrix, EventSequence
from salus.timelines.build import timelines
from salus.timelines.clocks import micros
from salus.timelines.fit import samples_of, with_samples
from salus.timelines.model_inputs import model_inputs
from salus.timelines.spec import CodeGroup, FeatureSpec

START = datetime(2020, 1, 1)
PEOPLE = 60
ELSEWHERE = 10**9
CODES = [f"C/{n}" for n in range(6)]
SPENT = "COST/USD"
ELIGIBLE = "eligibility"
"""Beside the blocks: at which step somebody is lost, and the days enrolled."""
FOUND = (INPUTS, EVENT_CODES, EVENT_VALUES, DAYS, ELIGIBLE)
RULES = Eligibility(look_back_days=200, enrolled_days_at_least=30, largest_gap_days=150, no_history_of=(CODES[5],))
KINDS = ("count", "count", "count", "numeric", "numeric", "source", "amount")


def a_world(dice):
    """Events, coverage and costs of random people, with versions and voids, and a prediction time for each person."""
    events, coverage, costs = [], [], []
    for subject in range(PEOPLE):
        for record in range(subject * 100, subject * 100 + dice.randint(0, 12)):
            known = START + timedelta(days=dice.randint(0, 300))
            for version in range(dice.randint(1, 3)):
                events.append(an_event(dice, subject, record, version, known))
                known += timedelta(days=dice.randint(1, 60))
        for record in range(subject * 100 + 50, subject * 100 + 50 + dice.randint(0, 2)):
            known = START + timedelta(days=dice.randint(0, 200))
            for version in range(dice.randint(1, 2)):
                coverage.append(a_span(dice, subject, record, version, known))
                known += timedelta(days=dice.randint(1, 60))
        for record in range(subject * 100 + 60, subject * 100 + 60 + dice.randint(0, 4)):
            known = START + timedelta(days=dice.randint(0, 200))
            for version in range(dice.randint(1, 3)):
                costs.append(a_cost(dice, subject, record, version, known))
                known += timedelta(days=dice.randint(1, 60))
    at = {subject: START + timedelta(days=dice.randint(50, 350)) for subject in range(PEOPLE)}
    return events, coverage, costs, at


def an_event(dice, subject, record, version, known):
    is_void = version > 0 and dice.random() < 0.3
    return {
        "source_subject_id": subject,
        "record_id": record,
        "version": version,
        "available_time": known,
        "time": known - timedelta(days=dice.randint(0, 30)),
        "code": VOID_CODE if is_void else dice.choice(CODES),
        "numeric_value": float(dice.randint(0, 9)),
    }


def a_span(dice, subject, record, version, known):
    start = (known - timedelta(days=dice.randint(0, 90))).date()
    end = start + timedelta(days=dice.randint(30, 300)) if dice.random() < 0.7 else None
    return {
        "source_subject_id": subject,
        "record_id": record,
        "version": version,
        "available_time": known,
        "payer_plan_period_start_date": start,
        "payer_plan_period_end_date": end,
    }


def a_cost(dice, subject, record, version, known):
    is_void = version > 0 and dice.random() < 0.3
    return {
        "source_subject_id": subject,
        "record_id": record,
        "version": version,
        "available_time": known,
        "incurred_date": (known - timedelta(days=dice.randint(0, 90))).date(),
        "amount_allowed": None if is_void else Decimal(dice.randint(-50, 5000)),
        "currency": "USD",
    }


def another_future(dice, rows, at, make):
    """``rows`` without some versions that came after the prediction, and with new ones that did.

    A new row is an addition, or a correction or a void of any record that the person has.
    """
    kept = [row for row in rows if row["available_time"] <= at[row["source_subject_id"]] or dice.random() < 0.5]
    for row in dice.sample(rows, len(rows) // 2):
        subject = row["source_subject_id"]
        later = at[subject] + timedelta(microseconds=dice.choice([1, 10**9, 10**13]))
        kept.append(make(dice, subject, row["record_id"], dice.randint(3, 9), later))
        kept.append(make(dice, subject, row["record_id"] + 10_000 * PEOPLE, 1, later))
    return list({(row["record_id"], row["version"]): row for row in kept}.values())


def elsewhere(rows):
    """The same rows of other people: a second world beside the first, so that one Spark job makes both."""
    return [
        row | {"source_subject_id": row["source_subject_id"] + PEOPLE, "record_id": row["record_id"] + ELSEWHERE}
        for row in rows
    ]


def found_in(spark, events, coverage, costs, times, spec, excluded):
    """Each of ``FOUND``, (people, times, numbers), of both worlds, made in Spark's workers."""

    def frame(schema, rows):
        provenance = {"ordinal": 0, "file_id": 1, "record": 0}
        return spark.createDataFrame([tuple((provenance | row).get(n) for n in schema.names) for row in rows], schema)

    persons = [
        {
            "source_subject_id": subject,
            "record_id": -1 - subject,
            "version": 1,
            "gender_concept_id": 8532,
            "birth_datetime": datetime(1950, 1, 1),
        }
        for subject in range(2 * PEOPLE)
    ]
    every = (EVENTS, events), (PERSONS, persons), (COVERAGE, coverage), (COSTS, costs), (IDENTITY, [])
    built = timelines(*(frame(schema, rows) for schema, rows in every))
    samples = spark.createDataFrame(
        [(subject, micros(moment)) for subject in range(2 * PEOPLE) for moment in times[subject % PEOPLE]],
        "subject_id long, prediction_time long",
    )
    text = spec.to_json()

    def numbers(batches):
        own = FeatureSpec.from_json(text)
        for batch in batches:
            row, times = samples_of(batch)
            asked = np.stack(eligibility(batch, row, times, RULES, excluded), axis=1)
            made = model_inputs(batch, row, times, own) | {ELIGIBLE: asked}
            flat = {name: made[name].reshape(len(row), -1).astype(np.float64).tolist() for name in FOUND}
            people = batch.column("subject_id").take(pa.array(row))
            yield pa.RecordBatch.from_pydict({"subject_id": people, "at": times} | flat)

    made = ", ".join(f"{name} array<double>" for name in FOUND)
    rows = with_samples(built, samples).mapInArrow(numbers, f"subject_id long, at long, {made}").collect()
    assert len(rows) == 4 * PEOPLE
    return {name: np.array([row[name] for row in sorted(rows)]).reshape(2 * PEOPLE, 2, -1) for name in FOUND}


def test_what_became_known_after_the_prediction_changes_no_input_and_nobodys_eligibility(spark):
    dice = random.Random(3)
    hashes = [
        row[0]
        for row in spark.createDataFrame([(code,) for code in (*CODES, SPENT)], "c string")
        .select(F.xxhash64("c"))
        .collect()
    ]
    spec = FeatureSpec(
        windows_days=(30, 365),
        numeric_windows_days=(90,),
        enrolment_days=(365,),
        count_statistics=("count", "days_since_last"),
        numeric_statistics=("last", "mean", "slope"),
        groups=tuple(
            CodeGroup(name=f"{kind}{n}", label="", kind=kind, codes=(code,), code_hashes=(hashes[n],))
            for n, (kind, code) in enumerate(zip(KINDS, (*CODES, SPENT), strict=True))
        ),
        sequence=EventSequence(
            length=6, codes=CODES, labels=CODES, code_hashes=hashes[:-1], mean=(4.5,) * 6, std=(3.0,) * 6
        ),
        daily=DailyMatrix(
            days=450,
            channels=tuple(
                Channel(name=f"channel{n}", label="", codes=(code,), code_hashes=(hashes[n],))
                for n, code in enumerate(CODES[3:5])
            ),
        ),
    )
    events, coverage, costs, at = a_world(dice)
    other_events, other_coverage, other_costs = (
        another_future(dice, events, at, an_event),
        another_future(dice, coverage, at, a_span),
        another_future(dice, costs, at, a_cost),
    )
    assert sum(row not in events for row in other_events) > 200
    assert other_coverage != coverage
    assert other_costs != costs
    times = {subject: (moment, moment + timedelta(days=400)) for subject, moment in at.items()}
    worlds = (
        here + elsewhere(there)
        for here, there in ((events, other_events), (coverage, other_coverage), (costs, other_costs))
    )
    found = found_in(spark, *worlds, times, spec, np.array([hashes[5]]))
    for name, made in found.items():
        honest, other = made[:PEOPLE], made[PEOPLE:]
        np.testing.assert_array_equal(other[:, 0], honest[:, 0], err_msg=name)
        assert not np.array_equal(other[:, 1], honest[:, 1], equal_nan=True), f"futures of {name} differ once known"
        assert len(np.unique(np.nan_to_num(honest[:, 0]), axis=0)) > PEOPLE // 4, name
    honest, other = found[INPUTS][:PEOPLE], found[INPUTS][PEOPLE:]
    assert (honest[:, 0, spec.names.index("enrolled_days.365d")] > 0).sum() > 10
    assert (honest[:, 0, spec.names.index("amount6.sum.365d")] > 0).sum() > 10
    assert not np.array_equal(other[:, 1, -1], honest[:, 1, -1])
    lost_at = found[ELIGIBLE][:PEOPLE, 0, 0]
    assert {0, 4, 5, 7} <= {*lost_at}, "some are eligible, and each of three rules loses somebody"
