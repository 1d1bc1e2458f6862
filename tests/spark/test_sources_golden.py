"""Each declared source, from a folder of small files to the tables that they must become.

``tests/data/<source>/input`` holds a line for every rule; ``expected`` the whole of each table, with people, records
and files by their own names in place of pseudonyms. Names, addresses and numbers are planted in every record, and
nothing of them may be anywhere but in the input.
"""

import csv
import hashlib
import os
import shutil
import stat
from collections import Counter
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pydicom
import pytest
from pyspark.sql import functions as F

from canaries import PLANTED, can_be_planted, planted
from decoded import decoded, holders
from salus.cohorts.task import Task
from salus.datasets.meds import current_events, export_meds
from salus.privacy.pseudonyms import create_key, pseudonym
from salus.settings import conf_dir
from salus.sources.ingest import ingest

DATA = Path(__file__).resolve().parents[1] / "data"
DELIVERED = datetime(2021, 12, 1)
SYSTEMS = {
    "fhir_r4": "fhir",
    "fhir_device": "fhir",
    "fhir_stu3": "fhir_stu3",
    "payer_extract": "payer",
    "wearable_daily": "wearable",
    "cms_rif": "medicare",
    "cms_desynpuf": "desynpuf",
    "sdtm": "trial",
    "omop_cdm": "omop",
    "synthea_csv": "synthea",
    "x12_837": "x12",
    "x12_835": "x12",
    "hl7v2": "hl7v2",
    "wfdb": "wfdb",
    "edf": "edf",
    "dicom": "dicom",
    "compounds": "compounds",
    "notes_csv": "notes",
    "meds": "meds",
}
LONG = ("fhir_stu3", "cms_rif", "cms_desynpuf", "sdtm", "omop_cdm", "synthea_csv")
"""Sources of many record types, each a minute of planning."""

PEOPLE = ["ann", "bob", "cy", "eve", "fay", "gus", "M1", "M2", "77", "88"]
PEOPLE += ["-1", "-2", "-3", "D1", "D2", "D3", "01-001", "01-002", "1", "2"]
TOM = "P9|N1|c8435b00e294b7b0"
PEOPLE += ["P9|N1", "P9|N2", TOM, "HOSP|M6", "HOSP|M7", "r1", "r2", "P1", "501", "502", "503"]
DIALOGUES = [
    "心血管科|高血压的饮食|高血压病人能吃党参吗？|可以适量食用,但须遵医嘱。",
    "||夜里咳嗽怎么办？|多喝水，咳久了请就诊。",
]
"""Rows that are somebody of their own, named by their content."""

PEOPLE += [hashlib.sha256(row.encode()).hexdigest() for row in DIALOGUES]
TABLES = {
    "events": [
        "source_subject_id",
        "time",
        "available_time",
        "is_lag_assumed",
        "code",
        "numeric_value",
        "text_value",
        "unit",
        "version",
        "ordinal",
        "file_id",
        "record",
    ],
    "persons": [
        "source_subject_id",
        "available_time",
        "gender_concept_id",
        "year_of_birth",
        "month_of_birth",
        "day_of_birth",
        "birth_datetime",
        "death_datetime",
        "race_source_value",
        "file_id",
        "record",
    ],
    "coverage": [
        "source_subject_id",
        "available_time",
        "payer_plan_period_start_date",
        "payer_plan_period_end_date",
        "payer_source_value",
        "plan_source_value",
        "family_source_value",
        "version",
        "file_id",
        "record",
    ],
    "costs": [
        "source_subject_id",
        "available_time",
        "is_lag_assumed",
        "cost_domain_id",
        "incurred_date",
        "paid_date",
        "currency",
        "total_charge",
        "total_paid",
        "amount_allowed",
        "paid_by_payer",
        "paid_patient_copay",
        "revenue_code_source_value",
        "drg_source_value",
        "version",
        "file_id",
        "record",
    ],
    "notes": [
        "source_subject_id",
        "available_time",
        "note_datetime",
        "note_class_source_value",
        "note_text",
        "language",
        "file_id",
        "record",
    ],
    "recordings": [
        "source_subject_id",
        "available_time",
        "recording_datetime",
        "duration_seconds",
        "modality",
        "channels",
        "file_id",
        "record",
    ],
    "images": [
        "source_subject_id",
        "available_time",
        "image_datetime",
        "modality",
        "body_part",
        "transfer_syntax",
        "is_compressed",
        "photometric_interpretation",
        "samples_per_pixel",
        "rows",
        "columns",
        "frames",
        "bits_allocated",
        "bits_stored",
        "is_signed",
        "rescale_slope",
        "rescale_intercept",
        "rescale_type",
        "row_spacing",
        "column_spacing",
        "burned_in_annotation",
        "may_identify",
        "file_id",
        "record",
    ],
    "compounds": [
        "available_time",
        "dataset",
        "smiles",
        "inchi_key",
        "formula",
        "molecular_weight",
        "outcomes",
        "file_id",
        "record",
    ],
    "definitions": ["code", "version", "file_id", "record"],
    "quarantine": ["file_id", "record", "record_type", "rule"],
    "ingested_files": [
        "file",
        "record_type",
        "rows_read",
        "rows_accepted",
        "rows_quarantined",
        "rows_unchanged",
        "events_written",
    ],
}


