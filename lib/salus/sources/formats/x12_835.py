"""X12 835 (005010X221): one record a claim's payment, which is a CLP loop.

Amounts stay the texts that they were; sums are decimals, and what was paid has to be what was charged less every
adjustment (TR3 1.10.2.1), or some adjustment was lost on the way. A reversal carries its amounts with the opposite
sign, so that sums over a claim's records are right at every moment.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

import pyarrow as pa

from salus.sources.formats import Record
from salus.sources.formats.x12_837 import dependent
from salus.sources.x12 import Segment, date_range, envelope_fault, segments

VERSIONS = ("005010X221",)
PAYMENT = "payment"
MOST_SEGMENTS = 20_000
"""A payment has at most 999 lines of a few segments (TR3 2110); more is a payment that never ends."""

REVERSAL = "22"
"""CLP02; AMT*B6 of its lines may lack the sign of what they take back, which its adjustments have."""

AROUND = ("CLP", "LX", "PLB", "SE")
DATES = {"232": "statement_start", "233": "statement_end", "050": "received"}
PATIENTS_SHARE = {"1": "deductible", "2": "coinsurance", "3": "copay"}
"""CAS02 of group PR: claim adjustment reason codes that say what the patient's share is."""

LINE = pa.struct(
    [
        ("system", pa.string()),
        ("code", pa.string()),
        ("charge", pa.string()),
        ("paid", pa.string()),
        ("allowed", pa.string()),
        ("quantity", pa.string()),
        ("start", pa.string()),
        ("end", pa.string()),
    ]
)
ADJUSTMENT = pa.struct(
    [("group", pa.string()), ("reason", pa.string()), ("amount", pa.string()), ("line", pa.string())]
)
TEXTS = [
    "payer_id",
    "trace_number",
    "payment_date",
    "claim_id",
    "status",
    "payer_claim_number",
    "occurrence",
    "member_id",
    "dependent",
    "charge",
    "paid",
    "allowed",
    "patient_responsibility",
    "deductible",
    "coinsurance",
    "copay",
    "adjusted",
    "balance",
    "filing",
    "facility_code",
    "frequency",
    "drg",
    "statement_start",
    "statement_end",
    "received",
    "first_service",
    "last_service",
]
SCHEMAS = {
    PAYMENT: pa.schema(
        [*((name, pa.string()) for name in TEXTS), ("lines", pa.list_(LINE)), ("adjustments", pa.list_(ADJUSTMENT))]
    )
}


def count(path: str) -> int:
    """How many CLP segments ``path`` has; a file whose envelopes are not whole is one record."""
    return 1 if envelope_fault(path, "835", VERSIONS) else sum(segment.tag == "CLP" for segment in segments(path))


def read(path: str) -> Iterator[Record]:
    """The payments of ``path``; a file whose envelopes are not whole is one broken record."""
    fault = envelope_fault(path, "835", VERSIONS)
    if fault:
        yield Record(PAYMENT, fault, {})
        return
    yield from payments(segments(path))


def payments(of: Iterator[Segment]) -> Iterator[Record]:
    """The payments among segments whose envelopes are whole."""
    remittance, payment = _Remittance(), None
    for segment in of:
        if payment is not None and segment.tag not in AROUND:
            if len(payment) <= MOST_SEGMENTS:
                payment.append(segment)
            continue
        if payment is not None:
            yield _payment(remittance, payment)
            payment = None
        if segment.tag == "CLP":
            payment = [segment]
        else:
            remittance.see(segment)


@dataclass
class _Remittance:
    """What a transaction says before its payments, and how often it named each."""

    says: dict[str, str] = field(default_factory=dict)
    seen: dict[tuple, int] = field(default_factory=dict)
    is_payer: bool = False

    def see(self, segment: Segment) -> None:
        """Take in a segment outside payments."""
        match segment.tag:
            case "ST":
                self.says, self.seen = {}, {}
            case "BPR":
                self.says["payment_date"] = segment[16]
            case "TRN":
                self.says |= {"trace_number": segment[2], "payer_id": segment[3]}
            case "N1":
                self.is_payer = segment[1] == "PR"
                if self.is_payer and segment[4]:
                    self.says["payer_id"] = segment[4]
            case "REF" if self.is_payer and segment[1] == "2U":
                self.says["payer_id"] = segment[2]

    def occurrence(self, of: tuple) -> str:
        """How many equal payments the transaction had before."""
        self.seen[of] = self.seen.get(of, -1) + 1
        return str(self.seen[of])


