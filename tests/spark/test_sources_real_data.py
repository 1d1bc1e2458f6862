"""Real exports go through as they are: people, records and money as plain Python counts them in the raw files."""

import csv
import json
from collections import Counter
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

import pandas as pd
import pytest
from pyspark.sql import functions as F

from salus.privacy.pseudonyms import create_key
from salus.sources.ingest import ingest
from salus.sources.loading import load_source

pytestmark = pytest.mark.real_data
FOLDERS = ["ndjson_13_patients", "ndjson_9_patients", "ndjson_mixed"]


def ingested(job_in, warehouse, source, folder, site):
    with job_in(warehouse, "ingest") as job:
        ingest(job, source, str(folder), create_key(job.settings.key_path), site, datetime(2024, 1, 1))
    return job


@pytest.fixture(scope="module")
def fhir(spark, real_data, tmp_path_factory):
    """The three FHIR exports in one warehouse, each a site of its own."""
    from argparse import Namespace

    from salus.job import spark_job

    warehouse = tmp_path_factory.mktemp("fhir") / "warehouse"

    def enter(folder, name):
        return spark_job(name, Namespace(warehouse=str(folder)), quiet=True)

    for folder in FOLDERS:
        job = ingested(enter, warehouse, "fhir_r4", real_data / "fhir" / folder, folder)
    return job


