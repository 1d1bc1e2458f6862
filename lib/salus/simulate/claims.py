"""The insurer's extract: eligibility, medical claim lines and pharmacy claims in Tuva's column layout.

Tuva input layer: https://thetuvaproject.com/connectors/input-layer . A claim is delivered when it is paid; a
correction delivers all its lines again with a later paid_date and file_date, a void with zero units and amounts.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from salus.simulate.catalogue import CAUSES, CONDITIONS, DRUG_NAMES, DRUGS, LAB
from salus.simulate.clock import DAYS, NO_DAY, Clock
from salus.simulate.course import ALIVE, Course
from salus.simulate.layouts import ELIGIBILITY, MEDICAL, PHARMACY, csv_lines
from salus.simulate.names import member_id, name_columns
from salus.simulate.people import RACES, People, enrolled
from salus.simulate.records import Fills, Results
from salus.simulate.rows import Rows
from salus.simulate.text import digits, fixed, given, joined, picked
from salus.simulate.visits import AMBULATORY, ELECTIVE, EMERGENCY, LISTED, UNPLANNED, Visits

PAYER = {"payer": "salus mutual", "plan": "salus mutual choice", "data_source": "salus mutual"}

# What a line bills: HCPCS/CPT code, NUBC revenue code, charge in USD.
SERVICES = (
    ("99213", "", 160),
    ("99214", "", 230),
    ("99396", "", 260),
    ("80053", "", 48),
    ("83036", "", 32),
    ("83880", "", 75),
    ("99284", "0450", 1450),
    ("80053", "0300", 310),
    ("71046", "0324", 420),
    ("", "0120", 2900),
    ("", "0300", 840),
    ("", "0250", 1260),
)
ORIGINAL, CORRECTION, VOID = 0, 1, 2


@dataclass(frozen=True)
class Claims(Rows):
    """Medical claims of what the insurer covers; arrays over claims."""

    visit: np.ndarray  # int64, index into the visits
    row: np.ndarray  # int64, the person
    paid_day: np.ndarray  # int64; 5 to 60 days after the service; may lie after as-of


@dataclass(frozen=True)
class Deliveries(Rows):
    """Which claims are in the files, in which version; arrays over deliveries."""

    claim: np.ndarray  # int64, index into the claims or fills
    version: np.ndarray  # int8: ORIGINAL, CORRECTION, VOID
    paid_day: np.ndarray  # int64


def draw_claims(rng: np.random.Generator, course: Course, visits: Visits) -> Claims:
    """A claim for every finished visit of somebody covered, and when it is paid."""
    covered = enrolled(course.people, visits.row, visits.day) & (visits.end_day < DAYS)
    visit = np.flatnonzero(covered)
    wait = 5 + np.minimum(rng.geometric(1 / 14, visit.size) - 1, 55)
    return Claims(visit, visits.row[visit], visits.end_day[visit] + wait)


def medical_lines(
    clock: Clock, course: Course, visits: Visits, results: Results, claims: Claims, lines: Deliveries, first: int
) -> pa.Array:
    """The CSV lines of the delivered versions of medical claims, one to four a claim."""
    claim, line, service = _services(visits, results, claims)
    starts = np.searchsorted(claim, np.arange(len(claims) + 1))
    counts = (starts[1:] - starts[:-1])[lines.claim]
    delivery = np.repeat(np.arange(len(lines)), counts)
    picks = np.arange(delivery.size) - np.repeat(np.cumsum(counts) - counts, counts) + starts[lines.claim][delivery]
    of, version = lines.claim[delivery], lines.version[delivery]
    visit = claims.visit[of]
    kind, stay = visits.kind[visit], visits.kind[visit] >= UNPLANNED
    institutional = kind != AMBULATORY
    service = service[picks]
    units = np.where(SERVICE_IS_ROOM[service], np.maximum(visits.end_day[visit] - visits.day[visit], 1), 1)
    charge = SERVICE_CHARGE[service] * units * _price(claims.visit[of] + first, line[picks])
    charge = np.round(charge * np.where(version == CORRECTION, 0.9, 1.0), 2) * (version != VOID)
    start, end = clock.dates(visits.day[visit]), clock.dates(visits.end_day[visit])
    member = member_id(course.people.number[visits.row[visit]])
    allowed = np.round(charge * 0.55, 2)
    return csv_lines(
        MEDICAL,
        PAYER
        | _delivered(clock, lines.paid_day[delivery])
        | _codes(visits, visit)
        | {
            "claim_id": joined("CL", digits(first + of)),
            "claim_line_number": digits(line[picks] + 1),
            "claim_type": given(institutional, "institutional", "professional"),
            "person_id": member,
            "member_id": member,
            "claim_start_date": start,
            "claim_end_date": end,
            "claim_line_start_date": start,
            "claim_line_end_date": end,
            "admission_date": given(stay, start),
            "discharge_date": given(stay, end),
            "admit_source_code": given(stay, "1"),
            "admit_type_code": given(
                stay, picked(["1", "2", "3"], np.where(kind == ELECTIVE, 2, visits.urgent[visit]))
            ),
            "discharge_disposition_code": given(institutional, "01"),
            "place_of_service_code": given(institutional, "", "11"),
            "bill_type_code": picked(["", "131", "111", "111"], kind),
            "drg_code_type": given(stay, "ms-drg"),
            "drg_code": given(stay, picked([c.drg for c in CAUSES], visits.cause[visit])),
            "revenue_center_code": picked([s[1] for s in SERVICES], service),
            "service_unit_quantity": digits(units * (version != VOID)),
            "hcpcs_code": picked([s[0] for s in SERVICES], service),
            "rendering_npi": digits(1_003_000_000 + claims.row[of] % 97),
            "paid_amount": fixed(np.round(allowed * 0.8, 2), 2),
            "allowed_amount": fixed(allowed, 2),
            "charge_amount": fixed(charge, 2),
            "total_cost_amount": fixed(allowed, 2),
            "file_name": "medical_claim",
        },
    )


SERVICE_CHARGE = np.array([s[2] for s in SERVICES], dtype=np.float64)
SERVICE_IS_ROOM = np.array([s[1] == "0120" for s in SERVICES])


def _services(visits, results, claims):
    """Claim, line number from 0 and service of every line, by claim."""
    kind, cause = visits.kind[claims.visit], visits.cause[claims.visit]
    tested = np.zeros((len(visits), 3), dtype=bool)
    for column, lab in enumerate(("creatinine", "hba1c", "bnp")):
        tested[results.visit[results.lab == LAB[lab]], column] = True
    tested = tested[claims.visit]
    bills = np.zeros((len(claims), len(SERVICES)), dtype=bool)
    clinic = kind == AMBULATORY
    checkup = np.array([c.icd10 == "Z00.00" for c in CAUSES])[cause]
    long_visit = (visits.state[claims.visit] > 0) | (visits.start[claims.visit] % 3 == 0)
    bills[:, 0], bills[:, 1], bills[:, 2] = (
        clinic & ~checkup & ~long_visit,
        clinic & ~checkup & long_visit,
        clinic & checkup,
    )
    bills[:, 3:6] = tested & clinic[:, None]
    emergency, stay = kind == EMERGENCY, kind >= UNPLANNED
    bills[:, 6], bills[:, 7], bills[:, 8] = emergency, emergency & tested[:, 0], emergency & tested[:, 2]
    bills[:, 9:12] = stay[:, None]
    claim, service = np.nonzero(bills)
    return claim, np.arange(claim.size) - np.searchsorted(claim, claim), service


def _price(number, line):
    """What a provider asks, 0.8 to 1.4 of the list price; the same in every version of the line."""
    return 0.8 + (number * 48_271 + line * 16_807) % 601 / 1000


def _delivered(clock, paid_day):
    """A file is made the day after what it holds was paid."""
    day = clock.dates(paid_day + 1)
    return {
        "paid_date": clock.dates(paid_day),
        "file_date": day,
        "ingest_datetime": joined(day, " 03:00:00"),
        "in_network_flag": "1",
    }


def _codes(visits, visit):
    listed = visits.listed[visit]
    texts = [c.icd10.replace(".", "") for c in CONDITIONS] + [""]
    codes = {
        "diagnosis_code_type": "icd-10-cm",
        "diagnosis_code_1": picked([c.icd10.replace(".", "") for c in CAUSES], visits.cause[visit]),
    }
    for n in range(LISTED):
        codes[f"diagnosis_code_{n + 2}"] = picked(texts, np.where(listed[:, n] < 0, len(CONDITIONS), listed[:, n]))
    return codes


def pharmacy_lines(clock: Clock, course: Course, fills: Fills, lines: Deliveries, first: int) -> pa.Array:
    """The CSV lines of the delivered versions of pharmacy claims."""
    of, version = lines.claim, lines.version
    drug, supply = fills.drug[of], fills.supply[of] * (version != VOID)
    paid = np.round(
        np.array([DRUGS[n].paid_usd for n in DRUG_NAMES])[drug]
        * supply
        / 30
        * np.where(version == CORRECTION, 0.9, 1.0),
        2,
    )
    a_day = np.array([DRUGS[n].units_a_day for n in DRUG_NAMES])[drug]
    member = member_id(course.people.number[fills.row[of]])
    return csv_lines(
        PHARMACY,
        PAYER
        | _delivered(clock, lines.paid_day)
        | {
            "claim_id": joined("RX", digits(first + of)),
            "claim_line_number": "1",
            "person_id": member,
            "member_id": member,
            "dispensing_date": clock.dates(fills.day[of]),
            "ndc_code": picked([DRUGS[n].ndc for n in DRUG_NAMES], drug),
            "quantity": digits(np.ceil(a_day * supply)),
            "days_supply": digits(supply),
            "refills": "3",
            "paid_amount": fixed(paid, 2),
            "allowed_amount": fixed(np.round(paid * 1.15, 2), 2),
            "charge_amount": fixed(np.round(paid * 1.6, 2), 2),
            "file_name": "pharmacy_claim",
        },
    )


def _spans(people: People, death_day, clock):
    """Enrolment by person and calendar year: row, first day, last day as planned, last day as it came."""
    gap = people.gap_day > NO_DAY
    whole = [
        (people.enrolled_day, np.where(gap, np.minimum(people.gap_day, people.left_day), people.left_day)),
        (np.where(gap, people.gap_end_day, DAYS + 400), people.left_day),
    ]
    parts = []
    for first, after in whole:
        for year in range(int(clock.year(np.array([-720]))[0]), clock.as_of.year + 1):
            new_year, year_end = clock.year_end(np.array([year - 1]))[0] + 1, clock.year_end(np.array([year]))[0]
            start = np.maximum(first, new_year)
            end = np.minimum(np.minimum(after - 1, year_end), death_day)
            row = np.flatnonzero(people.in_payer & (start <= end) & (start < DAYS))
            parts.append((row, start[row], np.full(row.size, year_end), end[row], start[row] > first[row]))
    columns = [np.concatenate(part) for part in zip(*parts, strict=True)]
    order = np.lexsort((columns[1], columns[0]))
    return [c[order] for c in columns]


def eligibility_lines(clock: Clock, course: Course) -> tuple[pa.Array, int]:
    """The CSV lines of enrolment, and how many of them tell of an earlier end than planned."""
    people = course.people
    row, start, planned, came, goes_on = _spans(people, course.death_day, clock)
    known = np.where(goes_on, start, start + 14)
    ended = (came < planned) & (came + 14 <= DAYS)
    row, start = np.concatenate([row, row[ended]]), np.concatenate([start, start[ended]])
    end, known = np.concatenate([planned, came[ended]]), np.concatenate([known, came[ended] + 14])
    later = np.arange(row.size) >= ended.size
    keep = known <= DAYS
    row, start, end, known, later = row[keep], start[keep], end[keep], known[keep], later[keep]
    order = np.lexsort((known, start, row))
    row, start, end, known, later = row[order], start[order], end[order], known[order], later[order]
    dead = later & (course.death_day[row] < ALIVE) & (course.death_day[row] == end)
    named = {k: v.take(pa.array(row)) for k, v in name_columns(people).items()}
    member, day = member_id(people.number[row]), clock.dates(known)
    return csv_lines(
        ELIGIBILITY,
        PAYER
        | {
            "person_id": member,
            "member_id": member,
            "subscriber_id": member,
            "payer_type": "commercial",
            "gender": picked(["male", "female"], people.female[row]),
            "race": picked(list(RACES), people.race[row]),
            "ethnicity": given(people.hispanic[row], "hispanic or latino", "not hispanic or latino"),
            "birth_date": clock.dates(people.birth_day[row]),
            "death_date": given(dead, clock.dates(np.where(dead, end, 0))),
            "death_flag": given(dead, "1", "0"),
            "enrollment_start_date": clock.dates(start),
            "enrollment_end_date": clock.dates(end),
            "group_id": "4012022",
            "group_name": "Salus synthetic",
            "first_name": named["first"],
            "last_name": named["family"],
            "address": named["street"],
            "city": named["city"],
            "state": named["state"],
            "zip_code": named["zip"],
            "phone": named["phone"],
            "email": named["email"],
            "file_name": "eligibility",
            "file_date": day,
            "ingest_datetime": joined(day, " 03:00:00"),
        },
    ), int(later.sum())
