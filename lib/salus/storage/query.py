"""A query in the making: selects around selects, as text that Spark reads and analyses once.

A frame that is made step by step is analysed at each of them, and every Column of it is a call from Python into the
JVM. A delivery of seventeen FHIR types took 14,000 of them before its first byte was read; as texts, it takes 2,600.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

from pyspark.sql import DataFrame, SparkSession

_numbers = count()


def literal(text: str) -> str:
    """``text`` as SQL writes it."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def named(columns: Mapping[str, str]) -> str:
    """A select list of ``columns``: name to expression."""
    return ", ".join(f"{expression} AS {_quoted(name)}" for name, expression in columns.items())


@dataclass(frozen=True)
class Query:
    """The text of a query, and the names of its columns."""

    text: str
    columns: tuple[str, ...]

    @classmethod
    def of_view(cls, name: str, columns: Mapping[str, str], shared: Mapping[str, str] | None = None) -> "Query":
        """``columns`` (name to expression) of the view ``name``; they may name ``shared`` ones, worked out before."""
        rows = f"(SELECT *, {named(shared)} FROM {name})" if shared else name
        return cls(f"SELECT {named(columns)} FROM {rows}", tuple(columns))

    def select(self, columns: Mapping[str, str]) -> "Query":
        """These columns, name to expression, and no others."""
        return Query(f"SELECT {named(columns)} FROM ({self.text})", tuple(columns))

    def with_columns(self, columns: Mapping[str, str]) -> "Query":
        """Further columns, or others in the place of those that have their names."""
        return self.select({name: _quoted(name) for name in self.columns} | dict(columns)) if columns else self

    def where(self, condition: str) -> "Query":
        """The rows for which ``condition`` holds."""
        return Query(f"SELECT * FROM ({self.text}) WHERE {condition}", self.columns)

    def exploded(self, array: str, position: str, item: str) -> "Query":
        """A row for each item of ``array``, or one with nulls where it has none."""
        exploded = f"posexplode_outer({array}) AS ({_quoted(position)}, {_quoted(item)})"
        return Query(f"SELECT *, {exploded} FROM ({self.text})", (*self.columns, position, item))

    def beside(self, view: str, *columns: str, on: str | None = None) -> "Query":
        """``columns`` of a small view beside each row: of its only row, or of the one that has the same ``on``."""
        joined = f"LEFT JOIN {view} USING ({_quoted(on)})" if on else f"CROSS JOIN {view}"
        every = (*self.columns, *columns)
        listed = ", ".join(map(_quoted, every))
        return Query(f"SELECT /*+ BROADCAST({view}) */ {listed} FROM ({self.text}) {joined}", every)


@contextmanager
def views(spark: SparkSession, *frames: DataFrame) -> Iterator[list[str]]:
    """The names under which ``frames`` can be queried meanwhile."""
    names = [f"salus_view_{next(_numbers)}" for _ in frames]
    for name, frame in zip(names, frames):
        frame.createOrReplaceTempView(name)
    try:
        yield names
    finally:
        for name in names:
            spark.catalog.dropTempView(name)


def _quoted(name: str) -> str:
    return f"`{name.replace('`', '``')}`"