def raw(folder):
    """Every resource in ``folder`` by its file."""
    return {
        path.name: [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
        for path in sorted(folder.glob("*.ndjson"))
    }


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_record_of_every_file_is_accounted_for(fhir, real_data, folder):
    rows = fhir.tables.read("ingested_files").where(F.col("site") == folder).collect()
    assert {row["file"]: row["rows_read"] for row in rows} == {
        name: len(content) for name, content in raw(real_data / "fhir" / folder).items()
    }
    assert sum(row["rows_quarantined"] for row in rows) == 0


@pytest.mark.parametrize("folder", FOLDERS)
def test_people_and_events_are_those_of_the_files(fhir, real_data, folder):
    files = fhir.tables.read("ingested_files").where(F.col("site") == folder).select("file_id", "record_type")
    persons = fhir.tables.read("persons").join(files, "file_id")
    found = Counter(
        {
            row["code"]: row["count"]
            for row in fhir.tables.read("events")
            .join(files, "file_id")
            .groupBy(F.concat_ws("|", "record_type", F.substring_index("code", "/", 1)).alias("code"))
            .count()
            .collect()
        }
    )
    resources = [one for content in raw(real_data / "fhir" / folder).values() for one in content]
    kinds = {
        kind: [one for one in resources if one.get("resourceType") == kind] for kind in load_source("fhir_r4").records
    }
    assert persons.count() == len(kinds["Patient"]) == persons.select("source_subject_id").distinct().count()
    assert found["Encounter|ENCOUNTER"] == len(kinds["Encounter"])
    assert found["Encounter|ENCOUNTER_END"] == sum("end" in one["period"] for one in kinds["Encounter"])
    assert found["Condition|CONDITION_END"] == sum("abatementDateTime" in one for one in kinds["Condition"])
    assert found["Condition|SNOMED"] == len(kinds["Condition"])
    assert found["Observation|LOINC"] == len(kinds["Observation"]) + sum(
        len(one.get("component", [])) for one in kinds["Observation"]
    )
    assert found["MedicationRequest|RxNorm"] == len(kinds["MedicationRequest"])
    assert found["Procedure|SNOMED"] == len(kinds["Procedure"])
    assert found["Immunization|CVX"] == len(kinds["Immunization"])
    assert found["Patient|MEDS_DEATH"] == sum("deceasedDateTime" in one for one in kinds["Patient"])


def test_bundles_become_the_people_and_events_of_their_entries(fhir, real_data, job_in):
    folder = real_data / "fhir" / "bundles_10_patients"
    job = ingested(job_in, fhir.tables.warehouse, "fhir_r4", folder, "bundles")
    content = {path.name: json.loads(path.read_text())["entry"] for path in folder.glob("*.json")}
    rows = job.tables.read("ingested_files").where("site = 'bundles'").collect()
    assert {row["file"]: row["rows_read"] for row in rows} == {name: len(one) for name, one in content.items()}
    files = [row["file_id"] for row in rows]
    kinds = Counter(entry["resource"]["resourceType"] for entries in content.values() for entry in entries)
    source = load_source("fhir_r4")
    declared, known = source.records, {*source.records, *source.ignored}
    undeclared = sum(number for kind, number in kinds.items() if kind not in known)
    assert sum(row["rows_quarantined"] for row in rows) == undeclared == 0
    assert kinds["MedicationAdministration"] == 2
    found = job.tables.read("records").where(F.col("file_id").isin(files)).groupBy("record_type").count().collect()
    assert {row["record_type"]: row["count"] for row in found} == {
        f"fhir_r4/{kind}": number for kind, number in kinds.items() if kind in declared
    }
    observed = [
        entry["resource"] for entries in content.values() for entry in entries if "component" in entry["resource"]
    ]
    events = job.tables.read("events").where(F.col("file_id").isin(files)).where("code LIKE 'LOINC/%'").count()
    assert events == kinds["Observation"] + sum(len(one["component"]) for one in observed)


def test_notes_hold_the_decoded_text(fhir, real_data):
    notes = fhir.tables.read("notes").where("note_text IS NOT NULL")
    resources = raw(real_data / "fhir" / "ndjson_13_patients")["DocumentReference.000.ndjson"]
    assert notes.count() == len(resources)
    assert notes.where("note_text LIKE '%Chief Complaint%'").count() > len(resources) / 2


def to_four_places(value) -> Decimal:
    return Decimal(str(value)).quantize(Decimal("0.0001"), ROUND_HALF_UP)


def of_lines(claim, category) -> list[Decimal]:
    """The amounts of a CMS category in the adjudications of an ExplanationOfBenefit's lines."""
    return [
        to_four_places(one["amount"]["value"])
        for line in claim["item"]
        for one in line.get("adjudication", [])
        if one["category"]["coding"][0]["code"].endswith(f"/{category}")
    ]


def test_claims_and_payments_say_the_same_money_once(fhir, real_data):
    """Every amount by its own column, as the raw files add up: claims charge, what answers them pays."""
    content = raw(real_data / "fhir" / "ndjson_9_patients")
    claims, answers = content["Claim.ndjson"], content["ExplanationOfBenefit.ndjson"]
    assert {one["claim"]["reference"] for one in answers} < {f"Claim/{one['id']}" for one in claims}
    columns = ["total_charge", "amount_allowed", "paid_by_payer", "paid_patient_coinsurance", "paid_patient_deductible"]
    found = {
        row["record_type"]: row
        for row in fhir.tables.read("costs")
        .join(fhir.tables.read("ingested_files").select("file_id", "record_type"), "file_id")
        .groupBy("record_type")
        .agg(F.count("*").alias("rows"), *(F.sum(name).alias(name) for name in columns))
        .collect()
    }
    assert {kind: row["rows"] for kind, row in found.items()} == {
        "Claim": len(claims),
        "ExplanationOfBenefit": len(answers),
    }
    charge, answer = found["Claim"], found["ExplanationOfBenefit"]
    assert charge["total_charge"] == sum(to_four_places(one["total"]["value"]) for one in claims)
    assert [charge[name] for name in columns[1:]] == [None] * 4
    assert answer["total_charge"] is None
    paid = sum(to_four_places(one["payment"]["amount"]["value"]) for one in answers)
    assert answer["paid_by_payer"] == paid
    assert paid.quantize(Decimal("0.01")) == Decimal("691797.18")
    for column, category in zip(
        ("amount_allowed", "paid_patient_coinsurance", "paid_patient_deductible"),
        ("line_alowd_chrg_amt", "line_coinsrnc_amt", "line_bene_ptb_ddctbl_amt"),
        strict=True,
    ):
        assert answer[column] == sum(amount for one in answers for amount in of_lines(one, category)), column


def test_each_claim_and_line_is_one_event_whoever_tells_it(fhir, real_data):
    content = raw(real_data / "fhir" / "ndjson_9_patients")
    claims, answers = content["Claim.ndjson"], content["ExplanationOfBenefit.ndjson"]
    files = fhir.tables.read("ingested_files").where("site = 'ndjson_9_patients'").select("file_id")
    kind = F.regexp_extract("code", "^(CLAIM/.*|CLAIM_LINE|REMITTANCE/.*)", 1).alias("kind")
    events = fhir.tables.read("events").join(files, "file_id").withColumn("kind", kind).where("kind != ''")
    counted = events.groupBy("kind").agg(F.count("*").alias("rows"), F.sum("numeric_value").alias("sum")).collect()
    lines = [line for one in claims for line in one["item"]]
    expected = Counter(f"CLAIM/{one['type']['coding'][0]['code'].upper()}" for one in claims)
    assert {row["kind"]: row["rows"] for row in counted} == expected | {
        "CLAIM_LINE": len(lines),
        "REMITTANCE/COMPLETE": len(answers),
    }
    [priced] = [row["sum"] for row in counted if row["kind"] == "CLAIM_LINE"]
    assert priced == pytest.approx(sum(line["net"]["value"] for line in lines if "net" in line), rel=1e-6)
    visits = events.where("kind != 'CLAIM_LINE'").select("visit_id").distinct().count()
    assert visits == len(claims)  # an answer belongs to the claim that it names


def test_a_payers_extract_agrees_with_its_files(spark, real_data, job_in, tmp_path):
    folder = real_data / "claims" / "tuva_10_members"
    tables = ingested(job_in, tmp_path / "warehouse", "payer_extract", folder, "tuva").tables
    raw_rows = {}
    for path in sorted(folder.glob("*.csv")):
        with open(path, newline="", encoding="utf-8") as file:
            raw_rows[path.name] = list(csv.DictReader(file))
    files = {row["file"]: row for row in tables.read("ingested_files").collect()}
    # Two files hold a header and nothing else; they differ, so each is a file of its own.
    assert {name: row["rows_read"] for name, row in files.items()} == {
        name: len(rows) for name, rows in raw_rows.items()
    }
    assert sum(row["rows_quarantined"] for row in files.values()) == 0
    medical, pharmacy = raw_rows["medical_claim_seed.csv"], raw_rows["pharmacy_claim_seed.csv"]
    sums = (
        tables.read("costs")
        .groupBy("file_id")
        .agg(
            F.sum("paid_by_payer").alias("paid"),
            F.sum("amount_allowed").alias("allowed"),
            F.sum("total_charge").alias("charge"),
        )
    )
    by_file = {row["file_id"]: row for row in sums.collect()}
    for name, rows in (("medical_claim_seed.csv", medical), ("pharmacy_claim_seed.csv", pharmacy)):
        found = by_file[files[name]["file_id"]]
        for column, key in (("paid", "paid_amount"), ("allowed", "allowed_amount"), ("charge", "charge_amount")):
            assert (found[column] or 0) == sum((Decimal(row[key]) for row in rows if row[key]), Decimal()), (name, key)
    assert tables.read("coverage").count() == len(raw_rows["eligibility_seed.csv"])
    members = {row["member_id"] for row in raw_rows["eligibility_seed.csv"]}
    assert tables.read("coverage").select("source_subject_id").distinct().count() == len(members)
    found = Counter(
        {
            row["kind"]: row["count"]
            for row in tables.read("events").groupBy(F.substring_index("code", "/", 1).alias("kind")).count().collect()
        }
    )
    assert found["CLAIM"] == len({row["claim_id"] for row in medical})
    assert found["HCPCS"] == sum(bool(row["hcpcs_code"]) for row in medical)
    assert found["NDC"] == len(pharmacy)
    assert found["ICD10CM"] == sum(
        len({row[f"diagnosis_code_{n}"] for n in range(1, 26)} - {""})
        for row in medical
        if row["claim_line_number"] == "1"
    )
    assert found["LOINC"] == len(raw_rows["lab_result_seed.csv"]) + len(raw_rows["observation_seed.csv"])
    assert found["CVX"] == len(raw_rows["immunization_seed.csv"])
    assert found["APPOINTMENT"] == len(raw_rows["appointment_seed.csv"])


def test_a_wearers_days_and_weights_are_those_of_the_export(spark, real_data, job_in, tmp_path):
    """Of two rows of one day the first counts; one that says otherwise is refused, one that says the same is not."""
    folder = real_data / "device" / "fitbit"
    tables = ingested(job_in, tmp_path / "warehouse", "wearable_daily", folder, "fitbit").tables
    minutes = ["VeryActiveMinutes", "FairlyActiveMinutes", "LightlyActiveMinutes"]
    told = {
        "dailyActivity": ("ActivityDate", ["TotalSteps", *minutes, "SedentaryMinutes"]),
        "sleepDay": ("SleepDay", ["TotalMinutesAsleep"]),
        "weightLogInfo": ("Date", ["WeightKg"]),
    }
    raw_rows = {kind: pd.read_csv(folder / f"{kind}_merged.csv", dtype=str) for kind in told}
    kept = {kind: rows.drop_duplicates(["Id", told[kind][0]]) for kind, rows in raw_rows.items()}
    for row in tables.read("ingested_files").collect():
        kind = row["record_type"]
        rows, (day, values) = raw_rows[kind], told[kind]
        said = rows.groupby(["Id", day])[values].transform("first")
        differs = (rows[values].fillna("") != said.fillna("")).any(axis=1)
        found = (row["rows_read"], row["rows_quarantined"], row["rows_unchanged"])
        assert found == (len(rows), differs.sum(), len(rows) - len(kept[kind]) - differs.sum()), kind
    wearers = pd.concat(raw_rows.values())["Id"].nunique()
    assert tables.read("identity").select("source_subject_id").distinct().count() == wearers == 35
    days, nights, weights = (kept[kind][values].astype(float) for kind, (_, values) in told.items())
    expected = {
        "STEPS/DAY": days["TotalSteps"],
        "ACTIVE_MINUTES/DAY": days[minutes].sum(axis=1),
        "SEDENTARY_MINUTES/DAY": days["SedentaryMinutes"],
        "SLEEP_MINUTES/DAY": nights["TotalMinutesAsleep"],
        "LOINC/29463-7": weights["WeightKg"],
    }
    sums = tables.read("events").groupBy("code").agg(F.count("*").alias("rows"), F.sum("numeric_value").alias("sum"))
    found = {row["code"]: (row["rows"], row["sum"]) for row in sums.collect()}
    assert found.keys() == expected.keys()
    for code, values in expected.items():
        assert found[code] == (len(values), pytest.approx(values.sum(), rel=1e-6)), code


def test_questions_and_answers_in_gb18030_are_one_note_each(spark, real_data, job_in, tmp_path):
    """A row is somebody of its own, so a row that comes again word by word is the same person's same note."""
    folder = tmp_path / "landing"
    folder.mkdir()
    path = real_data / "text" / "zh_medical_dialogue_gb18030.csv"
    (folder / path.name).symlink_to(path)
    tables = ingested(job_in, tmp_path / "warehouse", "notes_csv", folder, "dialogues").tables
    with open(path, encoding="gb18030", newline="") as file:
        rows = list(csv.DictReader(file))
    texts = Counter((row["department"], f"{row['title']}\n{row['ask']}\n{row['answer']}") for row in rows)
    [taken] = tables.read("ingested_files").collect()
    counts = (taken["rows_read"], taken["rows_quarantined"], taken["rows_unchanged"])
    assert counts == (len(rows), 0, len(rows) - len(texts))
    assert len(rows) == 7644
    notes = tables.read("notes").collect()
    assert Counter(
        (row["note_class_source_value"].removeprefix("DIALOGUE/"), row["note_text"]) for row in notes
    ) == Counter(texts.keys())
    people = tables.read("identity").select("source_subject_id").distinct().count()
    events = tables.read("events").where("code = 'NOTE/DIALOGUE' AND time IS NULL").count()
    assert people == events == len(notes)
