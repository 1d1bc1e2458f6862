"""A MEDS export is what the meds package calls one, es-aces reads it, and either of two clocks can be its time."""

import json
from datetime import datetime, timedelta

import pyarrow.parquet as pq
import pytest
from aces.config import TaskExtractorConfig
from aces.predicates import get_predicates_df
from aces.query import query
from meds import CodeMetadataSchema, DataSchema, LabelSchema, SubjectSplitSchema
from omegaconf import OmegaConf

from salus.cohorts.task import Task
from salus.datasets.meds import export_meds
from salus.errors import Refused
from salus.privacy.shift import shift_days
from salus.schemas import VOID_CODE

DAY, KEY = datetime(2020, 1, 1), b"k" * 32
# subject 2 is known as 3 too; record 12 was replaced, record 13 withdrawn
EVENTS = [
    # subject, record, version, ordinal, time, available, code, value
    (1, 10, 1, 0, datetime(1950, 1, 1), datetime(1950, 1, 1), "MEDS_BIRTH", None),
    (1, 10, 1, 1, None, None, "SEX/female", None),
    (1, 11, 1, 0, datetime(2020, 1, 5), datetime(2020, 3, 1), "LAB/A", 1.5),
    (1, 12, 1, 0, datetime(2020, 1, 6), datetime(2020, 1, 7), "LAB/A", 2.5),
    (1, 12, 2, 0, datetime(2020, 1, 6), datetime(2020, 1, 8), "LAB/A", 3.5),
    (1, 13, 1, 0, datetime(2020, 1, 6), datetime(2020, 1, 7), "LAB/B", None),
    (1, 13, 2, 0, None, datetime(2020, 1, 9), VOID_CODE, None),
    (2, 20, 1, 0, datetime(1960, 1, 1), datetime(1960, 1, 1), "MEDS_BIRTH", None),
    (3, 30, 1, 0, datetime(1960, 1, 1), datetime(1960, 1, 1), "MEDS_BIRTH", None),
    (3, 31, 1, 0, datetime(2020, 2, 1), datetime(2020, 2, 2), "LAB/B", None),
]


@pytest.fixture(scope="module")
def exported(spark, tmp_path_factory):
    """Exports of one small warehouse: folders by clock, and one with shifted dates."""
    from argparse import Namespace

    from salus.job import spark_job

    folder = tmp_path_factory.mktemp("meds")
    with spark_job("test", Namespace(warehouse=str(folder / "warehouse")), quiet=True) as job:
        _fill(job.tables)
        for clock in ("time", "available"):
            export_meds(job, Task.load("admission_90d"), str(folder / clock), clock)
        export_meds(job, Task.load("admission_90d"), str(folder / "shifted"), "time", KEY)
        with pytest.raises(Refused, match="empty folder"):
            export_meds(job, Task.load("admission_90d"), str(folder / "time"), "time")
    return folder


def _fill(tables):
    place = {"file_id": 1, "record": 0}
    events = [
        {
            "source_subject_id": subject,
            "record_id": record,
            "version": version,
            "ordinal": ordinal,
            "time": time,
            "available_time": available,
            "code": code,
            "numeric_value": value,
            **place,
        }
        for subject, record, version, ordinal, time, available, code, value in EVENTS
    ]
    records = {
        (event["record_id"], event["version"]): {
            "record_id": event["record_id"],
            "version": event["version"],
            "source_subject_id": event["source_subject_id"],
            "record_type": "test/any",
            "content_hash": event["version"],
            "is_void": event["code"] == VOID_CODE,
            **place,
        }
        for event in events
    }
    tables.append("events", tables.frame("events", events))
    tables.append("records", tables.frame("records", list(records.values())))
    identity = [{"source_subject_id": source, "subject_id": min(source, 2)} for source in (1, 2, 3)]
    tables.append("identity", tables.frame("identity", identity))
    codes = [{"code": code, "code_hash": at, "events": 1} for at, code in enumerate(("MEDS_BIRTH", "LAB/A"))]
    tables.append("codes", tables.frame("codes", codes))
    label = {"subject_id": 1, "prediction_time": DAY, "weight": 1.0, "split": "train", "fold": 0}
    cohort = [{**label, "boolean_value": True}, {**label, "subject_id": 2, "boolean_value": None}]
    tables.append("cohorts/admission_90d", tables.frame("cohorts/admission_90d", cohort))


