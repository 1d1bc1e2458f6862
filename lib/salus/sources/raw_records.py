"""Raw records: what refused records say, for a quarantine that keeps it, as conf/privacy may allow of a source.

The files that had refusals are read once more, and nothing is mapped. A record of text is its line; one of a table, or
of a format that needs code, is a JSON object of its columns as they were read.
"""

from collections.abc import Collection, Iterator
from dataclasses import replace
from functools import reduce

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from salus.sources.batch import PLACES, Batch, places, tables_of
from salus.sources.mapping import OF_BLOCK
from salus.sources.parsing import PARSED, PLACE, bundle_entries, lines, records, rows
from salus.storage.small import small_frame

BYTES_AT_MOST = 65_536
"""A larger record is not kept: its file and its place there lead to it."""


def raw_records(spark: SparkSession, batch: Batch, file_ids: Collection[int]) -> DataFrame:
    """``file_id, record, raw`` of every record of those files of ``batch``; null where it is too large to be kept.

    A byte order mark that a line begins with is no part of it.
    """
    some = replace(batch, files=[file for file in batch.mapped if file.file_id in file_ids])
    found = reduce(DataFrame.unionByName, _read(spark, some)).withColumns(
        {"_of_block": F.expr(OF_BLOCK), "is_head": F.lit(True)}
    )
    numbered = found.join(F.broadcast(small_frame(spark, places(some, found), PLACES)), "_of_block")
    kept = F.when(F.octet_length("_raw") <= BYTES_AT_MOST, F.make_valid_utf8("_raw"))
    place = F.col("_line_id") - F.col("first_line_id") + F.col("first_record")
    return numbered.select("file_id", place.alias("record"), kept.alias("raw")).where("record >= 0")


def _read(spark, batch) -> Iterator[DataFrame]:
    """The records of the batch's files as texts, by the ways in which they are read: ``PLACE`` and ``_raw``."""
    source, line = batch.source, F.col("_line")
    paths: dict[tuple[str, str | None], list[str]] = {}
    for file in batch.mapped:
        paths.setdefault((file.reading, file.record_type if file.reading == "rows" else None), []).append(file.path)
    for (reading, kind), of_kind in paths.items():
        if reading == "lines":
            yield _as_text(lines(spark, of_kind), line)
        elif reading == "rows":
            quote = source.quote if source.format == "csv" else ""
            yield _as_text(rows(spark, of_kind, source.encoding_of(str(kind)), quote, source.delimiter), line)
        elif reading == "bundle":
            yield _as_text(bundle_entries(spark, source, of_kind), line)
        elif reading == "code":
            yield _as_object(records(spark, source, of_kind))
    yield from (_as_object(part()) for _, part in tables_of(spark, batch))


def _as_text(found: DataFrame, raw: Column) -> DataFrame:
    return found.select(*PLACE, raw.alias("_raw"))


def _as_object(found: DataFrame) -> DataFrame:
    own = [F.col(f"`{name}`") for name in found.columns if name not in (*PARSED, "_type")]
    return _as_text(found, F.to_json(F.struct(*own)))
