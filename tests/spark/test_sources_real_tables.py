"""Real extracts in tables go through as they are: people, records, codes and money as pandas counts them."""

import tarfile
from argparse import Namespace
from collections import Counter
from datetime import datetime
from decimal import Decimal

import pandas as pd
import pyarrow.csv
import pyarrow.parquet
import pytest
from pyspark.sql import functions as F

from salus.job import spark_job
from salus.privacy.pseudonyms import create_key
from salus.sources.ingest import ingest

pytestmark = pytest.mark.real_data


def ingested(tmp_path_factory, source, folder):
    """The tables after one ingest of ``folder``, in a warehouse of their own."""
    warehouse = tmp_path_factory.mktemp(source) / "warehouse"
    with spark_job("ingest", Namespace(warehouse=str(warehouse)), quiet=True) as job:
        ingest(job, source, str(folder), create_key(job.settings.key_path), "main", datetime(2024, 1, 1))
    return job.tables


def raw(folder, name, sep=","):
    """A file's rows as texts; what is empty is ""."""
    return pd.read_csv(folder / name, sep=sep, dtype=str, keep_default_na=False)


def total(*columns):
    return sum((Decimal(text) for column in columns for text in column if text.strip()), Decimal())


def kinds(tables):
    """Events by the first part of their code."""
    rows = tables.read("events").groupBy(F.substring_index("code", "/", 1).alias("kind")).count().collect()
    return Counter({row["kind"]: row["count"] for row in rows})


def money(tables, *columns):
    row = tables.read("costs").agg(*[F.sum(column).alias(column) for column in columns]).head()
    return [row[column] or Decimal() for column in columns]


def quarantined(tables):
    """(file, rule) of every refused record."""
    files = tables.read("ingested_files").select("file_id", "file")
    rows = tables.read("quarantine").join(files, "file_id").select("file", "rule").collect()
    return Counter((row["file"], row["rule"]) for row in rows)


def people(tables, table="persons"):
    return tables.read(table).select("source_subject_id").distinct().count()


def read_by_file(tables):
    return {row["file"]: row["rows_read"] for row in tables.read("ingested_files").collect()}


def test_all_tables_of_synthea_agree_with_their_files(spark, real_data, tmp_path_factory):
    folder = real_data / "omop" / "synthea_csv_27_patients"
    tables = ingested(tmp_path_factory, "synthea_csv", folder)
    files = {path.name: raw(folder, path.name) for path in folder.glob("*.csv")}
    assert len(files) == 18
    assert read_by_file(tables) == {name: len(rows) for name, rows in files.items()}
    assert quarantined(tables) == {}
    assert people(tables) == len(files["patients.csv"]) == 27
    found = kinds(tables)
    observations, encounters = files["observations.csv"], files["encounters.csv"]
    assert found["ENCOUNTER"] == len(encounters)
    assert found["ENCOUNTER_END"] == (encounters.STOP != "").sum()
    assert found["CONDITION_END"] == (files["conditions.csv"].STOP != "").sum()
    assert found["LOINC"] == (observations.CATEGORY != "").sum()
    assert found["SYNTHEA"] == (observations.CATEGORY == "").sum()
    assert found["RxNorm"] == len(files["medications.csv"])
    assert found["SNOMED"] == len(files["conditions.csv"]) + len(files["procedures.csv"])
    assert found["CVX"] == len(files["immunizations.csv"])
    assert found["ALLERGY"] == len(files["allergies.csv"])
    assert found["CARE_PLAN"] == len(files["careplans.csv"])
    assert found["DEVICE"] == len(files["devices.csv"])
    assert found["SUPPLY"] == len(files["supplies.csv"])
    assert found["IMAGING"] == len(files["imaging_studies.csv"])
    assert found["CLAIM"] == len(files["claims.csv"])
    assert found["MEDS_DEATH"] == (files["patients.csv"].DEATHDATE != "").sum()
    payers = files["payers.csv"]
    nobody = payers[payers.NAME == "NO_INSURANCE"].Id
    insured = ~files["payer_transitions.csv"].PAYER.isin(nobody)
    assert 0 < insured.sum() < len(insured)
    assert tables.read("coverage").count() == insured.sum()
    transactions, medications = files["claims_transactions.csv"], files["medications.csv"]
    own = transactions[(transactions.TYPE == "PAYMENT") & (transactions.METHOD != "ECHECK")]
    assert money(tables, "total_charge", "paid_by_payer", "paid_by_patient") == [
        total(encounters.TOTAL_CLAIM_COST, medications.BASE_COST),
        total(encounters.PAYER_COVERAGE, medications.PAYER_COVERAGE),
        total(own.PAYMENTS),
    ]


