"""Predictions of trained models on a data set's split, made in Spark tasks and brought home as a few numbers a row.

Labels, weights and logits of a held-out split are small beside its inputs: 64 bytes a row, so that five million
rows take 320 MB on the driver; of a time to event a row holds the logits by the end of each interval too, of classes
those of each, and each lab whose records are counted adds a byte. A split that is larger is evaluated on a share of its
people, by hash of the subject, and the rows say how many.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyspark import Broadcast
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from salus.cohorts.splits import xxhash64
from salus.datasets import Dataset
from salus.datasets.feed import in_order
from salus.evaluation.categories import category
from salus.evaluation.subgroups import age_bands
from salus.timelines.blocks import INPUTS
from salus.timelines.clocks import DAYS_PER_YEAR, MICROSECONDS_PER_DAY

if TYPE_CHECKING:
    from salus.evaluation.inference import Network
    from salus.training.package import Package

ROWS_AT_MOST = 5_000_000
"""Rows of a split that are brought to the driver."""

TIMES_AT_MOST = 1_000_000
"""The same of a time to event, whose rows hold a curve, and whose concordance looks at every row for every day."""

HASH_CLASSES = 1_000_000

PAYER = """try_element_at(
    filter(
        arrays_zip(coverage_start, coverage_end, coverage_available, coverage_superseded, coverage_payer),
        span -> span.coverage_start <= prediction_time AND prediction_time < span.coverage_end
            AND span.coverage_available <= prediction_time AND prediction_time < span.coverage_superseded),
    -1).coverage_payer"""
"""Whose coverage held the prediction, by what was known then; of several spans the one that began last."""

ATTRIBUTES = {name: name for name in ("birth", "sex", "race", "ethnicity", "care_site")} | {"payer": PAYER}
"""What subgroups are made of: name to SQL over a prediction beside its person's ``timelines`` row."""

SEEN = "seen_in_training"
"""Whether an earlier row of the same person was learnt from, where that can be."""


VALUES_AT_MOST, OTHERS = 20, "others"
"""Subgroups of one attribute; a region's practices and plans are many, and few of them have events enough."""


def one_thread() -> None:
    """Let TensorFlow, not yet started in this process, compute on one thread: Spark runs one task a core."""
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@lru_cache(maxsize=4)
def opened(archive: bytes) -> "Package":
    """A packed package, loaded once a process; TensorFlow is imported here, on workers only."""
    one_thread()
    from salus.training.package import open_package

    return open_package(archive)


@lru_cache(maxsize=4)
def network(archive: bytes) -> "Network":
    """The network of a packed package, compiled once a process."""
    package = opened(archive)
    from salus.evaluation.inference import Network

    return Network(package.model)


def predictions(
    spark: SparkSession,
    dataset: Dataset,
    split: str,
    packages: Sequence["Broadcast[bytes]"],
    flags: Mapping[str, int] | None = None,
) -> DataFrame:
    """Every row of ``split`` with the logit of each of ``packages``.

    Args:
        spark: the session.
        dataset: exported samples, on storage that all nodes share.
        split: its name.
        packages: packed packages of the data set's own spec.
        flags: name to the column of the windowed inputs that is 1 where something is not recorded.

    Returns:
        subject_id, prediction_time (microseconds), label, weight, observed_days, and logit_0, logit_1 … before
        calibration; of a time to event also curve_0, curve_1 …, the logits by the end of each interval; of classes
        those of each class, of quantiles each of them, the median last; where there are ``flags``, also recorded, an
        array of whether each of them is not raised.
    """
    made, has_several = dataset.split(split), dataset.has_several
    tasks = max(1, min(len(made.groups), 2 * spark.sparkContext.defaultParallelism))
    schema = pa.schema(
        [
            ("subject_id", pa.int64()),
            ("prediction_time", pa.int64()),
            ("label", pa.float32()),
            ("weight", pa.float32()),
            ("observed_days", pa.float32()),
            *((f"logit_{i}", pa.float64()) for i in range(len(packages))),
            *((f"curve_{i}", pa.list_(pa.float32())) for i in range(len(packages)) if has_several),
            *([("recorded", pa.list_(pa.bool_()))] if flags else []),
        ]
    )

    def predict(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        networks = [network(package.value) for package in packages]
        raised = list((flags or {}).values())
        read = made.only({name for each in networks for name in each.names} | ({INPUTS} if raised else set()))
        for batch in batches:
            for task in batch.column(0).to_pylist():
                for rows in in_order(read, task, tasks):
                    curves = [each.curves(rows.inputs) for each in networks]
                    columns = [
                        rows.subject_id,
                        rows.prediction_time,
                        rows.label,
                        rows.weight,
                        rows.observed_days,
                        *(each[:, -1] for each in curves),
                        *(list(each.astype(np.float32)) for each in curves if has_several),
                        *([list(rows.inputs[INPUTS][:, raised] == 0)] if raised else []),
                    ]
                    yield pa.RecordBatch.from_arrays(
                        [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)],
                        schema=schema,
                    )

    return spark.range(0, tasks, 1, tasks).mapInArrow(predict, from_arrow_schema(schema))


