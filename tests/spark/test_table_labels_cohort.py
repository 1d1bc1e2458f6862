"""Labels that were brought in, from their file to a cohort: joined by night, counted, and never an input."""

import shutil
from datetime import date, datetime
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from salus.cohorts.cohort import cohort
from salus.cohorts.grid import grid
from salus.cohorts.task import Eligibility, Gates, Index, Task
from salus.privacy.pseudonyms import create_key, pseudonym
from salus.settings import conf_dir
from salus.sources.ingest import ingest
from salus.timelines.build import build
from salus.timelines.features import LABEL_CODES, FeatureSettings
from salus.timelines.fit import fit_spec

REGISTRY = Path(__file__).resolve().parents[1] / "data" / "registry.yml"
NAME = "fell_at_home"
PEOPLE = [f"p{number}" for number in range(80)]
END = date(2025, 6, 30)
FIRST, SECOND = date(2025, 4, 1), date(2025, 5, 1)


def labels():
    """(person, prediction time, value), by what the number of the person leaves on division by 8."""
    for number, person in enumerate(PEOPLE):
        yield person, FIRST.isoformat(), "true" if number % 2 else "false"
        match number % 8:
            case 0:
                yield person, "2025-05-01", "true"
            case 1:
                yield person, "2025-04-30 09:00:00", "false"  # of the next night
            case 2:
                yield from [(person, "2025-04-30 09:00:00", "false"), (person, "2025-05-01", "1")]  # disagree
            case 3:
                yield from [(person, "2025-04-30 09:00:00", "true"), (person, "2025-05-01", "1")]
            case 4:
                yield person, "2025-05-02", "true"  # no night that the index gives
            case 5:
                yield person, "2025-05-01", "perhaps"
    yield "nobody", "2025-05-01", "true"


EXPECTED_SECOND = {0: True, 1: False, 3: True}


def landed(folder):
    """The files of the registry and of the labels."""
    folder.mkdir()
    people = "".join(f"{person},19{50 + number % 40}-01-01\n" for number, person in enumerate(PEOPLE))
    labs = "".join(f"{person},{person},2025-01-02,2025-01-03,{number}\n" for number, person in enumerate(PEOPLE))
    last = f"end,{PEOPLE[0]},{END},{END},1\n"
    told = "".join(f"{person},{NAME},{at},{value}\n" for person, at, value in labels())
    (folder / "person.csv").write_text(f"person,born\n{people}")
    (folder / "lab.csv").write_text(f"lab,person,day,released,result\n{labs}{last}")
    (folder / "falls_labels.csv").write_text(f"subject_id,label,prediction_time,boolean_value\n{told}")
    return str(folder)


@pytest.fixture
def conf(tmp_path, monkeypatch):
    """The settings, with a registry whose people the labels are of."""
    shutil.copytree(conf_dir(), tmp_path / "conf")
    sources = tmp_path / "conf" / "sources"
    shutil.copy(REGISTRY, sources / "registry.yml")
    with (sources / "registry.yml").open("a") as declared:
        declared.write("ignored_files: ['*labels*']\n")
    text = (sources / "labels.yml").read_text()
    assert "system: payer\nsystem_priority: 2\n" in text
    text = text.replace("system: payer\nsystem_priority: 2\n", "system: registry\nsystem_priority: 4\n")
    (sources / "labels.yml").write_text(
        text.replace("refuse_above: 0.05", "refuse_above: 0.5") + "ignored_files: ['person*', 'lab.csv']\n"
    )
    monkeypatch.setenv("SALUS_CONF", str(tmp_path / "conf"))
    return tmp_path


@pytest.fixture
def task():
    shipped = Task.load("diabetes_readmission_uci")
    label = shipped.label.model_copy(update={"table": shipped.label.table.model_copy(update={"name": NAME})})
    changes = {
        "id": "falls",
        "index": Index(every="month", last=2),
        "eligibility": Eligibility(enrolled_at_prediction=False),
        "label": label,
        "gates": Gates(),
    }
    return shipped.model_copy(update=changes)


def test_labels_are_joined_by_night_and_never_an_input(job_in, conf, task):
    warehouse = conf / "warehouse"
    landing = landed(conf / "landing")
    for source in ("registry", "labels"):
        with job_in(warehouse, "ingest") as job:
            key = create_key(job.settings.key_path)
            ingest(job, source, landing, key, delivered_at=datetime(2025, 6, 30))
    refused = job.tables.read("quarantine").groupBy("rule").count().collect()
    assert {row["rule"]: row["count"] for row in refused} == {"known_value": 10, "unknown_person": 1}
    names = {pseudonym(key, "main", "registry", person): number for number, person in enumerate(PEOPLE)}

    with job_in(warehouse, "timelines") as job:
        build(job)
    with job_in(warehouse, "cohort") as job:
        cohort(job, task)
        rows = job.tables.read("cohorts/falls").collect()
        lost = {step["criterion"]: step["rows_lost"] for step in job.tables.read("attrition").collect()}
    found = {(names[row["subject_id"]], row["prediction_time"].date()): row["boolean_value"] for row in rows}
    assert len(found) == len(rows)
    assert {row["weight"] for row in rows} == {1.0}
    assert grid(task.index, task.label, END) == [FIRST, SECOND]
    of_second = {number: EXPECTED_SECOND[number % 8] for number in range(80) if number % 8 in EXPECTED_SECOND}
    assert found == {(number, FIRST): number % 2 == 1 for number in range(80)} | {
        (number, SECOND): value for number, value in of_second.items()
    }
    assert lost["a label was brought in for the prediction"] == 40  # those of 4 to 7
    assert lost["the labels that were brought in for it agree"] == 10
    assert job.figures["labels_brought_in"] == 80 + 10 + 10 + 20 + 20 + 10
    assert job.figures["rows"] == 110

    features = FeatureSettings.model_validate(
        task.features.model_dump() | {"min_people": 1, "sequence": {"min_people": 1}}
    )
    people = job.tables.read("timelines").select(
        "subject_id", F.unix_micros(F.lit(datetime(2025, 5, 1)).cast("timestamp")).alias("prediction_time")
    )
    spec = fit_spec(features, job.tables.read("codes"), job.tables.read("timelines"), people)
    inputs = [*spec.sequence.codes, *(code for group in spec.groups for code in group.codes)]
    assert set(inputs) == {"REGISTRY/A"}
    assert job.tables.read("codes").where(F.startswith("code", F.lit(LABEL_CODES))).count() == 1
