"""Timelines of changed people: after every round of a random history the tables are those of a build of everybody.

Who had to be made anew is told a second way, record by record, and nobody else is; where more than rows came,
everybody is.
"""

import argparse
import csv
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from salus.job import spark_job
from salus.privacy.erase import erase
from salus.schemas import VOID_CODE
from salus.timelines import build as building
from salus.timelines.code_map import FILES
from salus.timelines.facts import Landed

EPOCH = datetime(2020, 1, 1)
SEEDS, ROUNDS = (1, 2, 3), 3
ABOVE = "SNOMED/1000"
"""What every code that the vocabulary knows maps to: each second one of ICD10CM."""


@dataclass
class History:
    """What came in so far, and what a round adds: a few people, and what happens to few of those who are known.

    Its ids begin at a number of its own, so that several histories have room in one warehouse.
    """

    seed: int
    facts: list[tuple[str, dict]] = field(default_factory=list)
    named: dict[int, set[int]] = field(default_factory=dict)
    links: dict[int, tuple[int, datetime | None]] = field(default_factory=dict)
    subjects: list[int] = field(default_factory=list)
    records: int = 0
    day: int = 0

    def __post_init__(self):
        self.dice = random.Random(self.seed)

    def round(self, new: int, changes: int) -> tuple[dict[str, list[dict]], set[int]]:
        """Rows to be appended to each table; the people, old and new, whose timelines may change by them."""
        self.day += 10
        begins, before = len(self.facts), dict(self.links)
        for _ in range(new):
            self._person()
        actions = [self._another, self._corrected, self._voided, self._linked, self._parted, self._died]
        for action in [self._beside, self._moved, *self.dice.sample(actions, changes)]:
            action()
        came = self.facts[begins:]
        touched = {subject for each in came if is_fact(*each) for subject in self.named[each[1]["record_id"]]}
        moved = {each for each in before.keys() | self.links.keys() if before.get(each) != self.links.get(each)}
        changed = {who(each, links) for each in touched | moved for links in (before, self.links)}
        return {name: [row for table, row in came if table == name] for name in Landed._fields}, changed

    def identity(self) -> list[dict]:
        """Who is who now; every link that there once was stands there too, as ended."""
        current = {subject: self.links.get(subject, (subject, None)) for subject in self.subjects}
        first, other = self.subjects[:2]
        ended = [{"source_subject_id": first, "subject_id": other, "known_from": EPOCH, "known_until": EPOCH}]
        return ended + [
            {"source_subject_id": subject, "subject_id": person, "known_from": known}
            for subject, (person, known) in current.items()
        ]

    def _add(self, table, subject, record, version, known=None, **values):
        known = EPOCH + timedelta(days=self.day + self.dice.randint(0, 9)) if known is None else known
        row = {"source_subject_id": subject, "record_id": record, "version": version, "available_time": known}
        self.facts.append((table, row | values))
        if is_fact(*self.facts[-1]):
            self.named.setdefault(record, set()).add(subject)

    def _record(self):
        self.records += 1
        return 1_000 * self.seed + self.records

    def _person(self):
        subject = 1_000 * self.seed + len(self.subjects)
        self.subjects.append(subject)
        self._add("persons", subject, self._record(), 1, gender_concept_id=8507, year_of_birth=1940 + subject % 50)
        self._add("coverage", subject, self._record(), 1, **self._span())
        for _ in range(self.dice.randint(1, 4)):
            self._add("events", subject, self._record(), 1, **self._event())
        self._add("costs", subject, self._record(), 1, **self._cost())

    def _event(self):
        code = f"ICD10CM/{self.dice.randrange(self.day)}"  # each round brings codes that were never seen
        day = EPOCH + timedelta(days=self.dice.randrange(self.day))
        return {"time": day, "code": code, "numeric_value": self.dice.choice([None, 1.0, 2.5])}

    def _span(self):
        end = self.dice.choice([None, date(2021, 1, 1)])
        return {"payer_plan_period_start_date": date(2020, 1, 1), "payer_plan_period_end_date": end}

    def _cost(self):
        currency, amount = self.dice.choice(["USD", "EUR"]), Decimal(self.dice.randrange(100))
        return {"incurred_date": self.dice.choice([None, date(2020, 1, 2)]), "currency": currency} | {
            "amount_allowed": self.dice.choice([None, amount])
        }

    def _known(self):
        return self.dice.choice(self.subjects)

    def _version(self, moves=False, **void):
        """A version of a known record, newer or older than those that are there, of its subject or of another."""
        several = [each for each in self.facts if each[1]["version"] != 1]
        table, row = self.dice.choice(self.dice.choice([self.facts, several or self.facts]))
        subject = self._known() if moves else row["source_subject_id"]
        version = self.dice.choice([n for n in range(9) if n != row["version"]])
        if void or table == "persons":
            return self._add("events", subject, row["record_id"], version, **(void or self._event()))
        makes = {"events": self._event, "coverage": self._span, "costs": self._cost}[table]
        return self._add(table, subject, row["record_id"], version, **makes())

    def _another(self):
        self._add("events", self._known(), self._record(), 1, **self._event())

    def _corrected(self):
        self._version()

    def _voided(self):
        self._version(code=VOID_CODE)

    def _moved(self):
        self._version(moves=True)

    def _beside(self):
        """Something of the subject who holds the oldest version of a record that another one holds newer ones of."""
        if moved := [record for record, subjects in self.named.items() if len(subjects) > 1]:
            record = self.dice.choice(moved)
            versions = [row for table, row in self.facts if row["record_id"] == record and is_fact(table, row)]
            subject = min(versions, key=lambda row: row["version"])["source_subject_id"]
            self._add("events", subject, self._record(), 1, **self._event())

    def _linked(self):
        subject, other = self.dice.sample(self.subjects, 2)
        if subject in {person for person, _ in self.links.values()}:
            return
        self.links[subject] = (self.links.get(other, (other, None))[0], EPOCH + timedelta(days=self.day))
        if self.links[subject][0] == subject:
            del self.links[subject]

    def _parted(self):
        if self.links:
            del self.links[self.dice.choice(sorted(self.links))]

    def _died(self):
        death = {"death_datetime": EPOCH + timedelta(days=self.day), "year_of_birth": 1950}
        self._add("persons", self._known(), self._record(), 1, **death)


