"""Labels: shards equal es-aces over everything equal the definition; deaths compete, and leaving censors."""

from datetime import datetime

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import yaml
from aces.config import TaskExtractorConfig
from aces.predicates import get_predicates_df
from aces.query import query
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import DictConfig

from salus.cohorts.labels import LABEL_STEPS, aces_config, label_codes, label_samples
from salus.cohorts.task import Label
from salus.errors import Refused
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


@pytest.mark.parametrize(("config", "horizon_days"), [(WITHIN_TEN_DAYS, 10), (AFTER_DISCHARGE, 30)])
def test_shards_give_what_es_aces_gives_on_everybody_at_once(config, horizon_days, tmp_path):
    people = list(population(150, seed=3))
    predictions = [day * DAY for day in (5, 12, 31, 40)]
    expected = everybody_at_once(people, predictions, config, tmp_path)
    found = {}
    for first in range(0, len(people), 40):
        shard = people[first : first + 40]
        row, at = np.repeat(np.arange(len(shard)), 4), np.tile(predictions, len(shard))
        labels = label_samples(batch_of(shard), row, at, label(config, horizon_days=horizon_days), CODES)
        for r, t, lost, positive in zip(row.tolist(), at.tolist(), labels.lost_at, labels.is_positive):
            if lost == 0:
                found[first + r, instant(t)] = bool(positive)
            if lost == 3:  # the label's window ends beyond the horizon, or never
                del expected[first + r, instant(t)]
    assert found == expected
    assert 10 < sum(found.values()) < len(found) - 10


span = st.tuples(st.integers(0, 30), st.integers(1, 20), st.booleans())  # first day, days, is it current
someone = st.fixed_dictionaries(
    {
        "admissions": st.lists(st.integers(0, 45), max_size=4),
        "death": st.one_of(st.none(), st.integers(0, 45)),
        "spans": st.lists(span, max_size=4),
    }
)


def slowly(person, day, death_is):
    """(step lost, is positive, days observed) of the definition, in whole days."""
    admissions = [at for at in person["admissions"] if person["death"] is None or at <= person["death"]]
    death = person["death"] if person["death"] is not None else 1_000
    if death <= day:
        return 1, False, -1
    happens = [at for at in admissions if day <= at < day + 10]
    if death_is == "composite" and death < day + 10:
        happens.append(death)
    event = min(happens, default=1_000)
    covered = {at for first, days, current in person["spans"] if current for at in range(first, first + days)}
    left = day
    while any(
        {before, after} <= covered for before in range(left - GAP, left + 1) for after in range(left, before + GAP + 2)
    ):
        left += 1
    first = min(event, death, day + 10)
    if left <= min(event, death) and left < day + 10:
        return 4, False, left - day
    return 0, event < 1_000, first - day


@pytest.mark.parametrize("death_is", ["no_event", "composite"])
@given(st.lists(someone, min_size=1, max_size=4))
def test_it_is_its_definition_day_by_day(death_is, people):
    batch = batch_of(
        [
            {
                "death": None if person["death"] is None else person["death"] * DAY,
                "events": [(at * DAY, ADMISSION, np.nan, NEVER) for at in sorted(person["admissions"])],
                "spans": [
                    (first * DAY, (first + days) * DAY, NEVER if current else (first + 1) * DAY)
                    for first, days, current in person["spans"]
                ],
            }
            for person in people
        ]
    )
    days = (4, 11, 25)
    row, at = np.repeat(np.arange(len(people)), 3), np.tile(np.array(days) * DAY, len(people))
    found = label_samples(batch, row, at, label(death=death_is, censor_at_disenrolment=True), CODES, GAP)
    expected = [slowly(person, day, death_is) for person in people for day in days]
    assert list(zip(*(column.tolist() for column in found))) == expected


def test_an_admission_on_the_day_of_the_prediction_counts_and_one_at_the_horizon_does_not():
    on = [{"events": [(day * DAY, ADMISSION, np.nan, NEVER)]} for day in (20, 29, 30)]
    found = label_samples(batch_of(on), np.arange(3), np.full(3, 20 * DAY), label(), CODES)
    assert found.is_positive.tolist() == [True, True, False]


def test_what_a_newer_version_took_back_is_no_event():
    taken_back = [{"events": [(21 * DAY, ADMISSION, np.nan, 40 * DAY)]}]
    found = label_samples(batch_of(taken_back), np.array([0]), np.array([20 * DAY]), label(), CODES)
    assert found.lost_at.tolist() == [0]
    assert found.is_positive.tolist() == [False]


def test_the_same_shard_twice_gives_the_same_labels():
    """es-aces changes a configuration while it queries, so that a second query with it would drift."""
    people = list(population(60, seed=8))
    row, at = np.arange(60), np.full(60, 12 * DAY)
    first, second = (label_samples(batch_of(people), row, at, label(AFTER_DISCHARGE), CODES) for _ in range(2))
    for once, again in zip(first, second):
        np.testing.assert_array_equal(once, again)


def test_codes_are_looked_up_for_the_predicates_that_the_windows_name():
    predicates = {"admission": {"code": {"regex": "^ENCOUNTER/IMP/"}}, "idle": {"code": "X"}}
    vocabulary = pl.DataFrame({"code": ["ENCOUNTER/IMP/EM", "ENCOUNTER/AMB", "X"], "code_hash": [1, 2, 3]})
    assert label_codes(label(WITHIN_TEN_DAYS | {"predicates": predicates}), vocabulary) == {1: "ENCOUNTER/IMP/EM"}


def test_what_aces_does_not_take_is_refused():
    target = WITHIN_TEN_DAYS["windows"]["target"] | {"has": {"admission": "1"}}
    with pytest.raises(Refused, match="label that ACES does not take"):
        aces_config(label(WITHIN_TEN_DAYS | {"windows": {"target": target}}))


def test_its_steps_are_those_that_lose_somebody():
    assert len(LABEL_STEPS) == 4
