"""A planted effect of order: a diuretic that is added to a calcium channel blocker, and not the other way round.

A drug's side effect is taken for a new condition and treated with a second drug: a prescribing cascade (Rochon and
Gurwitz, BMJ 1997;315:1096-9; of these two classes, Savage et al., JAMA Intern Med 2020;180:643-51). Here a person
begins both within days of each other, in either order equally often, and from the first common refill on gets both on
the same days, as pharmacies synchronise them. So counts and days since the last are those of both drugs alike,
whichever came first, but where the edge of a window falls between the two; only who keeps the order can tell.

It is asked for (``simulate --plant order``). Without it nothing here is drawn, and with it by a generator of its own.
"""

from dataclasses import dataclass

import numpy as np

from salus.simulate.catalogue import DRUG_NAMES
from salus.simulate.clock import DAYS, DAYS_PER_YEAR
from salus.simulate.course import Course
from salus.simulate.people import People
from salus.simulate.records import Fills
from salus.simulate.risk import Slow, with_spells
from salus.simulate.rows import Rows

BLOCKER, DIURETIC = "nifedipine", "bumetanide"
EFFECT = 2.3  # on the logit of the daily hazard of an unplanned admission while a cascade lasts, 91 days later;
# tenfold odds are more than any cascade is known for, so that a few thousand people suffice to tell who sees it
PARTS = 4  # of the history, each with one course at most
BEGINS = 0.95  # share of adults and parts with a course
APART = (2, 5)  # days from the first drug to the second, least and most
TOGETHER = 14  # days from the first drug to the first refill of both, and that each first fill, a starter pack, lasts
REFILLS, SUPPLY = 2, 90  # common refills, and days that each lasts
LASTS = TOGETHER + REFILLS * SUPPLY  # days
ADULT = 18  # years


@dataclass(frozen=True)
class Courses(Rows):
    """Courses of both drugs; arrays over courses, by person, then time."""

    row: np.ndarray  # int64, the person
    first_day: np.ndarray  # int64, the day of the first drug
    second_day: np.ndarray  # int64, the day on which the other is added
    is_cascade: np.ndarray  # bool, the diuretic is the one that is added


def draw_courses(rng: np.random.Generator, people: People) -> Courses:
    """The courses of ``people``."""
    part = DAYS // PARTS
    begins = rng.random((len(people), PARTS)) < BEGINS
    first = part * np.arange(PARTS) + rng.integers(0, part - LASTS, begins.shape)
    apart = rng.integers(APART[0], APART[1] + 1, begins.shape)
    is_cascade = rng.random(begins.shape) < 0.5
    is_adult = first >= (people.birth_day + ADULT * DAYS_PER_YEAR)[:, None]
    row, place = np.nonzero(begins & is_adult)
    first_day = first[row, place]
    return Courses(row, first_day, first_day + apart[row, place], is_cascade[row, place])


def with_cascades(settled: Slow, courses: Courses) -> Slow:
    """``settled`` with what cascades add to the hazard: like all that is slow, each week's 91 days later."""
    cascades = courses.take(np.flatnonzero(courses.is_cascade))
    return with_spells(settled, cascades.row, cascades.second_day, cascades.first_day + LASTS, EFFECT)


def fills_of(courses: Courses, course: Course) -> Fills:
    """What pharmacies dispense of the courses, to those who live."""
    blocker, diuretic = DRUG_NAMES.index(BLOCKER), DRUG_NAMES.index(DIURETIC)
    first = np.where(courses.is_cascade, blocker, diuretic)
    second = blocker + diuretic - first
    together, each = courses.first_day + TOGETHER, np.ones_like(first)
    begun = [
        (courses.row, first, courses.first_day, TOGETHER * each),
        (courses.row, second, courses.second_day, TOGETHER * each),
    ]
    refills = [
        (courses.row, drug * each, together + SUPPLY * number, SUPPLY * each)
        for number in range(REFILLS)
        for drug in (blocker, diuretic)
    ]
    row, drug, day, supply = (np.concatenate(part) for part in zip(*begun, *refills, strict=True))
    fills = Fills(row, drug, day, supply, np.zeros(row.size, dtype=bool))
    return fills.take(np.flatnonzero(day < np.minimum(course.death_day[row], DAYS)))
