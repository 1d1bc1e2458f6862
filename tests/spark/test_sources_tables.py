"""The same rows in files of text, in Parquet, in a Delta table and in a database become the same events."""

import csv
import shutil
import sqlite3
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from salus.errors import Refused
from salus.privacy.pseudonyms import create_key
from salus.settings import conf_dir
from salus.sources.ingest import ingest
from salus.sources.loading import load_source
from salus.sources.tables import delivery

REGISTRY = (Path(__file__).resolve().parents[1] / "data" / "registry.yml").read_text()
COLUMNS = {"person": ["person", "born"], "lab": ["lab", "person", "day", "released", "result"]}
ROWS = {
    "person": [("ann", "1950-01-01"), ("bob", "1960-12-31")],
    "lab": [
        ("l1", "ann", "2021-01-01", "2021-01-02", "5.5"),
        ("l2", "bob", "2021-01-03", "2021-01-04", "6"),
        ("l2", "bob", "2021-01-03", "2021-01-05", "withdrawn"),
        ("l3", "bob", "2021-01-03", "2021-01-04", "7,5"),
        ("l4", "cy", "2021-01-03", "2021-01-04", "8"),
    ],
}
REFUSED = {("lab", 3, "not_a_number"), ("lab", 4, "unknown_person")}


def as_csv(spark, folder):
    for kind, rows in ROWS.items():
        with open(folder / f"{kind}.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([COLUMNS[kind], *rows])
    return str(folder)


def table_of(kind):
    return pa.table(dict(zip(COLUMNS[kind], map(list, zip(*ROWS[kind])))))


def as_parquet(spark, folder):
    for kind in ROWS:
        (folder / kind).mkdir()
        pq.write_table(table_of(kind), folder / kind / "part-0.parquet")
    return str(folder)


def as_delta(spark, folder):
    """Tables of which an earlier version said something else: its file is still there, and is none of theirs."""
    for kind in ROWS:
        path = str(folder / kind)
        wrong = [tuple("wrong" for _ in COLUMNS[kind])]
        spark.createDataFrame(wrong, COLUMNS[kind]).write.format("delta").save(path)
        found = spark.createDataFrame(ROWS[kind], COLUMNS[kind]).coalesce(1)
        found.write.format("delta").mode("overwrite").save(path)
    return str(folder)


def as_jdbc(spark, folder):
    path = folder / "registry.db"
    with sqlite3.connect(path) as database:
        for kind, rows in ROWS.items():
            database.execute(f"CREATE TABLE {kind} ({', '.join(f'{name} TEXT' for name in COLUMNS[kind])})")
            places = ", ".join("?" for _ in COLUMNS[kind])
            database.executemany(f"INSERT INTO {kind} VALUES ({places})", reversed(rows))
    database.close()
    return f"jdbc:sqlite:{path}"


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """``registry(format)`` declares the registry's files in that format, and gives the source's name."""
    conf = tmp_path / "conf"
    shutil.copytree(conf_dir(), conf)
    monkeypatch.setenv("SALUS_CONF", str(conf))

    def declared(form):
        text = REGISTRY.replace("format: csv", f"format: {form}")
        if form == "jdbc":
            text = text.replace("files: ['person*']", "ordered_by: [person]")
            text = text.replace("files: ['lab*']", "ordered_by: [lab, released]")
        (conf / "sources" / "registry.yml").write_text(text)
        return "registry"

    return declared


@pytest.fixture
def taken_in(spark, job_in, tmp_path, registry):
    """``taken_in(format, write)`` ingests what ``write(spark, folder)`` wrote in ``format``; the job."""

    def run(form, write):
        name, landing = registry(form), tmp_path / f"landing_{form}"
        if not landing.exists():
            landing.mkdir()
            run.given[form] = write(spark, landing)
        with job_in(tmp_path / f"warehouse_{form}", "ingest") as job:
            key = create_key(job.settings.key_path)
            with delivery(spark, load_source(name), run.given[form]) as folder:
                ingest(job, name, folder, key, "main", datetime(2021, 6, 1))
        return job

    run.given = {}
    return run


def events(job):
    """Every event but for the file that it stands in."""
    rows = job.tables.read("events").drop("file_id").collect()
    return sorted(rows, key=lambda row: (row["record_id"], row["version"], row["ordinal"]))


def refusals(job):
    rows = job.tables.read("quarantine").select("record_type", "record", "rule").collect()
    return {tuple(row) for row in rows}


@pytest.mark.parametrize(
    ("form", "write"),
    [("parquet", as_parquet), ("delta", as_delta), ("jdbc", as_jdbc)],
    ids=["Parquet", "Delta", "a database"],
)
def test_a_table_becomes_what_its_rows_become_as_text(spark, taken_in, monkeypatch, tmp_path, form, write):
    monkeypatch.setenv("SALUS_KEY_FILE", str(tmp_path / "key"))
    text, table = taken_in("csv", as_csv), taken_in(form, write)
    assert len(events(text)) == 5
    assert events(table) == events(text)
    assert refusals(table) == refusals(text) == REFUSED
    again = taken_in(form, write)
    assert again.skipped
    assert again.tables.published == table.tables.published
    if form == "jdbc":
        assert list(Path(spark.conf.get("spark.jars.ivy"), "jars").glob("org.xerial_sqlite-jdbc-*.jar"))


def test_a_database_is_named_without_its_password(spark, registry):
    source = load_source(registry("jdbc"))
    for url in ("registry.db", "jdbc:oracle:thin:@host", "jdbc:postgresql://host/db?password=secret"):
        with (
            pytest.raises(Refused, match="expected jdbc: and one of sqlite, postgresql") as refused,
            delivery(spark, source, url),
        ):
            pass
        assert url not in str(refused.value)
        assert "secret" not in str(refused.value)


def test_a_delta_table_with_deletion_vectors_is_refused_before_it_is_read(spark, taken_in, monkeypatch, tmp_path):
    def with_deleted_rows(spark, folder):
        given = as_delta(spark, folder)
        lab = f"delta.`{folder}/lab`"
        spark.sql(f"ALTER TABLE {lab} SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')")
        spark.sql(f"DELETE FROM {lab} WHERE lab = 'l1'")
        assert list((folder / "lab").glob("**/deletion_vector_*.bin"))
        return given

    monkeypatch.setenv("SALUS_KEY_FILE", str(tmp_path / "key"))
    with pytest.raises(Refused, match=r"lab, of which deletion vectors hide rows; expected .* Rewrite them: REORG"):
        taken_in("delta", with_deleted_rows)