def share_of_people(rows: int, at_most: int = ROWS_AT_MOST) -> float:
    """The share of people whose rows are about ``at_most``; 1 where all of them fit."""
    return min(1.0, at_most / rows) if rows else 1.0


def sampled(predicted: DataFrame, share: float) -> DataFrame:
    """The rows of about ``share`` of the people of ``predicted``: always the same people."""
    if share >= 1:
        return predicted
    return predicted.where(F.expr(f"pmod(xxhash64(subject_id), {HASH_CLASSES})") < F.lit(int(share * HASH_CLASSES)))


def is_sampled(people: np.ndarray, share: float) -> np.ndarray:
    """Which of ``people`` (int64 (rows,)) ``sampled`` keeps: bool (rows,)."""
    return (xxhash64(people) % HASH_CLASSES < int(share * HASH_CLASSES)) | (share >= 1)


@dataclass(frozen=True)
class Predicted:
    """A split's predictions as arrays on the driver, all (rows,).

    Attributes:
        people: int64, subject_id.
        times: int64, prediction times, microseconds since the epoch.
        labels: float64, 0 or 1; of classes the number of their set.
        weights: float64, inverse probability of being observed to the label's end.
        days: float64, whole days until the end of a time to event; 0 of other labels.
        logits: float64, one array a model, before calibration.
        curves: float32 (rows, intervals or classes), one array a model: logits by the end of each interval, or of each
            class; none of other labels.
        true, attainable: float64, the simulated truth; NaN where it is not known.
        attributes: name to str (rows,), what subgroups are made of; empty where it is not known.
        recorded: name to bool (rows,), what the records show.
    """

    people: np.ndarray
    times: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    days: np.ndarray
    logits: tuple[np.ndarray, ...]
    curves: tuple[np.ndarray, ...]
    true: np.ndarray
    attainable: np.ndarray
    attributes: Mapping[str, np.ndarray]
    recorded: Mapping[str, np.ndarray]

    @property
    def is_known(self) -> np.ndarray:
        """bool (rows,): whether the truth of a row is known."""
        return np.isfinite(self.true) & np.isfinite(self.attainable)

    def __getitem__(self, rows) -> "Predicted":
        def of(value):
            if isinstance(value, tuple):
                return tuple(each[rows] for each in value)
            return {name: each[rows] for name, each in value.items()} if isinstance(value, Mapping) else value[rows]

        return Predicted(**{name: of(value) for name, value in vars(self).items()})


