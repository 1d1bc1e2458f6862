"""A time to event through an evaluation: what is in the tables is what is measured by hand on the same people."""

import argparse

import keras
import numpy as np
import pytest
from pyspark.sql import functions as F
from scipy.special import expit

from evaluation_world import DAY, SPEC_OF_WORLD, TASK, dataset, fill, model_row, simulated
from salus.cohorts.label import Label
from salus.evaluation.concordance import concordance
from salus.evaluation.evaluate import evaluate
from salus.evaluation.incidence import observed_incidence
from salus.evaluation.times import Times
from salus.job import spark_job
from salus.models.layers import IncidenceLogit
from salus.training.package import model_bytes, write_package

ENDS = (30, 60, 90)
LABEL = Label(horizon_days=90, death="competing", time_to_event={"codes": ["A"], "intervals_days": ENDS})
TIMED = TASK.model_copy(update={"label": LABEL})
HELD_OUT, CALIBRATION = "held_out", "calibration"


def ended(number, at, label):
    """What ended the time of a sample, and after how many days: an event as its label says, a death, or leaving."""
    day = (number * 7 + at // DAY) % 90
    kind = 1 if label else -1 if number % 9 == 0 else 0
    return kind, day if kind or number % 5 == 0 else 90


def package(folder, feature, weights):
    """A network whose hazards follow from one feature, as a package; returns its hash."""
    given = keras.Input((SPEC_OF_WORLD.width,), name="inputs")
    model = keras.Model({"inputs": given}, IncidenceLogit(2)(keras.layers.Dense(2 * len(ENDS))(given)))
    kernel = np.zeros((SPEC_OF_WORLD.width, 2 * len(ENDS)), np.float32)
    kernel[SPEC_OF_WORLD.names.index(feature)] = weights
    model.set_weights([kernel, np.full(2 * len(ENDS), -3, np.float32)])
    content = {"model.keras": model_bytes(model), "spec.json": SPEC_OF_WORLD.to_json().encode()}
    return write_package(folder, content | {"training.json": b"{}"})


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory, spark):
    """The tables after an evaluation, and the samples that it was of: (number, at, label, split, true)."""
    folder = tmp_path_factory.mktemp("times") / "warehouse"
    fill(spark, folder)
    people, samples = simulated()
    times = [ended(number, at, label) for number, at, label, *_ in samples]
    told = {"kind": "time_to_event", "intervals_days": ENDS, "causes": 2, "hazards": [[0.1] * 3, [0.01] * 3]}
    dataset_hash = dataset(folder, people, samples, times=times, facts={"label": told})
    networks = {
        "tiny": ("admission.count.90d", [1.0, 0.7, 0.5, 0, 0, 0]),
        "tiny-logistic": ("any_event.days_since_last", [-0.05] * 6),
    }
    with spark_job("set-up", argparse.Namespace(warehouse=str(folder)), quiet=True) as job:
        models = [
            model_row(name, "3", package(f"{folder}/_packages/{name}", *what), f"_packages/{name}", dataset_hash)
            for name, what in networks.items()
        ]
        job.tables.append("models", job.tables.frame("models", models))
        kinds = spark.createDataFrame(
            [(number, at, *each) for (number, at, *_), each in zip(samples, times)],
            "subject_id long, at long, event_type int, observed_days int",
        ).withColumn("prediction_time", F.timestamp_micros("at").cast("timestamp_ntz"))
        cohort = job.tables.read("cohorts/tiny").drop("event_type", "observed_days")
        timed = cohort.join(kinds.drop("at"), ["subject_id", "prediction_time"])
        job.tables.replace("cohorts/tiny", timed.select(*job.tables.read("cohorts/tiny").columns))
    with spark_job("evaluate", argparse.Namespace(warehouse=str(folder)), quiet=True) as job:
        evaluate(job, TIMED)
    return job, samples


def times_of(samples, split):
    mine = [(number, at, *ended(number, at, label)) for number, at, label, where, _ in samples if where == split]
    people, at, kinds, days = (np.array(column) for column in zip(*mine))
    return Times.of(people, kinds, days, at, 90)


def admissions(samples, split):
    """How many admissions were known in the 90 days before each sample."""
    people, _ = simulated()
    known = []
    for number, at, _, where, _ in samples:
        if where == split:
            happened, available = people[number][6], people[number][7]
            known.append(sum(at - 90 * DAY < time <= at and seen <= at for time, seen in zip(happened, available)))
    return np.array(known)


def test_what_is_measured_over_the_horizon_is_of_everybody_held_out(evaluated):
    job, samples = evaluated
    every = job.tables.read("evaluations").where("subgroup IS NULL").collect()
    rows = {(row["model_name"], row["metric"]): row for row in every}
    times, known = times_of(samples, HELD_OUT), admissions(samples, HELD_OUT)
    expected = concordance(times, known)
    assert rows["model", "c_index"]["value"] == pytest.approx(expected.value)
    assert rows["model", "c_index"]["value"] > 0.6
    assert (rows["model", "c_index"]["low"], rows["model", "c_index"]["high"]) == pytest.approx(expected.interval)
    assert rows["baseline", "c_index"]["value"] < expected.value
    assert rows["model", "c_index_over_baseline"]["low"] > 0
    assert rows["model", "c_index"]["rows"] == known.size
    everybody = observed_incidence(times, np.zeros(known.size, int), np.ones(known.size))[0]
    assert rows["model", "observed_incidence"]["value"] == pytest.approx(everybody[-1])
    assert rows["model", "observed_incidence: all"]["curve_y"][-1] == pytest.approx(everybody[-1])
    curve = rows["model", "calibration_curve"]
    assert len(curve["curve_y"]) > 2
    assert len([row for row in every if (row["model_name"], row["metric"]) == ("model", "calibration_curve")]) == 1
    assert job.figures["c_index"] == rows["model", "c_index"]["value"]


def test_what_is_measured_at_the_horizon_is_of_those_who_are_known_there(evaluated):
    job, samples = evaluated
    rows = {row["metric"]: row for row in job.tables.read("evaluations").where("model_name = 'model'").collect()}
    times = times_of(samples, HELD_OUT)
    assert 0 < rows["brier"]["rows"] == times.is_known.sum() < times.days.size
    assert 0.6 < rows["auroc"]["value"] < 1
    assert rows["leakage_price"]["value"] > 0.01
    by_sex = job.tables.read("evaluations").where("subgroup = 'sex: male' AND metric = 'events'").head()
    assert by_sex["rows"] < times.is_known.sum()


def test_the_incidence_by_the_horizon_is_calibrated_on_those_who_are_known_there(evaluated):
    job, samples = evaluated
    found = job.tables.read("calibrations").where("model_name = 'tiny'").head()["calibration"]
    times, known = times_of(samples, CALIBRATION), admissions(samples, CALIBRATION)
    assert f'"rows": {times.is_known.sum()}' in found
    assert f'"events": {(times.event_type > 0).sum()}' in found
    rows = {row["metric"]: row for row in job.tables.read("evaluations").where("model_name = 'model'").collect()}
    mean = rows["told_incidence: all"]["curve_y"]
    assert mean[0] == 0
    assert np.all(np.diff(mean) > 0)
    assert mean[-1] == pytest.approx(rows["observed_incidence"]["value"], rel=0.25)
    assert known.max() > 1
    assert 0 < expit(-3) < mean[-1]
