"""A place for what a run works out once and reads several times: Parquet beside the tables, gone at its end."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial, reduce
from typing import Protocol

from pyspark.sql import DataFrame
from pyspark.sql.types import StructType

from salus.storage.at_once import at_once
from salus.storage.tables import Tables

FOLDER = "_staging"
Part = Callable[[], DataFrame]
"""Makes a frame, when it is its turn: a long query takes as long to be planned as its rows take to be read."""


class Keep(Protocol):
    """``keep(name, parts, by)`` gives all rows of ``parts``, perhaps computed once and read back.

    The parts are made and computed at once; where ``by`` is given, each of its values has a folder of its own.
    A column that not all parts have is null in the rows of the others, and takes nothing in their files.
    """

    def __call__(self, name: str, parts: Sequence[Part], by: str | None = None) -> DataFrame:
        """All rows of ``parts``, whose columns of one name are of one type."""
        ...


def unkept(name: str, parts: Sequence[Part], by: str | None = None) -> DataFrame:
    """All rows of ``parts`` as they are, computed whenever they are read."""
    return reduce(partial(DataFrame.unionByName, allowMissingColumns=True), [part() for part in parts])


@contextmanager
def staging(tables: Tables) -> Iterator[Keep]:
    """What keeps rows, each under a name of its own, until the work is done.

    Whoever holds the warehouse's lock owns the folder, so what a run that died left there is removed first.
    """
    jvm, path = tables.spark._jvm, f"{tables.warehouse}/{FOLDER}"
    assert jvm is not None
    folder = jvm.org.apache.hadoop.fs.Path(path)
    files = folder.getFileSystem(tables.spark._jsc.hadoopConfiguration())

    def keep(name: str, parts: Sequence[Part], by: str | None = None) -> DataFrame:
        folders = [f"{path}/{name}/{number}" for number in range(len(parts))]
        schemas = at_once(tables.spark, [partial(_written, part, folder, by) for part, folder in zip(parts, folders)])
        columns = {column.name: column for schema in schemas for column in schema}
        return tables.spark.read.schema(StructType(list(columns.values()))).parquet(*folders)

    files.delete(folder, True)
    try:
        yield keep
    finally:
        files.delete(folder, True)


def _written(part: Part, folder, by) -> StructType:
    rows = part()
    # What is read once and removed need not be small: dictionaries of ids would cost more than they spare. No column
    # has one, since of Spark's writers at once, one was seen to take options that another was given.
    writer = rows.write.option("compression", "snappy").option("parquet.enable.dictionary", "false")
    (writer.partitionBy(by) if by else writer).parquet(folder)
    return rows.schema
