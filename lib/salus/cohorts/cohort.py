"""The cohort of a task: who is predicted for, when, with which label, in which split; and who was lost at which step.

Whole people go through one numpy pass a shard: eligibility by what was available, labels by what happened. Nothing
population-sized reaches the driver: only counts by step, and by month and day for the censoring weights.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from salus.cohorts.attrition import attrition
from salus.cohorts.classes import NONE
from salus.cohorts.costs import checked_costs, current_costs, with_costs
from salus.cohorts.eligibility import columns_of, eligibility, eligibility_steps
from salus.cohorts.exclusions import excluded_codes, fill_codes
from salus.cohorts.gates import check_gates, check_people, figures_of, on_both_sides, totals
from salus.cohorts.grid import check_as_of, data_end, grid
from salus.cohorts.high_cost import high_from, is_high
from salus.cohorts.index import index_codes, index_columns, index_samples
from salus.cohorts.labellers import label_steps, labeller
from salus.cohorts.named_codes import named_codes
from salus.cohorts.splits import split_samples, split_step
from salus.cohorts.table_labels import brought_in
from salus.cohorts.task import Task
from salus.cohorts.weights import weighted
from salus.errors import Held
from salus.schemas import COHORT
from salus.schemas.fields import BOOLEAN, DOUBLE, INT, LONG, TIME, field
from salus.storage.at_once import at_once
from salus.timelines.clocks import micros

SHARD = 2_000
"""People whose labels ACES makes at once: about 1 GB at 400 named events each, a fraction of that as a rule."""

VALUES = (
    "boolean_value",
    "integer_value",
    "float_value",
    "categorical_value",
    "classes",
    "event_type",
    "observed_days",
)
"""The columns of ``COHORT`` that hold labels."""

ELIGIBLE = StructType(
    [
        field("subject_id", LONG, "the person", True),
        field("prediction_time", TIME, "UTC", True),
        field("step_lost", INT, "0 = eligible, i = lost at the i-th of eligibility_steps", True),
        field("enrolled_days", INT, "days enrolled within the look-back, by what was available", True),
    ]
)

SAMPLES = StructType(
    [
        *ELIGIBLE.fields[:2],
        field("step_lost", INT, "0 = labelled, i = lost at the i-th of eligibility_steps and label_steps", True),
        field("is_positive", BOOLEAN, "whether the label is yes, or above nought; null = none"),
        field(
            "value",
            DOUBLE,
            "the label, in days or currency units where it is a number; of a time to event its type, of classes a set",
        ),
        field("observed_days", INT, "days to the event, death, horizon or censoring; -1 = not at risk", True),
        field("is_censored", BOOLEAN, "left the insurer before the label's end", True),
    ]
)


def cohort(job, task: Task) -> None:
    """Write ``cohorts/<task>`` and its attrition, where they are not there for these very tables and this task.

    Raises:
        Held: there are no labels, they are all of one class, or fewer than the task's gates ask for; somebody is on
            both sides of a split; or costs are in several currencies.
    """
    reads = ["timelines", "codes", "identity", "ingested_files"]
    if task.label.cost is not None:
        reads += ["costs", "records"]
    if not job.needed({"task": task.id}, reads=reads, task=task.cohort_hash):
        return
    timelines = job.tables.read("timelines")
    end = data_end(timelines, job.tables.read("ingested_files"))
    if end is None:
        raise Held(
            f"Received no timelines to make the cohort of {task.id} from; expected some. "
            "Run ingest and timelines first."
        )
    dates = grid(task.index, task.label, end)
    job.progress(f"{len(dates)} index dates from {dates[0]} to {dates[-1]}, what is known ends on {end}")
    if task.label.cost is not None:
        current = current_costs(job.tables.read("costs"), job.tables.read("records"))
        job.count(**checked_costs(current, task.label.cost.currency))
        timelines = with_costs(timelines, current, job.tables.read("identity"))
    if task.label.table is not None:
        of_table = brought_in(named_codes(job.tables.read("codes"), [task.label.table.code]))
        job.count(labels_brought_in=timelines.agg(F.coalesce(F.sum(of_table), F.lit(0))).head()[0])
    labelled = labelled_samples(timelines, job.tables.read("codes"), task, dates).persist()
    try:
        asked = sample_steps(task, dates, end)
        samples = _in_a_split(
            split_samples(labelled, job.tables.read("identity"), job.tables.read("timelines"), task, dates), len(asked)
        )
        rows = weighted(samples)
        asked += split_step(task, dates)
        if task.label.cost is not None and task.label.cost.is_high:
            least = high_from(rows, task.label.cost)
            job.count(high_from=least)
            samples, rows = (each.withColumn("is_positive", is_high(least)) for each in (samples, rows))
        rows = rows.select(*_as_cohort(task.label))
        looked_at: list[Callable[[], Any]] = [
            partial(attrition, samples, task, asked),
            partial(figures_of, rows, task.label),
            partial(on_both_sides, rows, task),
        ]
        steps, figures, both = at_once(job.spark, looked_at)
        check_gates(task, figures, steps)
        check_people(task, both)
        job.tables.replace(f"cohorts/{task.id}", rows)
        job.tables.replace("attrition", job.tables.frame("attrition", steps), where=f"task_id = '{task.id}'")
    finally:
        labelled.unpersist()
    job.count(**totals(figures, task.label), index_dates=len(dates), data_end=str(end))


def _in_a_split(samples, step):
    """``samples``; labelled ones that are in no split are lost at ``step``."""
    is_lost = (F.col("step_lost") == 0) & F.col("split").isNull()
    return samples.withColumn("step_lost", F.when(is_lost, step).otherwise(F.col("step_lost")))


def tonight(job, task: Task, as_of: date) -> list[dict]:
    """The attrition of the people of ``as_of``: no labels, nothing that needs the future; nothing is written.

    Raises:
        Refused: ``as_of`` lies after the end of data.
    """
    check_as_of(job.tables, as_of)
    people = (
        eligible(job.tables.read("timelines"), job.tables.read("codes"), task, [as_of])
        .withColumn("is_positive", F.lit(None).cast("boolean"))
        .persist()
    )
    try:
        steps = attrition(people, task, [_looked_at(task, f", as of {as_of}"), *eligibility_steps(task.eligibility)])
    finally:
        people.unpersist()
    job.count(people=steps[0]["rows_before"], eligible=steps[-1]["rows_before"] - steps[-1]["rows_lost"])
    return steps


def eligible(timelines: DataFrame, codes: DataFrame, task: Task, dates: Sequence[date]) -> DataFrame:
    """One ``ELIGIBLE`` row a person of ``timelines`` and date: at which step they are lost, or that they are not.

    With an index event, only people and dates on which it was new.
    """
    times = np.array([micros(day) for day in dates], np.int64)
    looked_up, index = _looked_up(codes, task), index_codes(codes, task.index.event)
    columns = dict.fromkeys((*columns_of(task.eligibility), *index_columns(index)))
    return timelines.select("subject_id", *columns).mapInArrow(
        partial(_eligible, judged=looked_up, index=index, times=times), ELIGIBLE
    )


def labelled_samples(timelines: DataFrame, codes: DataFrame, task: Task, dates: Sequence[date]) -> DataFrame:
    """One ``SAMPLES`` row a person and date that is looked at: the label, or the step at which they are lost.

    ``codes`` is of the size of the vocabulary, and is looked up on the driver.
    """
    times = np.array([micros(day) for day in dates], np.int64)
    made = labeller(task.label, codes, task.eligibility.largest_gap_days or 0)
    looked_up, index = _looked_up(codes, task), index_codes(codes, task.index.event)
    columns = dict.fromkeys((*columns_of(task.eligibility), *index_columns(index), *made.columns))
    return timelines.select("subject_id", *columns).mapInArrow(
        partial(_labelled, judged=looked_up, labels=made, index=index, times=times), SAMPLES
    )


def sample_steps(task: Task, dates: Sequence[date], end: date) -> list[str]:
    """What each step of the training cohort asks, step 0 first."""
    when = (
        f" on {len(dates)} dates from {dates[0]} to {dates[-1]}; horizon "
        f"({task.label.horizon_days} d) and run-out ({task.label.run_out_days} d) over by {end}"
    )
    return [_looked_at(task, when), *eligibility_steps(task.eligibility), *label_steps(task.label)]


def _looked_up(codes, task):
    """What ``eligibility`` is asked with beside a shard and its samples."""
    rules = task.eligibility
    return {"rules": rules, "excluded": excluded_codes(codes, rules), "fills": fill_codes(codes, rules)}


def _looked_at(task, when):
    if task.index.event is None:
        return f"known people{when}"
    codes = " or ".join(task.index.event.codes)
    if task.index.event.days_before is not None:
        return f"people of whom {codes} was known, due {task.index.event.days_before} d later,{when}"
    event = f"{codes} of the last {task.index.event.within_days} d"
    if task.index.event.nth_day is not None:
        event = f"day {task.index.event.nth_day} with {event}"
    return f"people of whom {event} became known the day before{when}"


def _eligible(batches: Iterator[pa.RecordBatch], judged, index, times) -> Iterator[pa.RecordBatch]:
    for shard, row, at in _shards(batches, times, index):
        step, days = eligibility(shard, row, at, **judged)
        yield _batch(ELIGIBLE, shard, row, at, step.astype(np.int32), days)


def _labelled(batches, judged, labels, index, times):
    os.environ.setdefault("POLARS_MAX_THREADS", "1")
    before = len(eligibility_steps(judged["rules"]))
    for shard, row, at in _shards(batches, times, index):
        step, _ = eligibility(shard, row, at, **judged)
        step = step.astype(np.int32)
        kept = np.flatnonzero(step == 0)
        found = labels.samples(shard, row[kept], at[kept])
        step[kept] = np.where(found.lost_at > 0, found.lost_at + before, 0)
        value, observed = np.zeros(row.size), np.full(row.size, -1, np.int32)
        value[kept], observed[kept] = found.value, found.observed_days
        is_lost = step > 0
        yield _batch(
            SAMPLES,
            shard,
            row,
            at,
            step,
            pa.array(value > 0, mask=is_lost),
            pa.array(value, mask=is_lost),
            observed,
            step == before + len(labels.steps),
        )


def _shards(batches, times, index):
    """Shards of whole people, each with its samples."""
    for batch in batches:
        for first in range(0, batch.num_rows, SHARD):
            shard = batch.slice(first, SHARD)
            row, at = index_samples(shard, times, index)
            if row.size:
                yield shard, row, at


def _batch(schema, shard, row, at, *columns):
    subject = shard.column("subject_id").to_numpy(zero_copy_only=False)[row]
    time = pa.array(at).cast(pa.timestamp("us"))
    return pa.RecordBatch.from_arrays(
        [pa.array(subject), time, *(pa.array(each) if isinstance(each, np.ndarray) else each for each in columns)],
        names=schema.names,
    )


def _as_cohort(label):
    """The columns of ``COHORT``; those of the other kinds of label are null."""
    known = {
        "boolean_value": {"boolean_value": F.col("is_positive")},
        "integer_value": {"integer_value": F.col("value").cast("long")},
        "float_value": {},
        "event_type": {
            "boolean_value": F.when(F.col("value") != 0, F.col("is_positive")).when(
                F.col("observed_days") == label.horizon_days, F.lit(False)
            ),
            "event_type": F.col("value").cast("int"),
            "observed_days": F.col("observed_days"),
        },
        "classes": {} if label.outcomes is None else _of_classes(label.outcomes),
    }[label.kind.column]
    if label.cost is not None:
        known["float_value"] = F.col("value")
    absent = {column.name: F.lit(None).cast(column.dataType) for column in COHORT if column.name in VALUES}
    return [(absent | known).get(name, F.col(name)).alias(name) for name in COHORT.names]


def _of_classes(outcomes):
    """Whether each class holds, and the focus does, as yes or no; of exclusive ones, which does."""
    holds = [F.expr(outcomes.holds(place, "value")) for place in range(len(outcomes.names))]
    known = {
        "boolean_value": holds[-1],
        "classes": F.array(
            *[F.struct(F.lit(name).alias("class"), each.alias("value")) for name, each in zip(outcomes.names, holds)]
        ),
    }
    if outcomes.is_exclusive:
        named = [F.when(each, F.lit(name)) for name, each in zip(outcomes.names, holds)]
        known["categorical_value"] = F.coalesce(*named, F.lit(NONE))
    return known
