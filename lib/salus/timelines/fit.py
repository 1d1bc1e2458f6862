"""Fitting a spec on training samples: which code groups it has, and the mean and spread of every feature.

Sums are made batch by batch in the workers; only features-sized results reach the driver. What is learnt comes from
the training split alone, and from what was available at its prediction times.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from salus.timelines.entries import lists
from salus.timelines.features import FeatureSettings, code_groups
from salus.timelines.model_inputs import model_inputs
from salus.timelines.spec import CodeGroup, FeatureSpec, Statistics
from salus.timelines.standardise import on_model_scale

TIMES = "prediction_times"
SIGNIFICANT_DIGITS = 6
"""Sums of floats depend on their order in the last digits: rounded, the same data give the same spec and hash."""


def fit_spec(settings: FeatureSettings, codes: DataFrame, timelines: DataFrame, samples: DataFrame) -> FeatureSpec:
    """The spec that ``settings`` ask for, with code groups and statistics of the training samples.

    Args:
        settings: the task's features.
        codes: table ``codes``.
        timelines: table ``timelines``.
        samples: the training split: ``subject_id`` and ``prediction_time`` (long, microseconds since the epoch).
    """
    known = {
        row["code"]: (row["code_hash"], row["description"] or row["code"])
        for row in codes.select("code", "code_hash", "description").toLocalIterator()
    }
    people = with_samples(timelines, _some_people(samples, settings.statistics_people)).persist()
    try:
        groups = _groups(settings, known, people_by_code(people))
        spec = FeatureSpec(**settings.model_dump(include=_SHARED), groups=tuple(groups))
        return spec.model_copy(update={"statistics": feature_statistics(spec, people)})
    finally:
        people.unpersist()


_SHARED = {"windows_days", "numeric_windows_days", "count_statistics", "numeric_statistics", "enrolment_days"}


def with_samples(timelines: DataFrame, samples: DataFrame) -> DataFrame:
    """The timelines of the people of ``samples``, with their ascending ``prediction_times`` array<long>."""
    times = samples.groupBy("subject_id").agg(F.sort_array(F.collect_list("prediction_time")).alias(TIMES))
    return timelines.join(times, "subject_id")


def samples_of(batch: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray]:
    """``sample_row`` and ``prediction_times``, int64 (samples,) each, of a batch of ``with_samples``."""
    offsets, times = lists(batch, TIMES)
    return np.repeat(np.arange(batch.num_rows), np.diff(offsets)), times


def people_by_code(people: DataFrame) -> dict[int, int]:
    """For each code hash, the people of ``with_samples`` who had it available at their last prediction time."""
    counted = people.select("code", "available", TIMES).mapInArrow(_count_people, "code_hash LONG, people LONG")
    return {
        row["code_hash"]: row["people"]
        for row in counted.groupBy("code_hash").agg(F.sum("people").alias("people")).toLocalIterator()
    }


def feature_statistics(spec: FeatureSpec, people: DataFrame) -> Statistics:
    """Mean and standard deviation of every feature, on the model's scale, where it is not missing.

    A feature that never varies gets the standard deviation 1, one that was never seen the mean 0.
    """
    text = spec.to_json()
    sums = people.mapInArrow(lambda batches: _sum_features(batches, text), "feature INT, n DOUBLE, x DOUBLE, xx DOUBLE")
    merged = sums.groupBy("feature").agg(*(F.sum(name).alias(name) for name in ("n", "x", "xx"))).collect()
    n, x, xx = np.array([row[1:] for row in sorted(merged)], np.float64).reshape(-1, 3).T
    seen = np.maximum(n, 1)
    mean = x / seen
    variance = np.maximum(xx / seen - mean**2, 0)
    std = np.where(variance > 1e-12 * np.maximum(mean**2, 1e-6), np.sqrt(variance), 1.0)
    return Statistics(mean=_rounded(mean), std=_rounded(std))


def _some_people(samples, limit):
    """The samples of at most ``limit`` people, always the same ones."""
    people = samples.select("subject_id").distinct().orderBy(F.xxhash64("subject_id"), "subject_id").limit(limit)
    return samples.join(people, "subject_id", "left_semi")


def _groups(settings, known, people):
    """The codeset's groups, and the most frequent codes, that concern enough people."""
    groups = code_groups(settings, {code: code_hash for code, (code_hash, _) in known.items()})
    frequent = sorted(
        (-people.get(code_hash, 0), code)
        for code, (code_hash, _) in known.items()
        if not code.startswith(("MEDS_", "SEX/"))
    )[: settings.most_frequent]
    taken = {group.name for group in groups} | {group.codes[0] for group in groups if len(group.codes) == 1}
    groups += [
        CodeGroup(name=code, label=known[code][1], kind="count", codes=(code,), code_hashes=(known[code][0],))
        for _, code in frequent
        if code not in taken
    ]
    return [
        group
        for group in groups
        if sum(people.get(code_hash, 0) for code_hash in group.code_hashes) >= settings.min_people
    ]


def _count_people(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        offsets, code = lists(batch, "code")
        times, last = lists(batch, TIMES)
        row = np.repeat(np.arange(batch.num_rows), np.diff(offsets))
        known = lists(batch, "available")[1] <= last[times[1:] - 1][row]
        names, code = np.unique(code[known], return_inverse=True)
        pair = np.unique(row[known] * np.int64(max(1, names.size)) + code)
        people = np.bincount(pair % max(1, names.size), minlength=names.size)
        yield pa.RecordBatch.from_pydict({"code_hash": names.astype(np.int64), "people": people.astype(np.int64)})


def _sum_features(batches: Iterable[pa.RecordBatch], spec_json: str) -> Iterator[pa.RecordBatch]:
    spec = FeatureSpec.from_json(spec_json)
    sums = np.zeros((3, len(spec.names)))
    for batch in batches:
        values = on_model_scale(model_inputs(batch, *samples_of(batch), spec), spec).astype(np.float64)
        seen = ~np.isnan(values)
        values[~seen] = 0.0
        sums += [seen.sum(axis=0), values.sum(axis=0), (values * values).sum(axis=0)]
    yield pa.RecordBatch.from_pydict(
        {"feature": np.arange(len(spec.names), dtype=np.int32), "n": sums[0], "x": sums[1], "xx": sums[2]}
    )


def _rounded(values):
    return tuple(float(f"{value:.{SIGNIFICANT_DIGITS}g}") for value in values)
