"""Real claims, signals, images and compounds in the tables, against what another reading of the files gives."""

import csv
import gzip
import re
import shutil
from argparse import Namespace
from collections import Counter
from datetime import datetime
from decimal import Decimal

import pydicom
import pytest
import wfdb
from pyspark.sql import functions as F
from rdkit import Chem, rdBase

from salus.job import spark_job
from salus.privacy.pseudonyms import create_key
from salus.settings import conf_dir
from salus.sources.ingest import ingest

pytestmark = [pytest.mark.real_data, pytest.mark.slow]
FOLDERS = {
    "x12_837": "claims/x12_837",
    "wfdb": "device/wfdb_mitbih_100",
    "dicom": "device/dicom",
    "compounds": "drug",
}


@pytest.fixture(scope="module")
def tables(spark, real_data, tmp_path_factory):
    """Every folder in one warehouse; the published claims repeat one another, so that no share of refusals holds."""
    folder = tmp_path_factory.mktemp("formats")
    shutil.copytree(conf_dir(), folder / "conf")
    claims = folder / "conf" / "sources" / "x12_837.yml"
    claims.write_text(claims.read_text().replace("refuse_above: 0.05", "refuse_above: 1\nignored_files: [LICENSE]"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SALUS_CONF", str(folder / "conf"))
        for source, files in FOLDERS.items():
            with spark_job("ingest", Namespace(warehouse=str(folder / "warehouse")), quiet=True) as job:
                ingest(
                    job, source, str(real_data / files), create_key(job.settings.key_path), None, datetime(2024, 1, 1)
                )
    return job.tables


def files_of(tables, source):
    return {row["file"]: row for row in tables.read("ingested_files").where(F.col("source") == source).collect()}


def claims_by_text(folder):
    """Each claim as a search of the text finds it: number, charge, its member's id and the rest of its loop."""
    for path in sorted(folder.glob("*.txt")):
        member, patient = "", ""
        for part in re.split(r"(?=HL\*|CLM\*)", path.read_text(encoding="latin-1")):
            if part.startswith("HL*"):
                level = part.split("*")[3]
                patient = "" if level != "23" else part
                member = part if level == "22" else member
            elif part.startswith("CLM*"):
                rest = re.split(r"SE\*", part)[0]
                number, charge = part.split("*")[1:3]
                yield (
                    path.name,
                    number,
                    charge,
                    re.search(r"MI\*(\w+)", member)[1],
                    bool(patient),
                    member + patient + rest,
                )


def test_claims_people_and_money_are_those_of_the_text(tables, real_data):
    first, expected, people, money = {}, {}, set(), Counter()
    for file, number, charge, member, is_dependent, text in claims_by_text(real_data / "claims" / "x12_837"):
        read, refused, unchanged = expected.get(file, (0, 0, 0))
        if number not in first:
            first[number] = text
            people.add((member, is_dependent))
            money[file] += Decimal(charge)
        same = first[number] == text
        is_new = first[number] is text
        expected[file] = (read + 1, refused + (not same), unchanged + (same and not is_new))
    found = files_of(tables, "x12_837")
    assert {
        name: (row["rows_read"], row["rows_quarantined"], row["rows_unchanged"])
        for name, row in found.items()
        if row["record_type"] == "claim"
    } == expected
    names = {row["file_id"]: name for name, row in found.items()}
    costs = tables.read("costs").groupBy("file_id").agg(F.sum("total_charge").alias("charge")).collect()
    assert {names[row["file_id"]]: row["charge"] for row in costs} == {k: v for k, v in money.items() if v}
    events = tables.read("events").where(F.col("file_id").isin(*names))
    assert events.select("source_subject_id").distinct().count() == len(people)


def test_a_real_records_beats_and_channels_are_those_of_the_wfdb_package(tables, real_data):
    path = str(real_data / "device" / "wfdb_mitbih_100" / "100")
    header, beats = wfdb.rdheader(path), wfdb.rdann(path, "atr")
    codes = tables.read("events").where("code LIKE 'WFDB/%'").groupBy("code").count().collect()
    assert {row["code"]: row["count"] for row in codes} == {
        f"WFDB/{symbol}": count for symbol, count in Counter(beats.symbol).items()
    }
    (recording,) = tables.read("recordings").where("modality = 'WFDB'").collect()
    assert [(one["name"], one["unit"], one["rate_hz"], one["samples"]) for one in recording["channels"]] == [
        (name, unit, header.fs, header.sig_len) for name, unit in zip(header.sig_name, header.units)
    ]


def test_real_images_and_waveforms_are_those_that_pydicom_reads(tables, real_data):
    whole = {
        str(path): pydicom.dcmread(path, stop_before_pixels=True)
        for path in sorted((real_data / "device" / "dicom").glob("*.dcm"))
    }
    images = {row["location"]: row for row in tables.read("images").collect()}
    assert images.keys() == {path for path, found in whole.items() if "Rows" in found}
    for path, row in images.items():
        found = whole[path]
        assert (row["rows"], row["columns"], row["modality"]) == (found.Rows, found.Columns, found.Modality)
        assert row["photometric_interpretation"] == found.PhotometricInterpretation
        assert row["rescale_slope"] == (float(found.RescaleSlope) if "RescaleSlope" in found else None)
        assert row["is_compressed"] == found.file_meta.TransferSyntaxUID.is_compressed
    assert sum(row["is_compressed"] for row in images.values()) == 1
    (ecg,) = tables.read("recordings").where("modality = 'ECG'").collect()
    assert len(ecg["channels"]) == sum(one.NumberOfWaveformChannels for one in whole[ecg["location"]].WaveformSequence)
    people = tables.read("persons").select("source_subject_id").distinct().count()
    assert people >= len({found.PatientID for found in whole.values() if found.get("PatientSex")})


def test_real_compounds_are_those_that_rdkit_reads(tables, real_data):
    found = files_of(tables, "compounds")
    names = {row["file_id"]: name for name, row in found.items()}
    structures = {name: Counter() for name in found}
    for row in tables.read("compounds").select("file_id", "smiles").collect():
        structures[names[row["file_id"]]][row["smiles"]] += 1
    for name, row in found.items():
        with (gzip.open if name.endswith(".gz") else open)(real_data / "drug" / name, "rt", newline="") as file:
            raw = [one["smiles"] for one in csv.DictReader(file)]
        with rdBase.BlockLogs():
            molecules = [molecule for molecule in map(Chem.MolFromSmiles, raw) if molecule]
        assert (row["rows_read"], row["rows_accepted"]) == (len(raw), len(molecules)), name
        written = Counter(map(Chem.MolToSmiles, molecules))
        # A row that repeats an id and its content writes nothing.
        assert structures[name] <= written, name
        assert structures[name].total() + row["rows_unchanged"] == written.total(), name
