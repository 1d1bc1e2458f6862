"""Every file of a folder, decoded: where a value still stands, whatever wrote it, referenced or not.

Parquet files are read column by column (checkpoints of Delta logs are such files), and their raw bytes too, since a
footer's statistics hold values; everything else is searched as bytes, unpacked where it is packed.
"""

import bz2
import gzip
import struct
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def holders(folder: Path, values: Iterable[str | int]) -> dict[str | int, list[str]]:
    """For each of ``values`` that stands somewhere under ``folder``, the files that hold it, as relative paths."""
    values, found = list(values), {}
    for path in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
        for value in held(path, values):
            found.setdefault(value, []).append(str(path.relative_to(folder)))
    return found


def held(path: Path, values: list[str | int]) -> set[str | int]:
    """Those of ``values`` that the file ``path`` holds, as a text's part or as a whole number."""
    content = path.read_bytes()
    if path.suffix in (".gz", ".bz2"):
        content = (gzip if path.suffix == ".gz" else bz2).decompress(content)
    found = {value for value in values if any(form in content for form in forms(value))}
    if path.name.endswith(".parquet") and not path.name.startswith("."):
        texts, numbers = decoded(pq.ParquetFile(path).read())
        found |= {value for value in values if value in numbers or any(str(value) in text for text in texts)}
    return found


def forms(value: str | int) -> list[bytes]:
    """How ``value`` may stand in raw bytes."""
    return [str(value).encode(), *([struct.pack("<q", value)] if isinstance(value, int) else [])]


def decoded(table: pa.Table) -> tuple[set[str], set[int]]:
    """All texts and all whole numbers in the columns of ``table``, however deeply they are nested."""
    texts: set[str] = set()
    numbers: set[int] = set()
    columns = [chunk for column in table.columns for chunk in column.chunks]
    while columns:
        column = columns.pop()
        kind = column.type
        if pa.types.is_struct(kind):
            columns += column.flatten()
        elif pa.types.is_map(kind):
            columns += [column.keys, column.items]
        elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
            columns.append(column.flatten())
        elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
            texts |= {text for text in column.unique().to_pylist() if text is not None}
        elif pa.types.is_binary(kind):
            texts |= {text.decode("latin-1") for text in column.unique().to_pylist() if text is not None}
        elif pa.types.is_integer(kind):
            numbers |= set(column.unique().to_pylist())
    return texts, numbers