def test_research_files_of_medicare_agree_to_the_cent(spark, real_data, tmp_path_factory):
    folder = real_data / "claims" / "cms_rif_20_beneficiaries"
    tables = ingested(tmp_path_factory, "cms_rif", folder)
    files = {path.stem: raw(folder, path.name, "|") for path in folder.glob("*.csv")}
    years = {name: rows for name, rows in files.items() if name.startswith("beneficiary_20")}
    facility = [files[name] for name in ("inpatient", "outpatient", "snf", "hha", "hospice")]
    lines = [files[name] for name in ("carrier", "dme")]
    assert read_by_file(tables) == {f"{name}.csv": len(rows) for name, rows in files.items()}
    assert quarantined(tables) == {}
    assert people(tables) == pd.concat(years.values()).BENE_ID.nunique() == 20
    covered = sum(
        rows[[f"MDCR_ENTLMT_BUYIN_{month}_IND" for month in range(1, 13)]].isin(list("123ABC")).any(axis=1).sum()
        for rows in years.values()
    )
    assert tables.read("coverage").count() == covered
    first = [rows[rows.CLM_LINE_NUM == "1"] for rows in facility]
    assert money(tables, "paid_by_payer", "total_charge", "amount_allowed", "paid_by_patient") == [
        total(*[rows.CLM_PMT_AMT for rows in first], *[rows.LINE_NCH_PMT_AMT for rows in lines])
        + total(files["pde"].CVRD_D_PLAN_PD_AMT),
        total(*[rows.CLM_TOT_CHRG_AMT for rows in first], *[rows.LINE_SBMTD_CHRG_AMT for rows in lines]),
        total(*[rows.LINE_ALOWD_CHRG_AMT for rows in lines]),
        total(files["pde"].PTNT_PAY_AMT),
    ]
    found = kinds(tables)
    assert found["CLAIM"] == sum(rows.CLM_ID.nunique() for rows in facility + lines)
    assert found["HCPCS"] == sum((rows.HCPCS_CD.str.strip() != "").sum() for rows in facility + lines)
    assert found["NDC"] == len(files["pde"])
    assert found["ICD10CM"] == sum(
        len(
            {
                row[column].strip()
                for column in rows
                if column.startswith(("ICD_DGNS_CD", "ICD_DGNS_E_CD", "PRNCPAL_DGNS_CD"))
            }
            - {""}
        )
        for rows in [*first, *[rows[rows.LINE_NUM == "1"] for rows in lines]]
        for row in rows.to_dict("records")
    )
    assert found["ICD10PCS"] == sum(
        (rows[f"ICD_PRCDR_CD{number}"].str.strip() != "").sum()
        for rows in first
        for number in range(1, 26)
        if f"ICD_PRCDR_CD{number}" in rows
    )
    processed = pd.to_datetime(files["inpatient"].NCH_WKLY_PROC_DT, format="%d-%b-%Y")
    latest = tables.read("events").where("code LIKE 'CLAIM/INPATIENT%'").agg(F.max("available_time")).head()[0]
    assert latest == (processed.max() + pd.Timedelta(days=1)).to_pydatetime()


