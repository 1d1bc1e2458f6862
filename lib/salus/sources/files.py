"""The files of a delivery: what each is by its bytes, before any parser has an opinion.

Each file is read once, in a task, in chunks: its content's hash (which names it for good), its size, whether it can
be read to its end at all, and how many records its bytes hold. The parser must later account for exactly as many.
"""

import bz2
import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
from pyspark.sql import SparkSession

from salus.errors import Refused
from salus.sources import formats
from salus.sources.declaration import LINES, Source

CHUNK_BYTES = 1 << 20
LINES_LOOKED_AT = 200
BOM = b"\xef\xbb\xbf"
NEWLINE, QUOTE = 10, 34
BLANKS = np.zeros(256, bool)
BLANKS[[9, 10, 13, 32]] = True
MIXED = "mixed"
"""The record type of a file whose records are of several types."""


@dataclass(frozen=True)
class Landed:
    """A file as its bytes say that it is.

    ``record_type`` is ``MIXED``, "" for a file that the source ignores, None for one that it does not declare;
    ``kinds`` are the declared types of which it may hold records.
    """

    path: str
    name: str
    bytes: int
    file_id: int
    modified: datetime
    records: int
    first_line: str
    record_type: str | None
    kinds: tuple[str, ...]
    has_wrapped_rows: bool
    error: str | None


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


def inspected(spark: SparkSession, source: Source, folder: str) -> list[Landed]:
    """What each file under ``folder`` is; the files are read by tasks, a few figures come back."""
    paths = listed(folder)
    root = str(Path(folder).resolve())
    slices = min(len(paths), 4 * spark.sparkContext.defaultParallelism)
    found = spark.sparkContext.parallelize(paths, slices).map(lambda path: inspect(path, root, source)).collect()
    return sorted(found, key=lambda file: file.name)


def inspect(path: str, root: str, source: Source) -> Landed:
    """``path`` by its bytes; what cannot be read to its end carries an ``error`` and counts as one record."""
    digest, status = hashlib.sha256(), os.stat(path)
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return Landed(
        path=path,
        name=os.path.relpath(path, root),
        bytes=status.st_size,
        file_id=int.from_bytes(digest.digest()[:8], "big") >> 1,
        modified=datetime.fromtimestamp(int(status.st_mtime), UTC).replace(tzinfo=None),
        **(_lines_in if source.format in LINES else _records_in)(path, source),
    )


def _lines_in(path, source):
    """What a file of lines holds, all of one record type."""
    first_lines, error = b"", None
    counter = RecordCounter(quoted=source.format == "csv")
    try:
        for chunk in decompressed(path):
            if len(first_lines) < CHUNK_BYTES:
                first_lines += chunk
            counter.feed(chunk)
    except (OSError, EOFError, zlib.error) as fault:
        error = f"cannot be read to its end ({type(fault).__name__})"
    if counter.is_open:
        error = error or "ends within quotes"
    records = counter.total()
    lines = first_lines.removeprefix(BOM).split(b"\n")[:LINES_LOOKED_AT]
    if source.format == "csv":
        records = max(0, records - 1)
    kind = record_type_of(source, os.path.basename(path), lines)
    return {
        "records": 1 if error else records,
        "first_line": lines[0].rstrip(b"\r").decode("utf-8", "replace"),
        "record_type": kind,
        "kinds": (kind,) if kind else (),
        "has_wrapped_rows": counter.wrapped,
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
        "has_wrapped_rows": False,
        "error": None,
    }


def record_type_of(source: Source, name: str, lines: list[bytes]) -> str | None:
    """The record type of a file: what its first readable line says, else what its name promises; None = unknown.

    ``""`` is the type of a file that the source declares to ignore.
    """
    if any(fnmatchcase(name, pattern) for pattern in source.ignored_files):
        return ""
    promised = next(
        (
            kind
            for kind, record in source.records.items()
            if any(fnmatchcase(name, pattern) for pattern in record.files)
        ),
        None,
    )
    if not source.type_field:
        return promised
    kinds = (_type_in(line, source.type_field) for line in lines)
    kind = next((kind for kind in kinds if kind), None)
    if kind in source.records:
        return kind
    if kind in source.ignored:
        return ""
    if kind is None and promised is None:
        stem = name.partition(".")[0]
        return stem if stem in source.records else "" if stem in source.ignored else None
    return promised if kind is None else None


class RecordCounter:
    """Counts the lines that hold more than blanks; in quoted text, a line break within quotes ends no row."""

    def __init__(self, quoted: bool):
        self.quoted = quoted
        self.wrapped = False
        self._first, self._open, self._pending, self._records = True, 0, False, 0

    def feed(self, chunk: bytes) -> None:
        """Count on through the next bytes."""
        if self._first:
            chunk, self._first = chunk.removeprefix(BOM), False
        values = np.frombuffer(chunk, np.uint8)
        ends = np.flatnonzero(values == NEWLINE)
        if self.quoted and b'"' in chunk:
            quotes = np.flatnonzero(values == QUOTE)
            inside = (self._open + np.searchsorted(quotes, ends)) % 2 == 1
            self.wrapped |= bool(inside.any())
            ends, self._open = ends[~inside], (self._open + quotes.size) % 2
        elif self._open:
            self.wrapped |= ends.size > 0
            ends = ends[:0]
        written = np.concatenate([[0], np.cumsum(~BLANKS[values])])
        at_ends = np.concatenate([[0], written[ends]])
        filled = np.diff(at_ends) > 0
        if filled.size:
            filled[0] |= self._pending
            self._records += int(filled.sum())
            self._pending = False
        self._pending |= bool(written[-1] > at_ends[-1])

    @property
    def is_open(self) -> bool:
        """Whether the bytes so far end within quotes."""
        return self._open == 1

    def total(self) -> int:
        """The records so far, with an unended last one."""
        return self._records + self._pending


def quoted_rows(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The rows of quoted text that hold more than blanks: a line break within quotes ends no row."""
    rest, is_first = b"", True
    for chunk in chunks:
        if is_first:
            chunk, is_first = chunk.removeprefix(BOM), False
        lines = (rest + chunk).split(b"\n")
        rest = b""
        for line in lines[:-1]:
            rest += line
            if rest.count(b'"') % 2:
                rest += b"\n"
                continue
            if rest.strip(b" \t\r"):
                yield rest
            rest = b""
        rest += lines[-1]
    if rest.strip(b" \t\r\n"):
        yield rest


def decompressed(path: str) -> Iterator[bytes]:
    """The bytes of the file ``path`` in chunks, unpacked where its name says that it is packed."""
    opened = gzip.open if path.endswith(".gz") else bz2.open if path.endswith(".bz2") else open
    with opened(path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _type_in(line, field):
    try:
        content = json.loads(line)
    except ValueError:
        return None
    kind = content.get(field) if isinstance(content, dict) else None
    return kind if isinstance(kind, str) else None
