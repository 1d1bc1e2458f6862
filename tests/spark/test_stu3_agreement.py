"""Synthea writes one population as FHIR R4 and as STU3: what both say is the same in the tables, whichever came in.

``SALUS_SYNTHEA`` names a folder that holds Synthea's ``fhir`` and ``fhir_stu3``, as it writes them with
``--exporter.fhir.bulk_data=true --exporter.fhir_stu3.export=true``.
"""

import json
import os
from argparse import Namespace
from collections import Counter
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from salus.job import spark_job
from salus.privacy.pseudonyms import create_key
from salus.sources.ingest import ingest

pytestmark = [pytest.mark.real_data, pytest.mark.slow]
SOURCES = {"fhir_r4": "fhir", "fhir_stu3": "fhir_stu3"}
KINDS = ["Patient", "Encounter", "Condition", "Observation", "MedicationAdministration", "Procedure", "Immunization"]
KINDS += ["AllergyIntolerance", "CarePlan", "Device", "ImagingStudy"]
"""Record types of which Synthea writes the same facts in both; claims of pharmacies it writes as R4 only."""

CENT = Decimal("0.0001")
"""To what an amount is kept."""


@pytest.fixture(scope="module")
def population():
    """The folder of one population in both forms."""
    folder = Path(os.environ.get("SALUS_SYNTHEA", "nowhere"))
    if not all((folder / part).is_dir() for part in SOURCES.values()):
        pytest.skip("SALUS_SYNTHEA names no folder with Synthea's fhir and fhir_stu3")
    return folder


@pytest.fixture(scope="module")
def both(spark, population, tmp_path_factory):
    """Both forms in one warehouse: its tables."""
    warehouse = tmp_path_factory.mktemp("agreement") / "warehouse"
    for source, part in SOURCES.items():
        with spark_job("ingest", Namespace(warehouse=str(warehouse)), quiet=True) as job:
            ingest(job, source, str(population / part), create_key(job.settings.key_path), "one", datetime(2030, 1, 1))
    return job.tables


def of_source(tables, table, source, kind):
    """``source``'s rows of ``table`` from files of ``kind``, with the resolved ``subject_id``."""
    files = tables.read("ingested_files").where((F.col("source") == source) & (F.col("record_type") == kind))
    people = tables.read("identity").where("known_until IS NULL").select("source_subject_id", "subject_id")
    rows = tables.read(table).join(files.select("file_id"), "file_id", "left_semi")
    return rows.join(people, "source_subject_id")


def raw(population, kind):
    return [json.loads(line) for line in (population / "fhir_stu3" / f"{kind}.ndjson").read_text().splitlines()]


def test_every_record_of_every_stu3_file_is_accepted(both, population):
    files = both.read("ingested_files").where("source = 'fhir_stu3'").collect()
    assert {row["file"]: row["rows_accepted"] for row in files} == {
        path.name: len(path.read_text().splitlines()) for path in (population / "fhir_stu3").glob("*.ndjson")
    }


def test_people_on_both_servers_are_joined_by_their_identifiers(both, population):
    subjects = [{row[0] for row in of_source(both, "persons", source, "Patient").collect()} for source in SOURCES]
    assert len(subjects[0] | subjects[1]) == 2 * len(raw(population, "Patient"))  # a source subject of each
    people = [
        {row["subject_id"] for row in of_source(both, "persons", source, "Patient").collect()} for source in SOURCES
    ]
    assert people[0] == people[1]


@pytest.mark.parametrize("kind", KINDS)
def test_events_of_both_agree_by_person_clocks_code_and_value(both, kind):
    columns = ["subject_id", "time", "code", "numeric_value", "text_value", "unit"]
    told = [
        Counter(map(tuple, of_source(both, "events", source, kind).select(columns).collect())) for source in SOURCES
    ]
    assert told[0] == told[1]
    assert told[0]


@pytest.mark.parametrize("kind", ["Condition", "Observation", "Procedure"])
def test_events_of_both_belong_to_as_many_visits(both, kind):
    found = [
        of_source(both, "events", source, kind).select(F.count_distinct("visit_id")).head()[0] for source in SOURCES
    ]
    assert found[0] == found[1] > 1


def test_charges_and_payments_are_those_of_the_stu3_files(both, population):
    columns = [F.sum("total_charge").alias("charge"), F.sum("paid_by_payer").alias("paid")]
    found = [
        of_source(both, "costs", "fhir_stu3", kind).groupBy("currency").agg(*columns).collect()
        for kind in ("Claim", "ExplanationOfBenefit")
    ]
    answers = raw(population, "ExplanationOfBenefit")
    charged = [kept(one["total"]) for one in raw(population, "Claim")]
    unnamed = [kept(one["totalCost"]) for one in answers if "claim" not in one]
    assert 0 < len(unnamed) < len(answers)
    paid = sum(kept(one["payment"]["amount"]) for one in answers)
    assert [[tuple(row) for row in rows] for rows in found] == [
        [("USD", sum(charged), None)],
        [("USD", sum(unnamed), paid)],
    ]


def kept(amount):
    return Decimal(str(amount["value"])).quantize(CENT, ROUND_HALF_UP)
