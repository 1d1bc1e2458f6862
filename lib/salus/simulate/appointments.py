"""Appointments: which visits were booked before, which of the booked ones were missed, and what is booked ahead.

They are drawn from a stream of their own, beside a course and its visits that are settled already. A visit that was
booked is the end of a chain: each booking before it was called off or missed, and made again. Whether a booking that
was not called off is missed depends on the person and on how far ahead it was made (``NO_SHOW``; docs/risk_model.md).
"""

from dataclasses import dataclass

import numpy as np

from salus.simulate.catalogue import CONDITION
from salus.simulate.clock import DAYS, DAYS_PER_YEAR, MINUTES
from salus.simulate.course import Course
from salus.simulate.people import SITES
from salus.simulate.risk import LAPSED, sigmoid
from salus.simulate.rows import Rows
from salus.simulate.visits import AMBULATORY, VISITS_A_YEAR, Visits

FULFILLED, MISSED, CALLED_OFF, AHEAD = 0, 1, 2, 3
NO_SHOW = {  # the logit of a booking, not called off, being missed
    "intercept": -3.2,
    "lead": 0.35,
    "young": 0.25,
    "forgetful": 0.8,
    "depression": 0.5,
    "lapsed": 0.5,
}
NO_SHOW_TERMS = {
    "intercept": "always",
    "lead": "natural logarithm of the days between booking and appointment",
    "young": "age in decades below 50",
    "forgetful": "forgetfulness, each standard deviation (no record shows it)",
    "depression": "depression",
    "lapsed": "medication lapsed",
}
BOOKING_SITE = SITES.index("b")  # the one whose booking system the EHR hears of
BOOKED_SHARE = 0.6  # of ambulatory visits; the others walk in
CALLED_OFF_SHARE = 0.08  # of bookings
LEAD_DAYS, LONGEST_LEAD = 24, 120  # between booking and appointment: the mean above one day, and the most
AGAIN_DAYS = 8  # within which a new booking is made
TRIES = 3  # bookings that a visit follows at most
LASTS, TOLD_AFTER = 30, 240  # minutes planned; from its start until its outcome is written down
OPENS, CLOSES = 8 * 60, 17 * 60  # minutes of a day


@dataclass(frozen=True)
class Appointments(Rows):
    """Arrays over bookings, by person, then time of booking."""

    row: np.ndarray  # int64, the person
    booked: np.ndarray  # int64, minutes since day 0
    start: np.ndarray  # int64, minutes; may lie after as-of
    outcome: np.ndarray  # int8: FULFILLED, MISSED, CALLED_OFF, or AHEAD where it is not over by as-of
    told: np.ndarray  # int64, minutes at which the outcome was written down


def draw_appointments(rng: np.random.Generator, course: Course, visits: Visits) -> Appointments:
    """All bookings of the people of ``BOOKING_SITE`` that are made before as-of."""
    parts = [*_before(rng, course, visits), _ahead(rng, course)]
    row, booked, start, outcome = (np.concatenate(part) for part in zip(*parts, strict=True))
    called_off = booked + 1 + ((start - booked - 1) * rng.random(row.size)).astype(np.int64)
    told = np.where(outcome == CALLED_OFF, called_off, start + TOLD_AFTER)
    born = course.people.birth_day[row] * MINUTES
    is_told = course.people.site[row] == BOOKING_SITE
    kept = np.flatnonzero(is_told & (booked >= 0) & (booked < DAYS * MINUTES) & (booked > born))
    kept = kept[np.lexsort((booked[kept], row[kept]))]
    outcome = np.where(told < DAYS * MINUTES, outcome, AHEAD)
    return Appointments(row[kept], booked[kept], start[kept], outcome[kept].astype(np.int8), told[kept])


def _before(rng, course, visits):
    """The bookings of visits, try by try: row, booked, start and outcome of each."""
    visit = np.flatnonzero((visits.kind == AMBULATORY) & (rng.random(len(visits)) < BOOKED_SHARE))
    row, day = visits.row[visit], visits.day[visit]
    shape = (TRIES, visit.size)
    lead, gap = _lead(rng, shape), rng.integers(1, AGAIN_DAYS + 1, shape)
    at, booked_at = rng.integers(OPENS, CLOSES, (2, *shape))
    missed = rng.random(shape) < no_show_probability(course, row, lead, day)
    outcome = np.where(rng.random(shape) < CALLED_OFF_SHARE, CALLED_OFF, np.where(missed, MISSED, FULFILLED))
    tries = np.where((outcome == FULFILLED).any(axis=0), (outcome == FULFILLED).argmax(axis=0) + 1, TRIES)
    for n in reversed(range(TRIES)):
        used, attended = n < tries, outcome[n] == FULFILLED
        due = np.where(attended, day, day - gap[n])
        start = np.where(attended, visits.start[visit], due * MINUTES + at[n])
        booked = due - lead[n]
        yield tuple(each[used] for each in (row, booked * MINUTES + booked_at[n], start, outcome[n]))
        day = np.where(used, booked, day)


def _ahead(rng, course):
    """What is booked for days from as-of on, as often as visits come; those that are not booked yet are among them."""
    people = course.people
    conditions = (people.onset_week <= DAYS // 7).sum(axis=1)
    yearly = BOOKED_SHARE * (VISITS_A_YEAR[0] + VISITS_A_YEAR[1] * conditions) * course.alive_at(DAYS)
    row = np.repeat(np.arange(len(people)), rng.poisson(yearly * LONGEST_LEAD / DAYS_PER_YEAR))
    day = DAYS + rng.integers(0, LONGEST_LEAD, row.size)
    start, booked = (
        rng.integers(OPENS, CLOSES, row.size) + each * MINUTES for each in (day, day - _lead(rng, row.size))
    )
    return row, booked, start, np.full(row.size, FULFILLED)


def _lead(rng, shape):
    """Days between booking and appointment, from 1 on."""
    return 1 + np.minimum(rng.exponential(LEAD_DAYS, shape).astype(np.int64), LONGEST_LEAD - 1)


def no_show_probability(course: Course, row: np.ndarray, lead_days: np.ndarray, day: np.ndarray) -> np.ndarray:
    """float64, shaped like ``lead_days``, how likely those that are not called off are missed.

    Args:
        course: of the people.
        row: int64 (bookings,), the person.
        lead_days: int64 (..., bookings), between booking and appointment.
        day: int64 (bookings,), of the visit that the booking is for; within the history.
    """
    people, week = course.people, day // 7
    age = (day - people.birth_day[row]) / DAYS_PER_YEAR
    depression = people.onset_week[row, CONDITION["depression"]] <= week
    logit = NO_SHOW["intercept"] + NO_SHOW["lead"] * np.log(lead_days)
    logit += NO_SHOW["young"] * np.maximum(50 - age, 0) / 10 + NO_SHOW["forgetful"] * people.forgetful[row]
    logit += NO_SHOW["depression"] * depression
    return sigmoid(logit + NO_SHOW["lapsed"] * (course.state[row, week] // 3 == LAPSED))
