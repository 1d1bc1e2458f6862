"""What is written down of a course: diagnoses, results, prescriptions and fills, each with the time it was known."""

from dataclasses import dataclass

import numpy as np

from salus.simulate.catalogue import CAUSE, CONDITION, CONDITIONS, DRUG_NAMES, LAB, LABS
from salus.simulate.clock import DAYS, MINUTES, WEEKS
from salus.simulate.course import Course
from salus.simulate.labs import blood_pressure, measured
from salus.simulate.people import UNDER_RECORDED_RACE
from salus.simulate.rows import Rows
from salus.simulate.visits import AMBULATORY, Visits

PRESSURE = len(LABS)  # blood pressure, two components
SLOTS = 4  # drugs that a person takes at most
SUPPLY = np.array([30, 90, 90, 90])  # days, by slot
HBA1C_RECORDED_IN_GROUP = 0.35  # share of the HbA1c that the under-recorded group's results keep


@dataclass(frozen=True)
class Diagnoses(Rows):
    """Problem-list entries of the EHR; arrays over entries."""

    row: np.ndarray  # int64, the person
    condition: np.ndarray  # int64, into CONDITIONS
    onset_day: np.ndarray  # int64
    recorded: np.ndarray  # int64, minutes
    visit: np.ndarray  # int64, index into the visits, -1 where before the history


@dataclass(frozen=True)
class Results(Rows):
    """Measurements; arrays over results, by lab, then person, then time."""

    visit: np.ndarray  # int64, index into the visits
    row: np.ndarray  # int64
    lab: np.ndarray  # int8, into LABS; PRESSURE for blood pressure
    time: np.ndarray  # int64, minutes: when the specimen was taken
    issued: np.ndarray  # int64, minutes: when the result came out, 0 to 5 days later
    value: np.ndarray  # float64, in the catalogue's unit, rounded; systolic for PRESSURE
    second: np.ndarray  # float64, diastolic for PRESSURE, else NaN


@dataclass(frozen=True)
class Prescriptions(Rows):
    """Orders of the EHR; arrays over orders."""

    row: np.ndarray
    drug: np.ndarray  # int64, into DRUG_NAMES
    time: np.ndarray  # int64, minutes
    is_last: np.ndarray  # bool


@dataclass(frozen=True)
class Fills(Rows):
    """What pharmacies dispensed; arrays over fills."""

    row: np.ndarray
    drug: np.ndarray  # int64, into DRUG_NAMES
    day: np.ndarray  # int64
    supply: np.ndarray  # int64, days
    primary: np.ndarray  # bool, the drug with monthly fills


def draw_diagnoses(rng: np.random.Generator, course: Course, visits: Visits) -> Diagnoses:
    """Each condition enters the problem list at the first visit some time after it began, or before the history."""
    onset = course.people.onset_week * 7
    row, condition = np.nonzero(onset < DAYS)
    day = onset[row, condition]
    noticed = day + rng.exponential(45, row.size).astype(np.int64)
    earlier = noticed < 0
    visit = np.searchsorted(visits.row * (DAYS + 1) + visits.day, row * (DAYS + 1) + np.maximum(noticed, 0))
    found = np.minimum(visit, len(visits) - 1)
    at_visit = ~earlier & (visit < len(visits)) & (visits.row[found] == row)
    keep = earlier | at_visit
    recorded = np.where(earlier, noticed * MINUTES + 600, visits.start[found] + 10)
    return Diagnoses(row[keep], condition[keep], day[keep], recorded[keep], np.where(earlier, -1, visit)[keep])


