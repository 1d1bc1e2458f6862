"""HL7 version 2: one record a message, ADT A01 to A08 and A40, ORU R01; others are of type ``other``.

ADT messages are snapshots: an A08 repeats the visit as it now stands, so that admissions, registrations, changes of
class and updates are versions of one ``visit``. A transfer and a discharge happen once and are records of their own.
Which person a message is about says PID-3; names, addresses and free text (values of type TX, FT, ED) are not read.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import hl7
import pyarrow as pa

from salus.sources.formats import Record

CHUNK_BYTES = 1 << 20
ENDS = re.compile(rb"[\r\n\x0b\x1c]")
BATCH_TAGS = (b"FHS", b"BHS", b"BTS", b"FTS")
KINDS = {
    **dict.fromkeys(("ADT^A01", "ADT^A04", "ADT^A05", "ADT^A06", "ADT^A07", "ADT^A08"), "visit"),
    "ADT^A02": "transfer",
    "ADT^A03": "discharge",
    "ADT^A40": "merge",
    "ORU^R01": "result",
}
CODED, SHORT, NUMERIC = ("CE", "CWE", "CNE", "CF"), ("ST", "IS", "ID"), ("NM", "SN")
LONGEST_TEXT = 40
"""Characters of a value that is still a short result; longer ones are prose, which may name somebody."""

STAMP = re.compile(r"(\d{14})(?:\.\d+)?([+-]\d{4})?|(\d{4,12})([+-]\d{4})?")
LATIN = "8859/1"

IDENTIFIER = pa.struct([("authority", pa.string()), ("value", pa.string())])
DIAGNOSIS = pa.struct([("system", pa.string()), ("code", pa.string()), ("time", pa.string()), ("kind", pa.string())])
RESULT = pa.struct(
    [
        ("system", pa.string()),
        ("code", pa.string()),
        ("number", pa.string()),
        ("text", pa.string()),
        ("unit", pa.string()),
        ("status", pa.string()),
        ("observed", pa.string()),
        ("reported", pa.string()),
    ]
)
MESSAGE = [
    ("trigger", pa.string()),
    ("version", pa.string()),
    ("sent", pa.string()),
    ("recorded", pa.string()),
    ("control_id", pa.string()),
    ("authority", pa.string()),
    ("patient_id", pa.string()),
    ("identifiers", pa.list_(IDENTIFIER)),
    ("birth", pa.string()),
    ("death", pa.string()),
    ("sex", pa.string()),
    ("race", pa.string()),
    ("ethnicity", pa.string()),
    ("visit_number", pa.string()),
]
VISIT = [
    ("occurred", pa.string()),
    ("class", pa.string()),
    ("admission_type", pa.string()),
    ("unit", pa.string()),
    ("admitted", pa.string()),
    ("discharged", pa.string()),
    ("disposition", pa.string()),
    ("diagnoses", pa.list_(DIAGNOSIS)),
]
SCHEMAS = {
    "visit": pa.schema([*MESSAGE, *VISIT]),
    "transfer": pa.schema([*MESSAGE, *VISIT]),
    "discharge": pa.schema([*MESSAGE, *VISIT]),
    "merge": pa.schema(MESSAGE),
    "result": pa.schema([*MESSAGE, ("order", pa.string()), ("results", pa.list_(RESULT))]),
    "other": pa.schema([("trigger", pa.string())]),
}


def read(path: str) -> Iterator[Record]:
    """The messages of ``path``; text that stands before the first one, or instead of one, is a broken record."""
    for raw in _messages(path):
        yield _record(raw)


def count(path: str) -> int:
    """How many messages the bytes of ``path`` hold."""
    return sum(1 for _ in _messages(path))


def _messages(path: str) -> Iterator[bytes]:
    """The bytes of each message, its segments ended by CR; what stands before the first one is one too."""
    message: list[bytes] = []
    is_any = False
    for line in _lines(path):
        if line.startswith(b"MSH") and message:
            is_any = True
            yield b"\r".join(message)
            message = []
        if not line.startswith(BATCH_TAGS):
            message.append(line)
    if message or not is_any:
        yield b"\r".join(message)


def _lines(path: str) -> Iterator[bytes]:
    """The lines of ``path`` that hold more than blanks, without the frames of MLLP."""
    rest = b""
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            *lines, rest = ENDS.split(rest + chunk)
            yield from filter(None, (line.strip(b" \t") for line in lines))
    yield from filter(None, [rest.strip(b" \t")])


def _record(raw: bytes) -> Record:
    if not raw.startswith(b"MSH"):
        return Record("other", "not_hl7", {})
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
        if LATIN not in text.split("\r", 1)[0]:
            return Record("other", "not_utf8", {})
    try:
        message = hl7.parse(text + "\r")
    except (hl7.ParseException, IndexError, ValueError):
        return Record("other", "not_hl7", {})
    said = _Message(message)
    trigger = f"{said.get('MSH', 9)}^{said.get('MSH', 9, 2)}"
    kind = KINDS.get(trigger, "other")
    if kind == "other":
        return Record(kind, None, {"trigger": trigger})
    if not said.all("PID"):
        return Record(kind, "no_patient_segment", {})
    if len(said.all("PID")) > 1:
        return Record(kind, "several_patients", {})
    fields = _of_message(said, trigger)
    if kind == "merge":
        fields["identifiers"] += _identifiers(said, "MRG", 1, fields["authority"])
    elif kind == "result":
        fields |= _of_results(said)
    else:
        fields |= _of_visit(said)
    return Record(kind, None, fields)


class _Message:
    """A parsed message, whose fields are ``None`` where they are absent, empty or HL7's null (``""``)."""

    def __init__(self, message: hl7.Message):
        self._message = message
        self._segments: dict[str, list[Any]] = {}
        for segment in message:
            self._segments.setdefault(str(segment[0]), []).append(segment)

    def all(self, tag: str) -> list[Any]:
        """The segments of a kind, in their order."""
        return self._segments.get(tag, [])

    def get(self, tag: str, number: int, component: int = 1) -> str | None:
        """A component of the first repetition of a field of the first segment ``tag``."""
        return self.of(self.all(tag)[0], number, component) if self.all(tag) else None

    def of(self, segment: Any, number: int, component: int = 1, repetition: int = 1) -> str | None:
        """A component of a field of ``segment``; numbers are HL7's, from 1."""
        if number >= len(segment) or repetition > len(segment[number]):
            return None
        value = segment[number][repetition - 1]
        if isinstance(value, str):
            value = value if component == 1 else ""
        else:
            value = value[component - 1] if component <= len(value) else ""
            value = value if isinstance(value, str) else str(value[0])
        value = self._message.unescape(value).strip()
        return value if value and value != '""' else None

    def repetitions(self, segment: Any, number: int) -> range:
        """The numbers of a field's repetitions."""
        return range(1, (len(segment[number]) if number < len(segment) else 0) + 1)


