"""Deliveries over time: repeated, late, out of order, broken; the tables say the same in the end."""

import gzip
import shutil
from datetime import datetime

import pytest
from pyspark.sql import functions as F

from salus.errors import Held, Refused
from salus.privacy.pseudonyms import create_key, pseudonym
from salus.settings import conf_dir
from salus.sources.ingest import ingest

REGISTRY = """\
format: csv
system: registry
system_priority: 4
refuse_above: 0.5
times:
  - {matches: '\\d{4}-\\d{2}-\\d{2}', reads: try_cast(text AS DATE), lasts: day}
records:
  person:
    files: ['person*']
    schema: person, born
    id: person
    subject: person
    declares_subject: true
    time: born
    known: always
    person: {birth: born}
    events:
      birth: {code: "'MEDS_BIRTH'", known: always}
  lab:
    files: ['lab*']
    schema: lab, person, day, released, result
    id: lab
    version: released
    void: result = 'withdrawn'
    subject: person
    time: day
    available_time: released
    events:
      result: {code: "'REGISTRY/A'", numeric_value: result}
"""
PEOPLE = "person,born\nann,1950-01-01\nbob,1960-01-01\n"
LABS = "lab,person,day,released,result\nl1,ann,2021-01-01,2021-01-02,5\nl2,bob,2021-01-01,2021-01-02,6\n"


@pytest.fixture
def deliver(job_in, tmp_path, monkeypatch):
    """``deliver(name=content, ...)`` puts files into the landing folder and ingests it; the job."""
    conf, landing = tmp_path / "conf", tmp_path / "landing"
    shutil.copytree(conf_dir(), conf)
    (conf / "sources" / "registry.yml").write_text(REGISTRY)
    monkeypatch.setenv("SALUS_CONF", str(conf))
    landing.mkdir()

    def run(**files):
        for name, content in files.items():
            path = landing / (f"{name}.csv" if isinstance(content, str) else f"{name}.csv.gz")
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        with job_in(tmp_path / "warehouse", "ingest") as job:
            key = create_key(job.settings.key_path)
            ingest(job, "registry", str(landing), key, delivered_at=datetime(2021, 6, 1))
        job.lab = {pseudonym(key, "main", "record:registry/lab", f"l{number}"): f"l{number}" for number in range(9)}
        return job

    return run


def results(job):
    """Every event of a lab: its name, version's day, value (None = withdrawn)."""
    rows = job.tables.read("events").where(F.col("code") != "MEDS_BIRTH").collect()
    return sorted(
        (
            job.lab[row["record_id"]],
            datetime.utcfromtimestamp(row["version"] / 1e6).day,
            None if row["code"] == "SALUS_VOID" else row["numeric_value"],
        )
        for row in rows
    )


def counts(job):
    return {
        row["file"]: (row["rows_read"], row["rows_accepted"], row["rows_quarantined"], row["rows_unchanged"])
        for row in job.tables.read("ingested_files").collect()
    }


def test_the_same_folder_again_writes_nothing(deliver):
    first = deliver(person=PEOPLE, lab=LABS)
    again = deliver(lab_under_another_name=LABS)
    assert again.skipped
    assert again.tables.published == first.tables.published
    assert counts(first) == {"person.csv": (2, 2, 0, 0), "lab.csv": (2, 2, 0, 0)}


def test_a_record_whose_person_comes_later_is_accepted_then(deliver):
    late = LABS + "l3,cy,2021-01-01,2021-01-02,7\nl4,dee,2021-01-01,2021-01-02,8\n"
    first = deliver(person=PEOPLE, lab=late)
    assert counts(first)["lab.csv"] == (4, 2, 2, 0)
    assert [row["record"] for row in first.tables.read("quarantine").orderBy("record").collect()] == [2, 3]
    second = deliver(person_2="person,born\ncy,1970-01-01\n")
    assert counts(second)["lab.csv"] == (4, 3, 1, 0)
    assert [(row["record"], row["rule"]) for row in second.tables.read("quarantine").collect()] == [
        (3, "unknown_person")
    ]
    assert results(second) == [("l1", 2, 5), ("l2", 2, 6), ("l3", 2, 7)]
    assert second.figures["accepted_again"] == 1


def test_versions_repetitions_and_voids_in_any_order(deliver):
    deliver(
        person=PEOPLE,
        lab="lab,person,day,released,result\nl1,ann,2021-01-01,2021-01-04,withdrawn\nl2,bob,2021-01-01,2021-01-03,6\n",
    )
    last = deliver(
        lab_2="lab,person,day,released,result\nl1,ann,2021-01-01,2021-01-02,5\nl2,bob,2021-01-01,2021-01-03,6\n"
        "l2,bob,2021-01-01,2021-01-05,6\nl2,bob,2021-01-01,2021-01-03,9\n"
    )
    assert results(last) == [("l1", 2, 5), ("l1", 4, None), ("l2", 3, 6)]
    assert counts(last)["lab_2.csv"] == (4, 3, 1, 2)
    (refused,) = last.tables.read("quarantine").collect()
    assert (refused["record"], refused["rule"]) == (3, "conflicting_version")


@pytest.mark.parametrize(
    ("name", "content", "error", "said"),
    [
        ("lab_cut", gzip.compress(LABS.encode() * 900)[:-9], Refused, "unreadable_file"),
        ("lab_short", "lab,person\nl1,ann\n", Refused, "wrong_columns"),
        ("holiday", "a,b\n1,2\n", Refused, "unknown_record_type"),
        ("lab_open", LABS + 'l5,"ann,2021-01-01,2021-01-02,6\n', Refused, "within quotes"),
        ("lab_picture", LABS.partition("\n")[0] + "\n" + "\x89PNG\x00\x01\n" * 9, Held, "not_a_row"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_stops_the_delivery(deliver, tmp_path, name, content, error, said):
    before = deliver(person=PEOPLE).tables.published
    with pytest.raises(error, match=said) as stopped:
        deliver(lab=LABS, **{name: content})
    assert name in str(stopped.value)
    assert "\n" not in str(stopped.value)
    next(tmp_path.joinpath("landing").glob(f"{name}.*")).unlink()
    tmp_path.joinpath("landing", "lab.csv").unlink()
    assert deliver().tables.published == before


def test_a_changed_mapping_maps_the_files_anew(deliver, tmp_path):
    deliver(person=PEOPLE, lab=LABS)
    path = tmp_path / "conf" / "sources" / "registry.yml"
    path.write_text(path.read_text().replace("numeric_value: result}", "numeric_value: result, text_value: result}"))
    again = deliver()
    assert results(again) == [("l1", 2, 5), ("l2", 2, 6)]
    assert {row["text_value"] for row in again.tables.read("events").where("code = 'REGISTRY/A'").collect()} == {
        "5",
        "6",
    }
    assert again.tables.read("ingested_files").count() == 2


def test_an_unknown_source_and_a_missing_folder_are_refused(job_in, tmp_path):
    for source, folder, said in (
        ("nothing", tmp_path, "expected one of"),
        ("fhir_r4", tmp_path / "no", "expected a folder"),
    ):
        with pytest.raises(Refused, match=said), job_in(tmp_path / "warehouse", "ingest") as job:
            ingest(job, source, str(folder), b"k" * 32)
