"""Files whose records are of several types, from their bytes to the tables."""

import bz2
import gzip
import shutil
from datetime import datetime
from pathlib import Path

import pytest
import zstandard

from salus.privacy.pseudonyms import create_key, pseudonym
from salus.settings import conf_dir
from salus.sources.ingest import ingest

APPLE_HEALTH = """\
format: apple_health
system: apple
system_priority: 9
refuse_above: 1
ignored: [Workout]
times:
  - {matches: '\\d{4}-\\d{2}-\\d{2}', reads: try_cast(text AS DATE), lasts: day}
  - {matches: '.{19} [+-]\\d{4}', reads: "try_to_timestamp(text, 'yyyy-MM-dd HH:mm:ss xx')"}
records:
  Me:
    id: export
    subject: export
    declares_subject: true
    time: HKCharacteristicTypeIdentifierDateOfBirth
    known: always
    events:
      birth: {code: "'MEDS_BIRTH'", known: always}
  Record:
    id: concat(export, type, startDate)
    subject: export
    time: startDate
    available_time: creationDate
    events:
      value: {code: "'APPLE/' || type", numeric_value: value, unit: unit}
"""
ME = '<Me HKCharacteristicTypeIdentifierDateOfBirth="{}"/>'
RATE = (
    '<Record type="Rate" value="{}" startDate="2024-02-01 10:0{}:00 +0100" creationDate="2024-02-02 00:00:00 +0000"/>'
)


CLINIC = """\
format: csv
delimiter: '||'
encoding: gb18030
system: clinic
system_priority: 8
refuse_above: 1
times: [{matches: '\\d{4}-\\d{2}-\\d{2}', reads: try_cast(text AS DATE), lasts: day}]
records:
  person:
    files: ['person*']
    encoding: utf-16
    id: person
    subject: person
    declares_subject: true
    time: born
    known: always
    events:
      birth: {code: "'MEDS_BIRTH'", known: always}
  visit:
    files: ['visit*']
    schema: visit, person, day, complaint
    id: visit
    subject: person
    time: day
    note: {text: complaint, language: "'zh'"}
    events:
      visit: {code: "'VISIT'", text_value: complaint}
"""
COMPLAINTS = ["頭痛，三天", 'says "no"\nand 好', "x" * 17_000_000, "發熱"]


def clinic_files() -> dict[str, bytes]:
    """A packed file in UTF-16, one in GB18030 with what a file may have, and one packed by each of the packers."""
    rows = [
        f'v{number}||ann||2024-01-0{number + 1}||"{text.replace(chr(34), 2 * chr(34))}"'
        for number, text in enumerate(COMPLAINTS)
    ]
    header = "visit||person||day||complaint"
    content = "\r\n".join([header, *rows]).encode("gb18030")
    content += b"\r\nv5||ann||2024-01-06||\x80\xff\r\n\r\nv6||ann\r\n"
    plain = f"{header}\nv7||ann||2024-01-08||好\n"
    return {
        "person.csv.zst": zstandard.compress("\ufeffperson||born\nann||1980-01-01\n".encode("utf-16")),
        "visit.csv": content,
        "visit_2.csv.gz": gzip.compress(plain.encode("gb18030")),
        "visit_3.csv.bz2": bz2.compress(plain.replace("v7", "v8").encode("gb18030")),
    }


@pytest.fixture(scope="module")
def clinic(warehouse):
    """A clinic's texts, in the same warehouse."""
    from argparse import Namespace

    from salus.job import spark_job

    folder = Path(warehouse.tables.warehouse).parent
    (folder / "conf" / "sources" / "clinic.yml").write_text(CLINIC)
    (folder / "clinic").mkdir()
    for name, content in clinic_files().items():
        (folder / "clinic" / name).write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SALUS_CONF", str(folder / "conf"))
        with spark_job("ingest", Namespace(warehouse=str(folder / "warehouse")), quiet=True) as job:
            key = create_key(job.settings.key_path)
            ingest(job, "clinic", str(folder / "clinic"), key, delivered_at=datetime(2024, 3, 1))
    return job


