"""Tables as an earlier run saw them, and what was appended to one since: by Delta's log, without a look at the rows."""

import re
from dataclasses import dataclass

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame

from salus.storage.small import small_frame
from salus.storage.tables import Tables

GLOB = r"([][{}*?\\])"
"""What Spark takes for a pattern in the path of a file."""


@dataclass(frozen=True)
class Grown:
    """A table in two parts: what it held ``before``, and what was ``added`` since."""

    before: DataFrame
    added: DataFrame


def grown(tables: Tables, name: str, since: int | None) -> Grown | None:
    """The table in these two parts; None where it did more than grow, or where nobody knows any more.

    Whoever erases, maps files anew or compacts removes data files; an append only adds some.

    Args:
        tables: as this run sees them.
        name: of the table.
        since: the version that held what was before; None = there was no such table.
    """
    now = tables.read(name)
    nothing = small_frame(tables.spark, [], now.schema)
    if tables.version(name) == since:
        return Grown(now, nothing)
    before = _at(tables, name, since)
    if before is None or before.schema != now.schema:
        return None
    old, new = set(before.inputFiles()), set(now.inputFiles())
    if not old <= new:
        return None
    # The files themselves: Delta would open all that the table has to look which rows are theirs.
    files = [re.sub(GLOB, r"\\\1", file) for file in sorted(new - old)]
    return Grown(before, tables.spark.read.schema(now.schema).parquet(*files) if files else nothing)


def earlier(tables: Tables, name: str, version: int | None) -> DataFrame | None:
    """Table ``name``, which has no partitions, as it was in ``version``; None where that, or a file of it, is gone."""
    rows = _at(tables, name, version)
    if rows is None:
        return None
    there = set(tables.names_in(name))
    return rows if all(file.rpartition("/")[2] in there for file in rows.inputFiles()) else None


def _at(tables, name, version) -> DataFrame | None:
    """Table ``name`` in ``version``; empty where there was none, None where Delta's log does not go back so far."""
    if version is None:
        return small_frame(tables.spark, [], tables.read(name).schema)
    try:
        return tables.spark.read.format("delta").option("versionAsOf", version).load(tables.path(name))
    except AnalysisException:
        return None
