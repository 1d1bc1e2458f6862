"""The traps of reading and mapping, each held by a test."""

import json
import shutil
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest
from py4j.clientserver import ClientServerConnection
from py4j.protocol import CALL_COMMAND_NAME
from pyspark.sql import functions as F

from salus.privacy.pseudonyms import pads, pseudonym, pseudonym_of
from salus.sources.batch import Batch, placed, staged_parts, staged_rows
from salus.sources.files import found, inspected
from salus.sources.loading import load_source
from salus.sources.parsing import lines, parsed, rows

KEY = bytes(range(100, 140))
FHIR = Path(__file__).resolve().parents[1] / "data" / "fhir_r4" / "input"
DELIVERED = {path.name.split(".")[0] for path in FHIR.glob("*.ndjson")} & set(load_source("fhir_r4").records)


@pytest.fixture(scope="module", autouse=True)
def whole_plans(spark):
    """A session cuts a plan's description; here it is looked at."""
    cut = spark.conf.get("spark.sql.maxPlanStringLength")
    spark.conf.set("spark.sql.maxPlanStringLength", str(1 << 30))
    yield
    spark.conf.set("spark.sql.maxPlanStringLength", cut)


def batch_of(spark, source_name: str, folder: Path) -> Batch:
    source = load_source(source_name)
    return Batch(
        source, "main", "0" * 64, inspected(spark, source, found(spark, source, str(folder))), datetime(2021, 12, 1), 0
    )


@pytest.fixture(scope="module")
def plan(spark):
    """The plans of a delivery of many record types."""
    rows = staged_rows(spark, batch_of(spark, "fhir_r4", FHIR), KEY)
    return rows._jdf.queryExecution().toString()


def optimized(plan: str) -> str:
    return plan.split("== Optimized Logical Plan ==")[1].split("== Physical Plan ==")[0]


def test_each_record_type_is_parsed_once(plan):
    assert optimized(plan).count("from_json(") == len(DELIVERED) > 5


def test_a_record_type_is_planned_by_few_calls_into_the_jvm(spark, monkeypatch):
    """Each is a call and an answer between two processes; a mapping of Columns took some 800 of them."""
    batch, calls = batch_of(spark, "fhir_r4", FHIR), []
    send = ClientServerConnection.send_command

    def counted(connection, command):
        if command.startswith(CALL_COMMAND_NAME):
            calls.append(1)
        return send(connection, command)

    monkeypatch.setattr(ClientServerConnection, "send_command", counted)
    parts = staged_parts(spark, batch, KEY)
    calls.clear()
    parts[0]()
    assert 0 < len(calls) < 300


@pytest.fixture(scope="module")
def bundled(spark, tmp_path_factory):
    """The readable lines of the golden delivery as lines, and as Bundles; two staged frames."""
    folder = tmp_path_factory.mktemp("bundled")
    (folder / "lines").mkdir()
    (folder / "bundles").mkdir()
    for path in sorted(FHIR.glob("*.ndjson")):
        kinds = {line: resource_in(line) for line in path.read_bytes().split(b"\n")}
        sound = [line for line, kind in kinds.items() if kind and path.name.startswith(kind)]
        (folder / "lines" / path.name).write_bytes(b"\n".join(sound))
        entries = b", ".join(b'{"fullUrl": "urn:uuid:1", "resource": ' + line + b"}" for line in sound)
        content = b'{"resourceType": "Bundle", "entry": [\n' + entries + b"]}"
        (folder / "bundles" / f"{path.name}.json").write_bytes(content)
    batches = [batch_of(spark, "fhir_r4", folder / name) for name in ("lines", "bundles")]
    assert sum(file.records for file in batches[0].files) == sum(file.records for file in batches[1].files)
    return [staged_rows(spark, batch, KEY) for batch in batches]


def resource_in(line: bytes) -> str | None:
    """The type of the resource that a line holds; None = it holds none."""
    try:
        found = json.loads(line.decode())
    except ValueError:
        return None
    return found.get("resourceType") if isinstance(found, dict) else None


@pytest.mark.slow  # every record type of an EHR, planned and collected twice
def test_a_bundle_becomes_what_its_resources_become_line_by_line(bundled):
    lines_, bundles = (
        rows.where("record_type != 'unknown'")
        .select("rule", "is_head", "record_id", "version", "content_hash", "ordinal", "time", "code", "numeric_value")
        .collect()
        for rows in bundled
    )
    assert len(lines_) > 20
    assert Counter(bundles) == Counter(lines_)


@pytest.mark.slow  # the same plan
def test_each_record_type_of_a_bundle_is_parsed_once(bundled):
    assert optimized(bundled[1]._jdf.queryExecution().toString()).count("from_json(") == len(DELIVERED) > 5


def test_hundreds_of_columns_are_parsed_once_a_record_type(spark):
    folder = Path(__file__).resolve().parents[1] / "data" / "cms_rif" / "input"
    rows = staged_rows(spark, batch_of(spark, "cms_rif", folder), KEY)
    optimized = rows._jdf.queryExecution().optimizedPlan().toString()
    assert optimized.count("from_csv(") == len(load_source("cms_rif").records)


def test_the_key_and_its_pads_stand_in_no_plan(plan):
    for form in (KEY, bytes(byte ^ 0x36 for byte in KEY), bytes(byte ^ 0x5C for byte in KEY)):
        assert form.hex() not in plan.lower().replace(" ", "")
        assert str(list(form))[1:-1] not in plan


