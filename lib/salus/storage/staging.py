"""A place for what a run works out once and reads several times: Parquet beside the tables, gone at its end."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from pyspark.sql import DataFrame

from salus.storage.tables import Tables

FOLDER = "_staging"


class Keep(Protocol):
    """``keep(name, rows, by)`` gives ``rows``, perhaps computed once and read back, a folder a value of ``by``."""

    def __call__(self, name: str, rows: DataFrame, by: str | None = None) -> DataFrame:
        """``rows``."""
        ...


def unkept(name: str, rows: DataFrame, by: str | None = None) -> DataFrame:
    """``rows`` as they are, computed whenever they are read."""
    return rows


@contextmanager
def staging(tables: Tables) -> Iterator[Keep]:
    """What keeps rows, each under a name of its own, until the work is done.

    Whoever holds the warehouse's lock owns the folder, so what a run that died left there is removed first.
    """
    jvm, path = tables.spark._jvm, f"{tables.warehouse}/{FOLDER}"
    assert jvm is not None
    folder = jvm.org.apache.hadoop.fs.Path(path)
    files = folder.getFileSystem(tables.spark._jsc.hadoopConfiguration())

    def keep(name: str, rows: DataFrame, by: str | None = None) -> DataFrame:
        writer = rows.write.option("compression", "snappy")
        (writer.partitionBy(by) if by else writer).parquet(f"{path}/{name}")
        return tables.spark.read.schema(rows.schema).parquet(f"{path}/{name}")

    files.delete(folder, True)
    try:
        yield keep
    finally:
        files.delete(folder, True)
