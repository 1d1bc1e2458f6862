"""Canaries: names, addresses and numbers planted in every record of a delivery, and looked for where they must not be.

A record keeps what it says: objects get further fields, rows further columns and their empty identifying ones filled.
What is broken stays as it is. Only lines of text about people can be planted; other formats' golden files carry
canaries of their own, because what they say of a person, a name among it, may tell who it is.
"""

import csv
import io
import json
import zlib
from pathlib import Path

from salus.privacy.settings import plain, policy_of
from salus.sources.declaration import LINES
from salus.sources.loading import load_source

NAMES, PLACE, PHONE = ("Kanarienvogel", "Quetzalcoatline"), "77 Canary Wharf Lane", "+1-202-555-0177"
MAIL, NUMBER = "kanarienvogel@canary.example.org", "CANARY-MRN-"
PLANTED = (*NAMES, PLACE, PHONE, MAIL, NUMBER)
FIELDS = {
    "name": [{"family": NAMES[0], "given": [NAMES[1]]}],
    "address": [{"line": [PLACE]}],
    "telecom": [{"value": PHONE}, {"value": MAIL}],
    "text": {"div": f"<div>{NAMES[0]}, {PLACE}</div>"},
}


def can_be_planted(source: str) -> bool:
    """Whether the files of ``source`` are lines about people."""
    declared = load_source(source)
    return declared.format in LINES and not all(record.is_nobodys for record in declared.records.values())


def planted(source: str, folder: Path, into: Path) -> None:
    """Copy the files of ``folder``, with canaries where they can be planted."""
    policy, declared = policy_of(source), load_source(source)
    landed = {plain(field) for fields in policy.lands.values() for field in fields}
    identifying = {field for group in policy.identifying for field in group} - landed
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        if can_be_planted(source):
            lines = content.split(b"\n")
            if declared.format == "csv":
                lines = _rows(lines, declared.delimiter.encode(), identifying)
            else:
                lines = [_object(line) for line in lines]
            content = b"\n".join(lines)
        target = into / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def _object(line: bytes) -> bytes:
    """A line that is one JSON object, with further fields; a patient with an identifier of its own."""
    try:
        content = json.loads(line.removeprefix(b"\xef\xbb\xbf"))
    except ValueError:
        return line
    if not isinstance(content, dict):
        return line
    fields = {name: value for name, value in FIELDS.items() if name not in content}
    start = line.index(b"{") + 1
    text = json.dumps(fields)[1:-1].encode() + (b"," if content else b"")
    planted_line = line[:start] + text + line[start:]
    if content.get("resourceType") == "Patient":
        own = json.dumps({"system": "urn:canary", "value": f"{NUMBER}{zlib.crc32(line)}"}).encode()
        if "identifier" in content:
            return planted_line.replace(b'"identifier":[', b'"identifier":[' + own + b",", 1)
        return planted_line.replace(b"{", b'{"identifier":[' + own + b"],", 1)
    return planted_line


def _rows(lines: list[bytes], delimiter: bytes, identifying: set[str]) -> list[bytes]:
    """Rows with two more columns, and their empty identifying ones filled; one whose quotes stay open is left alone."""
    header = next(csv.reader([lines[0].decode("utf-8-sig", "replace").rstrip("\r")], delimiter=delimiter.decode()), [])
    empty = [number for number, name in enumerate(header) if plain(name.strip()) in identifying]
    found: list[bytes] = []
    row = b""
    for line in lines:
        row = row + b"\n" + line if row else line
        if row.count(b'"') % 2 == 1:
            continue
        if row.strip(b" \t\r"):
            body, end = row.rstrip(b"\r"), row[len(row.rstrip(b"\r")) :]
            more = [NAMES[0].encode(), PHONE.encode()] if found else [b"canary_name", b"canary_phone"]
            row = delimiter.join([_filled(body, delimiter, len(header), empty) if found else body, *more]) + end
        found.append(row)
        row = b""
    return [*found, row] if row else found


def _filled(line: bytes, delimiter: bytes, width: int, empty: list[int]) -> bytes:
    try:
        values = next(csv.reader([line.decode("utf-8")], delimiter=delimiter.decode(), strict=True))
    except (UnicodeDecodeError, csv.Error):
        return line
    if not empty or len(values) != width:
        return line
    for number in empty:
        values[number] = values[number] or f"{NAMES[1]} {PLACE}"
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter.decode(), lineterminator="").writerow(values)
    return text.getvalue().encode()
