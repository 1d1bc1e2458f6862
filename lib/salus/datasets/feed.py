"""Batches for one rank: each sample of its row groups exactly once an epoch, in an order that a seed fixes.

Row groups are dealt to ranks by their number in the manifest and shuffled anew each epoch; four of them make a pool,
into which each row is copied once, to the place that the pool's permutation gives it; batches are slices of the pool.
All ranks take the same number of steps, and their batches differ by one row at most, so no rank waits for another.
The next pool is made by threads while one is learnt from: two pools and ``GROUPS_AHEAD`` row groups are in memory, and
no more.

Petastorm's thread pool can end before its last row groups are queued, silently (``ThreadPool.get_results`` of
0.13.1: it asks whether all workers are done, and then whether the ventilator has finished, and both can be true
of different moments). So it is read with ``num_epochs=None``, which never ends, and exactly the row groups that
the manifest names are taken, and their rows counted.
"""

import random
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import accumulate, islice, pairwise
from typing import TypeVar

import numpy as np
import pyarrow as pa

from salus.datasets.manifest import RowGroup, Split
from salus.datasets.parquet import RowGroups, Samples
from salus.errors import Refused
from salus.timelines.blocks import Block

GROUPS_A_POOL = 4
GROUPS_AHEAD = 4
PETASTORM_THREADS = 2
"""Petastorm keeps four row groups a thread on the way. One thread would wait for its next look for more of them."""

Blocks = Mapping[str, Block]
Item = TypeVar("Item")
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
    ends = deque(step * rows // steps for step in range(1, steps + 1))
    mixing = np.random.default_rng([seed, epoch, rank])
    with closing(READERS[reader](split, groups, rank, ranks, order_seed(seed, epoch))) as read:
        for pool, cuts in _made_ahead(_pools(read, groups, ends, mixing, split.blocks)):
            for start, end in pairwise(cuts):
                yield pool[start:end]


def in_order(split: Split, rank: int = 0, ranks: int = 1) -> Iterator[Samples]:
    """Every ``ranks``-th row group from the ``rank``-th, unshuffled: for evaluation."""
    yield from _read_by_arrow(split, split.groups[rank::ranks], rank, ranks, 0)


def _pools(
    read: Iterator[Samples], groups: Sequence[RowGroup], ends: deque[int], mixing: np.random.Generator, blocks: Blocks
) -> Iterator[tuple[Samples, list[int]]]:
    """Pools, and where each is cut into batches.

    Args:
        read: the rows of ``groups``.
        groups: in the order of the epoch.
        ends: where batches end in the stream of all rows.
        mixing: permutes the rows of a pool. What its last batch left over stands before the next pool's own rows.
        blocks: of the inputs.
    """
    rest, first = Samples.empty(0, blocks), 0
    for number in range(0, len(groups), GROUPS_A_POOL):
        sizes = [group.rows for group in groups[number : number + GROUPS_A_POOL]]
        pool = Samples.empty(len(rest) + sum(sizes), blocks)
        pool[: len(rest)] = rest
        places = len(rest) + mixing.permutation(sum(sizes))
        for start, end in pairwise(accumulate(sizes, initial=0)):
            pool[places[start:end]] = next(read)
        cuts = [0]
        while ends and ends[0] <= first + len(pool):
            cuts.append(ends.popleft() - first)
        yield pool, cuts
        rest, first = pool[cuts[-1] :], first + cuts[-1]


def _made_ahead(items: Iterator[Item]) -> Iterator[Item]:
    """``items``, each made in a thread while the one before it is in use."""
    with ThreadPoolExecutor(1, "mixing") as thread:
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item


def _read_by_arrow(split, groups, rank, ranks, seed):
    files, coming = RowGroups(split.folder, split.blocks), iter(groups)
    ahead: deque[Future[pa.Table]] = deque()
    thread = ThreadPoolExecutor(1, "reading")
    try:
        for group in groups:
            for later in islice(coming, GROUPS_AHEAD - len(ahead)):
                ahead.append(thread.submit(files.read, later.file, later.row_group))
            yield _counted(split, group, ahead.popleft().result())
    finally:
        thread.shutdown(cancel_futures=True)


def _read_by_petastorm(split, groups, rank, ranks, seed):
    if not groups:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=FutureWarning)
        warnings.simplefilter("ignore", category=DeprecationWarning)
        from salus.datasets.row_group_reader import RowGroupReader
    urls = [_url(split, name) for name in split.files]
    early: dict[tuple[str, int], pa.Table] = {}
    with closing(RowGroupReader(split.folder, split.blocks, urls, rank, ranks, seed, PETASTORM_THREADS)) as reader:
        for group in groups:
            while (group.file, group.row_group) not in early:
                file, row_group, table = next(reader)
                early[file, row_group] = table
            yield _counted(split, group, early.pop((group.file, group.row_group)))


READERS: dict[str, Reader] = {"petastorm": _read_by_petastorm, "arrow": _read_by_arrow}


def _counted(split, group, table):
    """The samples of ``table``, if they are what the manifest says."""
    if len(table) != group.rows:
        raise Refused(
            f"Received {len(table)} rows from row group {group.row_group} of {split.folder.url}/{group.file}; "
            f"expected {group.rows} by the manifest. Export again."
        )
    return Samples.from_arrow(table, split.blocks)


def _url(split, name):
    url = split.folder.url
    return f"{url if '://' in url else 'file://' + split.folder.path}/{name}"
