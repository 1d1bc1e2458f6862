"""From files to records: one row a line, with its place, and its fields behind a barrier.

``explode(array(...))`` around the parsed struct is that barrier: without it the optimizer writes the parser into
every expression that reads a field (11 to 271 copies were seen), and each copy parses the line again.
"""

import csv
import secrets
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import quote as quote_path

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from salus.sources import formats
from salus.sources.bundles import entries
from salus.sources.declaration import Source
from salus.sources.python_source import BYTES_AT_ONCE, read_records
from salus.sources.text import decompressed, is_utf8, records_in, text_of
from salus.storage.small import small_frame

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
    # Trimmed at its end too, a line would be walked through character by character: a seventh of an ingest's time.
    filled = text.where(F.ltrim("value", F.lit(" \t\r")) != "")
    has_bom = (F.col("_block") == 0) & F.startswith("value", F.lit(BOM))
    return filled.select(
        "_path",
        "_block",
        F.monotonically_increasing_id().alias("_line_id"),
        has_bom.alias("_has_bom"),
        F.when(has_bom, F.substring("value", 2, 2_000_000_000)).otherwise(F.col("value")).alias("_line"),
    )


def rows(
    spark: SparkSession, paths: list[str], encoding: str = "utf-8", quote: str = "", delimiter: str = ","
) -> DataFrame:
    """``lines`` of files that cannot be split: in another encoding, packed by zstd, with rows over several lines.

    A file a task, which holds one batch of rows at a time; ``_line`` is null where a record is too large to be held.
    """

    def read(path: str) -> Iterator[tuple[bytes | None]]:
        return ((record,) for record in records_in(text_of(path, encoding), quote, delimiter=delimiter))

    found = _by_file(spark, paths, read, pa.schema([("_line", pa.binary())]))
    return found.select(*PLACE, F.lit(False).alias("_has_bom"), F.col("_line").cast("string").alias("_line"))


def bundle_entries(spark: SparkSession, source: Source, paths: list[str]) -> DataFrame:
    """``lines`` of FHIR Bundles, a resource each, with ``_broken`` and ``_type`` as ``records`` has them."""

    def read(path: str) -> Iterator[tuple[bytes | None, str, str | None]]:
        return ((entry.resource, entry.kind, entry.broken) for entry in entries(decompressed(path)))

    schema = pa.schema([("_line", pa.binary()), ("_kind", pa.string()), ("_broken", pa.string())])
    return _typed(_by_file(spark, paths, read, schema), source, F.col("_line").cast("string").alias("_line"))


def _by_file(spark, paths, read: Callable[[str], Iterator[tuple]], schema: pa.Schema) -> DataFrame:
    """What ``read`` makes of each file, a task a file: ``PLACE``, where ``_line_id`` counts from 0, and ``schema``."""
    placed = pa.schema([("_path", pa.string()), ("_line_id", pa.int64()), *schema])

    def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for path in (path for batch in batches for path in batch["path"].to_pylist()):
            number, uri = 0, f"file:{quote_path(path)}"
            for several in batched(read(path)):
                columns = [[uri] * len(several), range(number, number + len(several)), *zip(*several, strict=True)]
                arrays = [pa.array(column, field.type) for column, field in zip(columns, placed, strict=True)]
                yield pa.RecordBatch.from_arrays(arrays, schema=placed)
                number += len(several)

    files = small_frame(spark, [(path,) for path in paths], "path string").repartition(len(paths))
    return files.mapInArrow(work, from_arrow_schema(placed)).withColumn("_block", F.lit(WHOLE_FILE).cast("long"))


def batched(rows: Iterator[tuple]) -> Iterator[list[tuple]]:
    """``rows`` in lists of bounded length and size."""
    several: list[tuple] = []
    size = 0
    for row in rows:
        several.append(row)
        size += len(row[0] or b"")
        if len(several) == ROWS_AT_ONCE or size > BYTES_AT_ONCE:
            yield several
            several, size = [], 0
    if several:
        yield several


def parsed(rows: DataFrame, source: Source, columns: str, encoding: str = "utf-8", is_text: bool = False) -> DataFrame:
    """``lines`` with their fields: ``PARSED``, then the record type's own.

    Args:
        rows: what ``lines`` gives.
        source: whose format the lines are in.
        columns: NDJSON: the fields' types, as Spark writes a schema; CSV: the file's header line.
        encoding: in which the lines were delivered.
        is_text: their files are known to be text throughout; else each line is looked at.
    """
    legible = F.when(F.col("_line").isNotNull(), F.lit(True) if is_text else F.is_valid_utf8("_line"))
    parse, name, whole = (_delimited if source.format == "csv" else _json)(source, columns)
    record = rows.select(*PLACE, "_has_bom", legible.alias("_is_text"), F.explode(F.array(parse)).alias("_parsed"))
    no_text = "not_utf8" if is_utf8(encoding) else "not_in_encoding"
    broken = F.when(F.col("_is_text").isNull(), "record_too_large").when(~F.col("_is_text"), no_text)
    broken = broken.when(~whole, BROKEN[source.format])
    fields = record.select(*PLACE, "_has_bom", broken.alias("_broken"), F.expr(name).alias("_fields"))
    return fields.select(*PARSED, "_fields.*")


def records(spark: SparkSession, source: Source, paths: list[str]) -> DataFrame:
    """Every record of ``paths``, whose format needs code: what ``parsed`` gives, and ``_type``, its record type.

    ``_type`` is the type's number among the source's records; -1 where the source declares no such type. What is of a
    type that the source ignores is broken under ``unchanged``: it is accepted and writes nothing.
    """
    found = read_records(spark, source.format, paths).withColumnRenamed("_record", "_line_id")
    placed = found.withColumn("_block", F.lit(WHOLE_FILE).cast("long"))
    return _typed(placed, source, *formats.fields(source.format).names)


def _typed(rows: DataFrame, source: Source, *columns: str | Column) -> DataFrame:
    kind, number = F.col("_kind"), F.lit(-1)
    for place, declared in enumerate(source.records):
        number = F.when(kind == declared, place).otherwise(number)
    broken = (
        F.when(F.col("_broken").isNotNull(), F.col("_broken"))
        .when(kind.isin(*source.ignored), UNCHANGED)
        .when(~kind.isin(*source.records), "unknown_record_type")
    )
    return rows.select(*PLACE, F.lit(False).alias("_has_bom"), broken.alias("_broken"), number.alias("_type"), *columns)


def header_columns(header: str, delimiter: str, quote: str = '"') -> list[str]:
    """The column names in a header line."""
    header = header.removeprefix(BOM)
    if len(delimiter) > 1 or not quote:
        return [name.strip().strip(quote or None) for name in header.split(delimiter)]
    return [name.strip() for name in next(csv.reader([header], delimiter=delimiter, quotechar=quote), [])]


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
    names = header_columns(columns, source.delimiter, source.quote)
    options = {
        "mode": "PERMISSIVE",
        "columnNameOfCorruptRecord": "_corrupt",
        "sep": source.delimiter,
        "quote": source.quote,
        "escape": source.quote or "\u0000",
        "maxCharsPerColumn": "-1",
    }
    schema = ", ".join([*(f"`{name.replace('`', '``')}` STRING" for name in names), "_corrupt STRING"])
    line = F.rtrim("_line", F.lit("\r"))
    return F.from_csv(line, schema, options), "_parsed", F.col("_parsed._corrupt").isNull()
