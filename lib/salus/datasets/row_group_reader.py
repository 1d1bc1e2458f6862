"""Petastorm's reader, with a worker that hands on a row group as the Arrow table that it is.

``make_batch_reader`` makes a Python object of every value before it makes arrays of them, and opens a file anew for
every row group: together twice what the reading takes. A worker class is what Petastorm lets others bring; which row
groups there are, who reads them, in what order, in which threads, and how far ahead stays its own business.
"""

import warnings
from collections.abc import Iterable, Sequence
from posixpath import basename
from threading import Event

import pyarrow as pa
from petastorm.arrow_reader_worker import ArrowReaderWorker
from petastorm.fs_utils import get_filesystem_and_path_or_paths
from petastorm.reader import Reader
from petastorm.workers_pool.thread_pool import ThreadPool

from salus.datasets.folder import Folder
from salus.datasets.parquet import RowGroups

SECONDS_BETWEEN_LOOKS = 0.002
"""How often Petastorm asks whether more may be read. It asks every 10 ms, and four row groups are read in less."""


SECONDS_OF_REST = 0.02
"""Between looks of a thread for a row group that none has begun. The reader never ends, but an epoch does, so most row
groups that come again are nobody's any more; without a rest, being given them would take a core."""


class RowGroupReader(Reader):
    """An iterator over (file, number of the row group in it, table) of one rank's share, each row group once.

    It does not say when it has given all: whoever asks for more waits for good.

    Args:
        folder: where the files lie.
        blocks: those to be read.
        urls: of the files.
        rank: this rank.
        ranks: all ranks.
        seed: of the order.
        threads: that read; each of them reads in order, so that tables overtake others by ``threads`` at most.
    """

    def __init__(
        self,
        folder: Folder,
        blocks: Iterable[str],
        urls: Sequence[str],
        rank: int,
        ranks: int,
        seed: int,
        threads: int,
    ):
        blocks, begun, closing = list(blocks), dict[int, object](), Event()
        self._closing = closing

        class Worker(ArrowReaderWorker):
            def __init__(self, *given):
                super().__init__(*given)
                self._opened = RowGroups(folder, blocks)

            @staticmethod
            def new_results_queue_reader():
                return _AsPublished()

            def process(self, piece_index, worker_predicate=None, shuffle_row_drop_partition=None):
                this = object()
                if begun.setdefault(piece_index, this) is not this:
                    closing.wait(SECONDS_OF_REST)
                    return
                piece = self._split_pieces[piece_index]
                file = basename(piece.path)
                self.publish_func((file, piece.row_group, self._opened.read(file, piece.row_group)))

        with warnings.catch_warnings(action="ignore", category=FutureWarning):
            files, paths = get_filesystem_and_path_or_paths(list(urls))
            super().__init__(
                files,
                paths,
                worker_class=Worker,
                reader_pool=ThreadPool(threads),
                is_batched_reader=True,
                shuffle_row_groups=False,
                num_epochs=None,
                cur_shard=rank,
                shard_count=ranks,
                seed=seed,
            )
        self.ventilator._ventilation_interval = SECONDS_BETWEEN_LOOKS

    def close(self) -> None:
        """Stop reading, and wait for the threads to end."""
        self._closing.set()
        self.stop()
        self.join()


class _AsPublished:
    batched_output = True

    def read_next(self, pool, schema, ngram) -> tuple[str, int, pa.Table]:
        return pool.get_results()
