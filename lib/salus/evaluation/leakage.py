"""Leakage's price: the AUROC that features by ``time`` would have promised, less the one that can be kept.

The same model is asked twice about the same people at the same times: once with what was available, once with
everything that had happened, known or not. The second is what a retrospective study without the second clock would
have reported. Both are ranked over the same rows, and the interval of the difference is paired.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark import Broadcast
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from salus.evaluation.bootstrap import REPLICATES, intervals
from salus.evaluation.discrimination import Ranking, auroc
from salus.evaluation.metrics import Sample
from salus.evaluation.predictions import network, opened
from salus.timelines.model_inputs import model_inputs
from salus.timelines.standardise import standardise

CLOCKS = ("available", "time")
ROWS = 20_000
"""Labelled rows that are asked twice, of people drawn by hash."""

LOGITS = "subject_id long, prediction_time long, label float, weight float, by_available double, by_time double"


def twice(labelled: DataFrame, timelines: DataFrame, package: "Broadcast[bytes]") -> DataFrame:
    """The logits of labelled rows by either clock.

    Args:
        labelled: subject_id, prediction_time (microseconds), label, weight; of a bounded number of people.
        timelines: table ``timelines``.
        package: what ``package_bytes`` packed.

    Returns:
        Rows of ``LOGITS``.
    """
    row = F.struct("prediction_time", *(F.col(name).cast("float").alias(name) for name in ("label", "weight")))
    people = labelled.groupBy("subject_id").agg(F.sort_array(F.collect_list(row)).alias("samples"))
    return timelines.join(F.broadcast(people), "subject_id").mapInArrow(_asked_twice(package), LOGITS)


def _asked_twice(package):
    def ask(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        model, spec = network(package.value), opened(package.value).spec
        for batch in batches:
            samples = batch.column("samples")
            row = np.repeat(np.arange(batch.num_rows), np.diff(samples.offsets.to_numpy()))
            flat = samples.flatten()
            at = flat.field("prediction_time").to_numpy()
            raw = [model_inputs(batch, row, at, spec, clock=clock) for clock in CLOCKS]
            logits = [model.logits(standardise(each, spec)) for each in raw]
            yield pa.RecordBatch.from_arrays(
                [
                    pa.array(batch.column("subject_id").to_numpy()[row]),
                    *(flat.field(name) for name in ("prediction_time", "label", "weight")),
                    *map(pa.array, logits),
                ],
                names=["subject_id", "prediction_time", "label", "weight", "by_available", "by_time"],
            )

    return ask


def price(
    sample: Sample, by_available: np.ndarray, by_time: np.ndarray, replicates: int = REPLICATES
) -> list[dict[str, Any]]:
    """What the AUROC by ``time`` promises, what it keeps, and the difference with its paired interval.

    Args:
        sample: the rows.
        by_available, by_time: float64 (rows,), logits by either clock.
        replicates: of the bootstrap.

    Returns:
        Mappings of model_name, metric, value, low, high; none without both classes.
    """
    if not sample.has_both_classes:
        return []
    honest, leaking = Ranking.of(by_available), Ranking.of(by_time)

    def found(times: np.ndarray) -> np.ndarray:
        weights = times * sample.weights
        case, control = weights * sample.labels, weights * (1 - sample.labels)
        kept, promised = auroc(honest, case, control), auroc(leaking, case, control)
        return np.array([promised, kept, promised - kept])

    values = found(np.ones(sample.labels.size))
    low, high = intervals(found, sample.people, replicates)
    return [
        {"model_name": "model", "metric": metric, "value": value, "low": lower, "high": upper}
        for metric, value, lower, upper in zip(
            ("auroc_by_time", "auroc_by_available_time", "leakage_price"), values, low, high, strict=True
        )
    ]
