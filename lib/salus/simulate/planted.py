"""What real data does to you, in counted amounts: later versions, copies and malformed lines."""

import numpy as np
import pyarrow as pa

from salus.simulate.claims import CORRECTION, ORIGINAL, VOID, Deliveries
from salus.simulate.clock import DAYS, MINUTES
from salus.simulate.observations import CORRECTED, ENTERED_IN_ERROR, FINAL, Versions
from salus.simulate.records import PRESSURE, Results

CORRECTED_SHARE = 0.006
ENTERED_IN_ERROR_SHARE = 0.003
CLAIM_CORRECTED_SHARE = 0.015
CLAIM_VOID_SHARE = 0.005
COPIED_SHARE = 0.002


def result_versions(rng: np.random.Generator, results: Results, known: np.ndarray) -> Versions:
    """The delivered versions of results: the first of each that was out by as-of, and later ones of a few.

    Args:
        known: bool (results,), whether the EHR knows the person.
    """
    end = DAYS * MINUTES
    first = np.flatnonzero(known & (results.issued < end))
    place = rng.random(first.size)
    later = results.issued[first] + rng.integers(1, 21, first.size) * MINUTES + rng.integers(0, 600, first.size)
    corrected = (place < CORRECTED_SHARE) & (later < end) & (results.lab[first] != PRESSURE)
    struck = (place > 1 - ENTERED_IN_ERROR_SHARE) & (later < end)
    again = np.concatenate([first[corrected], first[struck]])
    status = np.repeat(
        np.array([FINAL, CORRECTED, ENTERED_IN_ERROR], dtype=np.int8), [first.size, corrected.sum(), struck.sum()]
    )
    value = np.concatenate([results.value[first], results.value[first[corrected]] * 0.9, results.value[first[struck]]])
    return Versions(
        np.concatenate([first, again]),
        status,
        np.concatenate([results.issued[first], later[corrected], later[struck]]),
        value,
    )


def claim_versions(rng: np.random.Generator, paid_day: np.ndarray, may_void: np.ndarray, may: np.ndarray) -> Deliveries:
    """The delivered versions of claims: each when it was paid, and corrections and voids of a few, later.

    Args:
        paid_day: int64 (claims,).
        may_void: bool (claims,), whether it can turn out not to have been owed.
        may: bool (claims,), whether the insurer covers it at all.
    """
    first = np.flatnonzero(may & (paid_day < DAYS))
    place = rng.random(first.size)
    later = paid_day[first] + rng.integers(3, 60, first.size)
    corrected = (place < CLAIM_CORRECTED_SHARE) & (later < DAYS)
    void = (place > 1 - CLAIM_VOID_SHARE) & (later < DAYS) & may_void[first]
    version = np.repeat(
        np.array([ORIGINAL, CORRECTION, VOID], dtype=np.int8), [first.size, corrected.sum(), void.sum()]
    )
    return Deliveries(
        np.concatenate([first, first[corrected], first[void]]),
        version,
        np.concatenate([paid_day[first], later[corrected], later[void]]),
    )


def copies(rng: np.random.Generator, lines: pa.Array) -> pa.Array:
    """A few of the lines, to be delivered again in another file."""
    return lines.take(pa.array(np.flatnonzero(rng.random(len(lines)) < COPIED_SHARE)))


def share_of(chunk: int, chunks: int, amount: int) -> range:
    """The numbers, out of ``amount``, that fall to one of the chunks."""
    return range(amount * chunk // chunks, amount * (chunk + 1) // chunks)


def _observation(number, subject="pt-0", value="7.2", time="2024-02-20T10:11:00Z"):
    return (
        f'{{"resourceType":"Observation","id":"ob-malformed-{number}","meta":{{"versionId":"1","lastUpdated":'
        '"2024-03-01T08:00:00Z"},"status":"final","code":{"coding":[{"system":"http://loinc.org","code":"4548-4"}]},'
        f'"subject":{{"reference":"Patient/{subject}"}},"effectiveDateTime":"{time}","issued":"2024-03-01T08:00:00Z",'
        f'"valueQuantity":{{"value":{value},"unit":"%","system":"http://unitsofmeasure.org","code":"%"}}}}'
    )


def malformed_observations(numbers: range, subject: str) -> dict[str, list[tuple[str, str]]]:
    """Lines that the EHR's export got wrong: (rule that refuses it, line) by kind.

    Args:
        numbers: what the lines are numbered by.
        subject: logical id of a patient who is known.
    """
    return {
        "broken JSON": [("not_one_json_object", _observation(n, subject)[: 200 + n % 100] + "\n") for n in numbers],
        "two objects on a line": [
            ("not_one_json_object", _observation(n, subject) + _observation(n, subject) + "\n") for n in numbers
        ],
        "letter in a number": [("not_a_number", _observation(n, subject, value='"7.2f"') + "\n") for n in numbers],
        "impossible date": [
            ("not_a_time", _observation(n, subject, time="2024-02-30T10:11:00Z") + "\n") for n in numbers
        ],
        "reference to nobody": [("unknown_person", _observation(n, f"pt-nobody-{n}") + "\n") for n in numbers],
    }


def malformed_claims(numbers: range, line: str, header: str) -> dict[str, list[tuple[str, str]]]:
    """Lines that the insurer's extract got wrong, each made of a good ``line``."""
    made = {
        "wrong column count": ("not_a_row", lambda n: {"plan": None}),
        "letter in a number": ("not_a_number", lambda n: {"paid_amount": "12.5x"}),
        "impossible date": ("not_a_time", lambda n: {"claim_start_date": "2024-13-40"}),
        "reference to nobody": ("unknown_person", lambda n: {"person_id": f"MNOBODY{n}", "member_id": f"MNOBODY{n}"}),
        "no subject": ("no_subject", lambda n: {"person_id": "", "member_id": ""}),
    }
    return _spoilt(numbers, line, header, made, "claim_id", "CLX")


def malformed_activity(numbers: range, line: str, header: str) -> dict[str, list[tuple[str, str]]]:
    """Lines that the device platform's extract got wrong, each made of a good ``line``."""
    made = {
        "wrong column count": ("not_a_row", lambda n: {"Calories": None}),
        "letter in a number": ("not_a_number", lambda n: {"TotalSteps": f"1o{n}"}),
        "impossible date": ("not_a_time", lambda n: {"ActivityDate": "13/40/2024"}),
        "no subject": ("no_subject", lambda n: {"Id": ""}),
    }
    return _spoilt(numbers, line, header, made, "SedentaryMinutes", "")


def _spoilt(numbers, line, header, made, key, prefix):
    good = dict(zip(header.split(","), line.rstrip("\n").split(","), strict=True))
    spoilt = {}
    for place, (kind, (rule, change)) in enumerate(made.items()):
        # The number keeps the lines apart: equal rows would be one record to a source without record ids.
        rows = [good | {key: f"{prefix}{100 * n + place}"} | change(n) for n in numbers]
        spoilt[kind] = [(rule, ",".join(v for v in row.values() if v is not None) + "\n") for row in rows]
    return spoilt
