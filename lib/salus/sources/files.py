"""The files of a delivery: what each is by its bytes, before any parser has an opinion.

Each file is read once, in a task, in chunks: its content's hash (which names it for good), its size, whether it can
be read to its end at all, and how many records its bytes hold. The parser must later account for exactly as many.
"""

import hashlib
import json
import os
import time
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from salus.errors import Refused
from salus.sources import formats
from salus.sources.bundles import NotABundle, entries
from salus.sources.declaration import LINES, TABLES, Source
from salus.sources.text import (
    BOM,
    CHUNK_BYTES,
    LARGEST_RECORD,
    RecordCounter,
    Utf8Check,
    decompressed,
    is_utf8,
    text_of,
)

LINES_LOOKED_AT = 200
MIXED = "mixed"
"""The record type of a file whose records are of several types."""

Reading = Literal["lines", "rows", "table", "bundle", "code"]
"""How Spark reads a file: split by lines; whole, cut into rows by Python; as a table; by its entries; by code."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """A file, named for good by its content."""

    path: str
    name: str
    bytes: int
    file_id: int
    modified: datetime
    is_growing: bool = False

    @property
    def folder(self) -> str:
        """The input folder under which its name is ``name``."""
        return self.path.removesuffix(self.name).rstrip("/")


@dataclass(frozen=True, kw_only=True)
class Landed(Found):
    """A file as its bytes say that it is.

    ``record_type`` is ``MIXED``, "" for a file that the source ignores, None for one that it does not declare;
    ``kinds`` are the declared types of which it may hold records; ``columns`` are those of a table; ``is_text`` says
    that it was found to be text throughout, so that none of its lines need be looked at again.
    """

    records: int
    first_line: str
    record_type: str | None
    kinds: tuple[str, ...]
    reading: Reading
    error: str | None
    columns: tuple[str, ...] = ()
    is_text: bool = False


def listed(folder: str) -> list[str]:
    """Every file under ``folder``, hidden ones and those of half-done writes aside, in the order of their names.

    Raises:
        Refused: there is no such folder, or nothing in it.
    """
    root = Path(folder)
    if not root.is_dir():
        raise Refused(f"Received the input {folder}; expected a folder of files. Name one that exists.")
    files = sorted(
        os.path.join(parent, name)
        for parent, _, names in os.walk(root.resolve())
        for name in names
        if not name.startswith((".", "_"))
        and not any(part.startswith((".", "_")) for part in Path(parent).relative_to(root.resolve()).parts)
    )
    if not files:
        raise Refused(
            f"Received the input folder {folder}, which holds no file; expected at least one. "
            "Name the folder that the delivery lies in."
        )
    return files


def delta_files(spark: SparkSession, folder: str) -> list[str]:
    """The files that the Delta tables under ``folder`` consist of now.

    Raises:
        Refused: there is no Delta table, or one whose files may hold rows that are deleted.
    """
    roots = sorted(str(log.parent) for log in Path(folder).resolve().rglob("_delta_log"))
    if not roots:
        raise Refused(f"Received the input {folder}; expected a Delta table in it. Name the folder that holds one.")
    found = [path for root in roots for path in spark.read.format("delta").load(root).inputFiles()]
    for root in roots:
        _refuse_deletion_vectors(spark, root)
    return sorted("/" + unquote(path).removeprefix("file:").lstrip("/") for path in found)


def _refuse_deletion_vectors(spark, root):
    """A file is known by its content and accounts for each of its rows; a deletion vector lies outside of it."""
    log = spark._jvm.org.apache.spark.sql.delta.DeltaLog.forTable(spark._jsparkSession, root)
    if not log.unsafeVolatileSnapshot().allFiles().where("deletionVector IS NOT NULL").isEmpty():
        raise Refused(
            f"Received the Delta table {root}, of which deletion vectors hide rows; expected files without deleted "
            f"rows. Rewrite them: REORG TABLE delta.`{root}` APPLY (PURGE)."
        )


def found(spark: SparkSession, source: Source, folder: str) -> list[Found]:
    """Every file under ``folder``, each by its content; the files are read by tasks, a few figures come back."""
    root = str(Path(folder).resolve())
    paths = delta_files(spark, folder) if source.format == "delta" else listed(folder)
    files = _in_tasks(spark, paths, lambda path: hashed(path, root, source.settle_seconds))
    return sorted(files, key=lambda file: file.name)


def found_again(spark: SparkSession, files: Iterable[tuple[str, str, int]]) -> list[Found]:
    """Those of ``files`` (folder, name and hash of the content) that still are where they were, as they were."""
    there = [one for one in files if os.path.isfile(os.path.join(*one[:2]))]
    again = _in_tasks(spark, there, lambda one: hashed(os.path.join(*one[:2]), one[0]))
    return [file for file, (_, _, file_id) in zip(again, there, strict=True) if file.file_id == file_id]


def inspected(spark: SparkSession, source: Source, files: Sequence[Found]) -> list[Landed]:
    """What each of ``files`` is; the files are read by tasks, a few figures come back."""
    return _in_tasks(spark, files, lambda file: inspect(file, source))


def _in_tasks(spark, items, work):
    slices = min(len(items), 4 * spark.sparkContext.defaultParallelism)
    return spark.sparkContext.parallelize(items, slices).map(work).collect() if items else []


def hashed(path: str, root: str, settle_seconds: int = 0) -> Found:
    """``path`` by its content; it grows where it changed in the last ``settle_seconds``, or while it was read."""
    digest, before = hashlib.sha256(), os.stat(path)
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return Found(
        path=path,
        name=os.path.relpath(path, root),
        bytes=before.st_size,
        file_id=int.from_bytes(digest.digest()[:8], "big") >> 1,
        modified=datetime.fromtimestamp(int(before.st_mtime), UTC).replace(tzinfo=None),
        is_growing=_changed(before, os.stat(path)) or time.time() - before.st_mtime < settle_seconds,
    )


def _changed(before, after):
    return (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns)


def inspect(found: Found, source: Source) -> Landed:
    """``found`` by its bytes; what cannot be read to its end carries an ``error`` and counts as one record."""
    path, status = found.path, os.stat(found.path)
    held = _reader_of(source, path)(path, source)
    is_growing = found.is_growing or found.bytes != status.st_size or _changed(status, os.stat(path))
    return Landed(**(vars(found) | {"is_growing": is_growing}), **held)


def _reader_of(source, path):
    if any(fnmatchcase(os.path.basename(path), pattern) for pattern in source.bundles):
        return _entries_in
    return _lines_in if source.format in LINES else _rows_in if source.format in TABLES else _records_in


def _lines_in(path, source):
    """What a file of lines holds, all of one record type."""
    first_lines, error, name = b"", None, os.path.basename(path)
    encoding = source.encoding_of(promised(source, name))
    counter, text = RecordCounter(source.quote if source.format == "csv" else "", source.delimiter), Utf8Check()
    try:
        for chunk in text_of(path, encoding):
            if len(first_lines) < CHUNK_BYTES:
                first_lines += chunk
            counter.feed(chunk)
            text.feed(chunk)
    except (OSError, EOFError, zlib.error) as fault:
        error = f"cannot be read to its end ({type(fault).__name__})"
    if counter.is_open:
        error = error or "ends within quotes"
    records = counter.total()
    lines = first_lines.removeprefix(BOM).split(b"\n")[:LINES_LOOKED_AT]
    if source.format == "csv":
        records = max(0, records - 1)
    kind = record_type_of(source, name, lines)
    is_split = is_utf8(encoding) and not path.endswith(".zst") and counter.longest <= LARGEST_RECORD
    return {
        "records": 1 if error else records,
        "first_line": lines[0].rstrip(b"\r").decode("utf-8", "replace"),
        "record_type": kind,
        "kinds": (kind,) if kind else (),
        "reading": "lines" if is_split and not counter.wrapped else "rows",
        "error": error,
        "is_text": not error and text.is_valid(),
    }


def _rows_in(path, source):
    """What a Parquet file holds; one that the source ignores is not opened."""
    kind = table_type(source, path)
    records, schema, error = 1, pa.schema([]), None
    try:
        if kind != "":
            records, schema = counted(path)
    except (OSError, pa.ArrowException) as fault:
        error = f"cannot be read to its end ({type(fault).__name__})"
    return {
        "records": records,
        "first_line": ", ".join(f"{field.name}: {field.type}" for field in schema),
        "record_type": kind,
        "kinds": (kind,) if kind else (),
        "reading": "table",
        "error": error,
        "columns": tuple(schema.names),
    }


def table_type(source: Source, path: str) -> str | None:
    """The record type of a table's file: its own name promises it, else that of the nearest folder that does.

    ``""`` is the type of a file that the source declares to ignore, by its name or by that of such a folder.
    """
    if source.format == "jdbc":
        return Path(path).stem
    for name in reversed(Path(path).parts):
        if any(fnmatchcase(name, pattern) for pattern in source.ignored_files):
            return ""
        if kind := promised(source, name):
            return kind
    return None


def counted(path: str) -> tuple[int, pa.Schema]:
    """How many rows the Parquet file ``path`` holds, read to its end, and their columns."""
    with pq.ParquetFile(path) as file:
        return sum(batch.num_rows for batch in file.iter_batches()), file.schema_arrow.remove_metadata()


def _entries_in(path, source):
    """What a FHIR Bundle holds, each entry of its resource's type."""
    counts, error = Counter[str](), None
    try:
        counts.update(entry.kind for entry in entries(decompressed(path)))
    except NotABundle as fault:
        error = str(fault)
    except (OSError, EOFError, zlib.error) as fault:
        error = f"cannot be read to its end ({type(fault).__name__})"
    return {
        "records": 1 if error else counts.total(),
        "first_line": "",
        "record_type": MIXED,
        "kinds": tuple(kind for kind in source.records if kind in counts),
        "reading": "bundle",
        "error": error,
    }