def collected(
    predicted: DataFrame,
    models: int,
    truth: DataFrame | None = None,
    timelines: DataFrame | None = None,
    learnt_from: DataFrame | None = None,
    recorded: Iterable[str] = (),
) -> Predicted:
    """``predicted`` on the driver, in a fixed order.

    Args:
        predicted: what ``predictions`` gave, of a bounded number of rows.
        models: how many logits a row.
        truth: table ``demo_truth`` of the task, or None.
        timelines: table ``timelines``, whose people have the attributes of subgroups; None = they have none.
        learnt_from: subject_id of whom an earlier row was learnt from, told apart from others; None = of nobody.
        recorded: names of the flags that ``predicted`` has.
    """
    if truth is None:
        unknown = F.lit(None).cast("double")
        with_truth = predicted.withColumns({"true": unknown, "attainable": unknown})
    else:
        known = truth.select(
            "subject_id",
            F.col("as_of").alias("_day"),
            F.col("true_probability").alias("true"),
            F.col("attainable_probability").alias("attainable"),
        )
        day = F.to_date(F.timestamp_micros("prediction_time"))
        with_truth = predicted.withColumn("_day", day).join(known, ["subject_id", "_day"], "left").drop("_day")
    if timelines is not None:
        attributes = [F.expr(value).alias(name) for name, value in ATTRIBUTES.items()]
        if learnt_from is not None:
            with_truth = with_truth.join(learnt_from.withColumn(SEEN, F.lit("yes")), "subject_id", "left")
            attributes.append(F.coalesce(SEEN, F.lit("no")).alias(SEEN))
        beside = with_truth.join(timelines, "subject_id", "left")
        with_truth = beside.select(*(name for name in with_truth.columns if name != SEEN), *attributes)
    table = with_truth.toArrow().sort_by([("subject_id", "ascending"), ("prediction_time", "ascending")])

    def column(name):
        return table[name].to_numpy().astype(np.float64)

    return Predicted(
        table["subject_id"].to_numpy(),
        table["prediction_time"].to_numpy(),
        column("label"),
        column("weight"),
        column("observed_days"),
        tuple(column(f"logit_{i}") for i in range(models)),
        tuple(matrix(table[f"curve_{i}"]) for i in range(models) if f"curve_{i}" in table.column_names),
        column("true"),
        column("attainable"),
        {} if timelines is None else _attributes(table),
        dict(zip(recorded, matrix(table["recorded"]).T)) if "recorded" in table.column_names else {},
    )


def matrix(column: pa.ChunkedArray) -> np.ndarray:
    """Lists of equal length as a matrix, (0, 1) where there are none."""
    lists = column.combine_chunks()
    flat = lists.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(len(lists), -1) if len(lists) else np.empty((0, 1), np.float32)


def _attributes(table: pa.Table) -> dict[str, np.ndarray]:
    """The age band and every other attribute of each row; a text that many rows share is one object."""
    born, at = (table[name].to_numpy().astype(np.float64) for name in ("birth", "prediction_time"))
    found = {"age": age_bands((at - born) / (DAYS_PER_YEAR * MICROSECONDS_PER_DAY))}
    for name in sorted({*ATTRIBUTES, SEEN} & set(table.column_names) - {"birth"}):
        encoded = table[name].fill_null("").dictionary_encode().combine_chunks()
        meant = [category(name, value) for value in encoded.dictionary.to_pylist()]
        found[name.replace("_", " ")] = _most_frequent(*_once(meant, encoded.indices.to_numpy()))
    return found


def _once(values: list[str], places: np.ndarray) -> tuple[list[str], np.ndarray]:
    """``values`` each once, and ``places`` among them."""
    names = sorted(set(values))
    place = {name: number for number, name in enumerate(names)}
    return names, np.array([place[value] for value in values], np.int64)[places] if values else places


def _most_frequent(values: list[str], places: np.ndarray) -> np.ndarray:
    """``values[places]``, where values beyond the ``VALUES_AT_MOST`` most frequent are ``OTHERS``."""
    names = np.array(values or [""], dtype=object)
    by_frequency = np.lexsort((names.astype(str), -np.bincount(places, minlength=names.size)))
    rare = by_frequency[VALUES_AT_MOST:]
    names[rare[names[rare] != ""]] = OTHERS
    return names[places]
