"""Canaries: names, addresses and numbers planted in every record of a delivery, and looked for where they must not be.

A record keeps what it says: objects get further fields, rows further columns and their empty identifying ones filled,
segments another name. What is broken stays as it is. What cannot be planted is told: some formats, and compounds,
which are nobody's and whose every column is a measurement.
"""

import csv
import io
import json
import re
import zlib
from pathlib import Path

from salus.privacy.settings import plain, policy_of
from salus.sources.declaration import load_source

NAMES, PLACE, PHONE = ("Kanarienvogel", "Quetzalcoatline"), "77 Canary Wharf Lane", "+1-202-555-0177"
MAIL, NUMBER = "kanarienvogel@canary.example.org", "CANARY-MRN-"
PLANTED = (*NAMES, PLACE, PHONE, MAIL, NUMBER)
FIELDS = {
    "name": [{"family": NAMES[0], "given": [NAMES[1]]}],
    "address": [{"line": [PLACE]}],
    "telecom": [{"value": PHONE}, {"value": MAIL}],
    "text": {"div": f"<div>{NAMES[0]}, {PLACE}</div>"},
}


def planted(source: str, folder: Path, into: Path) -> list[str]:
    """Copy the files of ``folder`` with canaries; returns the names of those that have none."""
    policy = policy_of(source)
    landed = {plain(field) for fields in policy.lands.values() for field in fields}
    identifying = {field for group in policy.identifying for field in group} - landed
    declared = load_source(source)
    is_of_people = not all(record.is_nobodys for record in declared.records.values())
    without = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        lines = content.split(b"\n")
        if not is_of_people:
            pass
        elif path.suffix in (".ndjson", ".json"):
            lines = [_object(line) for line in lines]
        elif path.suffix in (".csv", ".tsv"):
            lines = _rows(lines, declared.delimiter.encode(), identifying)
        else:
            content = re.sub(
                rb"(NM1\*(?:IL|QC)\*1\*)[^*~]*\*[^*~]*", rb"\g<1>%b*%b" % tuple(n.encode() for n in NAMES), content
            )
            content = re.sub(
                rb"(PID(?:\|[^|\r\n]*){4}\|)[^|\r\n]*", rb"\g<1>%b^%b" % tuple(n.encode() for n in NAMES), content
            )
            lines = content.split(b"\n")
        changed = b"\n".join(lines)
        target = into / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(changed)
        if changed == path.read_bytes():
            without.append(path.name)
    return without


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
    """Rows with two more columns, and their empty identifying ones filled; what lies within quotes is left alone."""
    header = next(csv.reader([lines[0].decode("utf-8-sig", "replace").rstrip("\r")], delimiter=delimiter.decode()), [])
    empty = [number for number, name in enumerate(header) if plain(name.strip()) in identifying]
    found, quotes = [], 0
    for number, line in enumerate(lines):
        within, quotes = quotes % 2 == 1, quotes + line.count(b'"')
        if within or quotes % 2 == 1 or not line.strip(b" \t\r"):
            found.append(line)
            continue
        body, end = line.rstrip(b"\r"), line[len(line.rstrip(b"\r")) :]
        more = [b"canary_name", b"canary_phone"] if number == 0 else [NAMES[0].encode(), PHONE.encode()]
        found.append(delimiter.join([_filled(body, delimiter, len(header), empty) if number else body, *more]) + end)
    return found


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
