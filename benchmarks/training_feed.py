"""How fast is the training feed, against what Petastorm documents and against arrays in memory?

Two questions. The feed alone: batches out of Parquet, by both readers, against Petastorm's documented
``make_petastorm_dataset(reader).unbatch().shuffle(n).batch(n)`` (target: at least 20 times as fast). The idiom reads
our own export, whose inputs it decodes a batch at a time, and the same rows with inputs as lists; it counts as fast as
the faster of the two. An epoch of training on one thread: fed by Petastorm and by our own reader, against the same
epoch fed from NumPy arrays in memory (target: at least 0.8 of its speed). Every way must give the same multiset of
rows. The wider the samples, the less the idiom's work a sample weighs beside the bytes that all ways must move, so it
is measured at several widths, the last of which is about that of admission_90d as it ships. All of it runs in one
process with the allocators of a training rank (salus.memory).

    python benchmarks/training_feed.py [--rows 200000] [--width 107 250 620] [--runs 5]
"""

import argparse
import os
import sys
import tempfile
import warnings
from itertools import pairwise

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

from salus import memory
from salus.datasets.feed import batches
from salus.datasets.folder import Folder, sha256
from salus.datasets.groups import group_bounds, rows_a_group
from salus.datasets.manifest import Split
from salus.datasets.parquet import PLAIN, Samples, written
from salus.models import build
from salus.timelines.blocks import INPUTS, Block
from salus.training.plan import NetworkPlan
from timing import compare, save, show

COLUMNS = ("subject_id", "prediction_time", INPUTS, "label", "weight")
BATCH, SEED, GROUPS_A_FILE = 512, 7, 12
IDIOM = ("documented idiom", "documented idiom, lists")
NETWORK = NetworkPlan("benchmark", "mlp", hidden=[64, 32], dropout=0.2, l2=1e-4)


def main():
    """Measure, print and keep."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--rows", type=int, default=200_000)
    made.add_argument("--width", type=int, nargs="+", default=[107, 250, 620])
    made.add_argument("--runs", type=int, default=5)
    args = made.parse_args()
    if any(os.environ.get(name) != value for name, value in memory.ENVIRONMENT.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | memory.ENVIRONMENT)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    print(save("training_feed", {str(width): measured(args.rows, width, args.runs) for width in args.width}))


def measured(rows: int, width: int, runs: int) -> dict:
    """Both questions at one width."""
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryDirectory() as lists,
        warnings.catch_warnings(action="ignore"),
    ):
        samples = made_up(rows, width)
        split = exported(samples, Folder(folder))
        result = {
            "rows": rows,
            "width": width,
            "feed": feed(split, with_lists(split, Folder(lists)), runs),
            "epoch": epoch(split, samples, runs),
        }
    medians = result["feed"]["median_seconds"]
    faster = result["feed"]["times_the_idiom"] = {
        reader: min(medians[way] for way in IDIOM) / medians[reader] for reader in ("petastorm", "arrow")
    }
    of_memory = result["epoch"]["of_memory"] = {
        reader: result["epoch"]["median_seconds"]["memory"] / result["epoch"]["median_seconds"][reader]
        for reader in ("petastorm", "arrow")
    }
    for question in ("feed", "epoch"):
        show(result[question])
    for reader in ("petastorm", "arrow"):
        print(
            f"{width} inputs: {reader:<10} {faster[reader]:6.1f} times the documented idiom (target 20, then 40), "
            f"an epoch at {of_memory[reader]:.2f} of memory's speed (target 0.8, then 0.9)"
        )
    return result


def made_up(rows, width):
    """Samples of a seed that compress as an export's do: five in six inputs are the commonest value of their column."""
    random = np.random.default_rng(SEED)
    commonest, share = random.normal(size=width), 1 - random.random(width) ** 2 / 2
    inputs = np.where(random.random((rows, width)) < share, commonest, random.normal(size=(rows, width)))
    return Samples(
        np.arange(rows) // 20,
        np.arange(rows),
        {INPUTS: inputs.astype(np.float32)},
        (random.random(rows) < 0.04).astype(np.float32),
        np.ones(rows, np.float32),
    )


def exported(samples, folder):
    """The samples as an export would write them."""
    bounds = group_bounds(len(samples), 12, rows_a_group(samples.inputs[INPUTS].shape[1]))
    groups = [samples[start:end] for start, end in pairwise(bounds)]
    files = []
    for number, start in enumerate(range(0, len(groups), GROUPS_A_FILE)):
        content = written(groups[start : start + GROUPS_A_FILE])
        folder.write(f"part-{number:06d}.parquet", content)
        files.append(
            {
                "name": f"part-{number:06d}.parquet",
                "sha256": sha256(content),
                "groups": [len(group) for group in groups[start : start + GROUPS_A_FILE]],
            }
        )
    content = {"rows": len(samples), "positives": int(samples.label.sum()), "files": files}
    return Split("train", folder, {INPUTS: Block((samples.inputs[INPUTS].shape[1],))}, content)


