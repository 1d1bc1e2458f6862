"""The EHR's bulk export: FHIR R4 resources as NDJSON lines.

R4: https://hl7.org/fhir/R4/ ; US Core race and ethnicity: http://hl7.org/fhir/us/core/STU3.1.1/
"""

import numpy as np
import pyarrow as pa

from salus.simulate.catalogue import CAUSES, CONDITIONS, DRUG_NAMES, DRUGS
from salus.simulate.clock import DAYS, MINUTES, Clock
from salus.simulate.course import ALIVE, Course
from salus.simulate.names import ehr_id, member_id, mrn, mrn_system, name_columns, wearable_id
from salus.simulate.people import SITES
from salus.simulate.records import Diagnoses, Prescriptions
from salus.simulate.text import digits, given, instants, joined, picked
from salus.simulate.visits import AMBULATORY, EMERGENCY, UNPLANNED, Visits

SNOMED = "http://snomed.info/sct"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
ICD10CM = "http://hl7.org/fhir/sid/icd-10-cm"
CORE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core"
OMB = "urn:oid:2.16.840.1.113883.6.238"
RACE_CODES = (
    ("2106-3", "White"),
    ("2054-5", "Black or African American"),
    ("2028-9", "Asian"),
    ("2131-1", "Other Race"),
)
ETHNICITY_CODES = (("2186-5", "Not Hispanic or Latino"), ("2135-2", "Hispanic or Latino"))
PASSING = np.array([cause.icd10 not in ("Z00.00", "M54.50", "M17.9") for cause in CAUSES])
END = MINUTES * DAYS  # the minute at which the extract is cut


def meta(version: str | pa.Array, updated: pa.Array) -> pa.Array:
    """The ``meta`` element with a comma behind it."""
    return joined('"meta":{"versionId":"', version, '","lastUpdated":"', updated, '"},')


def coding(system: str, code: str, display: str) -> str:
    """One ``Coding`` as JSON."""
    return f'{{"system":"{system}","code":"{code}","display":"{display}"}}'


def diagnosis(icd10: str, snomed: str, display: str) -> str:
    """A ``CodeableConcept`` with SNOMED CT and, where it has one, ICD-10-CM."""
    codes = [coding(SNOMED, snomed, display)] + ([coding(ICD10CM, icd10, display)] if icd10 else [])
    return f'{{"coding":[{",".join(codes)}]}}'


def _omb(what, code, display):
    return (
        f'{{"url":"{CORE}-{what}","extension":[{{"url":"ombCategory","valueCoding":{coding(OMB, code, display)}}},'
        f'{{"url":"text","valueString":"{display}"}}]}}'
    )


def patients(clock: Clock, course: Course) -> pa.Array:
    """One Patient line for each person whom the EHR knows."""
    people = course.people.take(np.flatnonzero(course.people.in_ehr))
    death = course.death_day[course.people.in_ehr]
    dead = death < ALIVE
    death_minute = np.where(dead, death, 0) * MINUTES + 720
    registered = np.maximum(people.birth_day, 0) * MINUTES + 600
    named = name_columns(people)
    number = people.number
    return joined(
        '{"resourceType":"Patient","id":"',
        ehr_id(number),
        '",',
        meta(given(dead, "2", "1"), instants(clock, np.where(dead, death_minute + 60, registered))),
        '"extension":[',
        picked([_omb("race", *race) for race in RACE_CODES], people.race),
        ",",
        picked([_omb("ethnicity", *ethnicity) for ethnicity in ETHNICITY_CODES], people.hispanic),
        '],"identifier":[{"use":"usual","type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203",'
        '"code":"MR"}]},"system":"',
        mrn_system(people),
        '","value":"',
        mrn(number),
        '"}',
        given(people.in_payer, joined(',{"system":"urn:salus:member-id","value":"', member_id(number), '"}')),
        given(people.in_wearable, joined(',{"system":"urn:salus:wearable-id","value":"', wearable_id(number), '"}')),
        '],"active":true,"name":[{"use":"official","family":"',
        named["family"],
        '","given":["',
        named["first"],
        '"]}],"telecom":[{"system":"phone","value":"',
        named["phone"],
        '"},{"system":"email","value":"',
        named["email"],
        '"}],"gender":"',
        picked(["male", "female"], people.female),
        '","birthDate":"',
        clock.dates(people.birth_day),
        '"',
        given(dead, joined(',"deceasedDateTime":"', instants(clock, death_minute), '"')),
        ',"address":[{"line":["',
        named["street"],
        '"],"city":"',
        named["city"],
        '","state":"',
        named["state_code"],
        '","postalCode":"',
        named["zip"],
        '","country":"US"}],"managingOrganization":{"reference":"Organization/site-',
        picked(SITES, people.site),
        '"}}\n',
    )


