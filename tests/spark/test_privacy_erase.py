"""Erasure: a person was in every table and file, is in none, does not come back, and nobody else is touched."""

import argparse
import json
import shutil
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F

from decoded import holders
from salus.errors import EnvironmentFault, Refused
from salus.job import spark_job
from salus.privacy import erase as erasure
from salus.privacy.people import named
from salus.privacy.pseudonyms import create_key, pseudonym
from salus.settings import conf_dir
from salus.sources.ingest import ingest
from salus.timelines.build import build

SOURCE = """\
format: csv
system: SYSTEM
system_priority: RANK
refuse_above: 0.9
times:
  - {matches: '\\d{4}-\\d{2}-\\d{2}', reads: try_cast(text AS DATE), lasts: day}
records:
  person:
    files: ['person*']
    schema: person, born, card
    id: person
    version: born
    subject: person
    declares_subject: true
    time: born
    known: always
    identifiers:
      - {system: "'card'", value: card}
    person: {birth: born}
    events:
      birth: {code: "'MEDS_BIRTH'", known: always}
  lab:
    files: ['lab*']
    schema: lab, person, day, test, result
    id: lab
    subject: person
    time: day
    note: {text: "concat('letter about ', test)", kind: "'LETTER'"}
    events:
      result: {code: "'REGISTRY/' || test", numeric_value: result}
"""
PEOPLE = {
    "registry": "person,born,card\nann,1950-01-01,c-1\nbob,1960-01-01,c-2\n",
    "clinic": "person,born,card\nA,1950-01-01,c-1\nB,1960-01-01,c-2\n",
}
LABS = {
    "registry": "lab,person,day,test,result\nl1,ann,2021-01-01,rare,5\nl2,bob,2021-01-01,plain,6\n"
    "l3,ann,2021-13-01,plain,6\n",
    "clinic": "lab,person,day,test,result\nk1,A,2021-02-01,plain,7\nk2,B,2021-02-01,plain,8\nk3,B,2021-02-01,plain,x\n"
    "k4,A: her card is c-1\n",
}
NIGHT = date(2026, 6, 30)

pytestmark = pytest.mark.slow  # four ingests and three erasures


def delivered(job_settings, folder: Path, source: str, **files: str):
    """Ingest ``files`` of a source; the job."""
    landing = folder / "landing" / source
    landing.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (landing / f"{name}.csv").write_text(content)
    with spark_job("ingest", job_settings, quiet=True) as job:
        key = create_key(job.settings.key_path)
        ingest(job, source, str(landing), key, delivered_at=datetime(2021, 6, 1))
    return job


def derived(job, ann: int, bob: int, folder: Path):
    """What later jobs make of people: a cohort, two nights, a truth, models with data sets and encoders, a report."""
    tables = job.tables
    both = [{"subject_id": one} for one in (ann, bob)]

    def put(name, *rows):
        tables.append(name, tables.frame(name, rows))

    cohort = {"prediction_time": datetime(2021, 3, 1), "weight": 1.0, "split": "train", "fold": 0}
    put("cohorts/tiny", *(one | cohort for one in both))
    truth = {
        "task_id": "tiny",
        "as_of": NIGHT,
        "true_probability": 0.1,
        "attainable_probability": 0.1,
        "split": "train",
    }
    put("demo_truth", *(one | truth for one in both))
    moment = dict.fromkeys(("data_available_through", "prediction_start", "prediction_end"), datetime(2026, 6, 30))
    made = {"model_name": "tiny", "model_version": "1", "feature_spec_hash": "f", "code_version": "0"}
    score = made | moment | {"task_id": "tiny", "as_of": NIGHT}
    put(
        "scores",
        both[0] | score | {"run_id": "two", "probability": 0.5},
        both[1] | score | {"run_id": "two", "not_scored_reason": "none"},
    )
    put(
        "scores_superseded",
        *(one | score | {"run_id": "one", "probability": 0.4, "superseded_by": "two"} for one in both),
    )
    run = made | {
        "task_id": "tiny",
        "as_of": NIGHT,
        "inputs": {},
        "finished_at": datetime(2026, 7, 1),
        "population": 2,
        "eligible": 2,
    }
    put(
        "score_runs",
        run | {"run_id": "one", "status": "superseded", "scored": 2, "not_scored": 0},
        run | {"run_id": "two", "status": "published", "scored": 1, "not_scored": 1},
    )
    model = {
        "task_id": "tiny",
        "architecture": "mlp",
        "feature_spec_hash": "f",
        "package_hash": "p",
        "package_path": "_p",
    }
    model |= {"inputs": {}, "prevalence": 0.1, "trained_at": datetime(2026, 7, 1), "run_id": "train"}
    put(
        "models",
        *(
            model | {"model_name": name, "model_version": "1", "dataset_hash": dataset, **package}
            for name, dataset, package in (
                ("tiny", "d1", {}),
                ("tiny-other", "d2", {}),
                ("tiny-old", "gone", {}),
                ("tiny-encoder", "d1", {"package_hash": "of-ann"}),
                ("bob-encoder", "d2", {"package_hash": "of-bob"}),
                ("tiny-heir", "d2", {"package_hash": "h", "package_path": "_packages/tiny-heir"}),
                ("tiny-both", "d1", {"package_hash": "b", "package_path": "_packages/tiny-both"}),
                ("bob-heir", "d2", {"package_hash": "o", "package_path": "_packages/bob-heir"}),
                ("tiny-plain", "d2", {"package_hash": "n", "package_path": "_packages/tiny-plain"}),
            )
        ),
    )
    for name, info in (
        ("tiny-heir", {"pretrained": {"package_hash": "of-ann"}}),
        ("tiny-both", {"pretrained": {"package_hash": "of-ann"}}),
        ("bob-heir", {"pretrained": {"package_hash": "of-bob"}}),
        ("tiny-plain", {}),
    ):
        package = folder / "warehouse" / "_packages" / name
        package.mkdir(parents=True)
        (package / "training.json").write_text(json.dumps(info, indent=1))
    for dataset, split, person in (("d1", "train", ann), ("d2", "train", bob), ("d2", "held_out", ann)):
        place = folder / "warehouse" / "_datasets" / "tiny" / dataset
        (place / split).mkdir(parents=True)
        (place / "manifest.json").write_text("{}")
        pq.write_table(pa.table({"subject_id": [person]}), place / split / "part-0.parquet")
    for name, person in (("a", ann), ("b", bob)):
        report = folder / "warehouse" / "_reports" / "tiny" / name / "report.html"
        report.parent.mkdir(parents=True)
        report.write_text(f"<p>1. {person}</p>")


