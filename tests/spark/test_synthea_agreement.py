"""Synthea writes one population as FHIR and as CSV: what both say is the same in the tables, whichever came in.

``SALUS_SYNTHEA`` names a folder that holds Synthea's ``fhir`` and ``csv``; without it 20 people are generated, where
the generator and Maven are there.
"""

from argparse import Namespace
from collections import Counter
from datetime import datetime

import pytest
from pyspark.sql import functions as F

import synthea
from salus.job import spark_job
from salus.privacy.pseudonyms import create_key
from salus.sources.ingest import ingest

pytestmark = [pytest.mark.real_data, pytest.mark.slow]
SOURCES = {"fhir_r4": "fhir", "synthea_csv": "csv"}
SHARED = {
    "ENCOUNTER": "second",
    "ENCOUNTER_END": "second",
    "LOINC": "second",
    "CVX": "second",
    "SNOMED": "day",
    "CONDITION_END": "day",
    "ALLERGY": "day",
    "RxNorm": "second",
    "DEVICE": "century",
    "CLAIM": "century",
}
"""Kinds of events of which Synthea writes each fact in both, and how exactly it gives both the same time: conditions
have a day only in CSV; a device's manufacture is not its implantation, nor the end of care its begin."""


@pytest.fixture(scope="module")
def population(tmp_path_factory):
    """The folder of one population in both forms."""
    return synthea.population(tmp_path_factory.mktemp("synthea"), people=20)


@pytest.fixture(scope="module")
def both(spark, population, tmp_path_factory):
    """Both forms in one warehouse: its tables, and the files' ids by source."""
    warehouse = tmp_path_factory.mktemp("agreement") / "warehouse"
    for source, part in SOURCES.items():
        with spark_job("ingest", Namespace(warehouse=str(warehouse)), quiet=True) as job:
            ingest(job, source, str(population / part), create_key(job.settings.key_path), "one", datetime(2030, 1, 1))
    return job.tables


ONLY_IN_FHIR = ("MedicationAdministration",)
"""Types of records whose facts CSV leaves out, although they carry codes that others carry too."""


def of_source(tables, table, source):
    """``source``'s rows of ``table``, of what both forms have, with the resolved ``subject_id``."""
    is_shared = ~F.col("record_type").isin(*ONLY_IN_FHIR)
    files = tables.read("ingested_files").where((F.col("source") == source) & is_shared).select("file_id")
    people = tables.read("identity").where("known_until IS NULL").select("source_subject_id", "subject_id")
    return tables.read(table).join(files, "file_id", "left_semi").join(people, "source_subject_id")


def test_both_know_the_same_people(both):
    known = [
        {row[0] for row in of_source(both, "persons", source).select("subject_id").collect()} for source in SOURCES
    ]
    assert known[0] == known[1]
    assert len(known[0]) >= 20


def test_nothing_is_refused_whichever_file_names_the_medication(both, population):
    requests = (population / "fhir" / "MedicationRequest.ndjson").read_text(encoding="utf-8")
    assert requests.count('"medicationReference"') > 0
    assert both.read("quarantine").isEmpty()


@pytest.mark.parametrize("kind", SHARED)
def test_events_agree_by_person_code_and_time(both, kind):
    told = []
    for source in SOURCES:
        events = of_source(both, "events", source).where(F.substring_index("code", "/", 1) == kind)
        if kind == "LOINC":  # CSV has no row of a panel's own
            events = events.where("numeric_value IS NOT NULL OR text_value IS NOT NULL")
        if kind == "CLAIM":
            events = events.withColumn("code", F.lit("CLAIM"))
        counted = (
            events.groupBy("subject_id", "code", F.date_trunc(SHARED[kind], "time").alias("time")).count().collect()
        )
        told.append(Counter({tuple(row)[:3]: row["count"] for row in counted}))
    assert told[0].total() > 0
    assert told[0] == told[1]


def test_values_of_observations_agree(both):
    """To the tenth that CSV is rounded to, and the five figures that FHIR is."""
    told = [
        sorted(
            map(
                tuple,
                of_source(both, "events", source)
                .where("code LIKE 'LOINC/%' AND numeric_value IS NOT NULL")
                .select("subject_id", "code", F.date_trunc("second", "time"), "numeric_value")
                .collect(),
            )
        )
        for source in SOURCES
    ]
    (*keys, values), (*others, rounded) = (list(zip(*rows, strict=True)) for rows in told)
    assert len(values) > 1000
    assert keys == others
    assert values == pytest.approx(rounded, abs=0.0501, rel=5e-5)


def test_what_was_billed_agrees_by_person_to_the_cent(both):
    """Synthea's payments differ: its FHIR adds up items, its CSV states what the payer covered."""
    billed = [
        {
            row["subject_id"]: row["sum"]
            for row in of_source(both, "costs", source)
            .groupBy("subject_id")
            .agg(F.sum("total_charge").alias("sum"))
            .collect()
        }
        for source in SOURCES
    ]
    assert billed[0] == billed[1]