def is_fact(table, row):
    """Whether timelines look at it: what a cost without a day was for, they cannot tell."""
    return table != "costs" or row["incurred_date"] is not None


def who(subject, links):
    """The person that ``subject`` is."""
    return links.get(subject, (subject, None))[0]


def frame(tables, name, rows):
    """``rows`` with their provenance as a frame of table ``name``."""
    provenance = {"ordinal": 0, "file_id": 1, "record": 0}
    return tables.frame(name, [provenance | row for row in rows])


def taken_in(tables, histories, new, changes) -> set[int]:
    """Append a round of ``histories`` to ``tables``; whose timelines may change by it."""
    rounds = [history.round(new, changes) for history in histories]
    came = {name: [row for rows, _ in rounds for row in rows[name]] for name in Landed._fields}
    tables.append_all({name: frame(tables, name, rows) for name, rows in came.items() if rows})
    tables.replace("identity", tables.frame("identity", [row for each in histories for row in each.identity()]))
    return set().union(*(changed for _, changed in rounds))


def as_text(rows):
    """Timelines by person, as text, in which NaN is NaN."""
    return {row["subject_id"]: str(row.asDict()) for row in rows}


def carried(facts):
    """How many rows of ``facts`` carry each code."""
    codes = [f"COST/{row['currency']}" if table == "costs" else row.get("code") for table, row in facts]
    return Counter(code for code in codes if code not in (None, VOID_CODE))


def superseded(facts):
    """How many versions are replaced by a newer one."""
    versions = {(row["record_id"], row["version"]) for table, row in facts if is_fact(table, row)}
    return len(versions) - len({record for record, _ in versions})


def is_mapped(code):
    """Whether the vocabulary knows ``code``."""
    vocabulary, number = code.split("/")
    return vocabulary == "ICD10CM" and int(number) % 2 == 0


def vocabulary_in(folder):
    """OMOP's files, which know every second code."""
    known = range(0, 100, 2)
    rows = {
        "concept": [(n, f"No. {n}", "ICD10CM", "code", "", n) for n in known]
        + [(1000, "Anything", "SNOMED", "Finding", "S", 1000)],
        "concept_relationship": [(n, 1000, "Maps to", "") for n in known],
        "concept_ancestor": [],
    }
    folder.mkdir()
    for name, columns in FILES.items():
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, delimiter="\t").writerows([columns, *rows[name]])
    return str(folder)


@dataclass
class Built:
    """A build: whose rows it made, who may have changed before it, what it counted, and the tables as it left them."""

    made: set[int]
    changed: set[int]
    facts: list[tuple[str, dict]]
    figures: dict
    people: dict[int, str]
    everybody: dict[int, str]
    codes: dict[str, tuple]
    code_map: set[tuple]
    files: int


