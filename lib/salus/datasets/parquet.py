"""Samples as Parquet bytes: one row a sample, one row group a call, nothing that needs a pickle."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from salus.datasets.folder import Folder
from salus.errors import Refused
from salus.timelines.blocks import Block, taken

KEYS = (pa.field("subject_id", pa.int64(), nullable=False), pa.field("prediction_time", pa.int64(), nullable=False))
"""Who, and microseconds since the epoch, UTC."""

OUTCOMES = tuple(pa.field(name, pa.float32(), nullable=False) for name in ("label", "weight", "observed_days"))

KEPT = tuple(field.name for field in (*KEYS, *OUTCOMES))
PLAIN = {"use_dictionary": False, "write_statistics": False, "store_schema": False}


def schema_of(sizes: Mapping[str, int]) -> pa.Schema:
    """Keys, outcomes and one value of fixed size for each named block: its numbers, row-major, little-endian.

    A block is no list: Parquet keeps a level beside every element of a list, and following the levels takes three to
    five times as long as all else in reading a sample.

    Args:
        sizes: bytes of a sample's block, by its name.
    """
    blocks = [pa.field(name, pa.binary(size), nullable=False) for name, size in sizes.items()]
    return pa.schema([*KEYS, *blocks, *OUTCOMES])


class Samples:
    """Samples as arrays of equal length.

    Args:
        subject_id: int64 (samples,).
        prediction_time: int64 (samples,), microseconds since the epoch, UTC.
        inputs: named blocks (samples, *shape), standardised.
        label: float32 (samples,): 0 or 1, or a number; of a time to event, what ended it.
        weight: float32 (samples,).
        observed_days: float32 (samples,), of a time to event; None = 0 for all.
    """

    __slots__ = ("inputs", "label", "observed_days", "prediction_time", "subject_id", "weight")

    def __init__(
        self, subject_id, prediction_time, inputs: Mapping[str, np.ndarray], label, weight, observed_days=None
    ):
        self.subject_id, self.prediction_time, self.inputs = subject_id, prediction_time, dict(inputs)
        self.label, self.weight = label, weight
        self.observed_days = np.zeros(len(label), np.float32) if observed_days is None else observed_days

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, rows) -> "Samples":
        return Samples(
            self.subject_id[rows],
            self.prediction_time[rows],
            taken(self.inputs, rows),
            self.label[rows],
            self.weight[rows],
            self.observed_days[rows],
        )

    @classmethod
    def concatenated(cls, parts: Sequence["Samples"]) -> "Samples":
        """``parts`` in one, in their order."""
        if len(parts) == 1:
            return parts[0]
        kept = {name: np.concatenate([getattr(part, name) for part in parts]) for name in KEPT}
        inputs = {name: np.concatenate([part.inputs[name] for part in parts]) for name in parts[0].inputs}
        return cls(inputs=inputs, **kept)

    def __setitem__(self, rows, samples: "Samples") -> None:
        for name in KEPT:
            getattr(self, name)[rows] = getattr(samples, name)
        for name, block in self.inputs.items():
            block[rows] = samples.inputs[name]

    @classmethod
    def empty(cls, rows: int, blocks: Mapping[str, Block]) -> "Samples":
        """Room for ``rows`` samples, to be filled."""
        inputs = {name: np.empty((rows, *block.shape), block.dtype) for name, block in blocks.items()}
        return cls(
            np.empty(rows, np.int64),
            np.empty(rows, np.int64),
            inputs,
            *(np.empty(rows, np.float32) for _ in OUTCOMES),
        )

    @classmethod
    def from_arrow(cls, table: pa.Table, blocks: Mapping[str, Block]) -> "Samples":
        """The rows of ``table``, which holds keys, outcomes and ``blocks``; read-only, and not copied.

        Raises:
            Refused: a column is missing, as in what an earlier version exported, or a block is not one value of its
                size a sample.
        """
        if missing := [name for name in KEPT if name not in table.column_names]:
            raise Refused(f"Received samples without {missing[0]}; expected {', '.join(KEPT)}. Export again.")
        kept = {name: _whole(table[name]).to_numpy() for name in KEPT}
        return cls(inputs={name: _shaped(table[name], name, block) for name, block in blocks.items()}, **kept)

    def to_arrow(self) -> pa.Table:
        """As a table of the schema that ``schema_of`` states."""
        schema = schema_of({name: block.itemsize * _numbers(block) for name, block in self.inputs.items()})
        columns = [
            _values(self.inputs[field.name], field.type)
            if field.name in self.inputs
            else pa.array(getattr(self, field.name), field.type)
            for field in schema
        ]
        return pa.Table.from_arrays(columns, schema=schema)


def _numbers(block: np.ndarray) -> int:
    return int(np.prod(block.shape[1:]))


def _values(block: np.ndarray, kind: pa.DataType) -> pa.Array:
    content = np.ascontiguousarray(block, block.dtype.newbyteorder("<"))
    return pa.FixedSizeBinaryArray.from_buffers(kind, len(block), [None, pa.py_buffer(content)])


def _shaped(column: pa.ChunkedArray, name: str, block: Block) -> np.ndarray:
    dtype = np.dtype(block.dtype).newbyteorder("<")
    if column.type != pa.binary(block.size * dtype.itemsize):
        raise Refused(
            f"Received {name} of the type {column.type}; expected {block.size} numbers as one binary value a sample. "
            "Export again."
        )
    values = _whole(column)
    flat = np.frombuffer(values.buffers()[1] or b"", dtype)[values.offset * block.size :][: len(values) * block.size]
    return flat.reshape(-1, *block.shape)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


class RowGroups:
    """Row groups of the files of a folder, for one thread; it opens each file once.

    Args:
        folder: where the files lie.
        blocks: those to be read, beside keys and outcomes.
    """

    def __init__(self, folder: Folder, blocks: Iterable[str]):
        self.folder, self.columns = folder, [*KEPT, *blocks]
        self._files: dict[str, pq.ParquetFile] = {}

    def read(self, file: str, row_group: int) -> pa.Table:
        """Row group number ``row_group`` of ``file``."""
        if file not in self._files:
            self._files[file] = pq.ParquetFile(self.folder.open(file), pre_buffer=False)
        return self._files[file].read_row_group(row_group, columns=self.columns, use_threads=False)


def written(groups: Sequence[Samples]) -> pa.Buffer:
    """A Parquet file with one row group for each of ``groups``.

    Inputs are mostly distinct floats, so a dictionary would be built for nothing. LZ4 writes half as much again as
    Zstandard does, and is read in two thirds of the time.
    """
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, groups[0].to_arrow().schema, compression="lz4", **PLAIN) as writer:
        for group in groups:
            writer.write_table(group.to_arrow(), row_group_size=len(group))
    return sink.getvalue()