def _records_in(path, source):
    """What a file holds whose format needs code: each record says of which type it is."""
    kinds = tuple(kind for kind in formats.format_named(source.format).SCHEMAS if kind in source.records)
    is_ignored = any(fnmatchcase(os.path.basename(path), pattern) for pattern in source.ignored_files)
    kind = "" if is_ignored else MIXED if len(kinds) > 1 else kinds[0] if kinds else None
    return {
        "records": 1 if is_ignored else formats.count(source.format, path),
        "first_line": "",
        "record_type": kind,
        "kinds": () if is_ignored else kinds,
        "reading": "code",
        "error": None,
    }


def record_type_of(source: Source, name: str, lines: list[bytes]) -> str | None:
    """The record type of a file: what its first readable line says, else what its name promises; None = unknown.

    ``""`` is the type of a file that the source declares to ignore.
    """
    if any(fnmatchcase(name, pattern) for pattern in source.ignored_files):
        return ""
    named = promised(source, name)
    if not source.type_field:
        return named
    kinds = (_type_in(line, source.type_field) for line in lines)
    kind = next((kind for kind in kinds if kind), None)
    if kind in source.records:
        return kind
    if kind in source.ignored:
        return ""
    if kind is None and named is None:
        stem = name.partition(".")[0]
        return stem if stem in source.records else "" if stem in source.ignored else None
    return named if kind is None else None


def promised(source: Source, name: str) -> str | None:
    """The record type that the ``name`` of a file promises."""
    fitting = (kind for kind, record in source.records.items() if any(fnmatchcase(name, one) for one in record.files))
    return next(fitting, None)


def _type_in(line, field):
    try:
        content = json.loads(line)
    except ValueError:
        return None
    kind = content.get(field) if isinstance(content, dict) else None
    return kind if isinstance(kind, str) else None
