"""Samples as Parquet bytes: one row a sample, one row group a call, nothing that needs a pickle."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SAMPLES = pa.schema(
    [
        pa.field("subject_id", pa.int64(), nullable=False),
        pa.field("prediction_time", pa.int64(), nullable=False),  # microseconds since the epoch, UTC
        pa.field("inputs", pa.list_(pa.field("element", pa.float32(), nullable=False)), nullable=False),  # standardised
        pa.field("label", pa.float32(), nullable=False),
        pa.field("weight", pa.float32(), nullable=False),
    ]
)


class Samples:
    """Samples as arrays of equal length.

    Args:
        subject_id: int64 (samples,).
        prediction_time: int64 (samples,), microseconds since the epoch, UTC.
        inputs: float32 (samples, width), standardised.
        label: float32 (samples,), 0 or 1.
        weight: float32 (samples,).
    """

    __slots__ = ("inputs", "label", "prediction_time", "subject_id", "weight")

    def __init__(self, subject_id, prediction_time, inputs, label, weight):
        self.subject_id, self.prediction_time, self.inputs = subject_id, prediction_time, inputs
        self.label, self.weight = label, weight

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, rows) -> "Samples":
        return Samples(*(getattr(self, name)[rows] for name in SAMPLES.names))

    @classmethod
    def concatenated(cls, parts: Sequence["Samples"]) -> "Samples":
        """``parts`` in one, in their order."""
        if len(parts) == 1:
            return parts[0]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in SAMPLES.names))

    @classmethod
    def from_arrow(cls, table: pa.Table, width: int) -> "Samples":
        """The rows of ``table``, whose schema is ``SAMPLES``."""
        inputs = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in table["inputs"].chunks]
        flat = inputs[0] if len(inputs) == 1 else np.concatenate([np.empty(0, np.float32), *inputs])
        return cls(
            table["subject_id"].to_numpy(),
            table["prediction_time"].to_numpy(),
            flat.reshape(-1, width),
            table["label"].to_numpy(),
            table["weight"].to_numpy(),
        )

    def to_arrow(self) -> pa.Table:
        """As a table of the schema ``SAMPLES``."""
        inputs = np.ascontiguousarray(self.inputs, np.float32)
        offsets = np.arange(0, inputs.size + 1, inputs.shape[1], dtype=np.int32)
        lists = pa.ListArray.from_arrays(pa.array(offsets), pa.array(inputs.ravel()), type=SAMPLES.field("inputs").type)
        return pa.Table.from_arrays(
            [
                pa.array(self.subject_id, pa.int64()),
                pa.array(self.prediction_time, pa.int64()),
                lists,
                pa.array(self.label, pa.float32()),
                pa.array(self.weight, pa.float32()),
            ],
            schema=SAMPLES,
        )


def written(groups: Sequence[Samples]) -> pa.Buffer:
    """A Parquet file with one row group for each of ``groups``.

    Inputs are mostly distinct floats, so a dictionary would be built for nothing.
    """
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        SAMPLES,
        compression="zstd",
        compression_level=1,
        use_dictionary=False,
        write_statistics=False,
        store_schema=False,
    ) as writer:
        for group in groups:
            writer.write_table(group.to_arrow(), row_group_size=len(group))
    return sink.getvalue()
