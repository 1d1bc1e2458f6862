"""Procedures and short notes of visits, as FHIR Procedure and DocumentReference lines."""

import base64

import numpy as np
import pyarrow as pa

from salus.simulate.catalogue import CAUSES
from salus.simulate.clock import Clock
from salus.simulate.course import Course
from salus.simulate.ehr import END, coding, meta
from salus.simulate.names import ehr_id
from salus.simulate.text import digits, instants, joined, picked
from salus.simulate.visits import AMBULATORY, ELECTIVE, EMERGENCY, Visits

CPT = "http://www.ama-assn.org/go/cpt"
PROCEDURES = (
    coding(CPT, "93000", "Electrocardiogram, 12 leads, with interpretation and report"),
    coding(CPT, "71046", "Radiologic examination, chest; 2 views"),
    coding("http://snomed.info/sct", "430193006", "Medication Reconciliation"),
    coding(CPT, "27447", "Arthroplasty, knee"),
)
NOTE_TYPES = (
    ("34133-9", "Summary of episode note"),
    ("34878-9", "Emergency medicine Note"),
    ("18842-5", "Discharge summary"),
)
COURSES = (
    "Feels well. Vital signs stable. Continue current regimen.",
    "Increasing complaints over the last weeks. Regimen reviewed, early follow-up arranged.",
    "Acutely unwell on arrival. Treated and observed; see results.",
)


def procedures(rng: np.random.Generator, clock: Clock, course: Course, visits: Visits, ids: np.ndarray) -> pa.Array:
    """One Procedure line for some of the visits."""
    kind, place = visits.kind, rng.random(len(visits))
    common = np.where(place < 0.06, 0, np.where(place < 0.10, 1, np.where(place < 0.16, 2, -1)))
    urgent = np.where(place < 0.5, 0, np.where(place < 0.8, 1, -1))
    done = np.where(kind == AMBULATORY, common, np.where(kind == ELECTIVE, 3, urgent))
    time = visits.start + 15
    here = np.flatnonzero((done >= 0) & (time < END))
    when = instants(clock, time[here])
    return joined(
        '{"resourceType":"Procedure","id":"pr-',
        digits(ids[here]),
        '",',
        meta("1", when),
        '"status":"completed","code":{"coding":[',
        picked(list(PROCEDURES), done[here]),
        ']},"subject":{"reference":"Patient/',
        ehr_id(course.people.number[visits.row[here]]),
        '"},"encounter":{"reference":"Encounter/en-',
        digits(ids[here]),
        '"},"performedDateTime":"',
        when,
        '"}\n',
    )


def documents(rng: np.random.Generator, clock: Clock, course: Course, visits: Visits, ids: np.ndarray) -> pa.Array:
    """One DocumentReference line with a note for every stay and emergency, and some of the other visits."""
    kind = np.select([visits.kind == AMBULATORY, visits.kind == EMERGENCY], [0, 1], 2)
    time = np.where(kind == 2, visits.end + 120, visits.start + 90)
    here = np.flatnonzero(((kind > 0) | (rng.random(len(visits)) < 0.2)) & (time < END))
    texts = [_attachment(k, cause.display, state) for k in range(3) for cause in CAUSES for state in range(3)]
    which = (kind[here] * len(CAUSES) + visits.cause[here]) * 3 + visits.state[here]
    types = [f'"type":{{"coding":[{coding("http://loinc.org", *t)}]}},' for t in NOTE_TYPES]
    when = instants(clock, time[here])
    return joined(
        '{"resourceType":"DocumentReference","id":"dr-',
        digits(ids[here]),
        '",',
        meta("1", when),
        '"status":"current",',
        picked(types, kind[here]),
        '"subject":{"reference":"Patient/',
        ehr_id(course.people.number[visits.row[here]]),
        '"},"date":"',
        when,
        '","content":[{"attachment":',
        picked(texts, which),
        '}],"context":{"encounter":[{"reference":"Encounter/en-',
        digits(ids[here]),
        '"}]}}\n',
    )


def _attachment(kind, reason, state):
    place = ("Clinic visit", "Emergency department", "Hospital stay")[kind]
    note = f"{place}\n\n# Reason\n{reason}\n\n# Course\n{COURSES[state]}\n"
    data = base64.b64encode(note.encode()).decode()
    return f'{{"contentType":"text/plain; charset=utf-8","data":"{data}"}}'
