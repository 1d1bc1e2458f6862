"""What became available after a prediction changes no model input, from raw rows through Spark to the numbers."""

import random
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np
import pyarrow as pa
from pyspark.sql import functions as F

from salus.schemas import COSTS, COVERAGE, EVENTS, IDENTITY, PERSONS, VOID_CODE
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


def inputs_of(spark, events, coverage, costs, times, spec):
    """Model inputs (people, times, features) of both worlds, made in Spark's workers."""

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
            made = model_inputs(batch, row, times, own)["inputs"]
            yield pa.RecordBatch.from_pydict(
                {
                    "subject_id": batch.column("subject_id").take(pa.array(row)),
                    "at": times,
                    "inputs": pa.array(made.tolist()),
                }
            )

    rows = with_samples(built, samples).mapInArrow(numbers, "subject_id long, at long, inputs array<double>").collect()
    assert len(rows) == 4 * PEOPLE
    return np.array([row["inputs"] for row in sorted(rows)]).reshape(2 * PEOPLE, 2, -1)


def test_what_became_known_after_the_prediction_changes_no_input(spark):
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
    made = inputs_of(spark, *worlds, times, spec)
    honest, other = made[:PEOPLE], made[PEOPLE:]
    np.testing.assert_array_equal(other[:, 0], honest[:, 0])
    assert not np.array_equal(other[:, 1], honest[:, 1]), "the futures do differ, once they are known"
    assert (honest[:, 0, spec.names.index("enrolled_days.365d")] > 0).sum() > 10
    assert (honest[:, 0, spec.names.index("amount6.sum.365d")] > 0).sum() > 10
    assert not np.array_equal(other[:, 1, -1], honest[:, 1, -1])
    assert len(np.unique(honest[:, 0], axis=0)) > PEOPLE // 2
