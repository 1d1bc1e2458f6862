"""Each declared source, from a folder of small files to the tables that they must become.

``tests/data/<source>/input`` holds a line for every rule; ``expected`` the whole of each table, with people, records
and files by their own names in place of pseudonyms.
"""

import csv
import shutil
from datetime import datetime
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from salus.privacy.pseudonyms import create_key, pseudonym
from salus.settings import conf_dir
from salus.sources.ingest import ingest

DATA = Path(__file__).resolve().parents[1] / "data"
DELIVERED = datetime(2021, 12, 1)
SYSTEMS = {
    "fhir_r4": "fhir",
    "payer_extract": "payer",
    "wearable_daily": "wearable",
    "cms_rif": "medicare",
    "cms_desynpuf": "desynpuf",
    "sdtm": "trial",
    "omop_cdm": "omop",
}
LONG = ("cms_rif", "cms_desynpuf", "sdtm", "omop_cdm")
"""Sources of many record types, each a minute of planning."""

PEOPLE = ["ann", "bob", "cy", "M1", "M2", "77", "88"]
PEOPLE += ["-1", "-2", "-3", "D1", "D2", "D3", "01-001", "01-002", "1", "2"]
TABLES = {
    "events": [
        "source_subject_id",
        "time",
        "available_time",
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
            with spark_job("ingest", Namespace(warehouse=str(folder / "warehouse")), quiet=True) as job:
                ingest(
                    job, source, str(DATA / source / "input"), create_key(job.settings.key_path), delivered_at=DELIVERED
                )
    return job


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
            {column: str(named.get(column, {}).get(row[column], row[column])) for column in TABLES[table]}
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
