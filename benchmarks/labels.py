"""How fast does ACES label shards of people, and in how much memory, against es-aces on everybody at once?

The label is that of admission_90d, at 24 dates a person. Salus gives ACES a shard of whole people at a time, as a Spark
task does; the other way is es-aces as its own command line runs it: one MEDS file of everybody, one query. Both run on
one thread, interleaved, in a process of its own each, whose peak memory above what the imports and the data take is
told; the labels are compared.

    python benchmarks/labels.py --people 4000
"""

import argparse
import os
import resource
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from multiprocessing import get_context

os.environ["POLARS_MAX_THREADS"] = "1"

import numpy as np
import polars as pl
import pyarrow as pa

from salus.cohorts.labels import aces_config, label_codes, label_samples
from salus.cohorts.task import Task
from salus.timelines.clocks import MICROSECONDS_PER_DAY as DAY
from salus.timelines.clocks import NEVER, micros
from timing import save, surroundings

AS_OF = date(2026, 6, 30)
EVENTS, DATES, SHARD = 300, 24, 500
SHARDS, AT_ONCE = "ACES on shards of people", "es-aces on everybody at once"
OTHERS = 400
"""Codes that the label does not ask about."""


def main() -> int:
    """Measure, compare and save."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--people", type=int, default=4000, help="of 300 events (default: %(default)s)")
    made.add_argument("--runs", type=int, default=5, help="of each way (default: %(default)s)")
    args = made.parse_args()
    seconds: dict[str, list[float]] = {SHARDS: [], AT_ONCE: []}
    memory: dict[str, list[float]] = {SHARDS: [], AT_ONCE: []}
    for _ in range(args.runs):
        found = {}
        for way in seconds:
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
                took, peak, found[way] = process.submit(alone, way, args.people).result()
            seconds[way].append(took)
            memory[way].append(peak)
        if found[SHARDS] != found[AT_ONCE]:
            raise AssertionError("The ways gave other labels.")
    medians = {way: statistics.median(times) for way, times in seconds.items()}
    result = {
        "name": f"labels of {args.people:,} people of {EVENTS} events at {DATES} dates, on one thread",
        "runs": args.runs,
        "people": args.people,
        "people_a_shard": SHARD,
        "seconds": seconds,
        "median_seconds": medians,
        "people_a_second": {way: args.people / median for way, median in medians.items()},
        "peak_mb_above_the_data": {way: statistics.median(peaks) for way, peaks in memory.items()},
        "times_faster": {AT_ONCE: medians[AT_ONCE] / medians[SHARDS]},
        "outputs_compared": True,
        "positives": sum(found[SHARDS].values()),
        **surroundings(),
    }
    for way in seconds:
        rate, peak = result["people_a_second"][way], result["peak_mb_above_the_data"][way]
        print(f"{way:<30} {rate:9,.0f} people a second   {peak:8,.0f} MB")
    save("labels", result)
    return 0


def alone(way: str, people: int) -> tuple[float, float, dict[tuple[int, int], bool]]:
    """Seconds, peak memory in MB above what was there before, and the label of each person and time."""
    label, names = Task.load("admission_90d").label, codes()
    known = label_codes(label, names)
    batch, times = timelines(people, names), predictions()
    with tempfile.TemporaryDirectory() as folder:
        if way == AT_ONCE:
            meds(batch, times, known).write_parquet(f"{folder}/data.parquet")
        before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
        found = on_shards(batch, times, label, known) if way == SHARDS else at_once(label, f"{folder}/data.parquet")
        took = time.perf_counter() - begun
    return took, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, found


def on_shards(batch, times, label, known):
    """By ``label_samples``, a shard after the other."""
    found = {}
    for first in range(0, batch.num_rows, SHARD):
        shard = batch.slice(first, SHARD)
        row, at = np.repeat(np.arange(shard.num_rows), times.size), np.tile(times, shard.num_rows)
        labels = label_samples(shard, row, at, label, known, largest_gap_days=0)
        kept = np.flatnonzero((labels.lost_at == 0) | (labels.lost_at == 4))
        is_positive = labels.is_positive[kept].tolist()
        found.update(zip(zip((first + row[kept]).tolist(), at[kept].tolist()), is_positive))
    return found


def at_once(label, path):
    """By es-aces itself, on the file."""
    from aces.predicates import get_predicates_df
    from aces.query import query
    from omegaconf import DictConfig

    config = aces_config(label)
    answers = query(config, get_predicates_df(config, DictConfig({"path": path, "standard": "meds"})))
    kept = answers.select("subject_id", pl.col("trigger").dt.epoch("us"), pl.col("label") > 0)
    return {(subject, at): is_positive for subject, at, is_positive in kept.iter_rows()}


def meds(batch: pa.RecordBatch, times: np.ndarray, known: dict[int, str]) -> pl.DataFrame:
    """The events that the label asks about and the prediction times, as MEDS."""
    row = np.repeat(np.arange(batch.num_rows), EVENTS)
    code, time_ = (batch.column(name).flatten().to_numpy() for name in ("code", "time"))
    asked = np.flatnonzero(np.isin(code, list(known)))
    subject = np.concatenate([row[asked], np.repeat(np.arange(batch.num_rows), times.size)])
    at = np.concatenate([time_[asked], np.tile(times, batch.num_rows)])
    text = [known[each] for each in code[asked].tolist()] + ["SALUS_PREDICTION"] * (batch.num_rows * times.size)
    frame = pl.DataFrame({"subject_id": subject, "time": at, "code": text})
    number = pl.lit(None, pl.Float32).alias("numeric_value")
    return frame.with_columns(pl.from_epoch("time", "us"), number).sort("subject_id", "time")


def codes() -> pl.DataFrame:
    """Codes and their hashes: unplanned stays, and others."""
    stays = ["CLAIM/INPATIENT/1", "CLAIM/INPATIENT/2", "ENCOUNTER/IMP/EM", "ENCOUNTER/IMP/UR"]
    text = [*stays, *(f"LOINC/{number}" for number in range(OTHERS))]
    return pl.DataFrame({"code": text, "code_hash": np.arange(1, len(text) + 1)})


def predictions() -> np.ndarray:
    """int64 (dates,), ascending, whose horizon has passed."""
    return np.sort(micros(AS_OF) - (100 + 30 * np.arange(DATES)) * DAY)


def timelines(people: int, names: pl.DataFrame) -> pa.RecordBatch:
    """People with ``EVENTS`` events in four years, one in a hundred of them an unplanned stay."""
    random = np.random.default_rng(7)
    size = people * EVENTS
    time_ = np.sort(micros(AS_OF) - random.integers(0, 4 * 365 * 24, (people, EVENTS)) * (DAY // 24), axis=1).ravel()
    stays = len(names) - OTHERS
    code = np.where(
        random.random(size) < 0.01,
        random.integers(1, stays + 1, size),
        random.integers(stays + 1, len(names) + 1, size),
    )
    events, one = (
        pa.array(np.arange(0, size + 1, EVENTS, dtype=np.int32)),
        pa.array(np.arange(people + 1, dtype=np.int32)),
    )
    columns = {
        "death": pa.nulls(people, pa.int64()),
        "time": pa.ListArray.from_arrays(events, pa.array(time_)),
        "superseded": pa.ListArray.from_arrays(events, pa.array(np.full(size, NEVER))),
        "code": pa.ListArray.from_arrays(events, pa.array(code.astype(np.int64))),
        "value": pa.ListArray.from_arrays(events, pa.array(np.full(size, np.nan, np.float32))),
        **{
            name: pa.ListArray.from_arrays(one, pa.array(np.full(people, value, np.int64)))
            for name, value in (
                ("coverage_start", micros(AS_OF) - 1500 * DAY),
                ("coverage_end", NEVER),
                ("coverage_superseded", NEVER),
            )
        },
    }
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


if __name__ == "__main__":
    sys.exit(main())