@pytest.fixture(scope="module")
def story(spark, tmp_path_factory):
    """Two systems know Ann and Bob; one erasure of Ann dies, the next ends it; then both people are delivered again."""
    folder = tmp_path_factory.mktemp("erase")
    shutil.copytree(conf_dir(), folder / "conf")
    for rank, system in enumerate(PEOPLE):
        text = SOURCE.replace("SYSTEM", system).replace("RANK", str(rank))
        (folder / "conf" / "sources" / f"{system}.yml").write_text(text)
        (folder / "conf" / "privacy" / f"{system}.yml").write_text("keeps_refused: true")
    settings, told = argparse.Namespace(warehouse=str(folder / "warehouse")), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SALUS_CONF", str(folder / "conf"))
        for system in PEOPLE:
            delivered(settings, folder, system, person=PEOPLE[system], lab=LABS[system])
        with spark_job("timelines", settings, quiet=True) as job:
            build(job)
        key = create_key(job.settings.key_path)
        ann = [pseudonym(key, "main", "registry", "ann"), pseudonym(key, "main", "clinic", "A")]
        bob = [pseudonym(key, "main", "registry", "bob"), pseudonym(key, "main", "clinic", "B")]
        with spark_job("derive", settings, quiet=True) as job:
            derived(job, ann[0], bob[0], folder)
        records = job.tables.read("records").where(F.col("source_subject_id").isin(ann))
        told["ann"] = [*ann, *(row["record_id"] for row in records.collect()), "REGISTRY/rare", "letter about rare"]
        told["ann"] += ["l3,ann,2021-13-01", "her card"]  # what was refused of hers, and what does not say that it is
        told["before"] = holders(folder / "warehouse", [*told["ann"], *bob])
        told["files"] = {
            row["file"]: row for row in job.tables.read("ingested_files").where("source = 'registry'").collect()
        }

        purge = erasure.purge
        patch.setattr(erasure, "purge", dies)
        with pytest.raises(EnvironmentFault), spark_job("erase", settings, quiet=True) as job:
            told["models"] = erasure.erase(job, named(["card|c-1"], key, "main"), key)
        told["dead"] = job
        told["between"] = holders(folder / "warehouse", told["ann"])
        patch.setattr(erasure, "purge", purge)
        with spark_job("erase", settings, quiet=True) as job:
            erasure.erase(job, [], key)
        told["after"] = holders(folder / "warehouse", [*told["ann"], *bob])
        told["tables"] = job.tables
        told["rows"] = {
            name: job.tables.read(name).collect()
            for name in ("score_runs", "ingested_files", "quarantine", "codes", "snapshots", "runs", "identity")
        }
        with (
            pytest.raises(Refused, match="none of which is in the warehouse"),
            spark_job("erase", settings, quiet=True) as job,
        ):
            erasure.erase(job, ann, key)

        # Tomorrow's full extracts: Ann under her old id, and under a new one with her old card.
        delivered(
            settings,
            folder,
            "registry",
            person_2=PEOPLE["registry"] + "cy,1970-01-01,c-3\n",
            lab_2=LABS["registry"].replace("l1", "l9"),
        )
        again = delivered(
            settings,
            folder,
            "clinic",
            person_2="person,born,card\nANEW,1950-01-01,c-1\n",
            lab_2="lab,person,day,test,result\nk9,ANEW,2021-03-01,plain,7\n",
        )
        told["again"], told["anew"] = again.tables, pseudonym(key, "main", "clinic", "ANEW")
        told["came_back"] = holders(folder / "warehouse", [*told["ann"], told["anew"]])
    return told


