"""Timelines from events of many versions in any order, compared with the definition, one record at a time."""

import math
import random
from datetime import date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from pyspark.sql import functions as F

from salus.errors import Refused
from salus.schemas import CODE_MAP, COSTS, COVERAGE, EVENTS, IDENTITY, PERSONS, TIMELINES, VOID_CODE
from salus.timelines.build import timelines
from salus.timelines.clocks import NEVER, STATIC, micros
from salus.timelines.codes import codes, refuse_collisions
from salus.timelines.recency import MEDS_BIRTH_HASH, MEDS_DEATH_HASH

EPOCH = datetime(2020, 1, 1)
AGAIN = 1_000_000


def frame(spark, schema, rows):
    """``rows`` (mappings of columns; the rest is provenance) as a frame of ``schema``."""
    provenance = {"ordinal": 0, "file_id": 1, "record": 0, "version": 1}
    return spark.createDataFrame([tuple((provenance | row).get(name) for name in schema.names) for row in rows], schema)


def made(spark, events=(), persons=(), coverage=(), costs=(), identity=(), **settings):
    """Timelines of small tables, by subject."""
    rows = timelines(
        frame(spark, EVENTS, events),
        frame(spark, PERSONS, persons),
        frame(spark, COVERAGE, coverage),
        frame(spark, COSTS, costs),
        frame(spark, IDENTITY, identity),
        **settings,
    )
    assert rows.schema.simpleString() == TIMELINES.simpleString()
    return {row["subject_id"]: row for row in rows.collect()}


def random_versions(seed):
    """Versions of many records: voids, ties, versions that were known before older ones, several events each."""
    dice = random.Random(seed)
    rows = []
    for record in range(300):
        subject = dice.randrange(12)
        for version in dice.sample(range(10), dice.randint(1, 4)):
            known = EPOCH + timedelta(days=dice.randint(0, 40))
            if dice.random() < 0.15:
                rows.append(
                    {
                        "source_subject_id": subject,
                        "record_id": record,
                        "version": version,
                        "time": known,
                        "available_time": known,
                        "code": VOID_CODE,
                    }
                )
                continue
            for ordinal in range(dice.randint(1, 2)):
                static = dice.random() < 0.05
                rows.append(
                    {
                        "source_subject_id": subject,
                        "record_id": record,
                        "version": version,
                        "ordinal": ordinal,
                        "time": None if static else known - timedelta(days=dice.randint(0, 9)),
                        "available_time": None if static else known + timedelta(days=dice.randint(0, 3)),
                        "code": f"C/{dice.randrange(5)}",
                        "numeric_value": dice.choice([None, 1.0, 2.5]),
                    }
                )
    dice.shuffle(rows)
    return rows


def clock(moment):
    """A nullable datetime on the timelines' clock."""
    return STATIC if moment is None else micros(moment)


def seen_by_definition(rows, subject, at):
    """(time, code, value) of a subject's events at ``at``: the highest version of each record known by then."""
    known_at = {}
    for row in rows:
        key = row["record_id"], row["version"]
        known_at[key] = min(known_at.get(key, NEVER), clock(row["available_time"]))
    newest = {}
    for (record, version), known in known_at.items():
        if known <= at:
            newest[record] = max(newest.get(record, -1), version)
    return [
        (clock(row["time"]), row["code"], row.get("numeric_value"))
        for row in rows
        if row["source_subject_id"] == subject
        and row["code"] != VOID_CODE
        and newest.get(row["record_id"]) == row["version"]
        and clock(row["available_time"]) <= at
    ]


@pytest.fixture(scope="module")
def built_twice(spark):
    """Random versions and, of other people, the same in another order and in other partitions; their timelines."""
    rows = random_versions(seed=11)
    again = [
        row | {"source_subject_id": row["source_subject_id"] + AGAIN, "record_id": row["record_id"] + AGAIN}
        for row in rows[::-1]
    ]
    events = frame(spark, EVENTS, rows).coalesce(1).union(frame(spark, EVENTS, again).repartition(3, "ordinal"))
    built = timelines(events, *(frame(spark, schema, []) for schema in (PERSONS, COVERAGE, COSTS, IDENTITY)))
    return rows, {row["subject_id"]: row.asDict() for row in built.collect()}


