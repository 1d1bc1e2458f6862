"""WFDB (PhysioNet): a header is a record of type ``recording``, an annotation file one of type ``annotations``.

Signals stay where they lie; a header says where that is and how samples become physical units. A header names no
person, so ``record_name`` or ``folder`` is whose it is, as the source says. Comments hold free text and are not read.
https://wfdb.io/spec/header.html, https://wfdb.io/spec/annotations.html
"""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import wfdb

from salus.sources.formats import Record

BITS = {"8": 8, "16": 16, "24": 24, "32": 32, "61": 16, "80": 8, "160": 16, "212": 12}
"""Bits a sample by signal format, where that is a whole number for every length."""

RHYTHM = re.compile(r"\([A-Z0-9]{1,8}")
"""An auxiliary note that is a rhythm's code; any other is free text."""

CHANNEL = pa.struct(
    [
        ("name", pa.string()),
        ("unit", pa.string()),
        ("rate_hz", pa.float64()),
        ("samples", pa.int64()),
        ("scale", pa.float64()),
        ("offset", pa.float64()),
    ]
)
ANNOTATION = pa.struct(
    [("symbol", pa.string()), ("rhythm", pa.string()), ("seconds", pa.string()), ("time", pa.string())]
)
PLACE = [("record_name", pa.string()), ("folder", pa.string()), ("location", pa.string())]
SCHEMAS = {
    "recording": pa.schema([*PLACE, ("start", pa.string()), ("seconds", pa.string()), ("channels", pa.list_(CHANNEL))]),
    "annotations": pa.schema([*PLACE, ("annotator", pa.string()), ("annotations", pa.list_(ANNOTATION))]),
}


def count(path: str) -> int:
    """A file is a record."""
    return 1


def read(path: str) -> Iterator[Record]:
    """The one record of ``path``: a header (``.hea``) or, beside its header, an annotation file."""
    kind = "recording" if path.endswith(".hea") else "annotations"
    name = path.removesuffix(Path(path).suffix)
    header = _header(name)
    if header is None:
        yield Record(kind, "not_a_header" if kind == "recording" else "no_header", {})
        return
    place = {"record_name": Path(name).name, "folder": Path(path).parent.name, "location": path}
    if kind == "recording":
        fault = _signal_fault(header, Path(path).parent)
        yield Record(kind, fault, {} if fault else place | _recording(header))
        return
    try:
        found = wfdb.rdann(name, Path(path).suffix[1:])
    except (ValueError, IndexError, KeyError, TypeError):
        yield Record(kind, "not_annotations", {})
        return
    yield Record(kind, None, place | {"annotator": Path(path).suffix[1:], "annotations": _annotations(header, found)})


def _header(name: str) -> Any | None:
    try:
        header = wfdb.rdheader(name)
    except (OSError, ValueError, IndexError, UnicodeDecodeError, wfdb.io.header.HeaderSyntaxError):
        return None
    # A header of segments states no channels: each segment has a header of its own.
    return header if isinstance(header, wfdb.Record) and header.sig_len is not None and header.fs else None


def _signal_fault(header: Any, folder: Path) -> str | None:
    """What is wrong with the signal files that a header names: missing, or shorter than it says."""
    for file in dict.fromkeys(header.file_name or []):
        if not (folder / file).is_file():
            return "no_signal"
        signals = [number for number, other in enumerate(header.file_name) if other == file]
        if all(header.fmt[number] in BITS for number in signals):
            bits = sum(BITS[header.fmt[number]] * header.samps_per_frame[number] for number in signals) * header.sig_len
            if (folder / file).stat().st_size < (header.byte_offset[signals[0]] or 0) + bits // 8:
                return "short_signal"
    return None


def _recording(header: Any) -> dict[str, Any]:
    start = _start(header)
    channels = [
        {
            "name": header.sig_name[number],
            "unit": header.units[number],
            "rate_hz": float(header.fs * header.samps_per_frame[number]),
            "samples": int(header.sig_len * header.samps_per_frame[number]),
            # The header states digital = gain x physical + baseline.
            "scale": 1 / header.adc_gain[number],
            "offset": -header.baseline[number] / header.adc_gain[number],
        }
        for number in range(header.n_sig)
    ]
    return {
        "start": start.isoformat() if start else None,
        "seconds": str(header.sig_len / header.fs),
        "channels": channels,
    }


def _start(header: Any) -> datetime | None:
    """When the recording began; None where its header gives a clock without a date, or neither."""
    return datetime.combine(header.base_date, header.base_time) if header.base_date and header.base_time else None


def _annotations(header: Any, found: Any) -> list[dict[str, str | None]]:
    start = _start(header)
    rows = []
    for symbol, sample, note in zip(found.symbol, found.sample, found.aux_note):
        seconds = float(sample) / header.fs
        rhythm = note.rstrip("\0").strip()
        rows.append(
            {
                "symbol": symbol,
                "rhythm": rhythm if RHYTHM.fullmatch(rhythm) else None,
                "seconds": f"{seconds:.6f}",
                "time": (start + timedelta(seconds=seconds)).isoformat() if start else None,
            }
        )
    return rows
