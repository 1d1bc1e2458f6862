"""A place for what a run works out once and reads several times: Parquet beside the tables, gone at its end."""

from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import DataFrame

from salus.storage.tables import Tables

FOLDER = "_staging"


@contextmanager
def staged(tables: Tables, rows: DataFrame) -> Iterator[DataFrame]:
    """``rows``, computed once and read back from files.

    Whoever holds the warehouse's lock owns the folder, so what a run that died left there is removed first.
    """
    jvm, path = tables.spark._jvm, f"{tables.warehouse}/{FOLDER}"
    assert jvm is not None
    folder = jvm.org.apache.hadoop.fs.Path(path)
    files = folder.getFileSystem(tables.spark._jsc.hadoopConfiguration())
    files.delete(folder, True)
    try:
        rows.write.option("compression", "snappy").parquet(path)
        yield tables.spark.read.schema(rows.schema).parquet(path)
    finally:
        files.delete(folder, True)
