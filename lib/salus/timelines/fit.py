"""Fitting a spec on training samples: which codes and groups it has, and the mean and spread of what it measures.

Sums are made batch by batch in the workers; only features-sized results reach the driver. What is learnt comes from
the training split alone, and from what was available at its prediction times.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from salus.errors import Refused
from salus.timelines.blocks import INPUTS, Channel, DailyMatrix, EventSequence
from salus.timelines.entries import lists
from salus.timelines.facts import COST_CODES
from salus.timelines.features import LABEL_CODES, FeatureSettings, code_groups
from salus.timelines.model_inputs import model_inputs
from salus.timelines.spec import CodeGroup, FeatureSpec, Statistics
from salus.timelines.standardise import on_model_scale

TIMES = "prediction_times"
MEDS_BIRTH = "MEDS_BIRTH"
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
    rows = list(codes.select("code", "code_hash", "description", "ancestors").toLocalIterator())
    known = {row["code"]: (row["code_hash"], row["description"] or row["code"]) for row in rows}
    ancestors = {row["code"]: row["ancestors"] for row in rows if row["ancestors"]}
    people = with_samples(timelines, _some_people(samples, settings.statistics_people)).persist()
    try:
        seen = code_statistics(people)
        spec = FeatureSpec(
            **settings.model_dump(include=_SHARED),
            groups=tuple(_groups(settings, known, ancestors, {code: each.people for code, each in seen.items()})),
            sequence=_sequence(settings, known, seen),
            daily=_daily(settings, known, ancestors, seen),
        )
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


class Seen(NamedTuple):
    """What the training people had of some codes by their last prediction time.

    Attributes:
        people: who had one.
        n, x, xx: their values: how many, their sum and their sum of squares.
    """

    people: int = 0
    n: float = 0.0
    x: float = 0.0
    xx: float = 0.0

    @property
    def scale(self) -> tuple[float, float]:
        """Mean and standard deviation of the values; 0 and 1 without any."""
        mean, std = _mean_and_std(*(np.array([each], np.float64) for each in self[1:]))
        return _rounded(mean)[0], _rounded(std)[0]


def code_statistics(people: DataFrame) -> dict[int, Seen]:
    """For each code hash, what the people of ``with_samples`` had of it available at their last prediction time."""
    columns = ", ".join(f"{name} DOUBLE" for name in ("n", "x", "xx"))
    counted = people.select("code", "available", "value", TIMES).mapInArrow(
        _count_codes, f"code_hash LONG, people LONG, {columns}"
    )
    totals = counted.groupBy("code_hash").agg(*(F.sum(name).alias(name) for name in Seen._fields))
    return {row["code_hash"]: Seen(*row[1:]) for row in totals.toLocalIterator()}


def feature_statistics(spec: FeatureSpec, people: DataFrame) -> Statistics:
    """Mean and standard deviation of every feature, on the model's scale, where it is not missing.

    A feature that never varies gets the standard deviation 1, one that was never seen the mean 0.
    """
    text = spec.to_json()
    sums = people.mapInArrow(lambda batches: _sum_features(batches, text), "feature INT, n DOUBLE, x DOUBLE, xx DOUBLE")
    merged = sums.groupBy("feature").agg(*(F.sum(name).alias(name) for name in ("n", "x", "xx"))).collect()
    n, x, xx = np.array([row[1:] for row in sorted(merged)], np.float64).reshape(-1, 3).T
    mean, std = _mean_and_std(n, x, xx)
    return Statistics(mean=_rounded(mean), std=_rounded(std))


def _some_people(samples, limit):
    """The samples of at most ``limit`` people, always the same ones."""
    people = samples.select("subject_id").distinct().orderBy(F.xxhash64("subject_id"), "subject_id").limit(limit)
    return samples.join(people, "subject_id", "left_semi")


def _groups(settings, known, ancestors, people):
    """The codeset's groups, and the most frequent codes, that concern enough people."""
    groups = code_groups(settings, {code: code_hash for code, (code_hash, _) in known.items()}, ancestors)
    frequent = sorted(
        (-people.get(code_hash, 0), code)
        for code, (code_hash, _) in known.items()
        if not code.startswith(("MEDS_", "SEX/", COST_CODES, LABEL_CODES))
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


def _sequence(settings, known, seen):
    """The vocabulary of the sequence: the codes of most people, those of equally many by name."""
    asked = settings.sequence
    if asked is None:
        return None
    nothing = Seen()
    frequent = sorted(
        (-seen.get(code_hash, nothing).people, code, label, code_hash)
        for code, (code_hash, label) in known.items()
        if not code.startswith((MEDS_BIRTH, "SEX/", COST_CODES, LABEL_CODES, *asked.without))
    )[: asked.most]
    kept = [(code, label, code_hash) for people, code, label, code_hash in frequent if -people >= asked.min_people]
    scales = [seen.get(code_hash, nothing).scale for _, _, code_hash in kept]
    return EventSequence(
        length=asked.length,
        codes=tuple(code for code, _, _ in kept),
        labels=tuple(label for _, label, _ in kept),
        code_hashes=tuple(code_hash for _, _, code_hash in kept),
        mean=tuple(mean for mean, _ in scales),
        std=tuple(std for _, std in scales),
    )


def _daily(settings, known, ancestors, seen):
    """The channels that the codeset declares and the data hold."""
    if settings.daily is None:
        return None
    asked = settings.model_copy(update={"numeric_groups": settings.daily.channels, "numeric_statistics": ()})
    hashes = {code: found for code, (found, _) in known.items()}
    declared = {group.name: group for group in code_groups(asked, hashes, ancestors)}
    groups = [declared[name] for name in settings.daily.channels if name in declared]
    if not groups:
        raise Refused(
            f"Received the daily channels {', '.join(settings.daily.channels)}, of which the data hold none; expected "
            "one at least. Ingest the devices' files, or leave `features.daily` out."
        )
    channels = []
    for group in groups:
        each = [seen.get(code_hash, Seen()) for code_hash in group.code_hashes]
        mean, std = Seen(*map(sum, zip(*each))).scale
        channels.append(Channel(**group.model_dump(exclude={"kind"}), mean=mean, std=std))
    return DailyMatrix(days=settings.daily.days, channels=tuple(channels))


def _count_codes(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        offsets, code = lists(batch, "code")
        times, last = lists(batch, TIMES)
        row = np.repeat(np.arange(batch.num_rows), np.diff(offsets))
        known = lists(batch, "available")[1] <= last[times[1:] - 1][row]
        names, code = np.unique(code[known], return_inverse=True)
        pair = np.unique(row[known] * np.int64(max(1, names.size)) + code)
        value = lists(batch, "value")[1][known].astype(np.float64)
        has_value = ~np.isnan(value)
        code, value = code[has_value], value[has_value]
        yield pa.RecordBatch.from_pydict(
            {
                "code_hash": names.astype(np.int64),
                "people": np.bincount(pair % max(1, names.size), minlength=names.size).astype(np.int64),
                **{
                    name: np.bincount(code, value**power, minlength=names.size).astype(np.float64)
                    for power, name in enumerate(("n", "x", "xx"))
                },
            }
        )


def _sum_features(batches: Iterable[pa.RecordBatch], spec_json: str) -> Iterator[pa.RecordBatch]:
    spec = FeatureSpec.from_json(spec_json)
    windows = spec.model_copy(update={"sequence": None, "daily": None})
    sums = np.zeros((3, len(spec.names)))
    for batch in batches:
        values = on_model_scale(model_inputs(batch, *samples_of(batch), windows)[INPUTS], spec).astype(np.float64)
        seen = ~np.isnan(values)
        values[~seen] = 0.0
        sums += [seen.sum(axis=0), values.sum(axis=0), (values * values).sum(axis=0)]
    yield pa.RecordBatch.from_pydict(
        {"feature": np.arange(len(spec.names), dtype=np.int32), "n": sums[0], "x": sums[1], "xx": sums[2]}
    )


def _mean_and_std(n, x, xx):
    """Of values by their number, sum and sum of squares; what never varies has the standard deviation 1."""
    seen = np.maximum(n, 1)
    mean = x / seen
    variance = np.maximum(xx / seen - mean**2, 0)
    return mean, np.where(variance > 1e-12 * np.maximum(mean**2, 1e-6), np.sqrt(variance), 1.0)


def _rounded(values):
    return tuple(float(f"{value:.{SIGNIFICANT_DIGITS}g}") for value in values)
