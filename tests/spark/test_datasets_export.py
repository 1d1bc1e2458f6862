"""An export holds every labelled sample once, in equal row groups, made by the function that scoring uses."""

import json
from datetime import date, datetime
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import salus.datasets.writing as writing
from salus.cohorts.label import EVENT
from salus.cohorts.task import Task
from salus.datasets.export import export, newest_dataset
from salus.datasets.feed import in_order
from salus.datasets.folder import Folder
from salus.datasets.manifest import open_dataset
from salus.datasets.parquet import Samples
from salus.datasets.writing import write_dataset
from salus.errors import Refused
from salus.timelines.blocks import Block
from salus.timelines.clocks import MICROSECONDS_PER_DAY, NEVER, STATIC, micros
from salus.timelines.features import FeatureSettings
from salus.timelines.model_inputs import model_inputs
from salus.timelines.spec import FeatureSpec
from salus.timelines.standardise import standardise
from timeline_cases import same_blocks

DAY = MICROSECONDS_PER_DAY
FIRST = micros(date(2024, 1, 1))
PEOPLE = 240
BLOCKS = ["inputs", "event_codes", "event_values", "days"]
SPLITS = ["train"] * 5 + ["tuning"] * 2 + ["calibration"] + ["held_out"] * 2
CODES = {"ICD10CM/E11.9": 11, "ENCOUNTER/IMP/EM": 12, "LOINC/4548-4": 13, "ICD10CM/I10": 14}


def person(number):
    """A timeline with some 40 events over two years."""
    random = np.random.default_rng(number)
    events = int(random.integers(5, 80))
    time = np.sort(FIRST - 300 * DAY + random.integers(0, 900, events) * DAY)
    code = random.choice(list(CODES.values()), events)
    value = np.where(code == CODES["LOINC/4548-4"], random.normal(7, 1, events), np.nan)
    return {
        "subject_id": number * 7919 - 10**6,
        "birth": micros(date(1950, 1, 1)) + number * DAY,
        "death": None,
        "death_available": None,
        "sex": "female" if number % 2 else "male",
        "race": None,
        "time": time.tolist(),
        "available": (time + random.integers(0, 30, events) * DAY).tolist(),
        "superseded": [NEVER] * events,
        "code": code.tolist(),
        "value": value.astype(np.float32).tolist(),
        "coverage_start": [STATIC],
        "coverage_end": [NEVER],
        "coverage_available": [STATIC],
        "coverage_superseded": [NEVER],
        "events_dropped": 0,
        "values_without_unit": 0,
        "ethnicity": None,
        "care_site": None,
        "coverage_payer": [None],
    }