def test_text_of_any_encoding_packing_and_delimiter_is_read_as_written(clinic):
    rows = clinic.tables.read("events").where("code = 'VISIT'").collect()
    found = sorted((row["time"].day, row["text_value"], row["record"]) for row in rows)
    assert found == [
        (1, COMPLAINTS[0], 0),
        (2, COMPLAINTS[1], 1),
        (4, COMPLAINTS[3], 3),
        (8, "好", 0),
        (8, "好", 0),
    ]


def test_what_is_no_text_or_too_large_is_refused_in_its_place(clinic):
    held = clinic.tables.read("quarantine").where("source = 'clinic'").collect()
    found = {(row["record"], row["rule"]) for row in held}
    assert found == {(2, "record_too_large"), (4, "not_in_encoding"), (5, "not_a_row")}
    read = clinic.tables.read("ingested_files").where("source = 'clinic'").collect()
    assert {row["file"]: row["rows_read"] for row in read} == {
        "person.csv.zst": 1,
        "visit.csv": 6,
        "visit_2.csv.gz": 1,
        "visit_3.csv.bz2": 1,
    }


@pytest.fixture(scope="module")
def warehouse(spark, tmp_path_factory):
    """Two wearers, one of whose exports breaks off, and a file that is no XML at all."""
    from argparse import Namespace

    from salus.job import spark_job

    folder = tmp_path_factory.mktemp("formats")
    shutil.copytree(conf_dir(), folder / "conf")
    (folder / "conf" / "sources" / "apple_health.yml").write_text(APPLE_HEALTH)
    rates = "".join(RATE.format("x" if minute == 3 else 60 + minute, minute) for minute in range(6))
    for name, text in {
        "ann/export.xml": f"<HealthData>{ME.format('1980-01-01')}<Workout/>{rates}<Other/></HealthData>",
        "bob/export.xml": f"<HealthData>{ME.format('1990-01-01')}{RATE.format(50, 0)}<Rec",
        "cy 100%/export.xml": "no export",
    }.items():
        path = folder / "landing" / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SALUS_CONF", str(folder / "conf"))
        with spark_job("ingest", Namespace(warehouse=str(folder / "warehouse")), quiet=True) as job:
            key = create_key(job.settings.key_path)
            ingest(job, "apple_health", str(folder / "landing"), key, delivered_at=datetime(2024, 3, 1))
    return job


def test_each_record_goes_the_way_of_its_own_type(warehouse):
    ids = {name: pseudonym(create_key(warehouse.settings.key_path), "main", "apple", name) for name in ("ann", "bob")}
    rows = warehouse.tables.read("events").collect()
    found = sorted((row["source_subject_id"], row["time"], row["code"], row["numeric_value"]) for row in rows)
    expected = [(ids[name], datetime(year, 1, 1), "MEDS_BIRTH", None) for name, year in (("ann", 1980), ("bob", 1990))]
    expected += [(ids["bob"], datetime(2024, 2, 1, 9), "APPLE/Rate", 50.0)]
    expected += [(ids["ann"], datetime(2024, 2, 1, 9, m), "APPLE/Rate", 60.0 + m) for m in range(6) if m != 3]
    assert found == sorted(expected)


def test_every_record_of_mixed_files_is_accounted_for(warehouse):
    files = warehouse.tables.read("ingested_files").collect()
    counts = {
        row["file"]: tuple(row[f"rows_{name}"] for name in ("read", "accepted", "quarantined", "unchanged"))
        for row in files
    }
    assert counts == {
        "ann/export.xml": (8, 7, 1, 1),
        "bob/export.xml": (3, 2, 1, 0),
        "cy 100%/export.xml": (1, 0, 1, 0),
    }
    names = {row["file_id"]: row["file"] for row in files}
    held = {
        (names[row["file_id"]], row["record"], row["record_type"], row["rule"])
        for row in warehouse.tables.read("quarantine").collect()
    }
    assert held == {
        ("ann/export.xml", 5, "Record", "not_a_number"),
        ("bob/export.xml", 2, "unknown", "not_xml"),
        ("cy 100%/export.xml", 0, "unknown", "not_xml"),
    }
