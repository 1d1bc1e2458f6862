"""Samples from timelines to Parquet inside the Spark task: nothing wide ever passes through Spark's own writer.

A shard is a hash class of people, of all splits. Its task makes the inputs of its samples, mixes them by a seed of
the shard's own, writes the row groups that lie within it, and keeps the ends for ``straddling`` to join.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from salus.datasets.folder import Folder, sha256
from salus.datasets.groups import pieces_of
from salus.datasets.parquet import Samples, written
from salus.timelines.blocks import Block

FRAGMENTS = "_fragments"
Inputs = Callable[[pa.RecordBatch, np.ndarray, np.ndarray], dict[str, np.ndarray]]
"""(timelines, row of each sample, prediction time of each sample) to standardised blocks (samples, *shape)."""

WRITTEN = pa.schema(
    [
        ("split", pa.string()),
        ("name", pa.string()),
        ("sha256", pa.string()),
        ("bytes", pa.int64()),
        ("groups", pa.list_(pa.int64())),
        ("rows", pa.int64()),
        ("positives", pa.int64()),
        ("label_sum", pa.float64()),
        ("is_fragment", pa.bool_()),
    ]
)
WRITTEN_DDL = (
    "split string, name string, sha256 string, bytes long, groups array<long>, rows long, positives long, "
    "label_sum double, is_fragment boolean"
)


@dataclass(frozen=True)
class Plan:
    """What every task knows beforehand: where each split's groups begin, and where each shard's rows.

    Args:
        url: the data set's folder.
        bounds: for each split, what ``group_bounds`` gave.
        first: for each split and shard, the position of the shard's first row.
        rows: for each split and shard, its rows.
        seed: mixes the rows of a shard.
        blocks: of the inputs, for the manifest.
    """

    url: str
    bounds: Mapping[str, list[int]]
    first: Mapping[tuple[str, int], int]
    rows: Mapping[tuple[str, int], int]
    seed: int
    blocks: Mapping[str, Block]


def samples_of(batch: pa.RecordBatch, inputs: Inputs) -> Samples:
    """The samples of some people.

    Args:
        batch: timelines, one row a person, with ``samples``: list<struct<prediction_time, label, weight,
            observed_days>>.
        inputs: makes their inputs.
    """
    lists = batch.column("samples")
    offsets = lists.offsets.to_numpy()
    row = np.repeat(np.arange(batch.num_rows), np.diff(offsets))
    flat = lists.flatten()
    time = flat.field("prediction_time").to_numpy()
    return Samples(
        batch.column("subject_id").to_numpy()[row],
        time,
        inputs(batch, row, time),
        flat.field("label").to_numpy(),
        flat.field("weight").to_numpy(),
        flat.field("observed_days").to_numpy(),
    )


def shard_writer(plan: Plan, inputs: Inputs) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """A function for ``mapInArrow`` that writes whole shards and yields a ``WRITTEN`` row a file."""

    def write(batches):
        parts = defaultdict(list)
        for batch in batches:
            if batch.num_rows:
                shard, split = batch.column("shard").to_numpy(), np.array(batch.column("split").to_pylist())
                samples = samples_of(batch, inputs)
                per_person = np.diff(batch.column("samples").offsets.to_numpy())
                sample_shard, sample_split = np.repeat(shard, per_person), np.repeat(split, per_person)
                for key in sorted(set(zip(split.tolist(), shard.tolist()))):
                    parts[key].append(samples[(sample_split == key[0]) & (sample_shard == key[1])])
        for (split_name, shard_number), found in sorted(parts.items()):
            yield from _write_shard(plan, split_name, shard_number, Samples.concatenated(found))

    return write


def straddling(plan: Plan, split: str, fragments: list[str]) -> Iterator[tuple[int, Samples]]:
    """The groups of ``split`` that no shard holds whole, in order, put together from the shards' fragments.

    Args:
        plan: what the fragments were cut by.
        split: a split's name.
        fragments: names of its fragments, ``<split>-<group>-<shard>.parquet``.
    """
    parts = defaultdict(list)
    for name in sorted(fragments):
        parts[int(name.split("-")[1])].append(name)
    folder = Folder(plan.url) / FRAGMENTS
    for group, names in sorted(parts.items()):
        tables = [pq.read_table(pa.BufferReader(folder.read(name))) for name in names]
        samples = Samples.concatenated([Samples.from_arrow(table, plan.blocks) for table in tables])
        expected = plan.bounds[split][group + 1] - plan.bounds[split][group]
        if len(samples) != expected:
            raise ValueError(f"Row group {group} of {split} got {len(samples)} rows; expected {expected}.")
        yield group, samples


def straddling_writer(plan: Plan, fragments: Mapping[str, list[str]]):
    """A function for ``mapInArrow`` over rows of ``split``: writes one file of straddling groups for each."""

    def write(batches):
        for batch in batches:
            for split in batch.column("split").to_pylist():
                groups = [samples for _, samples in straddling(plan, split, fragments[split])]
                yield _write(plan, split, "part-straddling.parquet", groups)

    return write


def _write_shard(plan, split, shard, samples):
    expected = plan.rows[split, shard]
    if len(samples) != expected:
        raise ValueError(f"Shard {shard} of {split} got {len(samples)} samples; expected {expected} from the cohort.")
    order = np.lexsort((samples.prediction_time, samples.subject_id))
    samples = samples[np.random.default_rng([plan.seed, shard]).permutation(order)]
    whole = []
    for piece in pieces_of(plan.bounds[split], plan.first[split, shard], expected):
        rows = samples[piece.start : piece.end]
        if piece.whole:
            whole.append(rows)
        else:
            yield _write(plan, split, f"{split}-{piece.group:06d}-{shard:06d}.parquet", [rows], is_fragment=True)
    if whole:
        yield _write(plan, split, f"part-{shard:06d}.parquet", whole)


def _write(plan, split, name, groups, is_fragment=False):
    content = written(groups)
    (Folder(plan.url) / (FRAGMENTS if is_fragment else split)).write(name, content)
    return pa.RecordBatch.from_pylist(
        [
            {
                "split": split,
                "name": name,
                "sha256": sha256(content),
                "bytes": content.size,
                "groups": [len(group) for group in groups],
                "rows": sum(map(len, groups)),
                "positives": int(sum((group.label > 0).sum() for group in groups)),
                "label_sum": float(sum(group.label.sum(dtype=np.float64) for group in groups)),
                "is_fragment": is_fragment,
            }
        ],
        schema=WRITTEN,
    )