@pytest.fixture(scope="module")
def warehouse(spark, request, tmp_path_factory):
    """The golden deliveries that this run looks at, in one warehouse, under a mapping that refuses no batch."""
    from argparse import Namespace

    from salus.job import spark_job

    looked_at = {item.callspec.params.get("source") for item in request.session.items if hasattr(item, "callspec")}
    folder = tmp_path_factory.mktemp("golden")
    shutil.copytree(conf_dir(), folder / "conf")
    for path in (folder / "conf" / "sources").glob("*.yml"):
        path.write_text(path.read_text().replace("refuse_above: 0.05", "refuse_above: 1"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SALUS_CONF", str(folder / "conf"))
        for source in filter(looked_at.__contains__, SYSTEMS):
            planted(source, DATA / source / "input", folder / "input" / source)
            with spark_job("ingest", Namespace(warehouse=str(folder / "warehouse")), quiet=True) as job:
                ingest(
                    job,
                    source,
                    str(folder / "input" / source),
                    create_key(job.settings.key_path),
                    delivered_at=DELIVERED,
                )
    job.output = output_of(spark)
    return job


def output_of(spark) -> bytes:
    """What this process and Spark's have printed and logged since pytest began to capture it."""
    pids = (os.getpid(), spark._jvm.java.lang.ProcessHandle.current().pid())
    streams = [Path(f"/proc/{pid}/fd/{number}") for pid in pids for number in (1, 2)]
    return b"".join(stream.read_bytes() for stream in streams if stat.S_ISREG(stream.stat().st_mode))


def told(warehouse, table: str, source: str) -> list[dict[str, str]]:
    """The rows of ``table`` that ``source`` gave, as texts, with names in place of hashes."""
    names = {
        pseudonym(create_key(warehouse.settings.key_path), "main", system, one): one
        for system in SYSTEMS.values()
        for one in PEOPLE
    }
    files = {
        row["file_id"]: row["file"]
        for row in warehouse.tables.read("ingested_files").where(F.col("source") == source).collect()
    }
    rows = warehouse.tables.read(table)
    rows = (
        rows.where(F.col("source") == source) if "source" in rows.columns else rows.where(F.col("file_id").isin(*files))
    )
    named = {"source_subject_id": names, "file_id": files}
    return sorted(
        (
            {
                column: str(named[column].get(row[column], row[column]) if column in named else row[column])
                for column in TABLES[table]
            }
            for row in rows.collect()
        ),
        key=lambda row: [*map(row.get, ("file_id", "file")), int(row.get("record", 0)), int(row.get("ordinal", 0))],
    )


@pytest.mark.parametrize(
    ("source", "table"),
    [
        pytest.param(source, path.stem, marks=[pytest.mark.slow] if source in LONG else [])
        for source in SYSTEMS
        for path in sorted((DATA / source / "expected").glob("*.csv"))
    ],
)
def test_a_golden_delivery_becomes_the_expected_table(warehouse, source, table):
    with open(DATA / source / "expected" / f"{table}.csv", encoding="utf-8", newline="") as file:
        expected = list(csv.DictReader(file))
    assert told(warehouse, table, source) == expected


def test_every_file_adds_up_and_every_refusal_is_held_once(warehouse):
    files = warehouse.tables.read("ingested_files")
    assert files.where("rows_read != rows_accepted + rows_quarantined").isEmpty()
    held = warehouse.tables.read("quarantine").groupBy("file_id", "record").count()
    assert held.where("count > 1").isEmpty()
    counted = {row["file_id"]: row["rows_quarantined"] for row in files.where("rows_quarantined > 0").collect()}
    assert counted == {
        row["file_id"]: row["rows"] for row in held.groupBy("file_id").agg(F.count("*").alias("rows")).collect()
    }


def test_events_keep_the_contract(warehouse):
    events = warehouse.tables.read("events")
    assert events.groupBy("record_id", "version", "ordinal").count().where("count > 1").isEmpty()
    assert events.where("available_time < time OR (time IS NOT NULL AND available_time IS NULL)").isEmpty()
    assert events.join(warehouse.tables.read("identity"), "source_subject_id", "left_anti").isEmpty()


def test_one_person_known_to_three_systems_is_one_subject(warehouse):
    key = create_key(warehouse.settings.key_path)
    members = [
        pseudonym(key, "main", "fhir", "ann"),
        pseudonym(key, "main", "payer", "M1"),
        pseudonym(key, "main", "wearable", "77"),
    ]
    current = {
        row["source_subject_id"]: row["subject_id"]
        for row in warehouse.tables.read("identity").where("known_until IS NULL").collect()
    }
    assert {current[member] for member in members} == {members[0]}
    alone = pseudonym(key, "main", "payer", "M2")
    assert current[alone] == alone
    assert len(current) == len(set(current))


def test_a_person_known_to_two_systems_keeps_what_was_believed_before(warehouse):
    member = pseudonym(create_key(warehouse.settings.key_path), "main", "payer", "M1")
    held = warehouse.tables.read("identity").where(F.col("source_subject_id") == member).collect()
    assert [row["known_until"] for row in held].count(None) == 1


def test_the_key_stands_in_no_plan_and_no_table(warehouse):
    key = create_key(warehouse.settings.key_path)
    texts = [path.read_bytes() for path in Path(warehouse.tables.warehouse).rglob("*") if path.is_file()]
    assert any(texts)
    assert not any(form in text for text in texts for form in (key, key.hex().encode()))


def test_names_and_addresses_in_the_files_reach_no_table(warehouse):
    inputs = [path for path in DATA.glob("*/input/**/*") if path.is_file()]
    planted = [path for path in inputs if b"CANARY" in path.read_bytes()]
    assert {path.relative_to(DATA).parts[0] for path in planted} == {
        *("x12_837", "x12_835", "hl7v2", "wfdb", "edf", "dicom", "meds")
    }
    assert holders(Path(warehouse.tables.warehouse), ["CANARY"]) == {}


def test_a_replacement_under_a_new_number_withdraws_the_claim_that_it_names(warehouse):
    record = pseudonym(create_key(warehouse.settings.key_path), "main", "record:x12_837/claim", "1234567893|C1")
    versions = warehouse.tables.read("records").where(F.col("record_id") == record).orderBy("version").collect()
    assert [(row["version"], row["is_void"]) for row in versions] == [
        (202301050815001, False),
        (202302150900007, True),
    ]
    codes = warehouse.tables.read("events").where(F.col("record_id") == record).where("version = 202302150900007")
    assert [row["code"] for row in codes.collect()] == ["SALUS_VOID"]


def test_people_whom_a_merge_or_an_identifier_joins_are_one_subject(warehouse):
    key = create_key(warehouse.settings.key_path)
    current = {
        row["source_subject_id"]: row["subject_id"]
        for row in warehouse.tables.read("identity").where("known_until IS NULL").collect()
    }
    by_message = [pseudonym(key, "main", "hl7v2", one) for one in ("HOSP|M6", "HOSP|M7")]
    by_image = pseudonym(key, "main", "dicom", "HOSP|M7")
    assert {current[one] for one in (*by_message, by_image)} == {min(by_message)}  # the first system's least id


def test_samples_and_pixels_are_read_where_they_are_said_to_lie(warehouse):
    recordings = warehouse.tables.read("recordings").where("modality = 'WFDB'").collect()
    for row in recordings:
        signal = np.fromfile(Path(row["location"]).with_suffix(".dat"), "<i2").reshape(-1, len(row["channels"]))
        assert len(signal) == row["channels"][0]["samples"] == row["duration_seconds"] * row["channels"][0]["rate_hz"]
        ecg = row["channels"][0]
        np.testing.assert_allclose(signal[:, 0] * ecg["scale"] + ecg["offset"], np.arange(len(signal)) / 10)
    assert len(recordings) == 2
    for row in warehouse.tables.read("images").collect():
        found = pydicom.dcmread(row["location"], stop_before_pixels=True)
        assert (found.Rows, found.Columns) == (row["rows"], row["columns"])
        assert found.file_meta.TransferSyntaxUID == row["transfer_syntax"]


def test_a_compound_is_its_own_subject_and_nobodys(warehouse):
    compounds = warehouse.tables.read("compounds")
    assert compounds.where("source_subject_id != record_id").isEmpty()
    for table in ("identity", "persons", "events"):
        assert compounds.join(warehouse.tables.read(table), "source_subject_id", "left_semi").isEmpty()


def test_what_is_exported_as_meds_comes_in_again_as_it_went_out(warehouse, job_in, tmp_path):
    """The same people, codes, values, units and times; births and deaths in ``persons`` too."""
    said = warehouse.tables
    current = current_events(said.read("events"), said.read("records"), said.read("identity"), "time")
    columns = ["time", "code", "numeric_value", "text_value", "unit"]
    export_meds(warehouse, Task.load("admission_90d"), str(tmp_path / "meds"), "time")
    with job_in(tmp_path / "warehouse", "ingest") as job:
        key = create_key(job.settings.key_path)
        ingest(job, "meds", str(tmp_path / "meds"), key, delivered_at=DELIVERED)
    again = job.tables
    assert again.read("quarantine").isEmpty()
    expected = Counter(
        (pseudonym(key, "main", "meds", str(row["subject_id"])), *(row[name] for name in columns))
        for row in current.collect()
    )
    events = again.read("events").collect()
    assert Counter((row["source_subject_id"], *(row[name] for name in columns)) for row in events) == expected
    people = {one[0] for one in expected}
    assert {row["source_subject_id"] for row in again.read("identity").collect()} == people
    assert again.read("links").count() == len(people)  # one row of each person's names them
    for code, column in (("MEDS_BIRTH", "birth_datetime"), ("MEDS_DEATH", "death_datetime")):
        stated = again.read("persons").where(F.col(column).isNotNull()).select("source_subject_id", column).collect()
        assert Counter(map(tuple, stated)) == Counter(one[:2] for one in expected if one[2] == code)


@pytest.mark.parametrize("source", [one for one in SYSTEMS if can_be_planted(one)])
def test_what_is_planted_in_a_delivery_stays_in_it(warehouse, source, tmp_path):
    """After a control: the same scan finds the canaries in the input, and a code of the source in the warehouse."""
    home = Path(warehouse.tables.warehouse)
    planted(source, DATA / source / "input", tmp_path)
    assert set(holders(tmp_path, PLANTED)) >= {PLANTED[0], PLANTED[3]}
    files = warehouse.tables.read("ingested_files").where(F.col("source") == source).select("file_id")
    code = warehouse.tables.read("events").where("code LIKE '%/%'").join(files, "file_id").head()["code"]
    assert any(file.startswith("events/") for file in holders(home, [code])[code])
    assert holders(home, PLANTED) == {}
    assert not [canary for canary in PLANTED if canary.encode() in warehouse.output]


def test_no_column_holds_the_id_that_a_source_gave_a_person(warehouse):
    ids, texts = {one for one in PEOPLE if one.isalpha()}, set()
    for path in Path(warehouse.tables.warehouse).rglob("*.parquet"):
        if not path.name.startswith("."):
            texts |= decoded(pq.ParquetFile(path).read())[0]
    assert "ENCOUNTER/IMP/EM" in texts
    assert not texts & ids
