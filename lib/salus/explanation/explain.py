"""Explain a task's model: what it goes by, and how what it tells moves with the features that matter most.

Asked are people held out, of whom it has learnt nothing, about as many as ``ROWS`` predictions: their contributions are
those of tonight's reasons. What comes to the driver is bounded: a number a prediction and feature, in 32 bits.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark import Broadcast
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import from_arrow_schema

from salus.cohorts.task import Task
from salus.evaluation.asked import held_out_rows, samples_of, with_samples
from salus.evaluation.predictions import matrix, network, opened
from salus.evaluation.trained import calibration_of, in_use, package_url
from salus.explanation.importances import Dependence, dependence, importances, values_of
from salus.explanation.reasons import by_name, by_reason
from salus.job import Job
from salus.timelines.blocks import INPUTS
from salus.timelines.model_inputs import model_inputs
from salus.timelines.spec import FeatureSpec
from salus.timelines.standardise import standardise
from salus.training.package import SPEC, package_bytes, read_package

ROWS = 5_000
"""Predictions whose contributions are taken."""

ROWS_OF_DEPENDENCE = 1_000
"""Predictions that are asked again for each value of a feature."""

FEATURES = 8
"""Features whose dependence is looked at, those that contribute most."""


def explain(job: Job, task: Task) -> None:
    """What the model of ``task`` that scores goes by, into table ``importances``, where that was not done before.

    Raises:
        Refused: there is no model yet, or it was never calibrated.
    """
    model = in_use(job.tables, task)
    calibration = calibration_of(job.tables, model)
    reads = (f"cohorts/{task.id}", "timelines")
    asked_of = {"package": model.package_hash, "calibration": calibration.version}
    asked_for = {"rows": (ROWS, ROWS_OF_DEPENDENCE), "features": FEATURES}
    if not job.needed({"task": task.id}, reads, **asked_of, **asked_for):
        return
    url = package_url(job, model)
    spec = FeatureSpec.from_json(read_package(url)[SPEC].decode())
    package = job.spark.sparkContext.broadcast(package_bytes(url))
    timelines = job.tables.read("timelines")
    rows = held_out_rows(job.tables, task, ROWS).cache()
    try:
        people, raw, contributions = _contributed(with_samples(rows, timelines), package)
        found = importances(contributions, people, spec)
        job.progress(f"took the contributions to {len(people):,} predictions of people held out")
        asked = _values(found, raw)
        some = held_out_rows(job.tables, task, ROWS_OF_DEPENDENCE)
        logits = _logits_with(with_samples(some, timelines), package, asked) if asked else []
        dependences = {
            feature: dependence(values, answers, calibration.calibrated)
            for (feature, values), answers in zip(asked.items(), logits, strict=True)
        }
    finally:
        rows.unpersist()
        package.unpersist()
    size = {"people": int(np.unique(people).size), "rows": len(people)}
    constant = {"task_id": task.id, "model_version": model.model_version, "run_id": job.run_id}
    kept = [_row(row, dependences) | size | constant for row in found]
    job.tables.replace("importances", job.tables.frame("importances", kept), f"task_id = '{task.id}'")
    asked_again = len(logits[0]) if logits else 0
    job.count(explained=len(found), dependences=len(dependences), rows_asked_again=asked_again, **size)


def _contributed(people: DataFrame, package: "Broadcast[bytes]") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each sample, by person and time: whose it is, its raw windowed inputs, and its contributions by name."""

    def contribute(batch: pa.RecordBatch) -> list[np.ndarray]:
        from salus.explanation.integrated_gradients import gradients

        spec, (row, at, _) = opened(package.value).spec, samples_of(batch)
        raw = model_inputs(batch, row, at, spec)
        inputs = standardise(raw, spec)
        logits = network(package.value).logits(inputs)
        found = gradients(package.value).contributions(inputs, logits)
        return [raw[INPUTS], by_name(by_reason(found, raw, spec), raw, spec)]

    table = _answered(people, contribute, {"raw": pa.float32(), "contributions": pa.float32()})
    return table["subject_id"].to_numpy(), matrix(table["raw"]), matrix(table["contributions"])


def _logits_with(people: DataFrame, package: "Broadcast[bytes]", asked: Mapping[int, np.ndarray]) -> list[np.ndarray]:
    """Of each feature of ``asked`` the logits (samples, values) if all had its values; NaN where it is unknown."""

    def ask(batch: pa.RecordBatch) -> list[np.ndarray]:
        spec, (row, at, _) = opened(package.value).spec, samples_of(batch)
        raw = model_inputs(batch, row, at, spec)
        found = []
        for feature, values in asked.items():
            is_known = ~np.isnan(raw[INPUTS][:, feature])
            for value in values:
                given = raw[INPUTS].copy()
                given[is_known, feature] = value
                logits = network(package.value).logits(standardise({**raw, INPUTS: given}, spec))
                found.append(np.where(is_known, logits, np.nan))
        return [np.column_stack(found)]

    table = _answered(people, ask, {"logits": pa.float64()})
    ends = np.cumsum([values.size for values in asked.values()])
    return np.split(matrix(table["logits"]), ends[:-1], axis=1)


def _answered(
    people: DataFrame, answer: Callable[[pa.RecordBatch], list[np.ndarray]], kinds: Mapping[str, pa.DataType]
) -> pa.Table:
    """What ``answer`` says of each sample of ``people`` (what ``with_samples`` gave), by person and time: lists."""
    lists = {name: pa.list_(kind) for name, kind in kinds.items()}
    schema = pa.schema({"subject_id": pa.int64(), "prediction_time": pa.int64(), **lists})

    def answers(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            row, at, _ = samples_of(batch)
            columns = [pa.array(batch.column("subject_id").to_numpy()[row]), pa.array(at)]
            columns += [pa.array(list(each), kind) for each, kind in zip(answer(batch), lists.values(), strict=True)]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)

    found = people.mapInArrow(answers, from_arrow_schema(schema)).toArrow()
    return found.sort_by([("subject_id", "ascending"), ("prediction_time", "ascending")])


def _values(found: list[dict[str, Any]], raw: np.ndarray) -> dict[int, np.ndarray]:
    """The windowed features that contribute most, each with the values at which its dependence is looked at."""
    looked_at: dict[int, np.ndarray] = {}
    for feature in (row["place"] for row in found if row["place"] < raw.shape[1]):
        values = values_of(raw[~np.isnan(raw[:, feature]), feature])
        if values.size > 1:
            looked_at[feature] = values
        if len(looked_at) == FEATURES:
            break
    return looked_at


def _row(row: dict[str, Any], dependences: Mapping[int, Dependence]) -> dict[str, Any]:
    seen = dependences.get(row["place"])
    curves = {} if seen is None else {"x": seen.values, "y": seen.mean, "low": seen.low, "high": seen.high}
    told = {name: float(value) if isinstance(value, np.floating) else value for name, value in row.items()}
    return {name: value for name, value in told.items() if name != "place"} | {
        f"dependence_{name}": curve.astype(float).tolist() for name, curve in curves.items()
    }