class Warehouse:
    """A warehouse in which several histories happen, and every build is looked at."""

    def __init__(self, folder):
        self.folder = folder
        self.histories = [History(seed) for seed in SEEDS]

    def job(self, name, vocabulary=None):
        settings = argparse.Namespace(warehouse=str(self.folder / "warehouse"), vocabulary=vocabulary)
        return spark_job(name, settings, quiet=True)

    def built(self, vocabulary, take_in):
        """What a build does after ``take_in(tables)``, which returns whose timelines may change."""
        made, timelines = [], building.timelines

        def noted(*landed, **settings):
            rows = timelines(*landed, **settings).localCheckpoint()
            made.extend(row["subject_id"] for row in rows.select("subject_id").collect())
            return rows

        with pytest.MonkeyPatch.context() as patch, self.job("timelines", vocabulary) as job:
            changed = take_in(job.tables)
            patch.setattr(building, "timelines", noted)
            patch.setattr(building, "EVENTS_AT_LEAST", 0)
            building.build(job)
        assert len(made) == len(set(made))
        tables = job.tables
        everybody = timelines(*(tables.read(name) for name in Landed._fields), tables.read("identity"))
        return Built(
            set(made),
            changed,
            [each for history in self.histories for each in history.facts],
            job.figures,
            as_text(tables.read("timelines").collect()),
            as_text(everybody.collect()),
            {row["code"]: (row["events"], row["ancestors"]) for row in tables.read("codes").collect()},
            {(row["code"], row["concept"]) for row in tables.read("code_map").collect()},
            len(tables.read("timelines").inputFiles()),
        )

    def decided(self, vocabulary, take_in, changed_at_most=building.CHANGED_AT_MOST, events_at_least=0):
        """Whom a build would make after ``take_in(tables)``; it makes nobody."""
        ways = []
        with pytest.MonkeyPatch.context() as patch, self.job("timelines", vocabulary) as job:
            patch.setattr(building, "CHANGED_AT_MOST", changed_at_most)
            patch.setattr(building, "EVENTS_AT_LEAST", events_at_least)
            for way in ("_build_everybody", "_build_changed"):
                patch.setattr(building, way, lambda *_, way=way: ways.append(way.removeprefix("_build_")))
            take_in(job.tables)
            building.build(job)
            job.count(people=180, events=1000, versions_superseded=0)
        return ways

    def one_more_event(self, tables):
        """Take in an event of somebody who is known."""
        history = self.histories[0]
        subject = history.subjects[0]
        begins = len(history.facts)
        history._add("events", subject, history._record(), 1, **history._event())
        tables.append("events", frame(tables, "events", [row for _, row in history.facts[begins:]]))
        return {who(subject, history.links)}


@pytest.fixture(scope="module")
def story(spark, tmp_path_factory):
    """Rounds of histories, each followed by a build, and the same build again; one after an erasure; then decisions."""
    folder, told = tmp_path_factory.mktemp("changed"), {}
    world, vocabulary = Warehouse(folder), vocabulary_in(folder / "vocabulary")
    told["rounds"] = [
        world.built(
            vocabulary, lambda tables, turn=turn: taken_in(tables, world.histories, *((60, 2), (1, 3))[turn > 0])
        )
        for turn in range(ROUNDS)
    ]
    told["again"] = world.decided(vocabulary, lambda tables: None)
    erased = max(told["rounds"][-1].people)
    with world.job("erase") as job:
        erase(job, [erased], b"k" * 32)
    told["erased"] = erased, world.built(vocabulary, world.one_more_event)
    told["one more"] = world.decided(vocabulary, world.one_more_event)
    told["too many"] = world.decided(vocabulary, world.one_more_event, changed_at_most=0.001)
    told["too small"] = world.decided(vocabulary, world.one_more_event, events_at_least=1001)
    told["another vocabulary"] = world.decided(None, world.one_more_event)
    return told


def test_an_update_ends_as_a_build_of_everybody(story):
    for built in story["rounds"]:
        assert built.people == built.everybody
        counts = carried(built.facts)
        mapped = {code for code in counts if is_mapped(code)}
        assert built.codes == {code: (counts[code], [ABOVE] if code in mapped else None) for code in counts}
        assert built.code_map == {(code, concept) for code in mapped for concept in (code, ABOVE)}
        expected = {
            "versions_superseded": superseded(built.facts),
            "people": len(built.everybody),
            "events_dropped": 0,
            "codes_unmapped": len(counts) - len(mapped),
        }
        assert expected.items() <= built.figures.items()
    first, *updates = story["rounds"]
    assert all(len(built.codes) > len(first.codes) for built in updates)


def test_an_update_makes_the_rows_of_changed_people_and_no_others(story):
    first, *updates = story["rounds"]
    assert first.made == set(first.people)
    for built in updates:
        assert built.made == built.changed & set(built.people)
        assert 0 < built.figures["people_rebuilt"] == len(built.made) < len(built.people)
    assert any(built.changed - set(built.people) for built in updates), "somebody was joined to another"


def test_updates_do_not_cut_the_table_to_pieces(spark, story):
    first, *updates = story["rounds"]
    assert max(built.files for built in updates) <= max(first.files, spark.sparkContext.defaultParallelism)


def test_where_nothing_came_nothing_is_made(story):
    assert story["again"] == []


def test_after_an_erasure_everybody_is_made_anew(story):
    erased, built = story["erased"]
    assert built.made == set(built.people) == set(story["rounds"][-1].people) - {erased}


def test_what_cannot_be_built_upon_is_made_anew(story):
    assert story["one more"] == ["changed"]
    assert story["too many"] == story["too small"] == story["another vocabulary"] == ["everybody"]
