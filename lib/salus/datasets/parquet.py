"""Samples as Parquet bytes: one row a sample, one row group a call, nothing that needs a pickle."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from salus.timelines.blocks import Block, taken

KEYS = (pa.field("subject_id", pa.int64(), nullable=False), pa.field("prediction_time", pa.int64(), nullable=False))
"""Who, and microseconds since the epoch, UTC."""

OUTCOMES = (pa.field("label", pa.float32(), nullable=False), pa.field("weight", pa.float32(), nullable=False))


def schema_of(kinds: Mapping[str, pa.DataType]) -> pa.Schema:
    """Keys, one list of fixed length for each named block (standardised, row-major), and outcomes."""
    lists = [
        pa.field(name, pa.list_(pa.field("element", kind, nullable=False)), nullable=False)
        for name, kind in kinds.items()
    ]
    return pa.schema([*KEYS, *lists, *OUTCOMES])


class Samples:
    """Samples as arrays of equal length.

    Args:
        subject_id: int64 (samples,).
        prediction_time: int64 (samples,), microseconds since the epoch, UTC.
        inputs: named blocks (samples, *shape), standardised.
        label: float32 (samples,), 0 or 1.
        weight: float32 (samples,).
    """

    __slots__ = ("inputs", "label", "prediction_time", "subject_id", "weight")

    def __init__(self, subject_id, prediction_time, inputs: Mapping[str, np.ndarray], label, weight):
        self.subject_id, self.prediction_time, self.inputs = subject_id, prediction_time, dict(inputs)
        self.label, self.weight = label, weight

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, rows) -> "Samples":
        return Samples(
            self.subject_id[rows],
            self.prediction_time[rows],
            taken(self.inputs, rows),
            self.label[rows],
            self.weight[rows],
        )

    @classmethod
    def concatenated(cls, parts: Sequence["Samples"]) -> "Samples":
        """``parts`` in one, in their order."""
        if len(parts) == 1:
            return parts[0]
        subject_id, prediction_time, label, weight = (
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("subject_id", "prediction_time", "label", "weight")
        )
        inputs = {name: np.concatenate([part.inputs[name] for part in parts]) for name in parts[0].inputs}
        return cls(subject_id, prediction_time, inputs, label, weight)

    @classmethod
    def from_arrow(cls, table: pa.Table) -> "Samples":
        """The rows of ``table``, which holds keys, outcomes and blocks; those are flat: (samples, numbers)."""
        taken_before = {field.name for field in (*KEYS, *OUTCOMES)}
        return cls(
            table["subject_id"].to_numpy(),
            table["prediction_time"].to_numpy(),
            {name: _flat(table[name]) for name in table.column_names if name not in taken_before},
            table["label"].to_numpy(),
            table["weight"].to_numpy(),
        )

    def shaped(self, blocks: Mapping[str, Block]) -> "Samples":
        """The same samples, with every block (samples, *shape)."""
        inputs = {name: self.inputs[name].reshape(len(self), *block.shape) for name, block in blocks.items()}
        return Samples(self.subject_id, self.prediction_time, inputs, self.label, self.weight)

    def to_arrow(self) -> pa.Table:
        """As a table of the schema that ``schema_of`` states."""
        schema = schema_of({name: pa.from_numpy_dtype(block.dtype) for name, block in self.inputs.items()})
        columns = [
            _lists(self.inputs[field.name], field.type)
            if field.name in self.inputs
            else pa.array(getattr(self, field.name), field.type)
            for field in schema
        ]
        return pa.Table.from_arrays(columns, schema=schema)


def _lists(block: np.ndarray, kind: pa.ListType) -> pa.ListArray:
    size = int(np.prod(block.shape[1:]))
    offsets = np.arange(0, block.size + 1, size, dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.ascontiguousarray(block).ravel()), type=kind)


def _flat(column: pa.ChunkedArray) -> np.ndarray:
    chunks = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
    flat = chunks[0] if len(chunks) == 1 else np.concatenate(chunks)
    return flat.reshape(len(column), -1)


def written(groups: Sequence[Samples]) -> pa.Buffer:
    """A Parquet file with one row group for each of ``groups``.

    Inputs are mostly distinct floats, so a dictionary would be built for nothing.
    """
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        groups[0].to_arrow().schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=False,
        write_statistics=False,
        store_schema=False,
    ) as writer:
        for group in groups:
            writer.write_table(group.to_arrow(), row_group_size=len(group))
    return sink.getvalue()
