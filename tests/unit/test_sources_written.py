"""A source that extends another: its own word holds, else the other's; errors name the right file and line."""

from pathlib import Path

import pytest

from salus.errors import Refused
from salus.sources.columns import columns_in
from salus.sources.loading import load_source, read_source, written_source
from salus.sources.written import Place

BASE = """\
format: ndjson
system: hospital
system_priority: 4
times:
  - {matches: '\\d{4}-\\d{2}-\\d{2}', reads: try_cast(text AS DATE), lasts: day}
records:
  Visit:
    schema: "id STRING, day STRING, code STRUCT<system: STRING, code: STRING>"
    accept: {has_day: day IS NOT NULL, has_code: code IS NOT NULL}
    id: id
    void: day = 'never'
    subject: id
    declares_subject: true
    time: day
    events:
      visit: {code: "'VISIT/' || code.code"}
      ward: {code: "'WARD/' || code.code", text_value: code.system}
macros:
  whole(text): trim(text)
"""
OWN = """\
extends: hospital
system: clinic
system_priority: 5
records:
  Visit:
    schema: "code STRING, room STRING"
    accept: {has_code: null, has_room: room IS NOT NULL}
    void: null
    events:
      visit: {code: "'VISIT/' || whole(code)"}
      ward: null
"""


@pytest.fixture
def clinic(tmp_path):
    """Writes both files; the path of the one that extends."""

    def write(own: str = OWN, base: str = BASE) -> Path:
        (tmp_path / "hospital.yml").write_text(base, encoding="utf-8")
        (tmp_path / "clinic.yml").write_text(own, encoding="utf-8")
        return tmp_path / "clinic.yml"

    return write


def test_what_a_source_does_not_say_is_what_the_other_says(clinic):
    source = read_source(clinic())
    other = read_source(clinic().parent / "hospital.yml")
    visit = source.records["Visit"]
    assert (source.name, source.system, source.format, source.times) == ("clinic", "clinic", "ndjson", other.times)
    assert visit.accept == {"has_day": "day IS NOT NULL", "has_room": "room IS NOT NULL"}
    assert (visit.id, visit.void, visit.time) == ("id", "false", "day")
    assert {name: event.code for name, event in visit.events.items()} == {"visit": "'VISIT/' || whole(code)"}
    assert columns_in(source, visit.columns) == {"id": "STRING", "day": "STRING", "code": "STRING", "room": "STRING"}
    assert other.records["Visit"].events.keys() == {"visit", "ward"}  # itself it stays as it was


def test_the_order_of_events_is_the_others_so_that_their_numbers_stay(clinic):
    more = OWN.replace("      ward: null\n", '      ward: {text_value: "room"}\n      bed: {code: "room"}\n')
    events = read_source(clinic(more)).records["Visit"].events
    assert list(events) == ["visit", "ward", "bed"]
    assert (events["ward"].code, events["ward"].text_value) == ("'WARD/' || code.code", "room")


@pytest.mark.parametrize(
    ("own", "base", "at", "named"),
    [
        (OWN.replace("    void: null", "    viod: true"), BASE, "clinic.yml:8:", "Extra inputs"),
        (OWN.replace("extends: hospital", "extends: hospice"), BASE, "clinic.yml:1:", "expected one of hospital"),
        (OWN.replace("extends: hospital", "extends: clinic"), BASE, "clinic.yml:1:", "expected one of hospital"),
        (OWN, f"extends: ward\n{BASE}", "clinic.yml:1:", "stands by itself"),
        (
            OWN.replace("      ward: null", "      word: null"),
            BASE,
            "clinic.yml:11:",
            "takes away what hospital has not",
        ),
        (OWN, BASE.replace("system_priority: 4", "system_priority: first"), "hospital.yml:3:", "integer"),
        (OWN.replace("whole(code)", "whole(code, 2)"), BASE, "clinic.yml:10:", "2 arguments"),
        (OWN.replace("    void: null", "    void: null\n    time: null"), BASE, "clinic.yml:5:", "needs a time"),
    ],
)
def test_what_is_wrong_is_named_in_the_file_where_it_stands(clinic, own, base, at, named):
    path = clinic(own, base)
    with pytest.raises(Refused, match=named) as refused:
        read_source(path)
    assert at in str(refused.value)


def test_an_expression_is_placed_where_it_was_written(clinic):
    path = clinic()
    found = written_source(path)
    assert found.place(("records", "Visit", "events", "visit", "code")) == Place(path, 10)
    assert found.place(("records", "Visit", "time")) == Place(path.parent / "hospital.yml", 14)
    assert found.place(("records", "Visit", "cost")) == Place(path, 5)
    wheres = [("times", 0, "reads"), ("records", "Visit", "time"), ("records", "Visit", "schema")]
    assert sorted(wheres, key=found.order) == [wheres[2], wheres[0], wheres[1]]


def test_stu3_maps_every_resource_that_r4_maps_and_differs_where_stu3_does():
    stu3, r4 = load_source("fhir_stu3"), load_source("fhir_r4")
    assert list(stu3.records) == list(r4.records)
    same = {kind for kind in r4.records if stu3.records[kind] == r4.records[kind]}
    assert same == {"Patient", "Medication", "Device", "Appointment"}
    assert set(r4.ignored) < set(stu3.ignored)


def test_whom_a_source_extends_is_no_part_of_what_its_records_become(clinic):
    hashes = []
    for base in (BASE, BASE.replace("id: id", "id: concat(id)")):
        hashes.append(read_source(clinic(OWN, base)).mapping_hash("main", ""))
    alone = read_source(clinic()).model_copy(update={"extends": None})
    assert alone.mapping_hash("main", "") == hashes[0] != hashes[1]
