"""Tables as they are: Parquet files, the current files of a Delta table, and what a database's query gives.

A row is a record. Its place in its file is its number there, which Spark tells of Parquet (``_metadata.row_index``); of
a Delta table it tells only the block, whose rows are numbered in their order as a text file's lines are. What a
database gives is first copied into a Parquet file a record type, in the order that the source states: equal rows make
an equal file, which is known by its content like any other.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from salus.errors import EnvironmentFault, Refused
from salus.session import JDBC_PACKAGES
from salus.sources.declaration import Source
from salus.sources.parsing import PARSED, WHOLE_FILE

ROWS_FETCHED = 10_000
USER, PASSWORD = "SALUS_JDBC_USER", "SALUS_JDBC_PASSWORD"


def table_rows(spark: SparkSession, paths: list[str], root: str | None) -> DataFrame:
    """What ``parsed`` gives, of Parquet files of equal columns; ``root`` is the Delta table that they belong to."""
    if root is None:
        found = spark.read.parquet(*paths)
        block, number = F.lit(WHOLE_FILE).cast("long"), F.col("_metadata.row_index")
    else:
        table = spark.read.format("delta").load(root)
        urls = [Path(path).as_uri() for path in paths]  # Delta writes file:/x where Spark writes file:///x
        urls += [url.replace("file:///", "file:/") for url in urls]
        found = table.where(F.col("_metadata.file_path").isin(urls))
        block, number = F.col("_metadata.file_block_start"), F.monotonically_increasing_id()
    columns = found.columns
    place = {
        "_path": F.col("_metadata.file_path"),
        "_block": block,
        "_line_id": number,
        "_has_bom": F.lit(False),
        "_broken": F.lit(None).cast("string"),
    }
    return found.select(*[place[name].alias(name) for name in PARSED], *[f"`{name}`" for name in columns])


def delta_root(path: str) -> str | None:
    """The folder of the Delta table that the file ``path`` belongs to; None = it belongs to none."""
    return next((str(parent) for parent in Path(path).parents if (parent / "_delta_log").is_dir()), None)


@contextmanager
def delivery(spark: SparkSession, source: Source, given: str) -> Iterator[str]:
    """The folder of a delivery's files: the ``given`` one, or one into which a database's tables are copied."""
    if source.format != "jdbc":
        yield given
        return
    with extracted(spark, source, given) as folder:
        yield folder


@contextmanager
def extracted(spark: SparkSession, source: Source, url: str) -> Iterator[str]:
    """A folder that holds what the database ``url`` has of each record type, a Parquet file each, while it is needed.

    User and password come from ``SALUS_JDBC_USER`` and ``SALUS_JDBC_PASSWORD``.

    Raises:
        Refused: it is no JDBC address, names a driver that is not pinned, or carries a password.
        EnvironmentFault: the driver cannot be resolved.
    """
    kind = url.removeprefix("jdbc:").partition(":")[0]
    if not url.startswith("jdbc:") or kind not in JDBC_PACKAGES or "password" in url.lower():
        raise Refused(
            f"Received an input that is no address of a database as {source.name} needs one; expected jdbc: and one of "
            f"{', '.join(JDBC_PACKAGES)}, without a password. Name it, and put the password into {PASSWORD}."
        )
    package, driver = JDBC_PACKAGES[kind]
    _add_driver(spark, package)
    reader = spark.read.format("jdbc").option("url", url).option("driver", driver).option("fetchsize", ROWS_FETCHED)
    for option, variable in (("user", USER), ("password", PASSWORD)):
        if value := os.environ.get(variable):
            reader = reader.option(option, value)
    with tempfile.TemporaryDirectory(prefix="salus-") as folder:
        for name, record in source.records.items():
            query = f"SELECT * FROM {record.table or name} ORDER BY {', '.join(record.ordered_by)}"
            rows = reader.option("query", query).load()
            rows.write.option("compression", "zstd").parquet(f"{folder}/_{name}")
            (part,) = Path(folder, f"_{name}").glob("*.parquet")
            part.rename(Path(folder, f"{name}.parquet"))
        yield folder


def _add_driver(spark, package):
    try:
        spark.sql(f"ADD JAR ivy://{package}?transitive=false")
    except PySparkException as error:
        raise EnvironmentFault(
            f"Received no driver from {package}; expected Spark to resolve it. Allow that repository, or give its jar "
            "to spark-submit with --jars."
        ) from error