def test_at_every_time_the_highest_known_version_of_each_record_is_visible(spark, built_twice):
    rows, built = built_twice
    names = {
        row["h"]: row["code"]
        for row in spark.range(5).selectExpr("concat('C/', id) AS code").withColumn("h", F.xxhash64("code")).collect()
    }
    checked = 0
    for subject in range(12):
        row = built[subject]
        assert row["time"] == sorted(row["time"])
        for day in range(-1, 60):
            at = micros(EPOCH + timedelta(days=day, hours=1))
            seen = [
                (time, names[code], None if math.isnan(value) else value)
                for time, available, superseded, code, value in zip(
                    row["time"], row["available"], row["superseded"], row["code"], row["value"]
                )
                if available <= at < superseded
            ]
            assert sorted(seen, key=str) == sorted(seen_by_definition(rows, subject, at), key=str)
            checked += len(seen)
    assert checked > 5_000


@pytest.mark.parametrize("day", [6, 14, 23])
def test_what_comes_later_changes_neither_what_was_visible_nor_its_order(spark, built_twice, day):
    rows, built = built_twice
    at = micros(EPOCH + timedelta(days=day, hours=1))
    then = made(spark, [row for row in rows if clock(row["available_time"]) <= at])
    ties = 0
    for subject, row in then.items():
        before, after = (visible(one, at) for one in (row, built[subject]))
        assert str(before) == str(after)
        ties += len(before) - len({event[:3] for event in before})
    assert ties > 0


def visible(row, at):
    """(time, available, code, value) of what ``row`` shows at ``at``, in its order."""
    events = zip(row["time"], row["available"], row["code"], row["value"], row["superseded"])
    return [tuple(event) for *event, superseded in events if event[1] <= at < superseded]


def test_the_order_of_arrival_and_of_partitions_changes_nothing(built_twice):
    _, built = built_twice
    assert len(built) == 24
    for subject in range(12):
        assert str(built[subject + AGAIN] | {"subject_id": subject}) == str(built[subject])


def test_a_person_is_one_over_all_their_sources(spark):
    static = {"time": None, "available_time": None}
    built = made(
        spark,
        events=[
            {"source_subject_id": 1, "record_id": 1, "version": 2, "code": "SEX/female", **static},
            {"source_subject_id": 2, "record_id": 2, "code": "A", "time": EPOCH, "available_time": EPOCH},
        ],
        persons=[
            {"source_subject_id": 1, "record_id": 1, "gender_concept_id": 8507, "year_of_birth": 1950},
            {
                "source_subject_id": 1,
                "record_id": 1,
                "version": 2,
                "gender_concept_id": 8532,
                "year_of_birth": 1951,
                "month_of_birth": 2,
                "day_of_birth": 3,
            },
            {
                "source_subject_id": 2,
                "record_id": 3,
                "version": 9,
                "gender_concept_id": 8507,
                "race_source_value": "white",
                "death_datetime": EPOCH + timedelta(days=9),
                "available_time": EPOCH,
            },
            {"source_subject_id": 3, "record_id": 4, "gender_concept_id": 0, "year_of_birth": 1960},
        ],
        identity=[
            {"source_subject_id": 1, "subject_id": 1},
            {"source_subject_id": 2, "subject_id": 1, "known_from": EPOCH + timedelta(days=5)},
            {"source_subject_id": 3, "subject_id": 1, "known_until": EPOCH},
        ],
    )
    one, three = built[1], built[3]
    assert set(built) == {1, 3}
    assert (one["sex"], one["race"], one["birth"]) == ("female", "white", micros(date(1951, 2, 3)))
    assert one["death"] == one["death_available"] == micros(EPOCH + timedelta(days=9))
    assert one["time"] == [STATIC, micros(EPOCH), one["death"]]
    assert one["available"][1] == micros(EPOCH + timedelta(days=5)), "not known of this person before the link was"
    assert one["code"][2] == MEDS_DEATH_HASH
    assert (three["sex"], three["birth"], three["time"]) == (None, micros(date(1960, 7, 1)), [])