def encounters(clock: Clock, course: Course, visits: Visits, ids: np.ndarray) -> pa.Array:
    """One Encounter line a visit; one that has not ended when the extract is cut is in progress."""
    people, kind = course.people, visits.kind
    over = visits.end < END
    classes = [
        f'"class":{{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"{c}"}},'
        for c in ("AMB", "EMER", "IMP", "IMP")
    ]
    types = [
        f'"type":[{{"coding":[{coding(SNOMED, *t)}]}}],'
        for t in (
            ("185347001", "Encounter for problem"),
            ("50849002", "Emergency room admission"),
            ("183452005", "Emergency hospital admission"),
            ("8715000", "Hospital admission, elective"),
        )
    ]
    priority = [
        "",
        *(
            f'"priority":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/v3-ActPriority",'
            f'"code":"{p}"}}]}},'
            for p in ("EM", "UR", "EL")
        ),
    ]
    which = np.where(
        kind == AMBULATORY, 0, np.where(kind == EMERGENCY, 1, np.where(kind == UNPLANNED, 1 + visits.urgent, 3))
    )
    reasons = [f'"reasonCode":[{diagnosis(c.icd10, c.snomed, c.display)}],' for c in CAUSES]
    site = [f'"serviceProvider":{{"reference":"Organization/site-{s}"}}}}\n' for s in SITES]
    return joined(
        '{"resourceType":"Encounter","id":"en-',
        digits(ids),
        '",',
        meta("1", instants(clock, np.where(over, visits.end + 30, visits.start + 5))),
        '"status":"',
        given(over, "finished", "in-progress"),
        '",',
        picked(classes, kind),
        picked(types, kind),
        picked(priority, which),
        '"subject":{"reference":"Patient/',
        ehr_id(people.number[visits.row]),
        '"},"period":{"start":"',
        instants(clock, visits.start),
        '"',
        given(over, joined(',"end":"', instants(clock, np.minimum(visits.end, END)), '"')),
        "},",
        given(kind != AMBULATORY, picked(reasons, visits.cause)),
        picked(site, people.site[visits.row]),
    )


def conditions(clock: Clock, course: Course, entries: Diagnoses, first: int, first_visit: int) -> pa.Array:
    """One Condition line a problem-list entry."""
    codes = [diagnosis(c.icd10, c.snomed, c.display) for c in CONDITIONS]
    recorded = instants(clock, entries.recorded)
    at_visit = joined('"encounter":{"reference":"Encounter/en-', digits(first_visit + entries.visit), '"},')
    return joined(
        '{"resourceType":"Condition","id":"co-',
        digits(first + np.arange(entries.row.size)),
        '",',
        meta("1", recorded),
        '"clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"active"}]},'
        '"verificationStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-ver-status",'
        '"code":"confirmed"}]},"code":',
        picked(codes, entries.condition),
        ',"subject":{"reference":"Patient/',
        ehr_id(course.people.number[entries.row]),
        '"},',
        given(entries.visit >= 0, at_visit),
        '"onsetDateTime":"',
        clock.dates(entries.onset_day),
        '","recordedDate":"',
        recorded,
        '"}\n',
    )


def passing_conditions(clock: Clock, course: Course, visits: Visits, ids: np.ndarray) -> pa.Array:
    """One Condition line for each visit's symptom or passing illness; it is over two weeks after the visit."""
    here = np.flatnonzero(PASSING[visits.cause] & (visits.start + 10 < END))
    visits, ids = visits.take(here), ids[here]
    abated = visits.end + 14 * MINUTES
    over = abated < END
    recorded, ended = instants(clock, visits.start + 10), instants(clock, np.where(over, abated, 0))
    return joined(
        '{"resourceType":"Condition","id":"cv-',
        digits(ids),
        '",',
        meta(given(over, "2", "1"), given(over, ended, recorded)),
        '"clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"',
        given(over, "resolved", "active"),
        '"}]},"verificationStatus":{"coding":[{"system":'
        '"http://terminology.hl7.org/CodeSystem/condition-ver-status","code":"confirmed"}]},"code":',
        picked([diagnosis(c.icd10, c.snomed, c.display) for c in CAUSES], visits.cause),
        ',"subject":{"reference":"Patient/',
        ehr_id(course.people.number[visits.row]),
        '"},"encounter":{"reference":"Encounter/en-',
        digits(ids),
        '"},"onsetDateTime":"',
        clock.dates(visits.day),
        '"',
        given(over, joined(',"abatementDateTime":"', ended, '"')),
        ',"recordedDate":"',
        recorded,
        '"}\n',
    )


def prescriptions(clock: Clock, course: Course, orders: Prescriptions, first: int) -> pa.Array:
    """One MedicationRequest line an order."""
    drugs = [
        f'"medicationCodeableConcept":{{"coding":[{coding(RXNORM, d.rxnorm, d.display)}]}},'
        for d in (DRUGS[name] for name in DRUG_NAMES)
    ]
    authored = instants(clock, orders.time)
    return joined(
        '{"resourceType":"MedicationRequest","id":"mr-',
        digits(first + np.arange(orders.row.size)),
        '",',
        meta("1", authored),
        '"status":"',
        given(orders.is_last, "active", "completed"),
        '","intent":"order",',
        picked(drugs, orders.drug),
        '"subject":{"reference":"Patient/',
        ehr_id(course.people.number[orders.row]),
        '"},"authoredOn":"',
        authored,
        '"}\n',
    )
