"""Models asked anew about labelled rows, from timelines: each by its own feature spec, not by a data set's."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
from pyspark import Broadcast
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from salus.cohorts.task import Task
from salus.datasets.export import labelled
from salus.evaluation.metrics import Sample
from salus.evaluation.predictions import network, opened, sampled, share_of_people
from salus.storage.tables import Tables
from salus.timelines.model_inputs import model_inputs
from salus.timelines.standardise import standardise

ROW = ("prediction_time", "label", "weight", "observed_days")


def held_out_rows(tables: Tables, task: Task, at_most: int) -> DataFrame:
    """About ``at_most`` labelled rows of people held out: subject_id and ``ROW``, prediction_time in microseconds."""
    cohort = tables.read(f"cohorts/{task.id}").where(F.col("split") == "held_out")
    rows = labelled(cohort, kind=task.label.kind).drop("split")
    return sampled(rows, share_of_people(rows.count(), at_most))


def asked(
    rows: DataFrame, timelines: DataFrame, questions: Sequence[tuple["Broadcast[bytes]", str]]
) -> tuple[Sample, list[np.ndarray]]:
    """The answers of models about the same rows.

    Args:
        rows: what ``held_out_rows`` gave.
        timelines: table ``timelines``.
        questions: of each answer the packed package that is asked, and the clock: ``available``, or ``time``.

    Returns:
        The rows by person and time, and of each question the logits before calibration, float64 (rows,).
    """
    answers = [f"logit_{place}" for place in range(len(questions))]
    kinds = [
        "subject_id long",
        "prediction_time long",
        "label float",
        "weight float",
        "observed_days float",
        *(f"{n} double" for n in answers),
    ]
    found = with_samples(rows, timelines).mapInArrow(_answers(questions, answers), ", ".join(kinds))
    table = found.toArrow().sort_by([("subject_id", "ascending"), ("prediction_time", "ascending")])
    labels, weights, days = (table[name].to_numpy().astype(np.float64) for name in ROW[1:])
    sample = Sample(
        table["subject_id"].to_numpy(), labels, weights, times=table["prediction_time"].to_numpy(), days=days
    )
    return sample, [table[name].to_numpy() for name in answers]


def with_samples(rows: DataFrame, timelines: DataFrame) -> DataFrame:
    """``timelines`` of the people of ``rows`` (what ``held_out_rows`` gave), with their rows by time as ``samples``."""
    people = rows.groupBy("subject_id").agg(F.sort_array(F.collect_list(F.struct(*ROW))).alias("samples"))
    return timelines.join(F.broadcast(people), "subject_id")


def samples_of(batch: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray, pa.StructArray]:
    """Of a batch of ``with_samples``: the place of each sample's person, its prediction time, and ``ROW`` of each."""
    samples = batch.column("samples")
    row = np.repeat(np.arange(batch.num_rows), np.diff(samples.offsets.to_numpy()))
    flat = samples.flatten()
    return row, flat.field("prediction_time").to_numpy(), flat


def _answers(questions, names):
    def answer(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            row, at, flat = samples_of(batch)
            logits = []
            for package, clock in questions:
                spec = opened(package.value).spec
                raw = model_inputs(batch, row, at, spec, clock=clock)
                logits.append(network(package.value).logits(standardise(raw, spec)))
            yield pa.RecordBatch.from_arrays(
                [pa.array(batch.column("subject_id").to_numpy()[row]), *map(flat.field, ROW), *map(pa.array, logits)],
                names=["subject_id", *ROW, *names],
            )

    return answer