def data(folder):
    tables = [pq.read_table(path) for path in sorted((folder / "data").glob("*.parquet"))]
    for table in tables:
        DataSchema.validate(table)
    return [
        (row["subject_id"], row["time"], row["code"], row["numeric_value"])
        for table in tables
        for row in table.to_pylist()
    ]


def test_an_export_holds_what_is_current_of_each_person_in_order(exported):
    assert data(exported / "time") == [
        (1, None, "SEX/female", None),
        (1, datetime(1950, 1, 1), "MEDS_BIRTH", None),
        (1, datetime(2020, 1, 5), "LAB/A", 1.5),
        (1, datetime(2020, 1, 6), "LAB/A", 3.5),
        (2, datetime(1960, 1, 1), "MEDS_BIRTH", None),
        (2, datetime(2020, 2, 1), "LAB/B", None),
    ]


def test_by_the_available_clock_an_event_stands_when_it_was_known(exported):
    assert data(exported / "available") == [
        (1, None, "SEX/female", None),
        (1, datetime(1950, 1, 1), "MEDS_BIRTH", None),
        (1, datetime(2020, 1, 8), "LAB/A", 3.5),
        (1, datetime(2020, 3, 1), "LAB/A", 1.5),
        (2, datetime(1960, 1, 1), "MEDS_BIRTH", None),
        (2, datetime(2020, 2, 2), "LAB/B", None),
    ]


def test_shifted_dates_keep_each_persons_intervals_and_move_their_labels_alike(exported):
    moved = {subject: timedelta(days=shift_days(KEY, subject)) for subject in (1, 2)}
    assert moved[1] != moved[2]
    assert data(exported / "shifted") == [
        (subject, time and time + moved[subject], *rest) for subject, time, *rest in data(exported / "time")
    ]
    labels = pq.read_table(exported / "shifted" / "labels" / "admission_90d.parquet").to_pylist()
    assert [row["prediction_time"] for row in labels] == [DAY + moved[1]]
    assert json.loads((exported / "shifted" / "metadata" / "dataset.json").read_text())["etl_name"].endswith(
        "--shift-dates"
    )


def test_metadata_name_every_code_every_person_and_the_labels(exported):
    folder = exported / "time"
    codes, splits, labels = (
        pq.read_table(folder / path)
        for path in ("metadata/codes.parquet", "metadata/subject_splits.parquet", "labels/admission_90d.parquet")
    )
    CodeMetadataSchema.validate(codes)
    SubjectSplitSchema.validate(splits)
    LabelSchema.validate(labels)
    assert set(codes["code"].to_pylist()) == {code for _, _, code, _ in data(folder)}
    assert splits["subject_id"].to_pylist() == [1, 2]
    assert labels.to_pylist() == [{"subject_id": 1, "prediction_time": DAY, "boolean_value": True}]
    assert json.loads((folder / "metadata" / "dataset.json").read_text())["meds_version"] == "0.4.1"


def test_aces_finds_in_the_export_what_is_there(exported, tmp_path):
    config = tmp_path / "task.yaml"
    config.write_text(
        """
predicates:
  lab: {code: LAB/A}
trigger: lab
windows:
  after: {start: trigger, end: start + 60d, start_inclusive: false, end_inclusive: true, has: {lab: "(1, None)"}}
"""
    )
    task = TaskExtractorConfig.load(config)
    for clock, triggers in (("time", [datetime(2020, 1, 5)]), ("available", [datetime(2020, 1, 8)])):
        path = OmegaConf.create(
            {"path": str(exported / clock / "data" / "0.parquet"), "standard": "meds", "ts_format": None}
        )
        found = query(TaskExtractorConfig.load(config), get_predicates_df(task, path))
        assert found["trigger"].to_list() == triggers