def with_lists(split, folder):
    """The files of ``split``, with inputs as lists: the layout that Petastorm makes arrays of by itself."""
    for name in split.files:
        file = pq.ParquetFile(split.folder.open(name))
        tables = [_with_lists(file.read_row_group(group), split.blocks) for group in range(file.num_row_groups)]
        with pq.ParquetWriter(f"{folder.path}/{name}", tables[0].schema, compression="lz4", **PLAIN) as writer:
            for table in tables:
                writer.write_table(table, row_group_size=len(table))
    return folder


def _with_lists(table, blocks):
    values = pa.array(Samples.from_arrow(table, blocks).inputs[INPUTS].ravel())
    offsets = np.arange(0, len(values) + 1, blocks[INPUTS].size, dtype=np.int32)
    lists = pa.ListArray.from_arrays(offsets, values)
    return table.set_column(table.schema.get_field_index("inputs"), "inputs", lists)


def feed(split, lists, runs):
    """Batches of one epoch, looked at and dropped."""
    return compare(
        "training feed, one epoch of batches",
        {
            "arrow": lambda: looked_at(batches(split, "arrow", 0, 1, BATCH, SEED, 0)),
            "petastorm": lambda: looked_at(batches(split, "petastorm", 0, 1, BATCH, SEED, 0)),
            IDIOM[0]: lambda: looked_at(documented(split.folder, lambda inputs: tf.io.decode_raw(inputs, tf.float32))),
            IDIOM[1]: lambda: looked_at(documented(lists, lambda inputs: inputs)),
        },
        runs,
        same_rows,
    )


def documented(folder, decoded):
    """Petastorm's documented way, https://petastorm.readthedocs.io/en/latest/ (Tensorflow Dataset API)."""
    from petastorm import make_batch_reader
    from petastorm.tf_utils import make_petastorm_dataset

    with make_batch_reader(f"file://{folder.path}", num_epochs=1) as reader:
        dataset = make_petastorm_dataset(reader).unbatch().shuffle(4096).batch(BATCH)
        for batch in dataset:
            key, at, inputs, label, weight = (getattr(batch, name) for name in COLUMNS)
            yield Samples(key.numpy(), at.numpy(), {INPUTS: decoded(inputs).numpy()}, label.numpy(), weight.numpy())


def looked_at(fed):
    """Rows, and sums that any order gives."""
    rows, keys, total = 0, 0, 0.0
    for batch in fed:
        rows += len(batch)
        keys += int((batch.prediction_time * (batch.prediction_time + 1)).sum())
        total += float(batch.inputs[INPUTS][:, 0].sum(dtype=np.float64))
    return rows, keys, round(total, 3)


def same_rows(outputs):
    """All ways gave the same rows."""
    if len(set(outputs.values())) != 1:
        raise AssertionError(f"The ways differ: {outputs}")


def epoch(split, samples, runs):
    """One epoch of the train step, fed in three ways."""
    network = build(NETWORK.architecture, split.blocks, NETWORK)
    optimiser = keras_adam(network)

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, *split.blocks[INPUTS].shape)),
            *(tf.TensorSpec((None,)) for _ in range(2)),
        ]
    )
    def step(inputs, label, weight):
        with tf.GradientTape() as tape:
            each = tf.nn.sigmoid_cross_entropy_with_logits(
                labels=label, logits=network({INPUTS: inputs}, training=True)[:, 0]
            )
            loss = tf.reduce_mean(weight * each) + tf.add_n(network.losses)
        variables = network.trainable_variables
        optimiser.apply(tape.gradient(loss, [v.value for v in variables]), variables)
        return loss

    def trained(fed):
        rows = keys = 0
        for batch in fed:
            step(batch.inputs[INPUTS], batch.label, batch.weight)
            rows += len(batch)
            keys += int((batch.prediction_time * (batch.prediction_time + 1)).sum())
        return rows, keys

    def memory():
        order = np.random.default_rng(SEED).permutation(len(samples))
        for start in range(0, len(samples), BATCH):
            yield samples[order[start : start + BATCH]]

    return compare(
        "an epoch of training",
        {
            "memory": lambda: trained(memory()),
            "arrow": lambda: trained(batches(split, "arrow", 0, 1, BATCH, SEED, 0)),
            "petastorm": lambda: trained(batches(split, "petastorm", 0, 1, BATCH, SEED, 0)),
        },
        runs,
        same_rows,
    )


def keras_adam(network):
    """Adam, with its variables made outside the traced step."""
    import keras

    optimiser = keras.optimizers.Adam(NETWORK.learning_rate)
    optimiser.build(network.trainable_variables)
    return optimiser


if __name__ == "__main__":
    main()
