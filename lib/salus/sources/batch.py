"""A batch: the files of one ingest, parsed and mapped once, each record with its file and its place in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from urllib.parse import unquote

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from salus.errors import EnvironmentFault
from salus.privacy.pseudonyms import pads
from salus.privacy.settings import policy_of
from salus.privacy.suppression import without_suppressed
from salus.sources import formats
from salus.sources.columns import columns_in
from salus.sources.declaration import Source
from salus.sources.files import Landed
from salus.sources.mapping import mapped, refused, with_every_payload
from salus.sources.parsing import PARSED, UNCHANGED, WHOLE_FILE, bundle_entries, lines, parsed, records, rows
from salus.sources.record_parts import PAYLOADS
from salus.sources.record_type import Record
from salus.sources.tables import delta_root, table_rows
from salus.sources.units import conversions, read_spellings, read_units, spellings_path, units_path
from salus.sources.values import NOT_YET
from salus.storage.small import small_frame
from salus.storage.staging import Keep, Part, staging, unkept
from salus.storage.tables import Tables

PLACES = (
    "_of_block long, file_id long, file_order int, first_line_id long, first_record long, "
    "delivered_version long, delivered_at timestamp_ntz"
)
EPOCH = datetime(1970, 1, 1)


@dataclass(frozen=True)
class Batch:
    """What is ingested: files of a source, at a site, under a mapping."""

    source: Source
    site: str
    mapping_hash: str
    files: list[Landed]
    delivered_at: datetime | None
    number: int

    @property
    def kinds(self) -> dict[str, Record]:
        """The record types that the batch's files may hold."""
        held = {kind for file in self.files for kind in file.kinds}
        return {kind: record for kind, record in self.source.records.items() if kind in held}

    @property
    def mapped(self) -> list[Landed]:
        """The files that hold records which become something."""
        return [file for file in self.files if file.record_type and file.records]

    def delivered(self, file: Landed) -> datetime:
        """When ``file`` came, by the delivery's own clock: as stated, else when it was last changed."""
        return self.delivered_at or file.modified


def version_of(delivered: datetime) -> int:
    """The version of a record that has none of its own: when it was delivered, to the second, in microseconds."""
    return int((delivered - EPOCH).total_seconds()) * 1_000_000


@contextmanager
def landed_rows(tables: Tables, batch: Batch, key: bytes) -> Iterator[DataFrame]:
    """Every record of the batch mapped, worked out once and read back from files."""
    with staging(tables) as keep:
        staged = keep("rows", staged_parts(tables.spark, batch, key, keep))
        yield without_suppressed(tables, with_every_payload(staged), key, UNCHANGED)


def staged_parts(spark: SparkSession, batch: Batch, key: bytes, keep: Keep = unkept) -> list[Part]:
    """Every record of the batch mapped: what makes a frame, with one parse, for each record type and header."""
    source, keyed = batch.source, pads(spark, key)
    units = conversions(spark, read_units(units_path()), read_spellings(spellings_path()))
    policy = policy_of(source.name)

    def as_mapped(kind: str, part: Part) -> DataFrame:
        return mapped(with_optional(part(), source, kind), source, kind, batch.site, keyed, units, policy)

    parts: list[Part] = [
        partial(as_mapped, kind, part) for kind, part in [*_lines(spark, batch), *tables_of(spark, batch)]
    ]
    undeclared = []
    for reading, of_mixed_types in (("bundle", bundle_entries), ("code", records)):
        if paths := [file.path for file in batch.mapped if file.reading == reading]:
            found = keep(reading, [partial(of_mixed_types, spark, source, paths)], "_type")
            undeclared.append(found.where("_type = -1"))
            parts += [partial(as_mapped, kind, part) for kind, part in _of_each_type(found, batch, reading)]
    if not undeclared:
        return parts
    like = cache(parts[0])  # made once, for its own rows and for the columns of those that are of no declared type
    return [like, *parts[1:], *(partial(_refused, rows, like) for rows in undeclared)]


def _refused(rows: DataFrame, like: Part) -> DataFrame:
    return refused(rows, like().schema)


def with_optional(rows: DataFrame, source: Source, kind: str) -> DataFrame:
    """``rows`` of record type ``kind`` with the optional columns that their file lacks, null in each."""
    have, may_have = {name.lower() for name in rows.columns}, columns_in(source, source.records[kind].optional)
    return rows.withColumns(
        {name: F.lit(None).cast(type_) for name, type_ in may_have.items() if name.lower() not in have}
    )


def staged_rows(spark: SparkSession, batch: Batch, key: bytes) -> DataFrame:
    """All of ``staged_parts``, worked out whenever they are read."""
    return with_every_payload(unkept("rows", staged_parts(spark, batch, key)))


def _lines(spark, batch) -> Iterator[tuple[str, Part]]:
    """The files of lines, parsed together where they are of one record type, header and way of reading."""
    source = batch.source
    groups: dict[tuple[str, str, str], list[Landed]] = {}
    for file in batch.mapped:
        if file.reading in ("lines", "rows"):
            kind = str(file.record_type)
            columns = source.records[kind].columns if source.format == "ndjson" else file.first_line
            groups.setdefault((kind, columns, file.reading), []).append(file)
    for (kind, columns, reading), files in groups.items():
        yield kind, partial(_parsed_lines, spark, source, kind, columns, reading, files)


