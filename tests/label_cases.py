"""People with events, deaths and coverage whose labels are asked, and what es-aces answers of all of them at once."""

from datetime import datetime

import numpy as np
import polars as pl
import pyarrow as pa
import yaml
from aces.config import TaskExtractorConfig
from aces.predicates import get_predicates_df
from aces.query import query
from hypothesis import strategies as st
from omegaconf import DictConfig

from salus.cohorts.label import Label
from salus.timelines.clocks import MICROSECONDS_PER_DAY as DAY
from salus.timelines.clocks import NEVER

ADMISSION, DISCHARGE, LAB = 11, 12, 13
CODES = {ADMISSION: "ADMISSION", DISCHARGE: "DISCHARGE", LAB: "LAB"}
GAP = 3

WITHIN_TEN_DAYS = {
    "predicates": {"admission": {"code": "ADMISSION"}},
    "windows": {
        "target": {
            "start": "trigger",
            "end": "start + 10d",
            "start_inclusive": True,
            "end_inclusive": False,
            "label": "admission",
        }
    },
}
AFTER_DISCHARGE = {
    "predicates": {
        "admission": {"code": "ADMISSION"},
        "discharge": {"code": "DISCHARGE"},
        "high": {"code": "LAB", "value_min": 5, "value_min_inclusive": True},
        "worse": {"expr": "or(admission, high)"},
    },
    "windows": {
        "stay": {
            "start": "trigger",
            "end": "start -> discharge",
            "start_inclusive": False,
            "end_inclusive": True,
            "has": {"discharge": "(1, None)"},
        },
        "rest": {
            "start": "stay.end",
            "end": "start + 2d",
            "start_inclusive": False,
            "end_inclusive": True,
            "has": {"admission": "(None, 1)"},
        },
        "target": {
            "start": "rest.end",
            "end": "start -> worse",
            "start_inclusive": False,
            "end_inclusive": True,
            "label": "admission",
        },
    },
}


def label(aces=WITHIN_TEN_DAYS, **changes):
    return Label(
        **{"horizon_days": 10, "run_out_days": 0, "death": "no_event", "censor_at_disenrolment": False, "aces": aces}
        | changes
    )


def batch_of(people):
    """Rows of ``timelines``; each person a mapping of events (time, code, value, superseded), death and spans."""

    def longs(rows):
        return pa.array([list(row) for row in rows], pa.list_(pa.int64()))

    return pa.RecordBatch.from_pydict(
        {
            "death": pa.array([person.get("death") for person in people], pa.int64()),
            **{
                name: longs([event[at] for event in person["events"]] for person in people)
                for at, name in ((0, "time"), (1, "code"), (3, "superseded"))
            },
            "value": pa.array([[event[2] for event in person["events"]] for person in people], pa.list_(pa.float32())),
            **{
                name: longs([span[at] for span in person.get("spans", [])] for person in people)
                for at, name in ((0, "coverage_start"), (1, "coverage_end"), (2, "coverage_superseded"))
            },
        }
    )


def batch_of_days(people, codes_of):
    """A timelines batch of people whose ``death`` and ``spans`` (first day, days, is it current) count in days.

    ``codes_of`` gives a person's events, as pairs of a day and a code.
    """
    return batch_of(
        [
            {
                "death": None if person["death"] is None else person["death"] * DAY,
                "events": [(at * DAY, code, np.nan, NEVER) for at, code in sorted(codes_of(person))],
                "spans": [
                    (first * DAY, (first + days) * DAY, NEVER if current else (first + 1) * DAY)
                    for first, days, current in person["spans"]
                ],
            }
            for person in people
        ]
    )


def population(people, seed):
    """People whose events have clock times, some of them superseded, and a few deaths."""
    draw = np.random.default_rng(seed)
    for _ in range(people):
        times = np.sort(draw.choice(60 * 24, draw.integers(0, 14), replace=False)) * (DAY // 24)
        yield {
            "death": int(draw.integers(20, 80)) * DAY + DAY // 3 if draw.random() < 0.2 else None,
            "events": [
                (
                    int(time),
                    int(draw.choice([ADMISSION, DISCHARGE, LAB])),
                    float(draw.choice([np.nan, 4, 5, 6])),
                    NEVER if draw.random() < 0.9 else int(time) + DAY,
                )
                for time in times
            ],
        }


def instant(microseconds):
    return np.datetime64(microseconds, "us").astype(datetime)


def everybody_at_once(people, predictions, config, folder):
    """es-aces as its own command line would run it: one MEDS file, one configuration file, one query."""
    rows = [(row, instant(time), code, value) for row, time, code, value in meds_rows(people, predictions)]
    data, task = folder / "data.parquet", folder / "task.yaml"
    schema = {"subject_id": pl.Int64, "time": pl.Datetime("us"), "code": pl.String, "numeric_value": pl.Float32}
    pl.DataFrame(rows, schema=schema, orient="row").sort("subject_id", "time").write_parquet(data)
    predicates = config["predicates"] | {"prediction": {"code": "SALUS_PREDICTION"}}
    task.write_text(yaml.safe_dump(config | {"predicates": predicates, "trigger": "prediction"}))
    loaded = TaskExtractorConfig.load(task)
    answers = query(loaded, get_predicates_df(loaded, DictConfig({"path": str(data), "standard": "meds"})))
    # Where a bounding event never comes, es-aces answers with rows without a label, or without a trigger.
    return {
        (row["subject_id"], row["trigger"]): bool(row["label"])
        for row in answers.iter_rows(named=True)
        if row["trigger"] is not None
    }


def meds_rows(people, predictions):
    for row, person in enumerate(people):
        last = person["death"] // DAY * DAY + DAY if person["death"] is not None else NEVER
        for time, code, value, superseded in person["events"]:
            if superseded == NEVER and time < last:
                yield row, time, CODES[code], None if np.isnan(value) else value
        for at in predictions:
            if person["death"] is None or at < person["death"]:
                yield row, at, "SALUS_PREDICTION", None


span = st.tuples(st.integers(0, 30), st.integers(1, 20), st.booleans())  # first day, days, is it current
