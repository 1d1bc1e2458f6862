"""A file damaged in ten ways: exactly the damaged lines are refused, each under its rule and in its place."""

import json
import random
from collections import Counter
from datetime import datetime

import pytest

from salus.privacy.pseudonyms import create_key
from salus.sources.ingest import ingest

LARGE = 20_000_000
PEOPLE = 50


def observation(number: int, **changed) -> dict:
    return {
        "resourceType": "Observation",
        "id": f"o{number}",
        "meta": {"lastUpdated": "2021-06-01T00:00:00Z"},
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "4548-4"}]},
        "subject": {"reference": f"Patient/p{number % PEOPLE}"},
        "effectiveDateTime": "2021-05-01",
        "valueQuantity": {"value": 5 + number % 9, "code": "%"},
        **changed,
    }


def line(number: int, **changed) -> bytes:
    return json.dumps(observation(number, **changed), ensure_ascii=False).encode()


WAYS = {
    "broken JSON": (lambda n: line(n)[:-9], "not_one_json_object"),
    "two objects on a line": (lambda n: line(n) + b" " + line(n + 1), "not_one_json_object"),
    "NUL bytes": (lambda n: line(n).replace(b'"final"', b'"fi\x00nal"'), "not_one_json_object"),
    "BOM in the middle": (lambda n: b"\xef\xbb\xbf" + line(n), "not_one_json_object"),
    "not UTF-8": (lambda n: line(n, valueString="Zo\u00eb").replace("\u00eb".encode(), b"\xeb"), "not_utf8"),
    "a 20 MB line": (lambda n: line(n, valueString="x" * LARGE), "record_too_large"),
    "wrong types": (lambda n: line(n, code="4548-4"), "not_one_json_object"),
    "impossible dates": (lambda n: line(n, effectiveDateTime="2021-02-30"), "not_a_time"),
    "one id and version with two contents": (lambda n: line(0, valueString="other"), "conflicting_version"),
    "reference to nobody": (lambda n: line(n, subject={"reference": "Patient/nobody"}), "unknown_person"),
}


def written(path, lines: int, damaged: int) -> dict[int, str]:
    """Write an export of ``lines`` observations of which ``damaged`` are so; the rule that each of these breaks."""
    places = random.Random(7).sample(range(1, lines), damaged)
    ways = [name for name in WAYS if name != "a 20 MB line"]
    chosen = {place: ways[turn % len(ways)] for turn, place in enumerate(places[2:])}
    chosen |= dict.fromkeys(places[:2], "a 20 MB line")
    people = "".join(
        json.dumps({"resourceType": "Patient", "id": f"p{number}", "birthDate": "1950-01-01"}) + "\n"
        for number in range(PEOPLE)
    )
    (path / "Patient.ndjson").write_text(people)
    with open(path / "Observation.ndjson", "wb") as file:
        for number in range(lines):
            file.write((WAYS[chosen[number]][0](number) if number in chosen else line(number)) + b"\n")
    assert set(chosen.values()) == set(WAYS)
    return {place: WAYS[way][1] for place, way in chosen.items()}


@pytest.mark.parametrize(
    ("lines", "damaged"), [(5_000, 30), pytest.param(1_000_000, 1_000, marks=pytest.mark.slow)], ids=str
)
def test_exactly_the_damaged_lines_are_refused(spark, job_in, tmp_path, lines, damaged):
    landing = tmp_path / "landing"
    landing.mkdir()
    expected = written(landing, lines, damaged)
    with job_in(tmp_path / "warehouse", "ingest") as job:
        key = create_key(job.settings.key_path)
        ingest(job, "fhir_r4", str(landing), key, delivered_at=datetime(2021, 12, 1))
    held = job.tables.read("quarantine").select("record", "rule").collect()
    assert Counter(row["rule"] for row in held) == Counter(expected.values())
    assert {row["record"]: row["rule"] for row in held} == expected
    events = job.tables.read("events").where("code = 'LOINC/4548-4'").select("record", "numeric_value")
    assert events.count() == lines - damaged
    whole = spark.range(lines).selectExpr("id AS record", "CAST(5 + id % 9 AS FLOAT) AS numeric_value")
    sound = whole.where(~whole["record"].isin(list(expected)))
    assert events.exceptAll(sound).isEmpty()
    assert sound.exceptAll(events).isEmpty()
    read = {row["file"]: row["rows_read"] for row in job.tables.read("ingested_files").collect()}
    assert read == {"Patient.ndjson": PEOPLE, "Observation.ndjson": lines}
