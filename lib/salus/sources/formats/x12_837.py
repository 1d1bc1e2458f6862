"""X12 837, professional and institutional (005010X222, 005010X223): one record a claim, which is a CLM loop.

A claim is read with the billing provider, subscriber and patient whose loops it stands in. Loops are told by the order
of their segments and by HL03, not by HL's pointers, which real files often count wrongly. Names and addresses are not
read, but for a dependent's first name: dependents have no identifier of their own (TR3 2010CA), so that it becomes
part of a hash.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from salus.sources.formats import Record
from salus.sources.x12 import Segment, date_range, envelope_fault, segments

VERSIONS = ("005010X222", "005010X223")
CLAIM = "claim"
MOST_SEGMENTS = 5000
"""A claim has at most 999 lines of a few segments (TR3 2400); more is a claim that never ends."""

DIAGNOSES = {
    "BK": ("ICD9CM", "principal"),
    "BF": ("ICD9CM", "other"),
    "BJ": ("ICD9CM", "admitting"),
    "PR": ("ICD9CM", "reason"),
    "BN": ("ICD9CM", "external cause"),
    "ABK": ("ICD10CM", "principal"),
    "ABF": ("ICD10CM", "other"),
    "ABJ": ("ICD10CM", "admitting"),
    "APR": ("ICD10CM", "reason"),
    "ABN": ("ICD10CM", "external cause"),
}
PROCEDURES = {"BR": "ICD9Proc", "BQ": "ICD9Proc", "BBR": "ICD10PCS", "BBQ": "ICD10PCS"}
"""HI01-1: which code list, and what part the diagnosis plays (X12 code source 1270)."""

DATES = {"434": "statement", "435": "admission", "096": "discharge"}
"""DTP01 of loop 2300."""

DIAGNOSIS = pa.struct([("system", pa.string()), ("code", pa.string()), ("role", pa.string())])
PROCEDURE = pa.struct([("system", pa.string()), ("code", pa.string()), ("date", pa.string())])
LINE = pa.struct(
    [
        ("number", pa.string()),
        ("revenue_code", pa.string()),
        ("system", pa.string()),
        ("code", pa.string()),
        ("modifiers", pa.string()),
        ("charge", pa.string()),
        ("unit", pa.string()),
        ("quantity", pa.string()),
        ("start", pa.string()),
        ("end", pa.string()),
        ("ndc", pa.string()),
    ]
)
TEXTS = [
    "guide",
    "created",
    "sender_purpose",
    "billing_npi",
    "payer_id",
    "member_id",
    "dependent",
    "birth_date",
    "sex",
    "claim_id",
    "total_charge",
    "facility_code",
    "facility_qualifier",
    "frequency",
    "original_reference",
    "admission_type",
    "discharge_status",
    "drg",
    "first_service",
    "last_service",
    "statement_start",
    "statement_end",
    "admission",
    "discharge",
    "claim_filing",
]
SCHEMAS = {
    CLAIM: pa.schema(
        [
            *((name, pa.string()) for name in TEXTS),
            ("diagnoses", pa.list_(DIAGNOSIS)),
            ("procedures", pa.list_(PROCEDURE)),
            ("lines", pa.list_(LINE)),
        ]
    )
}


def count(path: str) -> int:
    """How many CLM segments ``path`` has; a file whose envelopes are not whole is one record."""
    return 1 if envelope_fault(path, "837", VERSIONS) else sum(segment.tag == "CLM" for segment in segments(path))


def read(path: str) -> Iterator[Record]:
    """The claims of ``path``; a file whose envelopes are not whole is one broken record."""
    fault = envelope_fault(path, "837", VERSIONS)
    if fault:
        yield Record(CLAIM, fault, {})
        return
    yield from claims(segments(path))


def claims(of: Iterator[Segment]) -> Iterator[Record]:
    """The claims among segments whose envelopes are whole."""
    around, claim = _Loops(), None
    for segment in of:
        if claim is not None and segment.tag not in ("CLM", "HL", "SE"):
            if len(claim) <= MOST_SEGMENTS:
                claim.append(segment)
            continue
        if claim is not None:
            yield _claim(around, claim)
            claim = None
        if segment.tag == "CLM":
            claim = [segment]
        else:
            around.see(segment)


@dataclass
class _Loops:
    """What stands around a claim: its transaction, and the newest provider, subscriber and patient."""

    transaction: dict[str, str] = field(default_factory=dict)
    provider: dict[str, str] = field(default_factory=dict)
    subscriber: dict[str, str] = field(default_factory=dict)
    patient: dict[str, str] = field(default_factory=dict)
    level: str = ""

    def see(self, segment: Segment) -> None:
        """Take in a segment outside claims."""
        match segment.tag:
            case "ST":
                self.transaction = {"guide": segment[3]}
                self.provider, self.subscriber, self.patient, self.level = {}, {}, {}, ""
            case "BHT":
                clock = segment[5].ljust(6, "0")[:6] if segment[5] else ""
                self.transaction |= {"created": segment[4] + clock, "sender_purpose": segment[6]}
            case "HL":
                self.level = segment[3]
                if self.level == "20":
                    self.provider, self.subscriber, self.patient = {}, {}, {}
                elif self.level == "22":
                    self.subscriber, self.patient = {}, {}
                elif self.level == "23":
                    self.patient = {}
            case "SBR":
                self.subscriber["claim_filing"] = segment[9]
            case "NM1":
                self._name(segment)
            case "DMG" if segment[1] == "D8":
                person = self.patient if self.level == "23" else self.subscriber
                person |= {"birth_date": segment[2], "sex": segment[3]}

    def _name(self, segment):
        role = segment[1]
        if role == "85" and self.level == "20":
            self.provider["billing_npi"] = segment[9]
        elif role == "PR" and self.level == "22":
            self.subscriber["payer_id"] = segment[9]
        elif role == "IL" and self.level == "22":
            self.subscriber["member_id"] = segment[9]
        elif role == "QC" and self.level == "23":
            self.patient["dependent"] = dependent(segment)

    def of_the_patient(self) -> dict[str, str]:
        """Whose claim it is: the subscriber, or the dependent below."""
        whose = self.patient if self.level == "23" else self.subscriber
        return (
            self.transaction
            | self.provider
            | {name: value for name, value in self.subscriber.items() if name not in ("birth_date", "sex")}
            | whose
        )


def dependent(name: Segment) -> str:
    """What tells a subscriber's dependents apart, from their NM1: a hash of the first name, never itself kept."""
    return hashlib.sha256(name[4].upper().encode()).hexdigest()[:16]


