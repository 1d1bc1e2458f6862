"""How fast are model inputs made, against DuckDB and polars computing the same on one thread?

From a Parquet file of timelines: counts of 40 code groups in three windows, days since the last event of each, the
means of 20 numeric groups in two windows, and the last 64 events with their values, for every person at every month of
two years. Targets: at least twice DuckDB's speed, and 100,000 samples a CPU second, the sequence included. DuckDB and
polars may leave what is empty out of their answers; here it is written down.

    python benchmarks/model_inputs.py [--people 2000] [--runs 5]
"""

import argparse
import os
import statistics
import tempfile
import time

os.environ.setdefault("POLARS_MAX_THREADS", "1")

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from salus.timelines.blocks import EventSequence
from salus.timelines.clocks import MICROSECONDS_PER_DAY as DAY
from salus.timelines.clocks import NEVER
from salus.timelines.model_inputs import model_inputs
from salus.timelines.spec import CodeGroup, FeatureSpec
from timing import compare, save, show

GROUPS, NUMERIC, LENGTH, MONTHS, EVENTS, CODES = 40, 20, 64, 24, 200, 500
WINDOWS, NUMERIC_WINDOWS = (30, 90, 365), (90, 365)
TIMES = [(900 + 30 * month) * DAY for month in range(MONTHS)]


def main():
    """Measure, print and keep."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--people", type=int, default=2000)
    made.add_argument("--runs", type=int, default=5)
    args = made.parse_args()
    pa.set_cpu_count(1)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/timelines.parquet"
        pq.write_table(population(args.people), path, row_group_size=500)
        ways = {"Salus": lambda: ours(path), "DuckDB": lambda: by_duckdb(path), "polars": lambda: by_polars(path)}
        result = compare("model inputs on one thread", ways, args.runs, same)
        windows = FeatureSpec.from_json(SPEC.model_copy(update={"sequence": None}).to_json())
        for name, spec in (("samples_a_cpu_second", SPEC), ("windows_samples_a_cpu_second", windows)):
            seconds = statistics.median(cpu_seconds(lambda of=spec: ours(path, of)) for _ in range(args.runs))
            result[name] = args.people * MONTHS / seconds
    result |= {"people": args.people, "samples": args.people * MONTHS, "events_a_person": EVENTS}
    show(result)
    print(
        f"{result['times_faster']['DuckDB']:.2f} times DuckDB (target 2); {result['samples_a_cpu_second']:,.0f} "
        f"samples a CPU second (target 100,000); windows alone: {result['windows_samples_a_cpu_second']:,.0f}"
    )
    print(save("model_inputs", result))


def _group(name, kind, *codes):
    return CodeGroup(name=name, label=name, kind=kind, codes=tuple(map(str, codes)), code_hashes=codes)


def code_hash(number):
    """A made-up 64-bit hash of the code ``number``."""
    return int(np.random.default_rng([5, number]).integers(-(1 << 63), 1 << 63))


HASHES = [code_hash(number) for number in range(CODES)]
SPEC = FeatureSpec(
    windows_days=WINDOWS,
    numeric_windows_days=NUMERIC_WINDOWS,
    count_statistics=("count", "days_since_last"),
    numeric_statistics=("mean",),
    groups=(
        *(_group(f"g{n}", "count", *HASHES[5 * n : 5 * n + 5]) for n in range(GROUPS)),
        *(_group(f"n{n}", "numeric", HASHES[400 + n]) for n in range(NUMERIC)),
    ),
    sequence=EventSequence(
        length=LENGTH,
        codes=tuple(map(str, range(CODES))),
        labels=tuple(map(str, range(CODES))),
        code_hashes=tuple(HASHES),
        mean=(0.0,) * CODES,
        std=(1.0,) * CODES,
    ),
)


def population(people):
    """Timelines of a seed: 200 events a person on average over five years, a tenth known late, a hundredth replaced."""
    random = np.random.default_rng(3)
    sizes = random.poisson(EVENTS, people)
    offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32))
    total = int(sizes.sum())
    person = np.repeat(np.arange(people), sizes)
    when = random.choice(1650 * 24 * 60, total, replace=False) * (DAY // 1440)
    when = when[np.lexsort((when, person))]
    available = when + np.where(random.random(total) < 0.1, random.integers(0, 60, total), 0) * DAY
    superseded = np.where(random.random(total) < 0.01, available + 30 * DAY, NEVER)
    code = np.minimum(random.zipf(1.2, total) * 37 % CODES, CODES - 1)
    value = np.where(code >= 400, random.normal(100, 15, total), np.nan).astype(np.float32)
    columns = {
        "time": when,
        "available": available,
        "superseded": superseded,
        "code": np.array(HASHES)[code],
        "value": value,
    }
    none = pa.array([[]] * people, pa.list_(pa.int64()))
    return pa.table(
        {
            "subject_id": np.arange(people),
            "birth": np.zeros(people, np.int64),
            "sex": pa.array(["female"] * people),
            **{name: pa.ListArray.from_arrays(offsets, pa.array(column)) for name, column in columns.items()},
            **{f"coverage_{name}": none for name in ("start", "end", "available", "superseded")},
        }
    )


def ours(path, spec=SPEC):
    """Blocks of all samples, a dict a batch."""
    parts = []
    for batch in pq.ParquetFile(path).iter_batches(batch_size=500, use_threads=False):
        row = np.repeat(np.arange(batch.num_rows), MONTHS)
        parts.append(model_inputs(batch, row, np.tile(TIMES, batch.num_rows), spec))
    return parts


def cpu_seconds(way):
    """Of this process, while it does something."""
    begun = time.process_time()
    way()
    return time.process_time() - begun


SEEN = f"""
WITH event AS (
    SELECT subject_id, unnest(time) AS time, unnest(available) AS available, unnest(superseded) AS superseded,
           unnest(code) AS code, unnest(value) AS value FROM read_parquet(?)),