def _of_message(said: _Message, trigger: str) -> dict[str, Any]:
    facility = said.get("MSH", 4) or ""
    identifiers = _identifiers(said, "PID", 3, facility)
    own = next((one for one in identifiers if one["type"] == "MR"), None) or next(iter(identifiers), None)
    recorded, sent, control = said.get("EVN", 2), said.get("MSH", 7), said.get("MSH", 10)
    return {
        "trigger": trigger,
        "version": _version(recorded or sent, control),
        "sent": sent,
        "recorded": recorded or sent,
        "control_id": control,
        "authority": own["authority"] if own else None,
        "patient_id": own["value"] if own else None,
        "identifiers": identifiers,
        "birth": said.get("PID", 7),
        "death": said.get("PID", 29),
        "sex": said.get("PID", 8),
        "race": said.get("PID", 10),
        "ethnicity": said.get("PID", 22),
        "visit_number": said.get("PV1", 19),
    }


def _identifiers(said: _Message, tag: str, number: int, facility: str | None) -> list[dict[str, str | None]]:
    """Each identifier with who assigned it; what nobody is said to have assigned is the sending facility's."""
    found = []
    for segment in said.all(tag):
        for repetition in said.repetitions(segment, number):
            value, authority, kind = (said.of(segment, number, part, repetition) for part in (1, 4, 5))
            if value and (authority or kind in (None, "MR", "PI", "PT")):
                found.append({"authority": authority or facility, "value": value, "type": kind})
    return found


