"""Who is who, against a slow union of sets."""

import random
from datetime import UTC, datetime

import pytest

from salus.schemas import LINKS, PERSONS
from salus.sources import identity
from salus.sources.histories import NEVER
from salus.sources.identity import as_of, identities, too_many
from salus.sources.joining import join_people

SEEN = datetime(2021, 1, 1)
LINKED = datetime(2021, 7, 1)
NOW = datetime(2022, 1, 1)


def links_of(spark, carried):
    """``carried``: source subject, its identifiers, the rank of its system; and a record's version and time, or the
    first version and ``SEEN``."""
    rows = [
        (subject, identifier, rank, subject, *(since or (1, SEEN)), 0, 0)
        for subject, identifiers, rank, *since in carried
        for identifier in sorted({subject, *identifiers})
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
    rows = found.rows.where("known_until IS NULL").collect()
    return {row["source_subject_id"]: row["subject_id"] for row in rows}


@pytest.mark.parametrize("few", [identity.FEW, 0], ids=["driver", "tasks"])
def test_chains_of_shared_identifiers_are_one_person(spark, monkeypatch, few):
    monkeypatch.setattr(identity, "FEW", few)
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
    links = links_of(spark, carried)
    found = identities(links, persons_of(spark, []))
    assert current(found) == {number: number for number in range(21)} | {100 + number: 100 for number in range(20)}
    (conflict,) = too_many(links).collect()
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


def test_a_link_that_comes_and_goes_is_known_of_each_night(spark):
    """Who 2 and 3 are: alone, then 1, then 2 alone again; 21 people come to share what made 3 and 1 one."""
    crowd = [(100 + number, {8}, 1, 1, NOW) for number in range(19)]
    links = links_of(
        spark,
        [
            (1, {9, 8}, 1, 1, SEEN),
            (2, set(), 2, 1, SEEN),
            (2, {9}, 2, 2, LINKED),
            (2, set(), 2, 3, NOW),
            (3, {8}, 2, 1, LINKED),
            *crowd,
        ],
    )
    rows = identities(links, persons_of(spark, [])).rows.persist()
    told = {
        at: {row[0]: row[1] for row in as_of(rows, at).where("source_subject_id < 100").collect()}
        for at in (SEEN, LINKED, NOW)
    }
    assert told == {SEEN: {1: 1, 2: 2}, LINKED: {1: 1, 2: 1, 3: 1}, NOW: {1: 1, 2: 2, 3: 3}}


def test_records_that_say_the_same_are_one_span(spark):
    """A device that names its wearer on each of a thousand days; one day's record is withdrawn from its second on."""
    days = [(1, 9, 1, record, 1, SEEN if record else LINKED, 0, record) for record in range(1000)]
    withdrawn = [(1, 1, 1, 7, 2, NOW, 0, 0)]
    spans = identity.carried(spark.createDataFrame([*days, *withdrawn], LINKS)).collect()
    clocks = {at: int(at.replace(tzinfo=UTC).timestamp() * 1e6) for at in (SEEN, NOW)}
    assert sorted(map(tuple, spans)) == [
        (1, 1, clocks[NOW], NEVER, 1, None, None),
        (1, 9, clocks[SEEN], clocks[NOW], 1, None, None),
        (1, 9, clocks[SEEN], NEVER, 1, None, None),
    ]


@pytest.mark.parametrize("few", [identity.FEW, pytest.param(0, marks=pytest.mark.slow)], ids=["driver", "tasks"])
def test_whatever_the_order_of_the_links_everybody_is_who_they_are(spark, tables, monkeypatch, few):
    """Links come in random batches, each derived for those whom it concerns; the end is that of all at once."""
    monkeypatch.setattr(identity, "FEW", few)
    draw = random.Random(11)
    times = [SEEN, LINKED, NOW, None]
    carried = [
        (
            number,
            {1000 + draw.randrange(12) for _ in range(draw.randrange(3))},
            draw.randrange(1, 4),
            version,
            times[draw.randrange(4)],
        )
        for number in range(30)
        for version in range(1, draw.randrange(2, 4))
    ]
    carried += [(100 + number, {5000}, 1, 1, times[draw.randrange(3)]) for number in range(24)]
    draw.shuffle(carried)
    people = persons_of(spark, [(number, 1, draw.choice([0, 8507, 8532]), (1950, 1, 1)) for number in range(30)])
    tables.append("persons", people)
    for start in range(0, len(carried), 24):
        before, new = tables.read("links"), links_of(spark, carried[start : start + 24])
        tables.append("links", new)
        join_people(tables, before, new, is_anew=False)
    whole = identities(links_of(spark, carried), people)
    assert sorted(map(str, tables.read("identity").collect())) == sorted(map(str, whole.rows.collect()))
    reported = whole.conflicts.unionByName(too_many(links_of(spark, carried)))
    found = tables.read("identity_conflicts").collect()
    assert sorted(map(str, found)) == sorted(map(str, reported.collect()))
    assert {row["reason"] for row in found} == {"identifier_joins_too_many", "two_sexes"}