@pytest.mark.parametrize("key", [KEY, b"k" * 64, b"k" * 65], ids=["40 bytes", "a block", "more than a block"])
def test_a_pseudonym_is_the_same_in_spark_and_in_python(spark, key):
    identifiers = ["pt-1", "", "Zoë", "名前", "a" * 200]
    rows = spark.createDataFrame([(one,) for one in [*identifiers, None]], "identifier string").crossJoin(
        pads(spark, key)
    )
    found = rows.select("identifier", F.expr(pseudonym_of("main", "fhir", "identifier")).alias("id")).collect()
    expected = {one: pseudonym(key, "main", "fhir", one) for one in identifiers}
    assert {row["identifier"]: row["id"] for row in found} == expected | {None: None}


def test_every_line_keeps_its_place_whatever_the_splits(spark, tmp_path):
    people = 400
    text = "".join(
        f'{{"resourceType":"Patient",\r "id":"p{number}","birthDate":"1950-01-01"}}\n'
        + ("\n" if number % 7 == 0 else "")
        for number in range(people)
    )
    (tmp_path / "Patient.000.ndjson").write_text(text, newline="")
    (tmp_path / "Patient.a b%20c.ndjson").write_text(text.replace('"p', '"q'), newline="")
    before = spark.conf.get("spark.sql.files.maxPartitionBytes")
    spark.conf.set("spark.sql.files.maxPartitionBytes", "1500")
    try:
        batch = batch_of(spark, "fhir_r4", tmp_path)
        assert lines(spark, [batch.files[0].path]).select("_block").distinct().count() > 10
        rows = placed(spark, batch, staged_rows(spark, batch, KEY)).where("is_head")
        found = {(row["file_id"], row["record"]): row["record_id"] for row in rows.collect()}
    finally:
        spark.conf.set("spark.sql.files.maxPartitionBytes", before)
    expected = {
        (file.file_id, number): pseudonym(KEY, "main", "record:fhir_r4/Patient", f"{letter}{number}")
        for file, letter in zip(batch.files, "pq", strict=True)
        for number in range(people)
    }
    assert found == expected


def test_lines_are_looked_at_one_by_one_only_where_their_file_is_not_all_text(spark, tmp_path):
    patient = '{"resourceType":"Patient","id":"Zoë","birthDate":"1950-01-01"}\n'
    (tmp_path / "Patient.000.ndjson").write_text(patient, encoding="utf-8")
    batch = batch_of(spark, "fhir_r4", tmp_path)
    assert "is_valid_utf8" not in staged_rows(spark, batch, KEY)._jdf.queryExecution().toString()
    (tmp_path / "Patient.001.ndjson").write_bytes(patient.replace("Zoë", "Ann").encode() + patient.encode("latin-1"))
    batch = batch_of(spark, "fhir_r4", tmp_path)
    rows = placed(spark, batch, staged_rows(spark, batch, KEY)).where("is_head").select("file_order", "record", "rule")
    assert sorted(map(tuple, rows.collect())) == [(0, 0, None), (1, 0, None), (1, 1, "not_utf8")]


def test_a_line_of_blanks_is_no_record_and_no_other_line_is_changed(spark, tmp_path):
    written = ["", " ", "\t", "\r", " \t \r", "x", " x ", "\tx\r", "\u00a0", "\x0b", " \u20ac\t"]
    (tmp_path / "blanks").write_text("\n".join(written), encoding="utf-8", newline="")
    found = lines(spark, [f"file:{tmp_path}/blanks"]).orderBy("_line_id").collect()
    assert [row["_line"] for row in found] == [line for line in written if line.strip(" \t\r")]


def test_rows_over_several_lines_are_read_as_the_csv_module_reads_them(spark, tmp_path):
    source = load_source("wearable_daily")
    content = '\ufeffa,b\r\n1,"x\ny"\r\n\r\n2,"says ""no"", twice"\n3,\n4\n'
    (tmp_path / "dailyActivity.csv").write_bytes(content.encode())
    (file,) = inspected(spark, source, found(spark, source, str(tmp_path)))
    assert file.reading == "rows"
    assert file.records == 4
    fields = parsed(rows(spark, [file.path], quote='"'), source, file.first_line).orderBy("_line_id")
    assert [(row["a"], row["b"], row["_broken"]) for row in fields.collect()][1:] == [
        ("1", "x\ny", None),
        ("2", 'says "no", twice', None),
        ("3", None, None),
        ("4", None, "not_a_row"),
    ]


def test_an_expression_on_an_empty_array_gives_null(spark, tmp_path):
    (tmp_path / "Patient.ndjson").write_text('{"resourceType":"Patient","id":"p","gender":"male"}\n')
    (tmp_path / "DocumentReference.ndjson").write_text(
        '{"resourceType":"DocumentReference","id":"d","type":{"coding":[]},"subject":{"reference":"Patient/p"},"content":[]}\n'
    )
    batch = batch_of(spark, "fhir_r4", tmp_path)
    rules = {row["record_type"]: row["rule"] for row in staged_rows(spark, batch, KEY).where("is_head").collect()}
    assert rules == {"Patient": None, "DocumentReference": "has_type"}


def test_packed_files_are_read_like_plain_ones(spark, tmp_path):
    import gzip

    shutil.copy(FHIR / "Encounter.000.ndjson", tmp_path / "Encounter.ndjson")
    packed = tmp_path / "Encounter.001.ndjson.gz"
    packed.write_bytes(gzip.compress((FHIR / "Encounter.000.ndjson").read_bytes()))
    batch = batch_of(spark, "fhir_r4", tmp_path)
    rows = placed(spark, batch, staged_rows(spark, batch, KEY)).groupBy("record_id", "ordinal", "code").count()
    assert {row["count"] for row in rows.collect()} == {2}