def _payment(remittance: _Remittance, of: list[Segment]) -> Record:
    head = of[0]
    if len(of) > MOST_SEGMENTS:
        return Record(PAYMENT, "endless_claim", {})
    fields: dict[str, object] = dict.fromkeys(TEXTS)
    fields |= {name: value or None for name, value in remittance.says.items()}
    for number, name in enumerate(
        ("claim_id", "status", "charge", "paid", "patient_responsibility", "filing", "payer_claim_number"), 1
    ):
        fields[name] = head[number] or None
    fields |= {
        "facility_code": head[8] or None,
        "frequency": head[9] or None,
        "drg": head[11] or None,
        "occurrence": remittance.occurrence((head[1], head[2], head[7])),
    }
    lines: list[dict[str, object]] = []
    adjustments: list[dict[str, str | None]] = []
    patient, insured = None, None
    for segment in of[1:]:
        match segment.tag:
            case "NM1" if segment[1] == "QC":
                patient = segment
            case "NM1" if segment[1] == "IL":
                insured = segment
            case "SVC":
                lines.append(_line(segment))
            case "DTM" if segment[1] in DATES and not lines:
                fields[DATES[segment[1]]] = segment[2] or None
            case "DTM" if segment[1] in ("472", "150", "151") and lines:
                first, last = date_range("D8", segment[2])
                lines[-1] |= {"start": first} if segment[1] == "150" else {"end": last}
                lines[-1] |= {"start": first, "end": last} if segment[1] == "472" else {}
            case "AMT" if segment[1] == "B6" and lines:
                lines[-1]["allowed"] = segment[2]
            case "CAS":
                adjustments += _adjustments(segment, str(len(lines)) if lines else None)
    fields |= _whose(patient, insured) | _sums(fields, lines, adjustments)
    starts = sorted(str(line["start"]) for line in lines if line.get("start"))
    ends = sorted(str(line["end"]) for line in lines if line.get("end"))
    fields |= {
        "first_service": starts[0] if starts else None,
        "last_service": ends[-1] if ends else None,
        "lines": [{name: line.get(name) or None for name in LINE_FIELDS} for line in lines],
        "adjustments": adjustments,
    }
    return Record(PAYMENT, None, fields)


LINE_FIELDS = [LINE.field(number).name for number in range(LINE.num_fields)]


def _whose(patient: Segment | None, insured: Segment | None) -> dict[str, object]:
    """The member, and which of the member's dependents where the patient is one."""
    if patient is None:
        return {}
    if insured is None or not insured[9]:
        return {"member_id": patient[9] or None}
    is_insured = (patient[4].upper(), patient[3].upper()) == (insured[4].upper(), insured[3].upper())
    return {"member_id": insured[9], "dependent": None if is_insured else dependent(patient)}


def _line(segment: Segment) -> dict[str, object]:
    service = segment.parts(1)
    return {
        "system": service[0],
        "code": service[1] if len(service) > 1 else None,
        "charge": segment[2],
        "paid": segment[3],
        "quantity": segment[5] or "1",
    }


def _adjustments(segment: Segment, line: str | None) -> Iterator[dict[str, str | None]]:
    """The up to six (reason, amount, quantity) of a CAS segment."""
    for at in range(2, len(segment) + 1, 3):
        if segment[at]:
            yield {"group": segment[1], "reason": segment[at], "amount": segment[at + 1], "line": line}


def _sums(fields, lines, adjustments) -> dict[str, object]:
    """Totals as texts; all null where an amount is none, which the amounts' own rule then says."""
    try:
        charge, paid = Decimal(fields["charge"] or "0"), Decimal(fields["paid"] or "0")
        adjusted = sum((Decimal(one["amount"]) for one in adjustments), Decimal())
        shares = {
            name: sum(
                (Decimal(one["amount"]) for one in adjustments if (one["group"], one["reason"]) == ("PR", reason)),
                Decimal(),
            )
            for reason, name in PATIENTS_SHARE.items()
        }
        stated = [Decimal(str(line["allowed"])) for line in lines if line.get("allowed")]
        patients = sum((Decimal(one["amount"]) for one in adjustments if one["group"] == "PR"), Decimal())
    except InvalidOperation:
        return {}
    is_stated = bool(lines) and len(stated) == len(lines) and fields["status"] != REVERSAL
    allowed = sum(stated, Decimal()) if is_stated else paid + patients
    return {
        "adjusted": str(adjusted),
        "balance": str(charge - adjusted - paid),
        "allowed": str(allowed),
        **{name: str(amount) for name, amount in shares.items()},
    }