def test_a_death_that_was_struck_out_is_no_death_but_was_known_for_a_while(spark):
    died, struck = EPOCH, EPOCH + timedelta(days=30)
    death = {"source_subject_id": 1, "record_id": 1, "code": "MEDS_DEATH", "time": died, "available_time": died}
    void = {"version": 2, "code": VOID_CODE, "time": struck, "available_time": struck}
    row = made(spark, events=[death, death | void])[1]
    assert row["death"] is None
    assert row["death_available"] is None
    assert (row["code"], row["superseded"]) == ([MEDS_DEATH_HASH], [micros(struck)])


def test_coverage_is_of_whole_days_and_has_versions(spark):
    span = {"source_subject_id": 1, "record_id": 7, "payer_plan_period_start_date": date(2020, 1, 1)}
    row = made(
        spark,
        coverage=[
            span | {"version": 1, "available_time": EPOCH},
            span
            | {
                "version": 2,
                "available_time": EPOCH + timedelta(days=60),
                "payer_plan_period_end_date": date(2020, 2, 29),
            },
        ],
    )[1]
    assert row["coverage_start"] == [micros(date(2020, 1, 1))] * 2
    assert row["coverage_end"] == [micros(date(2020, 3, 1)), NEVER]
    assert row["coverage_superseded"] == [NEVER, micros(EPOCH + timedelta(days=60))]
    assert row["coverage_available"] == [micros(EPOCH + timedelta(days=60)), micros(EPOCH)]


def test_a_person_of_very_many_events_keeps_the_newest_and_says_what_was_left_out(spark):
    rows = (
        spark.range(200_000)
        .selectExpr(
            "1L AS source_subject_id",
            "timestamp_ntz'2000-01-01 00:00:00' + make_dt_interval(0, 0, cast(id AS int)) AS time",
            "'A' AS code",
            "id AS record_id",
            "1L AS version",
        )
        .withColumn("available_time", F.col("time"))
        .withColumn("numeric_value", F.lit(1.0).cast("float"))
        .withColumn("unit", F.lit("mg/dL"))
    )
    static = frame(spark, EVENTS, [{"source_subject_id": 1, "record_id": -1, "code": "SEX/male"}]).select(rows.columns)
    others = [frame(spark, schema, []) for schema in (PERSONS, COVERAGE, COSTS, IDENTITY)]
    row = timelines(rows.union(static), *others, limit=1_000).collect()[0]
    newest = micros(datetime(2000, 1, 1)) + (200_000 - 1) * 60_000_000
    assert row["events_dropped"] == 199_000
    assert len(row["time"]) == 1_001
    assert (row["time"][0], row["time"][-1], row["time"][1]) == (STATIC, newest, newest - 999 * 60_000_000)


def test_current_numbers_without_their_codes_unit_are_counted(spark):
    number = {"source_subject_id": 1, "time": datetime(2020, 1, 1), "available_time": datetime(2020, 1, 1)}
    glucose = number | {"code": "LOINC/2345-7", "numeric_value": 90.0}
    rows = [
        glucose | {"record_id": 1},
        glucose | {"record_id": 2, "unit": "mg/dL"},
        number | {"record_id": 3, "code": "LOINC/2345-7", "text_value": "high"},
        number | {"record_id": 4, "code": "LOCAL/7", "numeric_value": 1.0},
        glucose | {"record_id": 5},
        glucose | {"record_id": 5, "version": 2, "unit": "mg/dL", "available_time": datetime(2020, 2, 1)},
    ]
    assert made(spark, rows)[1]["values_without_unit"] == 1


