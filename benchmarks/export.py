"""How fast are samples exported, against the same columns as lists through Spark's writer?

Both ways take labelled samples and timelines, join them by person and make the same inputs by the same function in the
same Python workers. Salus writes its row groups within the task and sends a line a file back; the other way sends each
sample's inputs back to Spark as `list<float>`, and Spark writes them. Interleaved, with the outputs compared (target:
at least 3 times as fast). Making the inputs is the same work in both ways, and most of either, so the same is measured
of inputs that are at hand, rows of a table by the hash of person and time.

    python benchmarks/export.py --people 4000
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyspark.sql import functions as F

from salus.datasets.export import inputs_by
from salus.datasets.manifest import open_dataset
from salus.datasets.parquet import Samples
from salus.datasets.shards import samples_of
from salus.datasets.writing import OUTCOMES, write_dataset
from salus.session import spark_session
from salus.settings import load_settings
from salus.timelines.blocks import INPUTS
from salus.timelines.clocks import MICROSECONDS_PER_DAY, micros
from scoring import AS_OF, fitted_spec, people
from timing import compare, save, show

DATES, FASTER, PARTS = 24, 3.0, 4
SALUS, LISTS = "written in the task", "list<float> through Spark's writer"
LISTS_DDL = "subject_id long, prediction_time long, inputs array<float>, label float, weight float, observed_days float"


def main(argv=None) -> int:
    """Measure and save."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--people", type=int, default=4000, help="of 300 events (default: %(default)s)")
    made.add_argument("--runs", type=int, default=5, help="of each way (default: %(default)s)")
    args = made.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="salus-export-") as folder:
        spark = spark_session(load_settings(master="local[2]", driver_memory="3g"), name="benchmark")
        spec = fitted_spec()
        raw = Path(folder, "raw")
        raw.mkdir()
        for part in range(PARTS):
            pq.write_table(pa.Table.from_batches([people(part, args.people // PARTS, spec)]), raw / f"{part}.parquet")
        timelines = spark.read.parquet(str(raw))
        samples = asked_of(timelines).cache()
        rows = samples.count()
        whole = either_way(folder, samples, timelines, spec, inputs_by(spec), args.runs)
        whole["name"] = f"the export of {rows:,} samples of {spec.width} inputs"
        at_hand = either_way(folder, samples, timelines, spec, inputs_at_hand(spec.width), args.runs)
        at_hand["name"] = f"writing {rows:,} samples of {spec.width} inputs that are at hand"
        spark.stop()
    for result in (whole, at_hand):
        result["samples_a_second"] = {way: rows / seconds for way, seconds in result["median_seconds"].items()}
        show(result)
        print(f"{result['times_faster'][LISTS]:.2f} times as fast (at least {FASTER:g})")
    save("export", {"whole": whole, "inputs_at_hand": at_hand})
    return 0 if whole["times_faster"][LISTS] >= FASTER else 1


def either_way(folder, samples, timelines, spec, inputs, runs):
    """The export of ``samples``, whose inputs are made by ``inputs``, in both ways."""

    def by_salus():
        written = write_dataset(
            samples, timelines, inputs, f"{folder}/datasets", spec.blocks, {"spec_hash": spec.hash}, "{}", 4
        )
        return written.url

    def by_spark():
        shutil.rmtree(f"{folder}/lists", ignore_errors=True)
        by_person = samples.groupBy("subject_id", "split").agg(
            F.sort_array(F.collect_list(F.struct("prediction_time", *OUTCOMES))).alias("samples")
        )
        made_of = by_person.join(timelines, "subject_id").mapInArrow(as_lists(inputs), LISTS_DDL)
        made_of.write.option("compression", "lz4_raw").parquet(f"{folder}/lists")
        return f"{folder}/lists"

    return compare(
        "",
        {SALUS: by_salus, LISTS: by_spark},
        runs,
        check=lambda outputs: same(of_salus(outputs[SALUS], spec), of_lists(outputs[LISTS])),
    )


def inputs_at_hand(width):
    """A function that makes inputs by looking them up: a row of 4,096 for each person and time."""

    def inputs(batch, sample_row, prediction_times):
        table = np.random.default_rng(7).normal(size=(4096, width)).astype(np.float32)
        hashed = batch.column("subject_id").to_numpy()[sample_row] * 31 + prediction_times // MICROSECONDS_PER_DAY
        return {INPUTS: table[hashed % 4096]}

    return inputs


def asked_of(timelines):
    """A labelled sample for each person and month, each person's in one split."""
    times = F.array(*(F.lit(micros(AS_OF) - 30 * month * MICROSECONDS_PER_DAY) for month in range(DATES)))
    asked = timelines.select("subject_id", F.explode(times).alias("prediction_time"))
    split = F.expr("IF(pmod(xxhash64(subject_id), 10) < 7, 'train', 'tuning')")
    label = F.expr("CAST(pmod(xxhash64(subject_id, prediction_time), 12) = 0 AS FLOAT)")
    one = F.lit(1.0).cast("float")
    return asked.withColumns({"label": label, "weight": one, "observed_days": one, "split": split})


def as_lists(inputs):
    """Each sample's inputs as a list, to be written by Spark."""

    def write(batches) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if batch.num_rows:
                made = samples_of(batch, inputs)
                width = made.inputs[INPUTS].shape[1]
                offsets = pa.array(np.arange(len(made) + 1, dtype=np.int32) * width)
                lists = pa.ListArray.from_arrays(offsets, pa.array(made.inputs[INPUTS].ravel()))
                outcomes = (pa.array(getattr(made, name)) for name in OUTCOMES)
                keys = (pa.array(made.subject_id), pa.array(made.prediction_time))
                yield pa.RecordBatch.from_arrays(
                    [*keys, lists, *outcomes],
                    names=["subject_id", "prediction_time", "inputs", *OUTCOMES],
                )

    return write


def of_salus(url, spec):
    """What the data set holds: keys, labels and inputs in one order."""
    dataset = open_dataset(url)
    parts = [
        Samples.from_arrow(pq.read_table(f"{split.folder.path}/{name}"), spec.blocks)
        for split in map(dataset.split, dataset.content["splits"])
        for name in split.files
    ]
    made = Samples.concatenated(parts)
    return ordered(made.subject_id, made.prediction_time, made.label, made.inputs[INPUTS])


def of_lists(folder):
    """The same of the lists."""
    table = ds.dataset(folder, format="parquet").to_table()
    values = table["inputs"].combine_chunks()
    keys = (table[name].to_numpy() for name in ("subject_id", "prediction_time", "label"))
    return ordered(*keys, values.flatten().to_numpy().reshape(table.num_rows, -1))


def ordered(subject_id, prediction_time, label, inputs):
    """Rows by person and time."""
    order = np.lexsort((prediction_time, subject_id))
    return subject_id[order], prediction_time[order], label[order], inputs[order]


def same(first, second):
    """Both ways wrote the same."""
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


if __name__ == "__main__":
    sys.exit(main())