def _parsed_lines(spark, source, kind, columns, reading, files) -> DataFrame:
    encoding, quote = source.encoding_of(kind), source.quote if source.format == "csv" else ""
    paths = [file.path for file in files]
    found = lines(spark, paths) if reading == "lines" else rows(spark, paths, encoding, quote, source.delimiter)
    return parsed(found, source, columns, encoding, is_text=all(file.is_text for file in files))


def tables_of(spark, batch) -> Iterator[tuple[str, Part]]:
    """The tables' files, read together where they are of one record type, one table and equal columns."""
    groups: dict[tuple[str, str, str | None], list[str]] = {}
    for file in batch.mapped:
        if file.reading == "table":
            root = delta_root(file.path) if batch.source.format == "delta" else None
            groups.setdefault((str(file.record_type), file.first_line, root), []).append(file.path)
    for (kind, _, root), paths in groups.items():
        yield kind, partial(table_rows, spark, paths, root)


def _of_each_type(found, batch, reading) -> Iterator[tuple[str, Part]]:
    """The records of mixed files, parsed by their type."""
    for number, kind in enumerate(batch.source.records):
        of_type = found.where(F.col("_type") == number)
        if kind in batch.kinds and reading == "bundle":
            yield kind, partial(parsed, of_type, batch.source, batch.source.records[kind].columns)
        elif kind in batch.kinds:
            names = formats.format_named(batch.source.format).SCHEMAS[kind].names
            yield kind, partial(of_type.select, *PARSED, *names)


def placed(spark: SparkSession, batch: Batch, rows: DataFrame) -> DataFrame:
    """Staged ``rows`` with ``file_id``, ``record`` and ``file_order``; versions and clocks that the delivery gives.

    A task numbers the lines of its blocks in their order, so a record's place follows from the least number of its
    block and the records of the blocks before it.

    Raises:
        EnvironmentFault: the parser saw another number of records than the file's bytes hold.
    """
    joined = rows.join(F.broadcast(small_frame(spark, places(batch, rows), PLACES)), "_of_block")
    if any(record.dates_when_known for record in batch.kinds.values()):
        joined = _dated_by_delivery(joined)
    if batch.source.clock == "live":
        joined = _received(joined)
    return joined.withColumns(
        {
            "record": F.col("_line_id") - F.col("first_line_id") + F.col("first_record"),
            "version": F.coalesce("version", "delivered_version"),
        }
    ).where("record >= 0")


def _dated_by_delivery(rows: DataFrame) -> DataFrame:
    """``rows`` in which what is dated by when it became known, and states no release, became known by the delivery."""

    def told(column):
        return F.when(column == F.expr(NOT_YET), F.col("delivered_at")).otherwise(column)

    columns = {name: told(F.col(name)) for name in ("time", "available_time")}
    if "person" in rows.columns:
        columns["person"] = F.col("person")
        for name in ("available_time", "death_datetime"):
            columns["person"] = columns["person"].withField(name, told(F.col(f"person.{name}")))
    return rows.withColumns(columns)


def _received(rows: DataFrame) -> DataFrame:
    """``rows`` of which nothing was known before the delivery that told it; what was always known still is."""

    def known(column):
        return F.when(F.col(column).isNotNull(), F.greatest(column, "delivered_at"))

    columns = {name: known(name) for name in ("available_time", "record_available")}
    columns["is_lag_assumed"] = F.expr("is_lag_assumed AND available_time > delivered_at")
    for name in filter(rows.columns.__contains__, PAYLOADS):
        columns[name] = F.col(name).withField("available_time", known(f"{name}.available_time"))
        if name == "cost":
            is_assumed = F.expr("cost.is_lag_assumed AND cost.available_time > delivered_at")
            columns[name] = columns[name].withField("is_lag_assumed", is_assumed)
    return rows.withColumns(columns)


def places(batch: Batch, rows: DataFrame) -> list[tuple]:
    """``PLACES``: a row for each block of a file, which are as few as the tasks that read them."""
    by_path = {file.path: file for file in batch.mapped}
    order = {file.file_id: number for number, file in enumerate(batch.mapped)}
    header = 1 if batch.source.format == "csv" else 0
    found = (
        rows.where("is_head")
        .groupBy("_of_block")
        .agg(
            F.first("_path").alias("_path"),
            F.first("_block").alias("_block"),
            F.min("_line_id").alias("least"),
            F.count("*").alias("records"),
        )
        .orderBy("_path", "_block")
        .collect()
    )
    seen: dict[int, int] = {}
    places: list[tuple] = []
    for row in found:
        file = by_path["/" + unquote(row["_path"]).removeprefix("file:").lstrip("/")]
        delivered = batch.delivered(file)
        version = version_of(delivered)
        first = seen.get(file.file_id, 0)
        places.append(
            (
                row["_of_block"],
                file.file_id,
                order[file.file_id],
                0 if row["_block"] == WHOLE_FILE else row["least"],
                first - header,
                version,
                delivered,
            )
        )
        seen[file.file_id] = first + row["records"]
    for file in batch.mapped:
        if (parsed_records := seen.get(file.file_id, 0) - header) != file.records:
            raise EnvironmentFault(
                f"Received {parsed_records} records from the parser for {file.name}; expected the {file.records} that "
                "its bytes hold. Its rows were split wrongly; please report the file's form."
            )
    return places
