"""Batches for one rank: each sample of its row groups exactly once an epoch, in an order that a seed fixes.

Row groups are dealt to ranks by their number in the manifest and shuffled anew each epoch; four of them are pooled
and mixed by one permutation; the pool is cut into batches. All ranks take the same number of steps, and their
batches differ by one row at most, so no rank waits for another.

Petastorm's thread pool can end before its last row groups are queued, silently (``ThreadPool.get_results`` of
0.13.1: it asks whether all workers are done, and then whether the ventilator has finished, and both can be true
of different moments). So it is read with ``num_epochs=None``, which never ends, and exactly the row groups that
the manifest names are taken, and their rows counted.
"""

import random
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing

import numpy as np
import pyarrow.parquet as pq

from salus.datasets.manifest import RowGroup, Split
from salus.datasets.parquet import KEYS, OUTCOMES, Samples
from salus.errors import Refused

GROUPS_A_POOL = 4
Reader = Callable[[Split, Sequence[RowGroup], int, int, int], Generator[Samples, None, None]]


def dealt(split: Split, rank: int, ranks: int, order_seed: int) -> list[RowGroup]:
    """The row groups of ``rank``, in the order of an epoch.

    This is Petastorm's own rule (``Reader._partition_row_groups`` of 0.13.1), so that both readers agree: all
    groups shuffled by the seed, then those whose number is ``rank`` modulo ``ranks``.

    Raises:
        Refused: the row groups can't be shared evenly.
    """
    if len(split.groups) % ranks:
        raise Refused(
            f"Received {len(split.groups)} row groups of {split.name} for {ranks} ranks; expected a multiple of the "
            f"ranks. Train with 1, 2, 3, 4, 6 or 12 ranks, or export with SALUS_RANKS={ranks}."
        )
    numbers = list(range(len(split.groups)))
    random.Random(order_seed).shuffle(numbers)
    return [split.groups[number] for number in numbers if number % ranks == rank]


def order_seed(seed: int, epoch: int) -> int:
    """The seed of an epoch's order: equal on all ranks."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])


def steps_an_epoch(split: Split, ranks: int, batch_size: int) -> int:
    """Steps that every rank takes in an epoch, with batches of ``batch_size`` or slightly fewer rows."""
    most = max(sum(group.rows for group in split.groups[rank::ranks]) for rank in range(ranks))
    return -(-most // batch_size)


def batches(
    split: Split,
    reader: str,
    rank: int,
    ranks: int,
    batch_size: int,
    seed: int,
    epoch: int,
) -> Iterator[Samples]:
    """The batches of one rank in one epoch; the same for every reader.

    Args:
        split: what to read.
        reader: ``petastorm`` or ``arrow``.
        rank: this rank.
        ranks: all ranks.
        batch_size: largest number of samples a batch.
        seed: of the training.
        epoch: from 0.

    Raises:
        Refused: the files hold other rows than the manifest says.
    """
    steps = steps_an_epoch(split, ranks, batch_size)
    groups = dealt(split, rank, ranks, order_seed(seed, epoch))
    rows = sum(group.rows for group in groups)
    ends = [step * rows // steps for step in range(1, steps + 1)]
    mixing = np.random.default_rng([seed, epoch, rank])
    with closing(READERS[reader](split, groups, rank, ranks, order_seed(seed, epoch))) as read:
        yield from _cut(_pools(read, mixing), ends)


def in_order(split: Split, rank: int = 0, ranks: int = 1) -> Iterator[Samples]:
    """Every ``ranks``-th row group from the ``rank``-th, unshuffled: for evaluation."""
    yield from _read_by_arrow(split, split.groups[rank::ranks], rank, ranks, 0)


def _pools(groups: Iterator[Samples], mixing: np.random.Generator) -> Iterator[Samples]:
    pool: list[Samples] = []
    for group in groups:
        pool.append(group)
        if len(pool) == GROUPS_A_POOL:
            yield _mixed(pool, mixing)
            pool = []
    if pool:
        yield _mixed(pool, mixing)


def _mixed(pool, mixing):
    whole = Samples.concatenated(pool)
    return whole[mixing.permutation(len(whole))]


def _cut(pools: Iterator[Samples], ends: Sequence[int]) -> Iterator[Samples]:
    """Batches that end at the positions ``ends`` of the stream of ``pools``."""
    held: list[Samples] = []
    position = taken = 0
    pending = iter(ends)
    end = next(pending, None)
    for pool in pools:
        start = 0
        while end is not None and end <= position + len(pool):
            held.append(pool[start : end - position])
            yield Samples.concatenated(held)
            taken += 1
            held, start = [], end - position
            end = next(pending, None)
        if start < len(pool):
            held.append(pool[start:])
        position += len(pool)
    if taken != len(ends):
        raise RuntimeError(f"Made {taken} batches; expected {len(ends)}.")


def _read_by_arrow(split, groups, rank, ranks, seed):
    opened: dict[str, pq.ParquetFile] = {}
    try:
        for group in groups:
            if group.file not in opened:
                opened[group.file] = pq.ParquetFile(split.folder.open(group.file), pre_buffer=False)
            table = opened[group.file].read_row_group(group.row_group, columns=_columns(split))
            yield _counted(split, group, Samples.from_arrow(table))
    finally:
        for file in opened.values():
            file.close()


def _read_by_petastorm(split, groups, rank, ranks, seed):
    if not groups:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=FutureWarning)
        warnings.simplefilter("ignore", category=DeprecationWarning)
        from petastorm import make_batch_reader

        urls = [_url(split, name) for name in split.files]
        with make_batch_reader(
            urls,
            shuffle_row_groups=False,
            num_epochs=None,
            cur_shard=rank,
            shard_count=ranks,
            seed=seed,
            workers_count=1,
            results_queue_size=GROUPS_A_POOL,
            schema_fields=_columns(split),
        ) as reader:
            for group in groups:
                row = next(reader)
                inputs = {name: getattr(row, name) for name in split.blocks}
                yield _counted(
                    split, group, Samples(row.subject_id, row.prediction_time, inputs, row.label, row.weight)
                )


READERS: dict[str, Reader] = {"petastorm": _read_by_petastorm, "arrow": _read_by_arrow}


def _columns(split):
    return [field.name for field in (*KEYS, *OUTCOMES)] + list(split.blocks)


def _counted(split, group, samples):
    """``samples`` with their blocks in shape, if they are what the manifest says."""
    for name, block in split.blocks.items():
        rows, size = samples.inputs[name].shape
        if (rows, size) != (group.rows, block.size):
            raise Refused(
                f"Received {rows} rows of {size} {name} from row group {group.row_group} of "
                f"{split.folder.url}/{group.file}; expected {group.rows} of {block.size} by the manifest. Export again."
            )
    return samples.shaped(split.blocks)


def _url(split, name):
    url = split.folder.url
    return f"{url if '://' in url else 'file://' + split.folder.path}/{name}"
