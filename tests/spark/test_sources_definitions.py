"""A record whose code another record defines has it from there: of the same delivery, an earlier or a later one."""

import json
from datetime import datetime
from itertools import permutations

import pytest

from salus.privacy.pseudonyms import create_key
from salus.sources.ingest import ingest

RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
PATIENT = [{"resourceType": "Patient", "id": "ann", "gender": "female", "birthDate": "1950-02-03"}]


def medication(number, code, version="2021-01-01T00:00:00Z", status="active"):
    coded = {"coding": [{"system": RXNORM, "code": code}]}
    return {
        "resourceType": "Medication",
        "id": number,
        "meta": {"lastUpdated": version},
        "status": status,
        "code": coded,
    }


def request(number, reference):
    return {
        "resourceType": "MedicationRequest",
        "id": number,
        "meta": {"lastUpdated": "2021-03-04T11:00:00Z"},
        "status": "active",
        "medicationReference": {"reference": reference},
        "subject": {"reference": "Patient/ann"},
        "authoredOn": "2021-03-04T11:00:00Z",
    }


DELIVERIES = [
    (
        "MedicationRequest",
        [request("q1", "Medication/m1"), request("q2", "urn:uuid:m2"), request("q3", "Medication/m3")],
    ),
    (
        "Medication",
        [medication("m1", "860975"), medication("m2", "1191"), medication("m3", "5640", status="entered-in-error")],
    ),
]


@pytest.fixture
def deliver(job_in, tmp_path, monkeypatch):
    """Takes in all deliveries so far of a warehouse, as they pile up in one folder; its tables."""

    def run(warehouse, kind, resources, number):
        folder = tmp_path / f"{warehouse}-input"
        folder.mkdir(exist_ok=True)
        text = "".join(json.dumps(one) + "\n" for one in resources)
        (folder / f"{kind}.{number}.ndjson").write_text(text)
        with job_in(tmp_path / warehouse, "ingest") as job:
            ingest(job, "fhir_r4", str(folder), create_key(tmp_path / "key"), delivered_at=datetime(2021, 6, 1))
        return job.tables

    return run


@pytest.fixture
def lenient(tmp_path, monkeypatch):
    """Settings under which any share of a delivery may be refused."""
    import shutil

    from salus.settings import conf_dir

    shutil.copytree(conf_dir(), tmp_path / "conf")
    path = tmp_path / "conf" / "sources" / "fhir_r4.yml"
    path.write_text(path.read_text().replace("refuse_above: 0.05", "refuse_above: 1"))
    monkeypatch.setenv("SALUS_CONF", str(tmp_path / "conf"))


def told(tables):
    events = tables.read("events").where("time = TIMESTAMP_NTZ '2021-03-04 11:00:00'").collect()
    refused = tables.read("quarantine").collect()
    return (
        sorted((row["code"], row["record"], row["ordinal"]) for row in events),
        sorted((row["record_type"], row["record"], row["rule"]) for row in refused),
    )


@pytest.mark.slow  # six ingests
def test_codes_come_through_in_whatever_order_the_files_come(lenient, deliver):
    ends = []
    for order in permutations(range(2)):
        warehouse = "warehouse{}{}".format(*order)
        deliver(warehouse, "Patient", PATIENT, 0)
        for number, step in enumerate(order, 1):
            tables = deliver(warehouse, *DELIVERIES[step], number)
            if step == 0 and number == 1:
                assert told(tables) == ([], [("MedicationRequest", row, "unknown_definition") for row in range(3)])
        ends.append(told(tables))
        files = tables.read("ingested_files")
        assert files.where("rows_read != rows_accepted + rows_quarantined").isEmpty()
    withdrawn = ("MedicationRequest", 2, "unknown_definition")
    assert ends == [([("RxNorm/1191", 1, 0), ("RxNorm/860975", 0, 0)], [withdrawn])] * 2
    assert tables.read("events").where("code LIKE 'SALUS%'").isEmpty()  # a withdrawn definition is nobody's event


def test_a_definition_counts_in_its_newest_version(lenient, deliver):
    deliver("warehouse", "Patient", PATIENT, 0)
    deliver("warehouse", "Medication", [medication("m1", "1191", "2021-02-01T00:00:00Z")], 1)
    deliver("warehouse", "Medication", [medication("m1", "860975")], 2)  # an older version comes later
    tables = deliver("warehouse", "MedicationRequest", [request("q1", "Medication/m1")], 3)
    assert told(tables) == ([("RxNorm/1191", 0, 0)], [])