def draw_results(rng: np.random.Generator, course: Course, visits: Visits) -> Results:
    """The labs and vital signs of every visit."""
    people, day = course.people, visits.day
    has = {name: people.onset_week[visits.row, n] * 7 <= day for name, n in CONDITION.items()}
    chances = _chances(course, visits, has)
    parts = []
    for lab in range(len(LABS) + 1):
        visit = np.flatnonzero(rng.random(len(visits), dtype=np.float32) < chances[lab])
        row, week = visits.row[visit], day[visit] // 7
        noise = rng.standard_normal(visit.size)
        second = np.full(visit.size, np.nan)
        if lab == PRESSURE:
            value, second = (np.round(v) for v in blood_pressure(people, row, week, noise))
        else:
            value = measured(people, row, week, LABS[lab].name, visits.state[visit], noise)
            value = np.round(value, LABS[lab].decimals)
        time = visits.start[visit] + 5
        waits = rng.integers(0, 6, visit.size) * (rng.random(visit.size) < 0.4) * MINUTES
        wait = 0 if lab in (PRESSURE, LAB["weight"]) else waits + rng.integers(40, 300, visit.size)
        parts.append((visit, row, np.full(visit.size, lab, dtype=np.int8), time, time + wait, value, second))
    return Results(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _chances(course, visits, has):
    """Probability that each lab is done at each visit, in the order of LABS, then blood pressure."""
    clinic = visits.kind == AMBULATORY
    worse = visits.state > 0
    cardiac = has["heart_failure"] | has["atrial_fibrillation"]
    renal = has["hypertension"] | has["diabetes"] | has["ckd3"] | has["heart_failure"]
    breathless = visits.cause == CAUSE["R06.02"]
    group = course.people.race[visits.row] == UNDER_RECORDED_RACE
    hba1c = np.where(has["diabetes"], 0.6, np.where(has["prediabetes"], 0.25, 0.04))
    chemistry = np.where(clinic, np.where(renal, 0.45, 0.10), 0.9)
    return [
        hba1c * np.where(group, HBA1C_RECORDED_IN_GROUP, 1.0),
        chemistry,
        chemistry * 0.75,
        np.where(has["hyperlipidaemia"], 0.25, 0.06) * clinic,
        np.where(cardiac, 0.6, np.where(breathless | ~clinic, 0.3, 0.02)),
        np.where(has["heart_failure"], 0.95, np.where(clinic, 0.4, 0.3)),
        np.where(clinic, np.where(has["diabetes"], 0.35, 0.08), 0.7),
        np.where(clinic, np.where(has["anaemia"] | has["ckd4"], 0.5, 0.15), 0.85),
        np.where(clinic, 0.2 * renal, 0.8),
        np.where(worse, 0.5, np.where(clinic, 0.03, 0.4)),
        np.where(clinic, 0.65, 0.6),
    ]


def draw_prescriptions(rng: np.random.Generator, course: Course) -> Prescriptions:
    """An order for each drug when it begins, and again each year."""
    row, slot_drug, start = _regimen(course)
    start = start + rng.integers(0, 30, row.size)
    day = start[:, None] + 365 * np.arange(90)
    # Of a drug that began before the history, only the orders since its start are in the system.
    ordered = (day >= 0) & (day < np.minimum(course.death_day[row], DAYS)[:, None])
    which, year = np.nonzero(ordered)
    day = day[which, year]
    is_last = np.append(which[1:] != which[:-1], True) if which.size else np.zeros(0, dtype=bool)
    return Prescriptions(row[which], slot_drug[which], day * MINUTES + rng.integers(540, 1020, day.size), is_last)


def _regimen(course):
    """Up to four drugs a person, those of the earliest conditions: person, drug and the day it begins."""
    people = course.people
    treated = np.array([bool(c.drugs) for c in CONDITIONS])
    onset = np.where(treated, people.onset_week * 7, 10 * DAYS)
    order = np.argsort(onset, axis=1, kind="stable")[:, :SLOTS]
    start = np.take_along_axis(onset, order, axis=1)
    place = np.take_along_axis(people.drug_choice, order, axis=1)
    choices = np.array([len(c.drugs) or 1 for c in CONDITIONS])
    table = np.zeros((len(CONDITIONS), choices.max()), dtype=np.int64)
    for n, condition in enumerate(CONDITIONS):
        for k, name in enumerate(condition.drugs):
            table[n, k] = DRUG_NAMES.index(name)
    drug = table[order, (place * choices[order]).astype(np.int64)]
    row, slot = np.nonzero(start < DAYS)
    return row, drug[row, slot], start[row, slot] + 40


def draw_fills(rng: np.random.Generator, course: Course) -> Fills:
    """Each drug is filled when its supply runs out, while the person is on medication and not in hospital."""
    row, drug, start = _regimen(course)
    slot = np.arange(row.size) - np.searchsorted(row, row)
    supply = SUPPLY[slot]
    due = np.where(start < 0, rng.integers(0, 90, row.size) % supply, start)
    ends = np.minimum(course.death_day[row], DAYS)
    parts = []
    for week in range(WEEKS):
        on = (course.state[row, week] < 3) & (course.release[row, week] <= week)
        filled = np.flatnonzero((due < 7 * week + 7) & on)
        day = np.maximum(due[filled], 7 * week) + rng.integers(0, 3, filled.size)
        due[filled] = day + supply[filled]
        filled, day = filled[day < ends[filled]], day[day < ends[filled]]
        parts.append((filled, day))
    which, day = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Fills(row[which], drug[which], day, supply[which], slot[which] == 0)
