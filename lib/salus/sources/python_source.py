"""Spark 4 data sources over the formats that need code: ``spark.read.format("salus_<format>")``.

The files are dealt to tasks, each file whole; a task's records leave it in Arrow batches of bounded size, in columns
``PLACED``, then every field of the format (null where a record's type has none such).
"""

import json
import os
from collections.abc import Iterator
from itertools import islice
from typing import Any
from urllib.parse import quote

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition
from pyspark.sql.pandas.types import from_arrow_schema

from salus.sources import formats

RECORDS_AT_ONCE = 2000
BYTES_AT_ONCE = 8 << 20
BYTES_A_TASK = 16 << 20
PLACED = pa.schema([("_path", pa.string()), ("_record", pa.int64()), ("_kind", pa.string()), ("_broken", pa.string())])
"""Where a record lies, what it is, and the rule that it breaks by being none."""


def read_records(spark: SparkSession, name: str, paths: list[str]) -> DataFrame:
    """Every record of the files ``paths`` of the format ``name``."""
    spark.dataSource.register(_data_source(name))
    return spark.read.format(f"salus_{name}").option("paths", json.dumps(paths)).load()


def batches(records: Iterator[formats.Record], path: str, fields: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The ``records`` of the file ``path`` in batches of ``PLACED`` and ``fields``."""
    uri, position = f"file:{quote(path)}", 0
    while several := list(_several(records)):
        columns = [
            pa.array([uri] * len(several), pa.string()),
            pa.array(range(position, position + len(several)), pa.int64()),
            pa.array([record.kind for record in several], pa.string()),
            pa.array([record.broken for record in several], pa.string()),
            *(pa.array([record.fields.get(field.name) for record in several], field.type) for field in fields),
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=pa.schema([*PLACED, *fields]))
        position += len(several)


def _several(records):
    """The next records, until there are enough of them or their texts and bytes are large enough."""
    size = 0
    for record in islice(records, RECORDS_AT_ONCE):
        yield record
        size += sum(len(value) for value in record.fields.values() if hasattr(value, "__len__"))
        if size > BYTES_AT_ONCE:
            return


class _Files(InputPartition):
    """The files that one task reads."""

    def __init__(self, paths: list[str]):
        super().__init__(None)
        self.paths = paths


class _Reader(DataSourceReader):
    def __init__(self, name: str, paths: list[str]):
        self.name, self.paths = name, paths

    def partitions(self) -> list[InputPartition]:
        """The files in their order, a large one alone, small ones together."""
        dealt: list[list[str]] = []
        size = BYTES_A_TASK
        for path in self.paths:
            if size >= BYTES_A_TASK:
                dealt.append([])
                size = 0
            dealt[-1].append(path)
            size += os.path.getsize(path)
        return [_Files(paths) for paths in dealt]

    def read(self, partition: Any) -> Iterator[pa.RecordBatch]:
        """The records of the partition's files."""
        module, fields = formats.format_named(self.name), formats.fields(self.name)
        for path in partition.paths:
            yield from batches(iter(module.read(path)), path, fields)


def _data_source(format_name: str) -> type[DataSource]:
    class FormatSource(DataSource):
        @classmethod
        def name(cls):
            return f"salus_{format_name}"

        def schema(self):
            return from_arrow_schema(pa.schema([*PLACED, *formats.fields(format_name)]))

        def reader(self, schema):
            return _Reader(format_name, json.loads(self.options["paths"]))

    return FormatSource