def test_codes_are_counted_and_described_and_their_hashes_are_those_of_timelines(spark):
    rows = [
        {"source_subject_id": 1, "record_id": n, "code": code}
        for n, code in enumerate(["MEDS_BIRTH", "MEDS_DEATH", "X/1", "X/1", VOID_CODE])
    ]
    mapped = [
        {"code": "X/1", "concept": concept, "name": name, "relation": relation, "levels": levels}
        for concept, name, relation, levels in (
            ("X/1", "An X", "itself", 0),
            ("Y/2", "A Y", "maps_to", 0),
            ("A/3", "A class", "ancestor", 2),
        )
    ]
    found = {row["code"]: row for row in codes(frame(spark, EVENTS, rows), frame(spark, CODE_MAP, mapped)).collect()}
    assert {code: row["events"] for code, row in found.items()} == {"MEDS_BIRTH": 1, "MEDS_DEATH": 1, "X/1": 2}
    assert found["MEDS_BIRTH"]["description"] == "Birth"
    assert (found["X/1"]["description"], found["X/1"]["ancestors"]) == ("An X", ["A/3", "Y/2"])
    assert found["MEDS_BIRTH"]["ancestors"] is None
    assert found["MEDS_BIRTH"]["code_hash"] == MEDS_BIRTH_HASH
    assert found["MEDS_DEATH"]["code_hash"] == MEDS_DEATH_HASH


def test_what_a_record_cost_stands_on_its_day_until_a_newer_version_says_otherwise(spark):
    def cost(record, version, known, day, amount, currency="USD"):
        return {
            "source_subject_id": 1,
            "record_id": record,
            "version": version,
            "available_time": datetime(2020, 3, known),
            "incurred_date": day,
            "amount_allowed": None if amount is None else Decimal(amount),
            "currency": currency,
        }

    costs = [
        cost(1, 1, 1, date(2020, 1, 5), "100.50"),
        cost(1, 2, 10, date(2020, 1, 5), "80.25"),
        cost(2, 1, 2, date(2020, 1, 6), "7", None),
        cost(2, 2, 12, date(2020, 1, 6), None),
        cost(3, 1, 3, None, "9"),
    ]
    void = {"record_id": 1, "version": 3, "code": VOID_CODE, "available_time": datetime(2020, 3, 20)}
    one = made(spark, costs=costs, events=[{"source_subject_id": 1, **void}])[1]
    hashes = spark.range(1).select(*(F.xxhash64(F.lit(code)).alias(code) for code in ("COST/USD", "COST/XXX"))).head()
    assert list(zip(one["time"], one["code"], one["value"], one["available"], one["superseded"])) == [
        (micros(datetime(2020, 1, 5)), hashes["COST/USD"], 100.5, *known(1, 10)),
        (micros(datetime(2020, 1, 5)), hashes["COST/USD"], 80.25, *known(10, 20)),
        (micros(datetime(2020, 1, 6)), hashes["COST/XXX"], 7.0, *known(2, 12)),
    ]


def known(*days):
    return tuple(micros(datetime(2020, 3, day)) for day in days)


def test_two_codes_of_one_hash_are_refused(spark):
    table = spark.createDataFrame([("A", 1), ("B", 1), ("C", 2)], "code string, code_hash long")
    with pytest.raises(Refused, match="A and B"):
        refuse_collisions(table)
    refuse_collisions(table.where("code != 'B'"))


def test_the_clocks_agree_with_spark(spark):
    moments = [datetime(1969, 12, 31, 23, 59, 59, 999_999), datetime(1900, 1, 1), datetime(2024, 2, 29, 12)]
    rows = spark.createDataFrame([(moment,) for moment in moments], "t timestamp_ntz")
    found = [row[0] for row in rows.select(F.expr("unix_micros(CAST(t AS TIMESTAMP))")).collect()]
    assert found == [micros(moment) for moment in moments]
    assert np.iinfo(np.int64).min == STATIC