def dies(*_):
    raise EnvironmentFault("Received a cut of the power; expected none. Switch it on.")


def test_the_scan_finds_the_person_wherever_they_were(story):
    places = {file.partition("/")[0] for value in story["ann"] for file in story["before"][value]}
    assert places >= {
        "events", "persons", "notes", "records", "links", "identity", "quarantine", "timelines", "codes", "cohorts",
        "scores", "scores_superseded", "demo_truth", "_datasets", "_reports",
    }  # fmt: skip


def test_no_file_that_is_left_holds_the_person(story):
    assert {value: files for value, files in story["after"].items() if value in story["ann"]} == {}


def test_everybody_else_is_where_they_were(story):
    bob = [value for value in story["before"] if value not in story["ann"]]
    for value in bob:
        tables = {file.partition("/")[0] for file in story["before"][value]} - {"_datasets", "_reports"}
        assert {file.partition("/")[0] for file in story["after"][value]} >= tables
    assert {row["subject_id"] for row in story["rows"]["identity"]} & set(bob)


def test_a_crash_after_the_publication_leaves_history_and_the_next_erasure_ends_it(story):
    assert story["between"]
    assert story["dead"].tables.read("events").where(F.col("source_subject_id").isin(story["ann"][:2])).isEmpty()


def test_the_models_that_learnt_from_the_person_are_named(story):
    """By the ledger too, because the erasure that found them died before it could say so."""
    (run,) = [
        row for row in story["rows"]["runs"] if row["run_id"] == story["dead"].run_id and row["status"] == "failed"
    ]
    assert '"tiny 1 (train)"' in run["figures"]
    assert '"tiny-old 1 (train by its cohort)"' in run["figures"]
    assert '"tiny-encoder 1 (train)"' in run["figures"]
    assert '"tiny-heir 1 (by its encoder tiny-encoder 1)"' in run["figures"]
    assert '"tiny-both 1 (train, by its encoder tiny-encoder 1)"' in run["figures"]
    for name in ("tiny-other", "bob-encoder", "bob-heir", "tiny-plain"):
        assert name not in run["figures"]


def test_what_the_contracts_compare_is_counted_anew(story):
    nights = {row["run_id"]: (row["eligible"], row["scored"], row["not_scored"]) for row in story["rows"]["score_runs"]}
    assert nights == {"one": (1, 1, 0), "two": (1, 0, 1)}
    files = {(row["source"], row["file"]): row for row in story["rows"]["ingested_files"]}
    lab = files["registry", "lab.csv"]
    assert (story["files"]["lab.csv"]["rows_accepted"], story["files"]["lab.csv"]["rows_quarantined"]) == (2, 1)
    assert (lab["rows_read"], lab["rows_accepted"], lab["rows_quarantined"], lab["rows_unchanged"]) == (3, 3, 0, 1)
    assert len(story["rows"]["quarantine"]) == sum(row["rows_quarantined"] for row in files.values()) == 2
    assert {row["code"]: row["events"] for row in story["rows"]["codes"]} == {"MEDS_BIRTH": 2, "REGISTRY/plain": 2}


def test_snapshots_name_nothing_that_is_gone(story):
    (snapshot,) = story["rows"]["snapshots"]
    tables = story["tables"]
    for name, version in snapshot["versions"].items():
        named = tables.spark.read.format("delta").option("versionAsOf", version).load(tables.path(name))
        assert named.count() == tables.read(name).count()


def test_the_person_does_not_come_back_under_any_id(story):
    assert story["came_back"] == {}
    files = {(row["source"], row["file"]): row for row in story["again"].read("ingested_files").collect()}
    for row in files.values():
        assert row["rows_read"] == row["rows_accepted"] + row["rows_quarantined"]
    assert files["registry", "lab_2.csv"]["rows_accepted"] == 3
    assert files["clinic", "lab_2.csv"]["rows_accepted"] == files["clinic", "lab_2.csv"]["rows_unchanged"] == 1
    assert story["again"].read("identity").where("known_until IS NULL").count() == 3
