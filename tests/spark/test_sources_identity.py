"""Who is who, against a slow union of sets."""

import random
from datetime import datetime

import pytest

from salus.schemas import IDENTITY, LINKS, PERSONS
from salus.sources.identity import history, identities

SEEN = datetime(2021, 1, 1)
NOW = datetime(2022, 1, 1)


def links_of(spark, carried):
    """``carried``: source subject, its identifiers, the rank of its system."""
    rows = [
        (subject, identifier, rank, SEEN, None, 0, 0)
        for subject, identifiers, rank in carried
        for identifier in [subject, *identifiers]
    ]
    return spark.createDataFrame(rows, LINKS)


def persons_of(spark, people):
    """``people``: source subject, version, OMOP gender concept, birth as (year, month, day)."""
    rows = []
    for subject, version, gender, (year, month, day) in people:
        row = dict.fromkeys(PERSONS.names) | {
            "source_subject_id": subject,
            "record_id": subject,
            "version": version,
            "ordinal": 0,
            "file_id": 0,
            "record": 0,
            "gender_concept_id": gender,
            "year_of_birth": year,
            "month_of_birth": month,
            "day_of_birth": day,
        }
        rows.append(tuple(row[name] for name in PERSONS.names))
    return spark.createDataFrame(rows, PERSONS)


def slowly(carried):
    """The definition: sets that share an identifier are one."""
    groups = [({subject}, {subject, *identifiers}) for subject, identifiers, _ in carried]
    ranks = {subject: rank for subject, _, rank in carried}
    merged = True
    while merged:
        merged = False
        for one in groups:
            other = next((group for group in groups if group is not one and group[1] & one[1]), None)
            if other:
                one[0].update(other[0])
                one[1].update(other[1])
                groups.remove(other)
                merged = True
                break
    return {
        subject: min(members, key=lambda member: (ranks[member], member))
        for members, _ in groups
        for subject in members
    }


def current(found):
    return {row["source_subject_id"]: row["subject_id"] for row in found.current.collect()}


def test_chains_of_shared_identifiers_are_one_person(spark):
    draw = random.Random(7)
    carried = [
        (100 + number, {1000 + draw.randrange(40) for _ in range(draw.randrange(3))}, draw.randrange(1, 4))
        for number in range(45)
    ]
    carried += [(200 + number, {3000 + number, 3001 + number}, 3) for number in range(12)]  # a chain of twelve
    found = identities(links_of(spark, carried), persons_of(spark, []))
    assert current(found) == slowly(carried)
    assert found.conflicts.isEmpty()


def test_an_identifier_of_more_than_twenty_joins_nobody_and_is_reported(spark):
    carried = [(number, {5000}, 1) for number in range(21)] + [(100 + number, {6000}, 1) for number in range(20)]
    found = identities(links_of(spark, carried), persons_of(spark, []))
    assert current(found) == {number: number for number in range(21)} | {100 + number: 100 for number in range(20)}
    (conflict,) = found.conflicts.collect()
    assert (conflict["reason"], conflict["identifier_id"], conflict["subjects"]) == (
        "identifier_joins_too_many",
        5000,
        21,
    )
    assert len(conflict["source_subject_ids"]) == 20


@pytest.mark.parametrize(
    ("people", "reason"),
    [
        ([(1, 1, 8532, (1950, 1, 1)), (2, 1, 8532, (1950, 1, 2))], "two_birth_dates"),
        ([(1, 1, 8532, (1950, 1, 1)), (2, 1, 8507, (1950, 1, 1))], "two_sexes"),
        ([(1, 1, 8532, (1950, 1, 1)), (2, 1, 0, (1950, None, None))], None),
        ([(1, 1, 8507, (1949, 1, 1)), (1, 2, 8532, (1950, 1, 1)), (2, 1, 8532, (1950, 1, 1))], None),
    ],
    ids=["birth dates", "sexes", "unknown", "corrected"],
)
def test_people_who_cannot_be_one_stay_apart_and_are_reported(spark, people, reason):
    carried = [(1, {9}, 1), (2, {9}, 2), (3, {8}, 1), (4, {8}, 2)]
    found = identities(links_of(spark, carried), persons_of(spark, people))
    assert current(found) == {1: 1, 2: 2 if reason else 1, 3: 3, 4: 3}
    assert [row["reason"] for row in found.conflicts.collect()] == ([reason] if reason else [])


def test_a_later_link_closes_what_was_believed_and_changes_nothing_else(spark):
    before = spark.createDataFrame([(1, 1, None, None), (2, 2, SEEN, None), (3, 3, None, None)], IDENTITY)
    now = identities(
        links_of(spark, [(1, {9}, 1), (2, {9}, 2), (3, set(), 1), (4, set(), 1)]), persons_of(spark, [])
    ).current
    rows = {tuple(row) for row in history(before, now, NOW).collect()}
    assert rows == {(1, 1, None, None), (2, 2, SEEN, NOW), (2, 1, NOW, None), (3, 3, None, None), (4, 4, SEEN, None)}
    again = spark.createDataFrame(sorted(rows, key=str), IDENTITY)
    assert {tuple(row) for row in history(again, now, datetime(2023, 1, 1)).collect()} == rows