seen AS (
    SELECT subject_id * {MONTHS} + month AS sample, moment, event.* FROM event JOIN moments
    ON event.available <= moment AND moment < event.superseded)"""


def by_duckdb(path):
    """The same by SQL, one row a sample and group, and one a sample and event."""
    with duckdb.connect(config={"threads": 1}) as base:
        base.execute("CREATE TABLE moments AS SELECT unnest(range(?)) AS month, unnest(?) AS moment", [MONTHS, TIMES])
        for kind in ("count", "numeric"):
            rows = [(code, n) for n, group in enumerate(SPEC.of_kind(kind)) for code in group.code_hashes]
            base.execute(f"CREATE TABLE {kind}s (code BIGINT, number INT)")
            base.executemany(f"INSERT INTO {kind}s VALUES (?, ?)", rows)
        counts = ", ".join(f"count(*) FILTER (moment - time <= {days * DAY}) AS w{days}" for days in WINDOWS)
        means = ", ".join(f"avg(value) FILTER (moment - time <= {days * DAY}) AS w{days}" for days in NUMERIC_WINDOWS)
        return [
            base.execute(query, [path]).to_arrow_table()
            for query in (
                f"{SEEN} SELECT sample, number, {counts}, (max(moment) - max(time)) / {DAY} AS days FROM seen "
                "JOIN counts USING (code) GROUP BY sample, number",
                f"{SEEN} SELECT sample, number, {means} FROM seen JOIN numerics USING (code) "
                "WHERE NOT isnan(value) GROUP BY sample, number",
                f"{SEEN} SELECT sample, code, value, time FROM seen QUALIFY "
                f"row_number() OVER (PARTITION BY sample ORDER BY time DESC) <= {LENGTH}",
            )
        ]


def by_polars(path):
    """The same by data frames."""
    columns = ["time", "available", "superseded", "code", "value"]
    at = pl.LazyFrame({"month": range(MONTHS), "at": TIMES})
    seen = (
        pl.scan_parquet(path)
        .select("subject_id", *columns)
        .explode(columns)
        .join(at, how="cross")
        .filter((pl.col("available") <= pl.col("at")) & (pl.col("at") < pl.col("superseded")))
        .with_columns(sample=pl.col("subject_id") * MONTHS + pl.col("month"), age=pl.col("at") - pl.col("time"))
    )

    def of(kind):
        rows = [(code, n) for n, group in enumerate(SPEC.of_kind(kind)) for code in group.code_hashes]
        groups = pl.LazyFrame(rows, schema={"code": pl.Int64, "number": pl.Int32}, orient="row")
        return seen.join(groups, on="code").group_by("sample", "number")

    counts = of("count").agg(
        *((pl.col("age") <= days * DAY).sum().alias(f"w{days}") for days in WINDOWS),
        days=pl.col("age").min() / DAY,
    )
    means = of("numeric").agg(
        *(pl.col("value").filter(pl.col("age") <= days * DAY).mean().alias(f"w{days}") for days in NUMERIC_WINDOWS)
    )
    last = (
        seen.select("sample", "code", "value", "time")
        .sort("sample", "time")
        .group_by("sample", maintain_order=True)
        .tail(LENGTH)
    )
    return [frame.to_arrow() for frame in pl.collect_all([counts, means, last])]


def same(outputs):
    """All ways gave the same numbers."""
    parts = outputs["Salus"]
    blocks = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    samples = len(blocks["inputs"])
    names = {name: place for place, name in enumerate(SPEC.names)}
    for way in ("DuckDB", "polars"):
        counts, means, last = outputs[way]
        for table, kind, statistic, windows in (
            (counts, "g", "count", WINDOWS),
            (means, "n", "mean", NUMERIC_WINDOWS),
        ):
            sample, number = table["sample"].to_numpy(), table["number"].to_numpy()
            groups = GROUPS if kind == "g" else NUMERIC
            for days in windows:
                expected = np.full((samples, groups), 0.0 if kind == "g" else np.nan)
                expected[sample, number] = table[f"w{days}"].to_numpy()
                columns = [names[f"{kind}{n}.{statistic}.{days}d"] for n in range(groups)]
                np.testing.assert_allclose(blocks["inputs"][:, columns], expected, rtol=1e-4, err_msg=way)
        days = np.full((samples, GROUPS), np.nan)
        days[counts["sample"].to_numpy(), counts["number"].to_numpy()] = counts["days"].to_numpy()
        columns = [names[f"g{n}.days_since_last"] for n in range(GROUPS)]
        np.testing.assert_allclose(blocks["inputs"][:, columns], days, rtol=1e-5, err_msg=way)
        rows = last.sort_by([("sample", "ascending"), ("time", "ascending")])
        place = blocks["event_codes"] > 0
        code = np.array([0, *HASHES])[blocks["event_codes"][place]]
        np.testing.assert_array_equal(np.repeat(np.arange(samples), place.sum(axis=1)), rows["sample"].to_numpy())
        np.testing.assert_array_equal(code, rows["code"].to_numpy(), err_msg=way)
        np.testing.assert_array_equal(blocks["event_values"][place][:, 0], rows["value"].to_numpy(), err_msg=way)


if __name__ == "__main__":
    main()
