"""How fast is a night's scoring, against the usual ways?

Two questions, each interleaved, medians of five, with outputs compared:

1. Salus's pandas UDF against the one that everybody writes first, which calls ``model.predict``: at least 6 times, at
   the inputs of admission_90d. Both get a row's inputs through Spark, which at 2.5 kB a row is most of what the faster
   one takes, so the same is measured on fewer inputs too, and beside a UDF that only takes the rows in.
2. A whole night in Spark (eligibility, inputs, scores, reasons, percentiles, the Delta write) against two plain
   processes of pyarrow and TensorFlow that do the same for half of the files each, on two cores: at least 0.5. Salus's
   workers have allocators that keep their memory (salus.memory); the same is measured against processes that have
   them too.

    python benchmarks/scoring.py --people 40000

Workers and processes live through all runs, so TensorFlow's import is in none of the times.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import date
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import functions as F
from scipy.stats import rankdata

from salus import memory
from salus.cohorts.task import Task
from salus.evaluation.platt import Platt
from salus.evaluation.trained import Trained
from salus.scoring.changes import previous_night
from salus.scoring.outcome import Night
from salus.scoring.population import outcomes, score_udf
from salus.scoring.score import counted, score_rows
from salus.session import spark_session
from salus.settings import load_settings
from salus.storage import Tables
from salus.storage.at_once import at_once
from salus.timelines.clocks import MICROSECONDS_PER_DAY, NEVER, STATIC, micros
from salus.timelines.features import FeatureSettings, code_groups, codeset
from salus.timelines.spec import FeatureSpec, Statistics
from salus.training.package import model_bytes, package_bytes, write_package
from timing import compare, save, show

AS_OF = date(2026, 6, 30)
DAY = MICROSECONDS_PER_DAY
EVENTS = 300
BATCH = 2000
PREDICT_ROWS = 200_000
OURS = "Salus's UDF"
PREDICT = "a UDF that calls model.predict"
NOTHING = "a UDF that does nothing"
PLAIN = "two plain processes"
FEWER_GROUPS = (20,)
FASTER_THAN_PREDICT, SHARE_OF_PLAIN = 6.0, 0.5


def main(argv=None):
    """Measure both and save them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=40_000)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="salus-benchmark-") as folder:
        spark = spark_session(load_settings(master="local[2]", driver_memory="3g"), name="benchmark")
        task = Task.load("admission_90d")
        by_width = {}
        for groups in (*FEWER_GROUPS, None):
            spec = fitted_spec(groups)
            package_hash = packaged(f"{folder}/package-{spec.width}", spec, task)
            calibration = Platt(-1.0, 0.9, 0.01, -0.002, 0.004, package_hash, 100, 1000, 90)
            archive = package_bytes(f"{folder}/package-{spec.width}")
            by_width[spec.width] = udf_or_predict(spark, archive, calibration, spec, args.runs)
        night = spark_or_plain(spark, Path(folder), archive, calibration, task, spec, args)
        spark.stop()
    for result in (*by_width.values(), night):
        show(result)
    save("scoring_predict", {str(width): result for width, result in by_width.items()})
    save("scoring_plain", night)
    ratios = {width: result["times_faster"][PREDICT] for width, result in by_width.items()}
    share = night["times_faster"][PLAIN]
    for width, result in by_width.items():
        seconds = result["median_seconds"]
        beyond = (seconds[PREDICT] - seconds[NOTHING]) / (seconds[OURS] - seconds[NOTHING])
        print(
            f"{ratios[width]:5.1f} times model.predict on {width} inputs; to take the rows in takes "
            f"{seconds[NOTHING]:.2f} s of {seconds[OURS]:.2f}, without which it is {beyond:.0f} times"
        )
    print(f"at {spec.width} inputs at least {FASTER_THAN_PREDICT:g} are asked for")
    print(f"{share:5.2f} of two plain processes (at least {SHARE_OF_PLAIN:g})")
    return 0 if ratios[spec.width] >= FASTER_THAN_PREDICT and share >= SHARE_OF_PLAIN else 1


def fitted_spec(groups_at_most: int | None = None) -> FeatureSpec:
    """The features of admission_90d, as if one code of each prefix were known, with made-up statistics.

    Args:
        groups_at_most: only of so many code groups; None = of all.
    """
    settings = FeatureSettings()
    prefixes = sorted({prefix for group in codeset(settings.codeset) for prefix in group.prefixes})
    hashes = {prefix: number for number, prefix in enumerate(prefixes, start=1000)}
    groups = tuple(code_groups(settings, hashes, {}))[:groups_at_most]
    shared = {
        name: getattr(settings, name)
        for name in ("windows_days", "numeric_windows_days", "count_statistics", "numeric_statistics", "enrolment_days")
    }
    spec = FeatureSpec(**shared, groups=groups)
    features = len(spec.names)
    return spec.model_copy(update={"statistics": Statistics(mean=(0.4,) * features, std=(1.3,) * features)})


