"""From files to records: one row a line, with its place, and its fields behind a barrier.

``explode(array(...))`` around the parsed struct is that barrier: without it the optimizer writes the parser into
every expression that reads a field (11 to 271 copies were seen), and each copy parses the line again.
"""

import csv
import secrets
from collections.abc import Iterable, Iterator
from itertools import islice

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from salus.sources import formats
from salus.sources.declaration import Source
from salus.sources.files import decompressed, quoted_rows
from salus.sources.python_source import read_records

ROWS_AT_ONCE = 2000
BOM = "\ufeff"
BROKEN = {"ndjson": "not_one_json_object", "csv": "not_a_row"}
"""The rule that a line breaks when it is no record at all, by format."""

PLACE = ["_path", "_block", "_line_id"]
"""Where a record lies: its file, the block that a task read, and its number among the lines of that task."""

PARSED = [*PLACE, "_has_bom", "_broken"]
"""What a parsed record has beside its fields; ``_broken`` is the rule that it breaks by being none, or null."""

UNCHANGED = "unchanged"
"""The verdict of a record that is accepted and writes nothing: it repeats its newest version, or is of no interest."""

WHOLE_FILE = -1
"""The block of a record whose number is its place in the file already."""


def lines(spark: SparkSession, paths: list[str]) -> DataFrame:
    """Every line of ``paths`` that holds more than blanks: ``PLACE``, ``_line``, ``_has_bom``.

    A lone carriage return is no end of a line, so the separator is given; a file's BOM is no part of its first line.
    """
    text = (
        spark.read.option("lineSep", "\n")
        .option("recursiveFileLookup", "true")
        .text(paths)
        .select(
            "value", F.col("_metadata.file_path").alias("_path"), F.col("_metadata.file_block_start").alias("_block")
        )
    )
    filled = text.where(F.length(F.btrim("value", F.lit(" \t\r"))) > 0)
    has_bom = (F.col("_block") == 0) & F.startswith("value", F.lit(BOM))
    return filled.select(
        "_path",
        "_block",
        F.monotonically_increasing_id().alias("_line_id"),
        has_bom.alias("_has_bom"),
        F.when(has_bom, F.substring("value", 2, 2_000_000_000)).otherwise(F.col("value")).alias("_line"),
    )


def wrapped_rows(spark: SparkSession, paths: list[str]) -> DataFrame:
    """``lines`` of quoted text whose rows run over several lines: a file a task, a row when its quotes close."""
    schema = "_path string, _line_id long, _line binary"
    rows = (
        spark.createDataFrame([(path,) for path in paths], "path string")
        .repartition(len(paths))
        .mapInArrow(_rows_of, schema)
    )
    return rows.select(
        "_path",
        F.lit(0).cast("long").alias("_block"),
        "_line_id",
        F.lit(False).alias("_has_bom"),
        F.col("_line").cast("string").alias("_line"),
    )