def _version(time: str | None, control: str | None) -> str | None:
    """The second, UTC, in 14 digits and the last 4 digits of the control id, which order what one second holds."""
    found = STAMP.fullmatch(time or "")
    if not found:
        return None
    digits = (found[1] or found[3]).ljust(14, "0")
    offset = found[2] or found[4]
    if offset:
        digits = _in_utc(digits, offset)
    sequence = "".join(re.findall(r"\d", control or ""))[-4:].rjust(4, "0")
    return digits + sequence


def _in_utc(digits: str, offset: str) -> str:
    try:
        moment = datetime.strptime(digits + offset, "%Y%m%d%H%M%S%z")
    except ValueError:
        return digits
    return moment.astimezone(UTC).strftime("%Y%m%d%H%M%S")


def _of_visit(said: _Message) -> dict[str, Any]:
    diagnoses = [
        {
            "system": said.of(segment, 3, 3),
            "code": said.of(segment, 3),
            "time": said.of(segment, 5),
            "kind": said.of(segment, 6),
        }
        for segment in said.all("DG1")
        if said.of(segment, 3)
    ]
    return {
        "occurred": said.get("EVN", 6),
        "class": said.get("PV1", 2),
        "admission_type": said.get("PV1", 4),
        "unit": said.get("PV1", 3),
        "admitted": said.get("PV1", 44),
        "discharged": said.get("PV1", 45),
        "disposition": said.get("PV1", 36),
        "diagnoses": diagnoses,
    }


def _of_results(said: _Message) -> dict[str, Any]:
    """Every OBX with the times of the OBR that it stands under."""
    orders, results, request = [], [], None
    for segment in said._message:
        tag = str(segment[0])
        if tag == "OBR":
            request = segment
            order = said.of(segment, 3) or said.of(segment, 2)
            orders += [order] if order else []
        elif tag == "OBX" and request is not None and said.of(segment, 3):
            results.append(
                {
                    "system": said.of(segment, 3, 3),
                    "code": said.of(segment, 3),
                    **_value(said, segment),
                    "unit": said.of(segment, 6),
                    "status": said.of(segment, 11),
                    "observed": said.of(segment, 14) or said.of(request, 7),
                    "reported": said.of(request, 22),
                }
            )
    return {"order": "|".join(dict.fromkeys(orders)) or None, "results": results}


def _value(said: _Message, segment: Any) -> dict[str, str | None]:
    kind = said.of(segment, 2)
    if kind == "NM":
        return {"number": said.of(segment, 5), "text": None}
    if kind == "SN":
        # SN is comparator^number^separator^number: only a plain number is one.
        comparator, number, separator = (said.of(segment, 5, part) for part in (1, 2, 3))
        is_plain = comparator in (None, "=") and separator is None
        text = (
            None
            if is_plain
            else "".join(part or "" for part in (comparator, number, separator, said.of(segment, 5, 4)))
        )
        return {"number": number if is_plain else None, "text": text}
    value = said.of(segment, 5)
    if kind in CODED:
        system = said.of(segment, 5, 3)
        return {"number": None, "text": f"{system}/{value}" if system and value else value}
    return {"number": None, "text": value if kind in SHORT and len(value or "") <= LONGEST_TEXT else None}