def samples_of(number):
    """Some months of a person, as rows of a cohort; the third person has none, and every seventh row no label."""
    if number == 2:
        return []
    months = np.random.default_rng([number, 1]).choice(24, 1 + number % 9, replace=False)
    return [
        {
            "subject_id": number * 7919 - 10**6,
            "prediction_time": datetime(2024 + month // 12, month % 12 + 1, 1),
            "boolean_value": None if (number + month) % 7 == 0 else bool((number + month) % 5 == 0),
            "integer_value": None,
            "float_value": None,
            "categorical_value": None,
            "weight": 1.0 + month % 3 / 4,
            "split": SPLITS[number % len(SPLITS)],
            "fold": number % 5,
        }
        for month in months.tolist()
    ]


@pytest.fixture
def population(tables):
    """A warehouse with timelines, codes and a cohort, and the cohort's labelled rows."""
    rows = [row for number in range(PEOPLE) for row in samples_of(number)]
    tables.replace("timelines", tables.frame("timelines", [person(number) for number in range(PEOPLE)]))
    tables.replace(
        "codes",
        tables.frame(
            "codes",
            [{"code": code, "code_hash": number, "description": code, "events": 1} for code, number in CODES.items()],
        ),
    )
    tables.replace("cohorts/tiny", tables.frame("cohorts/tiny", rows))
    tables.publish("given")
    return tables, [row for row in rows if row["boolean_value"] is not None]


@pytest.fixture
def task():
    features = {
        "min_people": 1,
        "windows_days": (30, 365),
        "sequence": {"length": 8, "min_people": 2},
        "daily": {"days": 60, "channels": ["hba1c"]},
    }
    label = SimpleNamespace(kind=EVENT, unit=None, intervals=None, outcomes=None)
    return SimpleNamespace(id="tiny", cohort_hash="c", features=FeatureSettings(**features), label=label)


def shape(folder):
    """The manifest's groups, by split."""
    return {name: [group.rows for group in open_dataset(folder.url).split(name).groups] for name in set(SPLITS)}


def test_every_labelled_sample_is_exported_once_with_what_scoring_would_see(population, job_in, task, monkeypatch):
    monkeypatch.setattr(writing, "ROWS_A_SHARD", 100)
    tables, labelled = population
    with job_in(tables.warehouse, "export") as job:
        export(job, task)
        assert job.figures["train_samples"] == sum(row["split"] == "train" for row in labelled)
    dataset = newest_dataset(tables.warehouse, "tiny")
    spec = FeatureSpec.from_json(dataset.spec().decode())
    assert dataset.blocks == spec.blocks
    assert set(dataset.blocks) == set(BLOCKS)
    assert set(spec.sequence.codes) == set(CODES)
    people = pa.RecordBatch.from_pylist([person(number) for number in range(PEOPLE)])
    row_of = {subject: row for row, subject in enumerate(people["subject_id"].to_pylist())}
    for name in dict.fromkeys(SPLITS):
        exported = Samples.concatenated(list(in_order(dataset.split(name))))
        expected = {
            (row["subject_id"], micros(row["prediction_time"])): row for row in labelled if row["split"] == name
        }
        keys = list(zip(exported.subject_id.tolist(), exported.prediction_time.tolist()))
        assert len(keys) == len(set(keys))
        assert set(keys) == set(expected)
        assert exported.label.tolist() == [float(expected[key]["boolean_value"]) for key in keys]
        assert exported.weight.tolist() == [expected[key]["weight"] for key in keys]
        rows = np.array([row_of[subject] for subject, _ in keys])
        by_scoring = standardise(model_inputs(people, rows, exported.prediction_time, spec), spec)
        same_blocks(exported.inputs, by_scoring)
        assert np.ptp([group.rows for group in dataset.split(name).groups]) <= 1
        assert len(dataset.split(name).groups) % 12 == 0
        assert dataset.split(name).positives == exported.label.sum()
        assert dataset.split(name).mean_label == exported.label.mean(dtype=np.float64)


def test_the_same_again_writes_the_same_bytes_and_the_same_work_is_not_done_twice(population, job_in, task):
    tables, _ = population
    with job_in(tables.warehouse, "export") as job:
        export(job, task)
    first = newest_dataset(tables.warehouse, "tiny")
    with job_in(tables.warehouse, "export") as job:
        export(job, task)
        assert job.skipped
    first.folder.clear()
    with job_in(tables.warehouse, "export") as job:
        export(job, task)
        assert not job.skipped
    assert newest_dataset(tables.warehouse, "tiny").hash == first.hash
    newest_dataset(tables.warehouse, "tiny").split("train").verify()


def test_what_is_written_is_plain_parquet_without_a_pickle(population, job_in, task):
    tables, _ = population
    with job_in(tables.warehouse, "export") as job:
        export(job, task)
    dataset = newest_dataset(tables.warehouse, "tiny")
    assert set(dataset.folder.names()) == {"manifest.json", "spec.json", *SPLITS}
    assert set((dataset.folder / "train").names()) == set(dataset.split("train").files)
    file = pq.ParquetFile((dataset.folder / "train").open(dataset.split("train").files[0]))
    assert file.schema_arrow.names == ["subject_id", "prediction_time", *BLOCKS, "label", "weight", "observed_days"]
    assert json.loads(dataset.folder.read("manifest.json"))["tables"] == tables.versions(
        ["cohorts/tiny", "timelines", "codes"]
    )


def test_labels_of_one_class_are_refused_before_anything_is_written(population, job_in, task):
    tables, labelled = population
    tables.replace("cohorts/tiny", tables.frame("cohorts/tiny", [row | {"boolean_value": False} for row in labelled]))
    tables.publish("one class")
    with pytest.raises(Refused, match="both classes"), job_in(tables.warehouse, "export") as job:
        export(job, task)
    assert Folder(f"{tables.warehouse}/_datasets/tiny").names() == []


def test_a_sample_whose_person_has_no_timeline_is_an_error_and_no_gap(population, tmp_path):
    tables, _ = population
    samples = tables.spark.createDataFrame(
        [(1, 5, 0.0, 1.0, 0.0, "train"), (2, 5, 1.0, 1.0, 0.0, "train")],
        "subject_id long, prediction_time long, label float, weight float, observed_days float, split string",
    )
    timelines = tables.read("timelines").limit(1).selectExpr("1L AS subject_id", "time")
    with pytest.raises(Exception, match="expected"):
        write_dataset(
            samples,
            timelines,
            lambda batch, row, times: {"inputs": np.zeros((len(row), 2), np.float32)},
            str(tmp_path / "sets"),
            {"inputs": Block((2,))},
            {},
            "{}",
            12,
        )
    assert not [name for name in Folder(str(tmp_path / "sets")).names() if name != "_writing"]


def test_a_task_without_a_data_set_is_refused(tmp_path):
    with pytest.raises(Refused, match="export first"):
        newest_dataset(str(tmp_path), "tiny")


def test_the_shipped_task_names_an_architecture_and_features_that_exist():
    from salus.models import ARCHITECTURES

    task = Task.load("admission_90d")
    assert {task.model.architecture, task.baseline.architecture} <= set(ARCHITECTURES)
    assert FeatureSettings.model_validate(task.features)