def _rows_of(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for path in batch["path"].to_pylist():
            number = 0
            for rows in batched(quoted_rows(decompressed(path))):
                numbers = range(number, number + len(rows))
                yield pa.RecordBatch.from_arrays(
                    [pa.array([path] * len(rows)), pa.array(numbers, pa.int64()), pa.array(rows, pa.binary())],
                    names=["_path", "_line_id", "_line"],
                )
                number += len(rows)


def batched(rows: Iterator[bytes]) -> Iterator[list[bytes]]:
    """``rows`` in lists of ``ROWS_AT_ONCE``."""
    while several := list(islice(rows, ROWS_AT_ONCE)):
        yield several


def parsed(rows: DataFrame, source: Source, columns: str) -> DataFrame:
    """``lines`` with their fields: ``PARSED``, then the record type's own.

    Args:
        rows: what ``lines`` gives.
        source: whose format the lines are in.
        columns: NDJSON: the fields' types, as Spark writes a schema; CSV: the file's header line.
    """
    parse, name, whole = (_json if source.format == "ndjson" else _delimited)(source, columns)
    record = rows.select(
        *PLACE, "_has_bom", F.is_valid_utf8("_line").alias("_is_text"), F.explode(F.array(parse)).alias("_parsed")
    )
    broken = F.when(~F.col("_is_text"), "not_utf8").when(~whole, BROKEN[source.format])
    fields = record.select(*PLACE, "_has_bom", broken.alias("_broken"), F.expr(name).alias("_fields"))
    return fields.select(*PARSED, "_fields.*")


def records(spark: SparkSession, source: Source, paths: list[str]) -> DataFrame:
    """Every record of ``paths``, whose format needs code: what ``parsed`` gives, and ``_type``, its record type.

    ``_type`` is the type's number among the source's records; -1 where the source declares no such type. What is of a
    type that the source ignores is broken under ``unchanged``: it is accepted and writes nothing.
    """
    kind, undeclared = F.col("_kind"), ~F.col("_kind").isin(*source.records)
    found = F.lit(-1)
    for number, declared in enumerate(source.records):
        found = F.when(kind == declared, number).otherwise(found)
    broken = (
        F.when(F.col("_broken").isNotNull(), F.col("_broken"))
        .when(kind.isin(*source.ignored), UNCHANGED)
        .when(undeclared, "unknown_record_type")
    )
    return read_records(spark, source.format, paths).select(
        "_path",
        F.lit(WHOLE_FILE).cast("long").alias("_block"),
        F.col("_record").alias("_line_id"),
        F.lit(False).alias("_has_bom"),
        broken.alias("_broken"),
        found.alias("_type"),
        *formats.fields(source.format).names,
    )


def header_columns(header: str, delimiter: str) -> list[str]:
    """The column names in a header line."""
    return [name.strip() for name in next(csv.reader([header.removeprefix(BOM)], delimiter=delimiter), [])]


def _json(_, columns) -> tuple[Column, str, Column]:
    """The line in a list in an object of ours, under keys that it cannot guess.

    Spark's JSON parser silently drops what follows the first object on a line; wrapped up, a second object is a second
    element, and trailing text, a further key, a truncated line or a NUL leave the whole broken or without its last key.
    """
    nonce = secrets.token_hex(8)
    inner, end = f"r{nonce}", f"e{nonce}"
    options = {
        "mode": "PERMISSIVE",
        "columnNameOfCorruptRecord": "_corrupt",
        "allowSingleQuotes": "false",
        "allowNonNumericNumbers": "false",
    }
    wrapped = F.concat(F.lit(f'{{"{inner}":['), F.col("_line"), F.lit(f'],"{end}":1}}'))
    schema = f"`{inner}` ARRAY<STRUCT<{columns}>>, `{end}` INT, _corrupt STRING"
    record = f"get(_parsed.{inner}, 0)"
    whole = (
        F.col("_parsed._corrupt").isNull()
        & F.col(f"_parsed.{end}").isNotNull()
        & (F.size(f"_parsed.{inner}") == 1)
        & F.expr(record).isNotNull()
    )
    return F.from_json(wrapped, schema, options), record, F.coalesce(whole, F.lit(False))


def _delimited(source, columns) -> tuple[Column, str, Column]:
    """The line as RFC 4180 has it; a row with more or fewer columns than the header is broken."""
    names = header_columns(columns, source.delimiter)
    options = {
        "mode": "PERMISSIVE",
        "columnNameOfCorruptRecord": "_corrupt",
        "sep": source.delimiter,
        "quote": '"',
        "escape": '"',
        "maxCharsPerColumn": "-1",
    }
    schema = ", ".join([*(f"`{name.replace('`', '``')}` STRING" for name in names), "_corrupt STRING"])
    line = F.rtrim("_line", F.lit("\r"))
    return F.from_csv(line, schema, options), "_parsed", F.col("_parsed._corrupt").isNull()