def packaged(url: str, spec: FeatureSpec, task: Task) -> str:
    """A package of the task's own architecture with random weights; returns its hash."""
    from salus.models import build

    model = build(task.model.architecture, spec.blocks, task.model.settings)
    random = np.random.default_rng(3)
    model.set_weights([random.normal(0, 0.1, weights.shape).astype(np.float32) for weights in model.get_weights()])
    return write_package(
        url, {"model.keras": model_bytes(model), "spec.json": spec.to_json().encode(), "training.json": b"{}"}
    )


def udf_or_predict(spark, archive, calibration, spec, runs):
    """Probabilities of inputs as they are exported, by either UDF."""
    package = spark.sparkContext.broadcast(archive)
    random = np.random.default_rng(5)
    inputs = random.normal(size=(PREDICT_ROWS, spec.width)).astype(np.float32)
    blocks = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(4 * spec.width), PREDICT_ROWS, [None, pa.py_buffer(inputs.astype("<f4"))]
    )
    rows = pa.table({"id": np.arange(PREDICT_ROWS), "inputs": blocks})

    @F.pandas_udf("double")
    def predicted(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        from salus.training.package import open_package

        model = open_package(package.value).model
        for batch in batches:
            rows = np.frombuffer(b"".join(batch), "<f4").reshape(len(batch), -1)
            logits = model.predict({"inputs": rows}, verbose=0)[:, 0]
            yield pd.Series(calibration.calibrated(logits))

    @F.pandas_udf("double")
    def nothing(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        for batch in batches:
            yield pd.Series(np.zeros(len(batch)))

    ways = {OURS: score_udf(package, calibration), PREDICT: predicted, NOTHING: nothing}
    with tempfile.TemporaryDirectory(prefix="salus-inputs-") as folder:
        for part in range(2):
            half = rows.slice(part * PREDICT_ROWS // 2, PREDICT_ROWS // 2)
            pq.write_table(half, f"{folder}/part-{part}.parquet", use_dictionary=False)
        frame = spark.read.parquet(folder)
        return compare(
            f"probabilities of {PREDICT_ROWS:,} rows of {spec.width} inputs",
            {way: partial(_probabilities, frame, udf) for way, udf in ways.items()},
            runs,
            check=lambda outputs: _same([outputs[way].sort_by("id")["p"] for way in (OURS, PREDICT)]),
        )


def _probabilities(frame, udf):
    return frame.select("id", udf("inputs").alias("p")).toArrow()


def spark_or_plain(spark, folder, archive, calibration, task, spec, args):
    """A whole night by either way."""
    tables = Tables(spark, str(folder / "warehouse"))
    raw = folder / "raw"
    raw.mkdir()
    for part in range(4):
        pq.write_table(pa.Table.from_batches([people(part, args.people // 4, spec)]), raw / f"{part}.parquet")
    tables.replace("timelines", spark.read.parquet(str(raw)))
    model = Trained(task.id, task.id, "1", spec.hash, "d", "p", "x", 0.08)
    night = Night(micros(AS_OF), task.eligibility, calibration)
    package = spark.sparkContext.broadcast(archive)
    files = [file.removeprefix("file:") for file in tables.read("timelines").inputFiles()]

    def by_spark():
        found = outcomes(tables.read("timelines"), package, night).persist()
        earlier = partial(previous_night, tables.read("scores"), task.id, AS_OF)
        counts, previous = at_once(spark, [partial(counted, found), earlier])
        through = counts["data_available_through"]
        rows = score_rows(found, previous, task, AS_OF, model, calibration, "run", through)
        tables.replace("scores", rows, f"task_id = '{task.id}' AND as_of = DATE'{AS_OF}'")
        found.unpersist()
        return lambda: tables.read("scores").select("subject_id", "probability", "percentile").toArrow()

    def by_processes(processes):
        work = [(archive, files[number::2], night, str(folder / f"plain-{number}.parquet")) for number in range(2)]
        whole = with_percentiles(list(processes.map(plainly, work)))
        pq.write_table(whole, folder / "plain.parquet", compression="zstd")
        return lambda: whole

    with plain_processes({}) as plain, plain_processes(memory.ENVIRONMENT) as keeping:
        return compare(
            f"a night of {args.people:,} people with {EVENTS} events, {spec.width} inputs, and reasons",
            {
                "Salus on local[2], with the Delta write": by_spark,
                PLAIN: lambda: by_processes(plain),
                f"{PLAIN}, with Salus's allocators": lambda: by_processes(keeping),
            },
            args.runs,
            check=_same_night,
        )


@contextmanager
def plain_processes(environment: Mapping[str, str]) -> Iterator[ProcessPoolExecutor]:
    """Two processes that began with ``environment``."""
    before = dict(os.environ)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
        os.environ.update(environment)
        for begun in [processes.submit(os.getpid) for _ in range(2)]:
            begun.result()
        os.environ.clear()
        os.environ.update(before)
        yield processes


def plainly(work):
    """One process's files through the same scorer, without Spark: what it scored is written, and where is returned."""
    from salus.scoring.population import loaded

    archive, files, night, out = work
    scorer = loaded(archive)
    found = [scorer.outcomes(batch, night) for file in files for batch in pq.ParquetFile(file).iter_batches(BATCH)]
    table = pa.Table.from_batches(found)
    pq.write_table(table.filter(table["is_eligible"]), out, compression="zstd")
    return out


def with_percentiles(parts):
    """The plain processes' rows with midranks."""
    table = pa.concat_tables([pq.read_table(part, columns=["subject_id", "probability"]) for part in parts])
    probability = table["probability"].to_numpy()
    scored = np.isfinite(probability)
    percentile = np.full(probability.size, np.nan)
    percentile[scored] = 100 * (rankdata(probability[scored]) - 0.5) / scored.sum()
    return table.append_column("percentile", pa.array(percentile, mask=~scored))


def people(part: int, count: int, spec: FeatureSpec) -> pa.RecordBatch:
    """``count`` random timelines: a third of the events carry codes of the features, over four years."""
    random = np.random.default_rng([9, part])
    known = np.concatenate([np.array(group.code_hashes) for group in spec.groups])
    as_of = micros(AS_OF)
    time = np.sort(as_of - random.integers(0, 4 * 365 * DAY, (count, EVENTS)), axis=1).ravel()
    other = random.integers(1 << 40, 1 << 41, time.size)
    code = np.where(random.random(time.size) < 1 / 3, random.choice(known, time.size), other)
    lists = pa.array(np.arange(0, time.size + 1, EVENTS, dtype=np.int32))
    one = pa.array(np.arange(count + 1, dtype=np.int32))

    def events(values, kind):
        return pa.ListArray.from_arrays(lists, pa.array(values, kind))

    def spans(value):
        return pa.ListArray.from_arrays(one, pa.array(np.full(count, value), pa.int64()))

    columns = {
        "subject_id": pa.array(np.arange(count) + part * count),
        "birth": pa.array((as_of - random.uniform(20, 90, count) * 365.25 * DAY).astype(np.int64)),
        "death": pa.nulls(count, pa.int64()),
        "death_available": pa.nulls(count, pa.int64()),
        "sex": pa.array(random.choice(["female", "male"], count)),
        "race": pa.nulls(count, pa.string()),
        "time": events(time, pa.int64()),
        "available": events(time + random.integers(0, 60 * DAY, time.size), pa.int64()),
        "superseded": events(np.full(time.size, NEVER), pa.int64()),
        "code": events(code, pa.int64()),
        "value": events(random.normal(7, 2, time.size).astype(np.float32), pa.float32()),
        "coverage_start": spans(as_of - 1500 * DAY),
        "coverage_end": spans(NEVER),
        "coverage_available": spans(STATIC),
        "coverage_superseded": spans(NEVER),
        "events_dropped": pa.array(np.zeros(count, np.int32)),
        "values_without_unit": pa.array(np.zeros(count, np.int32)),
        "ethnicity": pa.nulls(count, pa.string()),
        "care_site": pa.nulls(count, pa.string()),
        "coverage_payer": pa.ListArray.from_arrays(one, pa.nulls(count, pa.string())),
    }
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def _same_night(outputs):
    first, *others = [output().sort_by("subject_id") for output in outputs.values()]
    for other in others:
        for name in ("subject_id", "probability", "percentile"):
            _same([first[name], other[name]])


def _same(columns):
    first, second = (column.to_numpy() for column in columns)
    np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-7)


if __name__ == "__main__":
    sys.exit(main())
