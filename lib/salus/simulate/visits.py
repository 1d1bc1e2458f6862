"""Visits: who comes in when, why, and with which diagnoses; the unplanned admissions are those of the course."""

from dataclasses import dataclass

import numpy as np

from salus.simulate.catalogue import CAUSE, CONDITION, CONDITIONS
from salus.simulate.clock import DAYS, DAYS_PER_YEAR, MINUTES, WEEKS
from salus.simulate.course import Course
from salus.simulate.rows import Rows

AMBULATORY, EMERGENCY, UNPLANNED, ELECTIVE = 0, 1, 2, 3
LISTED = 3  # chronic conditions that a claim lists at most
VISITS_A_YEAR = (1.2, 0.33)  # ambulatory: everybody, and for each condition
AMBULATORY_FACTOR = np.array([1.0, 2.6, 3.2])  # by decompensation
EMERGENCY_A_WEEK = np.array([0.0022, 0.035, 0.085])
ELECTIVE_A_WEEK = 0.0009  # of those with osteoarthritis


@dataclass(frozen=True)
class Visits(Rows):
    """Arrays over visits, by person, then time."""

    row: np.ndarray  # int64, the person
    kind: np.ndarray  # int8: AMBULATORY, EMERGENCY, UNPLANNED, ELECTIVE
    start: np.ndarray  # int64, minutes since day 0
    end: np.ndarray  # int64, minutes; may lie after as-of
    cause: np.ndarray  # int8, into CAUSES
    urgent: np.ndarray  # bool, priority UR (else EM) of an unplanned admission
    state: np.ndarray  # int8, decompensation of the week
    listed: np.ndarray  # int16 (visits, LISTED), into CONDITIONS; -1 for none

    @property
    def day(self) -> np.ndarray:
        """The day of the visit."""
        return self.start // MINUTES

    @property
    def end_day(self) -> np.ndarray:
        """The day of its end."""
        return self.end // MINUTES


def draw_visits(rng: np.random.Generator, course: Course) -> Visits:
    """All visits of a course that begin before as-of."""
    level = (course.state[:, :WEEKS] % 3).astype(np.int8)
    row, week, kind = _outpatient(rng, course, level)
    day = 7 * week + rng.integers(0, 7, row.size)
    start = day * MINUTES + rng.integers(8 * 60, 18 * 60, row.size)
    length = np.where(kind == ELECTIVE, MINUTES * rng.integers(2, 5, row.size), rng.integers(15, 240, row.size))
    admitted = course.admission_row.size
    night = course.admission_day * MINUTES + rng.integers(30, MINUTES, admitted)
    row = np.concatenate([row, course.admission_row])
    kind = np.concatenate([kind, np.full(admitted, UNPLANNED, dtype=np.int8)])
    start = np.concatenate([start, night])
    end = np.concatenate([start[: length.size] + length, _discharge(rng, course)])
    keep = _possible(course, row, kind, start)
    row, kind, start, end = row[keep], kind[keep], start[keep], end[keep]
    order = np.lexsort((start, row))
    row, kind, start, end = row[order], kind[order], start[order], end[order]
    state = level[row, start // MINUTES // 7]
    has = course.people.onset_week[row] * 7 <= (start // MINUTES)[:, None]
    return Visits(
        row, kind, start, end, _causes(rng, kind, state, has), rng.random(row.size) < 0.3, state, _listed(rng, has)
    )


def _outpatient(rng, course, level):
    people = course.people
    conditions = (people.onset_week[:, :, None] <= np.array([0, 52, 104, 156])).sum(axis=1)
    yearly = VISITS_A_YEAR[0] + VISITS_A_YEAR[1] * conditions
    rate = np.repeat(yearly * 7 / DAYS_PER_YEAR, 53, axis=1)[:, :WEEKS]
    chance = rng.random(level.shape, dtype=np.float32)
    emergency = EMERGENCY_A_WEEK[level]
    planned = ELECTIVE_A_WEEK * (people.onset_week[:, CONDITION["osteoarthritis"]] <= 100)
    at_emergency = chance < emergency
    elective = ~at_emergency & (chance < emergency + planned[:, None])
    ambulatory = chance > 1 - rate * AMBULATORY_FACTOR[level]
    kinds = np.full(level.shape, -1, dtype=np.int8)
    kinds[ambulatory], kinds[at_emergency], kinds[elective] = AMBULATORY, EMERGENCY, ELECTIVE
    row, week = np.nonzero((kinds >= 0) & (course.release[:, :WEEKS] <= np.arange(WEEKS)))
    return row, week, kinds[row, week]


def _discharge(rng, course):
    """Between 9 and 17 o'clock of the day of discharge."""
    return (course.admission_day + course.stay) * MINUTES + rng.integers(9 * 60, 17 * 60, course.stay.size)


def _possible(course, row, kind, start):
    """Born, alive, in the history, and not while in hospital for something else."""
    day = start // MINUTES
    keep = (day < course.death_day[row]) & (day > course.people.birth_day[row]) & (day < DAYS)
    week = day // 7
    in_week = np.full((len(course.people), WEEKS), 7 * WEEKS, dtype=np.int32)
    in_week[course.admission_row, course.admission_day // 7] = course.admission_day
    return keep & ((kind == UNPLANNED) | (day < in_week[row, np.minimum(week, WEEKS - 1)]))


def _causes(rng, kind, state, has):
    place = rng.random(kind.size)
    symptom = np.array([CAUSE[c] for c in ("R06.02", "R53.83", "R60.9")])[(place * 3).astype(np.int64)]
    passing = np.array([CAUSE[c] for c in ("Z00.00", "Z00.00", "J06.9", "M54.50")])[(place * 4).astype(np.int64)]
    acute = np.array([CAUSE[c] for c in ("J18.9", "A41.9", "N39.0", "R07.9")])[(place * 4).astype(np.int64)]
    again = rng.random(kind.size)
    for name, code in (("ckd3", "N17.9"), ("copd", "J44.1"), ("heart_failure", "I50.9")):
        acute = np.where(has[:, CONDITION[name]] & (again < 0.6), CAUSE[code], acute)
        again = (again * 7.3) % 1
    cause = np.where(rng.random(kind.size) < np.array([0.03, 0.6, 0.7])[state], symptom, passing)
    cause = np.where(kind == EMERGENCY, np.where(state > 0, symptom, np.where(place < 0.5, passing, acute)), cause)
    cause = np.where(kind == UNPLANNED, acute, cause)
    return np.where(kind == ELECTIVE, CAUSE["M17.9"], cause).astype(np.int8)


def _listed(rng, has):
    """Up to three of the conditions that the person has, at random, on each visit's claim."""
    coded = np.array([bool(c.icd10) for c in CONDITIONS])
    key = rng.random(has.shape, dtype=np.float32) * (has & coded)
    first = np.argpartition(-key, LISTED, axis=1)[:, :LISTED]
    return np.where(np.take_along_axis(key, first, axis=1) > 0, first, -1).astype(np.int16)