def test_the_synthetic_public_use_file_agrees_to_the_cent(spark, real_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("desynpuf_files")
    with tarfile.open(real_data / "claims" / "cms_desynpuf_10_beneficiaries.tar.bz2") as archive:
        archive.extractall(folder, filter="data")
    tables = ingested(tmp_path_factory, "cms_desynpuf", folder)
    files = {path.name: raw(path.parent, path.name) for path in folder.rglob("*.csv")}
    by_kind = {
        kind: pd.concat([rows for name, rows in files.items() if kind in name])
        for kind in ("Beneficiary", "Inpatient", "Outpatient", "Carrier", "Prescription")
    }
    assert sum(read_by_file(tables).values()) == sum(map(len, files.values()))
    outpatient = by_kind["Outpatient"]
    undated = outpatient[outpatient.CLM_FROM_DT == ""]
    assert {rule for _, rule in quarantined(tables)} == {"has_start"}
    assert sum(quarantined(tables).values()) == len(undated) == 1
    assert people(tables) == by_kind["Beneficiary"].DESYNPUF_ID.nunique() == 10
    months = by_kind["Beneficiary"][["BENE_HI_CVRAGE_TOT_MONS", "BENE_SMI_CVRAGE_TOT_MONS"]].astype(int).max(axis=1)
    assert tables.read("coverage").count() == (months > 0).sum()
    days = tables.read("coverage").selectExpr(
        "sum(months_between(date_add(payer_plan_period_end_date, 1), payer_plan_period_start_date)) AS months"
    )
    assert days.head()["months"] == months.sum()
    carrier = by_kind["Carrier"]
    of_lines = {
        name: total(*[carrier[f"{name}_{line}"] for line in range(1, 14)])
        for name in ("LINE_NCH_PMT_AMT", "LINE_ALOWD_CHRG_AMT")
    }
    dated = outpatient[outpatient.CLM_FROM_DT != ""]
    assert money(tables, "paid_by_payer", "amount_allowed", "total_paid", "paid_by_patient") == [
        total(by_kind["Inpatient"].CLM_PMT_AMT, dated.CLM_PMT_AMT) + of_lines["LINE_NCH_PMT_AMT"],
        of_lines["LINE_ALOWD_CHRG_AMT"],
        total(by_kind["Prescription"].TOT_RX_CST_AMT),
        total(by_kind["Prescription"].PTNT_PAY_AMT),
    ]
    found = kinds(tables)
    claims = [by_kind["Inpatient"], dated, carrier]
    assert found["CLAIM"] == sum(rows.CLM_ID.nunique() for rows in claims)
    assert found["NDC"] == len(by_kind["Prescription"])
    assert found["ICD9CM"] == sum(
        len({row[column] for column in rows if column.startswith("ICD9_DGNS_CD_")} - {""})
        for rows in claims
        for row in rows.to_dict("records")
    )
    assert found["HCPCS"] == sum((rows[c] != "").sum() for rows in claims for c in rows if c.startswith("HCPCS_CD_"))
    assert tables.read("events").where("available_time < time + INTERVAL 30 DAYS AND code LIKE 'NDC%'").isEmpty()


def test_a_trial_agrees_with_its_domains_and_study_days(spark, real_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sdtm_files")
    domains = {}
    for path in sorted((real_data / "trials").iterdir()):
        if path.suffix == ".parquet":
            pyarrow.csv.write_csv(pyarrow.parquet.read_table(path), folder / f"{path.stem}.csv")
        elif path.suffix == ".csv":
            (folder / path.name).write_bytes(path.read_bytes())
    for path in folder.glob("*.csv"):
        domains[path.stem] = raw(folder, path.name)
    tables = ingested(tmp_path_factory, "sdtm", folder)
    assert read_by_file(tables) == {f"{name}.csv": len(rows) for name, rows in domains.items()}
    assert quarantined(tables) == {}
    assert people(tables) == domains["dm"].USUBJID.nunique() == 306
    found = kinds(tables)
    assert found["AE"] == len(domains["ae"])
    assert found["AE_END"] == (domains["ae"].AEENDTC != "").sum()
    assert found["AE_SERIOUS"] == (domains["ae"].AESER == "Y").sum()
    assert found["CM"] == len(domains["cm"])
    assert found["MH"] == len(domains["mh"])
    assert found["DS"] == len(domains["ds"])
    assert found["EX"] == len(domains["ex"])
    assert found["MEDS_DEATH"] == (domains["dm"].DTHDTC != "").sum()
    assert found["VS"] == (domains["vs"].VSSTAT != "NOT DONE").sum()
    assert found["LB"] == ((domains["lb"].LBSTRESC != "") | (domains["lb"].LBSTRESN != "")).sum()
    # The study's own day number, counted anew from the events: day 1 is the reference start, and there is no day 0.
    starts = tables.read("events").where("code LIKE 'ARM/%'").select("source_subject_id", F.col("time").alias("start"))
    exposures = tables.read("events").where("code LIKE 'EX/%'").join(starts, "source_subject_id")
    gap = F.datediff("time", "start")
    days = exposures.select(F.when(gap >= 0, gap + 1).otherwise(gap).alias("day")).collect()
    assert Counter(row["day"] for row in days) == Counter(domains["ex"].EXSTDY.astype(int))
