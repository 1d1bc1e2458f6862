"""Row groups are equal, shards lose no row, and both readers give every rank the same batches."""

import math
import threading
import warnings
from collections import Counter
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from petastorm import make_batch_reader
from petastorm.workers_pool.thread_pool import ThreadPool

from salus.datasets.feed import batches, in_order, steps_an_epoch
from salus.datasets.folder import Folder, sha256
from salus.datasets.groups import group_bounds, multiple_for, pieces_of, rows_a_group
from salus.datasets.manifest import open_dataset, stated
from salus.datasets.parquet import RowGroups, Samples, written
from salus.datasets.row_group_reader import SECONDS_OF_REST
from salus.errors import Refused
from salus.timelines.blocks import Block
from timeline_cases import same_blocks

BLOCKS = {"inputs": Block((5,)), "event_codes": Block((3,), "int32", 40), "days": Block((4, 2))}
WIDTH, ROWS, GROUPS, FILES = 5, 1003, 24, 3


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """1,003 samples of three blocks, one of five inputs, in 24 row groups of three files; each input names its row."""
    folder = Folder(str(tmp_path_factory.mktemp("dataset")))
    inputs = {
        "inputs": np.arange(ROWS * WIDTH, dtype=np.float32).reshape(-1, WIDTH),
        "event_codes": (np.arange(ROWS * 3, dtype=np.int32) % 40).reshape(-1, 3),
        "days": np.arange(ROWS * 8, dtype=np.float32).reshape(-1, 4, 2),
    }
    samples = Samples(
        np.arange(ROWS) // 7,
        np.arange(ROWS),
        inputs,
        (np.arange(ROWS) % 11 == 0).astype(np.float32),
        np.full(ROWS, 1.5, np.float32),
    )
    bounds = [group * ROWS // GROUPS for group in range(GROUPS + 1)]
    groups = [samples[start:end] for start, end in pairwise(bounds)]
    files = []
    for number in range(FILES):
        mine = groups[number * 8 : (number + 1) * 8]
        content = written(mine)
        (folder / "train").write(f"part-{number:06d}.parquet", content)
        files.append(
            {
                "name": f"part-{number:06d}.parquet",
                "sha256": sha256(content),
                "bytes": content.size,
                "groups": [len(group) for group in mine],
            }
        )
    folder.write_json(
        "manifest.json",
        {
            "format": 1,
            "blocks": stated(BLOCKS),
            "spec_hash": "s",
            "tables": {},
            "splits": {"train": {"rows": ROWS, "positives": int(samples.label.sum()), "files": files}},
        },
    )
    return open_dataset(folder.url)


def epoch(dataset, reader, ranks, seed=7, number=0, batch_size=64):
    """The batches of each rank in one epoch."""
    split = dataset.split("train")
    return [list(batches(split, reader, rank, ranks, batch_size, seed, number)) for rank in range(ranks)]


@given(st.integers(0, 50_000), st.integers(1, 8), st.integers(1, 2_000))
def test_groups_are_equal_hold_every_row_and_come_in_multiples_of_the_ranks(rows, ranks, rows_a_group):
    bounds = group_bounds(rows, multiple_for(ranks), rows_a_group)
    sizes = np.diff(bounds)
    assert bounds[0] == 0
    assert bounds[-1] == rows
    assert not sizes.size or (np.ptp(sizes) <= 1 and sizes.min() >= 1 and sizes.max() <= rows_a_group)
    assert sizes.size == rows or sizes.size % math.lcm(12, ranks) == 0


@given(st.lists(st.integers(0, 300), min_size=1, max_size=9), st.integers(1, 90))
def test_shards_hold_every_row_of_every_group_once(shards, rows_a_group):
    bounds = group_bounds(sum(shards), 12, rows_a_group)
    found, first = {}, 0
    for rows in shards:
        for piece in pieces_of(bounds, first, rows):
            held = range(first + piece.start, first + piece.end)
            group = range(bounds[piece.group], bounds[piece.group + 1])
            assert piece.whole == (held == group)
            found.setdefault(piece.group, []).extend(held)
        first += rows
    assert found == {group: list(range(*ends)) for group, ends in enumerate(pairwise(bounds))}


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_both_readers_give_every_rank_the_same_batches(dataset, ranks):
    for by_petastorm, by_arrow in zip(epoch(dataset, "petastorm", ranks), epoch(dataset, "arrow", ranks), strict=True):
        for one, other in zip(by_petastorm, by_arrow, strict=True):
            for name in ("subject_id", "prediction_time", "label", "weight"):
                np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
            same_blocks(one.inputs, other.inputs)


@pytest.mark.parametrize("reader", ["petastorm", "arrow"])
@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_ranks_take_equal_steps_and_see_each_sample_exactly_once_an_epoch(dataset, reader, ranks):
    given_to = epoch(dataset, reader, ranks)
    steps = steps_an_epoch(dataset.split("train"), ranks, 64)
    assert [len(rank) for rank in given_to] == [steps] * ranks
    every = [batch for rank in given_to for batch in rank]
    sizes = [len(batch) for batch in every]
    assert max(sizes) <= 64
    assert np.ptp(sizes) <= 2
    seen = np.concatenate([batch.prediction_time for batch in every])
    assert np.array_equal(np.sort(seen), np.arange(ROWS))
    inputs = Samples.concatenated(every).inputs
    expected = np.arange(ROWS * WIDTH, dtype=np.float32).reshape(-1, WIDTH)
    np.testing.assert_array_equal(inputs["inputs"], expected[seen])
    np.testing.assert_array_equal(inputs["event_codes"], (np.arange(ROWS * 3) % 40).reshape(-1, 3)[seen])
    assert inputs["event_codes"].dtype == np.int32
    np.testing.assert_array_equal(inputs["days"], np.arange(ROWS * 8).reshape(-1, 4, 2)[seen])


@pytest.mark.parametrize("reader", ["petastorm", "arrow"])
def test_only_the_blocks_that_a_model_reads_are_read(dataset, reader):
    whole = next(batches(dataset.split("train"), reader, 0, 1, 64, 7, 0))
    some = next(batches(dataset.split("train").only(["inputs", "days"]), reader, 0, 1, 64, 7, 0))
    same_blocks(some.inputs, {name: whole.inputs[name] for name in ("inputs", "days")})
    with pytest.raises(Refused, match="block event_values to be read"):
        dataset.split("train").only(["event_values"])


def test_a_batch_mixes_several_row_groups(dataset):
    for batch in epoch(dataset, "arrow", 2, batch_size=32)[1]:
        groups = set((batch.prediction_time * GROUPS // ROWS).tolist())
        assert len(groups) >= 3


def test_a_rank_that_stops_within_an_epoch_leaves_no_thread(dataset):
    before = threading.active_count()
    for reader in ("petastorm", "arrow"):
        fed = batches(dataset.split("train"), reader, 0, 1, 64, 7, 0)
        next(fed)
        assert threading.active_count() > before
        fed.close()
        assert threading.active_count() == before


def test_a_batch_stays_what_it_was_while_others_are_read(dataset):
    fed = batches(dataset.split("train"), "arrow", 0, 1, 64, 7, 0)
    first = next(fed)
    seen = first.prediction_time.copy()
    assert sum(len(batch) for batch in fed) == ROWS - len(first)
    np.testing.assert_array_equal(first.prediction_time, seen)
    np.testing.assert_array_equal(first.inputs["inputs"][:, 0], seen * WIDTH)


@given(st.integers(0, 9), st.integers(0, 9), st.integers(1, 4))
def test_samples_come_out_of_a_part_of_a_table_as_they_went_in(start, rows, width):
    blocks = {"inputs": Block((width,)), "event_codes": Block((2, 3), "int32", 40)}
    inputs = {
        name: np.arange(20 * block.size, dtype=block.dtype).reshape(20, *block.shape) for name, block in blocks.items()
    }
    numbers = [np.full(20, 1, np.float32), np.zeros(20, np.float32), np.arange(20, dtype=np.float32)]
    samples = Samples(np.arange(20), -np.arange(20), inputs, *numbers)
    part = Samples.from_arrow(samples.to_arrow().slice(start, rows), blocks)
    for name in ("subject_id", "prediction_time", "label", "weight", "observed_days"):
        np.testing.assert_array_equal(getattr(part, name), getattr(samples, name)[start : start + rows])
    same_blocks(part.inputs, {name: block[start : start + rows] for name, block in inputs.items()})


def test_samples_that_an_earlier_version_exported_are_refused(dataset):
    split = dataset.split("train")
    table = RowGroups(split.folder, split.blocks).read(split.files[0], 0).drop_columns(["observed_days"])
    with pytest.raises(Refused, match=r"without observed_days; expected .* Export again"):
        Samples.from_arrow(table, split.blocks)


def test_inputs_of_another_form_are_refused(dataset):
    split = dataset.split("train")
    table = RowGroups(split.folder, split.blocks).read(split.files[0], 0)
    lists = pa.array(Samples.from_arrow(table, split.blocks).inputs["inputs"].tolist(), pa.list_(pa.float32()))
    place = table.schema.get_field_index("inputs")
    with pytest.raises(Refused, match="Export again"):
        Samples.from_arrow(table.set_column(place, "inputs", lists), split.blocks)
    with pytest.raises(Refused, match="expected 6 numbers"):
        Samples.from_arrow(table, split.blocks | {"inputs": Block((6,))})


def test_a_row_group_is_as_large_as_reads_well_whatever_the_width():
    for width in (1, 6, 250, 620, 5_000, 10**7):
        rows = rows_a_group(width)
        assert 1 <= rows <= 4096
        assert rows == 1 or rows * width * 4 <= 2_500_000


def test_the_order_follows_from_seed_and_epoch_alone(dataset):
    def order(**given):
        return np.concatenate([batch.prediction_time for batch in epoch(dataset, "arrow", 1, **given)[0]])

    assert np.array_equal(order(seed=7, number=3), order(seed=7, number=3))
    assert not np.array_equal(order(seed=7, number=3), order(seed=7, number=4))
    assert not np.array_equal(order(seed=7, number=3), order(seed=8, number=3))


@pytest.fixture
def late_ventilator(monkeypatch):
    """Petastorm's race, every time: the last row group is queued between its two questions.

    ``get_results`` asks whether all workers are done, and then whether the ventilator is. Here the ventilator waits
    with the last row group until the answer to the first is yes, and the second is asked when it has queued it.
    """
    ask, queue = ThreadPool.all_workers_done, ThreadPool.ventilate
    workers_are_done = threading.Event()
    queued = Counter()

    def ventilate(pool, **item):
        if queued[pool] == GROUPS - 1:
            assert workers_are_done.wait(30)
        queue(pool, **item)
        queued[pool] += 1

    def all_workers_done(pool):
        only_the_last_waits = queued[pool] == GROUPS - 1
        done = ask(pool)
        if done and only_the_last_waits:
            workers_are_done.set()
            if pool._ventilator._iterations_remaining is not None:
                pool._ventilator._ventilation_thread.join()
        return done

    monkeypatch.setattr(ThreadPool, "ventilate", ventilate)
    monkeypatch.setattr(ThreadPool, "all_workers_done", all_workers_done)
    return workers_are_done


def test_petastorms_race_loses_rows_of_a_finite_reader_and_none_of_ours(dataset, late_ventilator):
    split = dataset.split("train")
    urls = [f"file://{split.folder.path}/{name}" for name in split.files]
    with (
        warnings.catch_warnings(action="ignore"),
        make_batch_reader(
            urls, num_epochs=1, workers_count=1, results_queue_size=1, shuffle_row_groups=False
        ) as reader,
    ):
        read = sum(len(batch.label) for batch in reader)
    assert read == ROWS - split.groups[-1].rows
    late_ventilator.clear()
    assert sum(len(batch) for batch in epoch(dataset, "petastorm", 1)[0]) == ROWS
    assert late_ventilator.is_set()


@pytest.fixture
def rested(monkeypatch):
    """Is set when one of Petastorm's threads was given a row group that had been begun, and rests."""
    is_resting = threading.Event()

    class Closing(threading.Event):
        def wait(self, timeout=None):
            assert timeout == SECONDS_OF_REST
            is_resting.set()
            return super().wait(timeout)

    monkeypatch.setattr("salus.datasets.row_group_reader.Event", Closing)
    return is_resting


@pytest.mark.parametrize("reader", ["petastorm", "arrow"])
def test_no_row_group_is_read_twice_in_an_epoch(dataset, reader, monkeypatch, rested):
    read, once = RowGroups.read, Counter()

    def counted(row_groups, file, row_group):
        once[file, row_group] += 1
        return read(row_groups, file, row_group)

    monkeypatch.setattr(RowGroups, "read", counted)
    split = dataset.split("train")
    for step, _ in enumerate(batches(split, reader, 0, 1, 64, 7, 0), start=1):
        if step == steps_an_epoch(split, 1, 64) and reader == "petastorm":
            assert rested.wait(30), "nobody was given a row group of the next epoch"
    assert once == {(group.file, group.row_group): 1 for group in split.groups}


def test_row_groups_that_ranks_cannot_share_are_refused(dataset):
    with pytest.raises(Refused, match="24 row groups of train for 5 ranks"):
        epoch(dataset, "arrow", 5)


def test_evaluation_reads_every_row_in_order(dataset):
    split = dataset.split("train")
    assert np.array_equal(np.concatenate([part.prediction_time for part in in_order(split)]), np.arange(ROWS))
    shares = [np.concatenate([part.prediction_time for part in in_order(split, rank, 2)]) for rank in range(2)]
    assert np.array_equal(np.sort(np.concatenate(shares)), np.arange(ROWS))


@pytest.fixture
def copy(dataset, tmp_path):
    """A data set of its own, to be damaged."""
    folder = Folder(str(tmp_path / "copy"))
    folder.write("manifest.json", dataset.folder.read("manifest.json"))
    for name in dataset.split("train").files:
        (folder / "train").write(name, (dataset.folder / "train").read(name))
    return folder


def test_a_data_set_that_carries_pickled_metadata_is_refused(copy):
    (copy / "train").write("_common_metadata", b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(Refused, match="_common_metadata, which may hold a pickle"):
        open_dataset(copy.url)


def test_a_changed_file_is_refused(copy):
    split = open_dataset(copy.url).split("train")
    split.verify()
    content = bytearray(split.folder.read(split.files[1]))
    content[100] ^= 1
    split.folder.write(split.files[1], bytes(content))
    with pytest.raises(Refused, match=split.files[1]):
        split.verify()
    split.verify(rank=0, ranks=3)


@pytest.mark.parametrize("reader", ["petastorm", "arrow"])
def test_a_file_with_other_rows_than_the_manifest_says_is_refused(copy, reader):
    split = open_dataset(copy.url).split("train")
    split.folder.write(split.files[0], split.folder.read(split.files[2]))
    found = open_dataset(copy.url)
    found.content["splits"]["train"]["files"][0]["groups"][3] += 1
    with pytest.raises(Refused, match="rows from row group"):
        epoch(found, reader, 1)


def test_a_folder_without_a_manifest_is_no_data_set(tmp_path):
    with pytest.raises(Refused, match=r"without manifest\.json"):
        open_dataset(str(tmp_path))


def test_a_file_system_that_pyarrow_does_not_know_is_refused():
    with pytest.raises(Refused, match="abfss://lake"):
        Folder("abfss://lake/warehouse")
