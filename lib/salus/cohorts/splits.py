"""Splits: a person is in one of them for good, by a hash of the subject_id.

The hash is Spark's ``xxhash64``, so that a split can be had in a query and in numpy alike; taken twice, and a third
time for folds, so that neither goes with what others draw by hash. Whoever is merged with
somebody who was a training member is training, whatever the new subject_id's hash says: a model may have seen them.

A task that holds out by time holds out everybody on its last dates, as tonight's model will meet them: those whom it
has learnt from before, and, told apart, those of whom it has seen nothing. Nothing is learnt from a label that was not
complete on the first of those dates (Steyerberg and Harrell, J Clin Epidemiol 2016;69:245-7). By site, everybody of
some care sites is held out, whenever.
"""

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from salus.cohorts.task import SPLITS, Splits, Task

_P1, _P2, _P3, _P4, _P5 = (
    np.uint64(prime)
    for prime in (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)
)
HELD_OUT = SPLITS[-1]
_SPARK_SEED = np.uint64(42)
_PARTS = 10_000
"""The hash is cut into so many parts: shares are kept to 0.01 %."""


def split_of(subject_id: np.ndarray, splits: Splits) -> np.ndarray:
    """The split of each person by hash alone; equal to ``split_column``.

    Args:
        subject_id: int64 (people,).
        splits: the task's shares.

    Returns:
        str (people,).
    """
    part = xxhash64(xxhash64(subject_id)) % _PARTS
    names, bounds = _bounds(splits)
    return np.array(names)[np.searchsorted(bounds[:-1], part, side="right")]


def fold_of(subject_id: np.ndarray, folds: int) -> np.ndarray:
    """int32 (people,), the cross-validation fold of each person; equal to ``fold_column``."""
    return (xxhash64(xxhash64(xxhash64(subject_id))) % folds).astype(np.int32)


def split_column(subject_id: Column, splits: Splits) -> Column:
    """The split of each person by hash alone."""
    part = F.pmod(F.xxhash64(F.xxhash64(subject_id)), F.lit(_PARTS))
    names, bounds = _bounds(splits)
    column = F.lit(names[-1])
    for name, bound in reversed(list(zip(names[:-1], bounds))):
        column = F.when(part < F.lit(int(bound)), F.lit(name)).otherwise(column)
    return column


def fold_column(subject_id: Column, folds: int) -> Column:
    """The cross-validation fold of each person."""
    return F.pmod(F.xxhash64(F.xxhash64(F.xxhash64(subject_id))), F.lit(folds)).cast("int")


def split_people(rows: DataFrame, identity: DataFrame, task: Task) -> DataFrame:
    """``rows`` (with a ``subject_id``) with ``split`` and ``fold``.

    Args:
        rows: any rows about people.
        identity: who was who, with history.
        task: whose shares and folds.
    """
    hashed = split_column(F.col("subject_id"), task.splits)
    return (
        rows.join(_merged_with_training(identity, task.splits), "subject_id", "left")
        .withColumn("split", F.when(F.col("was_training"), "train").otherwise(hashed))
        .withColumn("fold", fold_column(F.col("subject_id"), task.folds))
        .drop("was_training")
    )


def split_samples(
    samples: DataFrame, identity: DataFrame, timelines: DataFrame, task: Task, dates: Sequence[date]
) -> DataFrame:
    """``samples`` with ``split`` and ``fold``; ``split`` is null where a sample is in none.

    Args:
        samples: subject_id and prediction_time.
        identity: who was who, with history.
        timelines: who belongs to which care site.
        task: who is held out, and the shares of the others.
        dates: the index dates, ascending.
    """
    dealt = split_people(samples, identity, task)
    since = held_out_since(task, dates)
    if since is not None:
        on = F.to_date("prediction_time")
        is_learnt_from = (on <= F.lit(learnt_until(task, dates))) & (F.col("split") != HELD_OUT)
        return dealt.withColumn("split", F.when(on >= F.lit(since), HELD_OUT).when(is_learnt_from, F.col("split")))
    if task.splits.held_out_sites:
        of_sites = timelines.where(F.col("care_site").isin(*task.splits.held_out_sites))
        away = of_sites.select("subject_id", F.lit(True).alias("is_away"))
        split = F.when(F.col("is_away"), HELD_OUT).otherwise(F.col("split"))
        return dealt.join(away, "subject_id", "left").withColumn("split", split).drop("is_away")
    return dealt


def held_out_since(task: Task, dates: Sequence[date]) -> date | None:
    """The first of ``dates`` (the index dates, ascending) that is held out; None where the task does not by time."""
    return None if task.splits.held_out_last is None else dates[-task.splits.held_out_last]


def learnt_until(task: Task, dates: Sequence[date]) -> date | None:
    """The last day that is learnt from, whose label is complete on the first date held out; None = no date is."""
    since = held_out_since(task, dates)
    return since and since - timedelta(days=task.label.horizon_days + task.label.run_out_days)


def split_step(task: Task, dates: Sequence[date]) -> list[str]:
    """What the step of attrition asks at which samples are lost that are in no split; none where all are in one."""
    since = held_out_since(task, dates)
    if since is None:
        return []
    return [f"held out, from {since} on; or the label complete by then, of somebody who is not kept for later"]


def xxhash64(values: np.ndarray) -> np.ndarray:
    """Spark's ``xxhash64`` of each long, as int64 (XXH64 of eight bytes with the seed 42)."""
    with np.errstate(over="ignore"):
        state = _SPARK_SEED + _P5 + np.uint64(8)
        state = state ^ (_turned(values.astype(np.int64).view(np.uint64) * _P2, 31) * _P1)
        state = _turned(state, 27) * _P1 + _P4
        state = (state ^ (state >> np.uint64(33))) * _P2
        state = (state ^ (state >> np.uint64(29))) * _P3
        return (state ^ (state >> np.uint64(32))).view(np.int64)


def _turned(values, bits):
    return (values << np.uint64(bits)) | (values >> np.uint64(64 - bits))


def _bounds(splits):
    return list(splits.shares), np.round(np.cumsum(list(splits.shares.values())) * _PARTS).astype(np.int64)


def _merged_with_training(identity, splits):
    """Today's subjects of whom a part was once somebody else, who was training."""
    today = identity.where(F.col("known_until").isNull()).select("source_subject_id", "subject_id")
    once = identity.where(F.col("known_until").isNotNull()).select(
        "source_subject_id", F.col("subject_id").alias("was")
    )
    return (
        once.join(today, "source_subject_id")
        .where(F.col("was") != F.col("subject_id"))
        .where(split_column(F.col("was"), splits) == "train")
        .select("subject_id", F.lit(True).alias("was_training"))
        .distinct()
    )