def _claim(around: _Loops, of: list[Segment]) -> Record:
    head = of[0]
    fields: dict[str, object] = dict.fromkeys(TEXTS)
    fields |= {name: value or None for name, value in around.of_the_patient().items()}
    fields |= {
        "claim_id": head[1] or None,
        "total_charge": head[2] or None,
        "facility_code": head.part(5, 1) or None,
        "facility_qualifier": head.part(5, 2) or None,
        "frequency": head.part(5, 3) or None,
    }
    diagnoses, procedures, is_sound = [], [], True
    lines: list[dict[str, object]] = []
    in_other_payer = False
    for segment in of[1:]:
        match segment.tag:
            case "SBR":
                in_other_payer = True
            case "LX":
                in_other_payer = False
                lines.append({"number": segment[1]})
            case "HI" if not lines:
                found = _health_information(segment)
                is_sound = is_sound and found is not None
                for kind, one in found or []:
                    if kind == "diagnosis":
                        diagnoses.append(one)
                    elif kind == "procedure":
                        procedures.append(one)
                    else:
                        fields["drg"] = one
            case "CL1":
                fields |= {"admission_type": segment[1] or None, "discharge_status": segment[3] or None}
            case "REF" if segment[1] == "F8" and not lines and not in_other_payer:
                fields["original_reference"] = segment[2] or None
            case "DTP" if segment[1] in DATES and not lines and not in_other_payer:
                fields |= _claim_dates(segment)
            case "SV1" | "SV2" | "DTP" | "LIN" if lines:
                _line(lines[-1], segment)
    starts = sorted(str(line["start"]) for line in lines if line.get("start"))
    ends = sorted(str(line["end"]) for line in lines if line.get("end"))
    fields |= {
        "first_service": starts[0] if starts else None,
        "last_service": ends[-1] if ends else None,
        "diagnoses": diagnoses,
        "procedures": procedures,
        "lines": [{name: line.get(name) or None for name in LINE_FIELDS} for line in lines],
    }
    if len(of) > MOST_SEGMENTS:
        return Record(CLAIM, "endless_claim", {})
    return Record(CLAIM, None if is_sound else "broken_diagnosis", fields)


LINE_FIELDS = [LINE.field(number).name for number in range(LINE.num_fields)]


def _health_information(segment: Segment) -> list[tuple[str, object]] | None:
    """What an HI segment says, as (kind, content); None where a code list is named and no code.

    ``HI*BK*8901`` says what ``HI*BK:8901`` does: a separator was written for the other one.
    """
    composites = [segment.parts(number) for number in range(1, len(segment) + 1) if segment[number]]
    found: list[tuple[str, object]] = []
    while composites:
        parts = composites.pop(0)
        if parts[0] in DIAGNOSES and len(parts) == 1 and composites and len(composites[0]) == 1:
            parts = [parts[0], composites.pop(0)[0]]
        if len(parts) < 2 or not parts[1]:
            return None
        qualifier, code = parts[0], parts[1]
        if qualifier in DIAGNOSES:
            system, role = DIAGNOSES[qualifier]
            found.append(("diagnosis", {"system": system, "code": code.replace(".", ""), "role": role}))
        elif qualifier in PROCEDURES:
            date = parts[3] if len(parts) > 3 else None
            found.append(("procedure", {"system": PROCEDURES[qualifier], "code": code, "date": date}))
        elif qualifier == "DR":
            found.append(("drg", code))
    return found


def _claim_dates(segment: Segment) -> dict[str, object]:
    name = DATES[segment[1]]
    if name == "statement":
        first, last = date_range(segment[2], segment[3])
        return {"statement_start": first, "statement_end": last}
    if segment[2] == "TM":
        return {}
    return {name: segment[3] or None}


def _line(line: dict[str, object], segment: Segment) -> None:
    """Take in a segment of a line's loop."""
    match segment.tag:
        case "SV1" | "SV2":
            shift = 1 if segment.tag == "SV2" else 0
            service = segment.parts(1 + shift)
            line |= {
                "revenue_code": segment[1] if shift else None,
                "system": service[0],
                "code": service[1] if len(service) > 1 else None,
                "modifiers": ",".join(part for part in service[2:6] if part),
                "charge": segment[2 + shift],
                "unit": segment[3 + shift],
                "quantity": segment[4 + shift],
            }
        case "DTP" if segment[1] == "472":
            line["start"], line["end"] = date_range(segment[2], segment[3])
        case "LIN" if segment[2] == "N4":
            line["ndc"] = segment[3]
