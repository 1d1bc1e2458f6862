"""A population with a known course, a chunk of people at a time: what happened to them and what was written down."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from salus.simulate.appointments import Appointments, draw_appointments
from salus.simulate.cascade import Courses, draw_courses, fills_of, with_cascades
from salus.simulate.claims import Claims, draw_claims
from salus.simulate.course import Course, live
from salus.simulate.decline import Declines, draw_declines, walked, with_declines
from salus.simulate.devices import Wearing, draw_wearing
from salus.simulate.people import draw_people
from salus.simulate.programme import Offers, draw_offers, with_programme
from salus.simulate.records import (
    Diagnoses,
    Fills,
    Prescriptions,
    Results,
    draw_diagnoses,
    draw_fills,
    draw_prescriptions,
    draw_results,
)
from salus.simulate.risk import slow
from salus.simulate.visits import Visits, draw_visits

CHUNK = 5000  # people simulated at a time
PLANTS = ("order", "treatment", "decline")  # what can be planted beside what every population has


@dataclass(frozen=True)
class Chunk:
    """Some of the people, what happened to them, and everything that was written down of it."""

    number: int
    course: Course
    visits: Visits
    diagnoses: Diagnoses
    results: Results
    prescriptions: Prescriptions
    fills: Fills
    fill_paid_day: np.ndarray  # int64 (fills,)
    claims: Claims
    wearing: Wearing
    appointments: Appointments  # of a stream of their own: all else is what it was without them
    rng: np.random.Generator  # for what is left to draw
    courses: Courses | None = None  # of the planted effect of order
    offers: Offers | None = None  # of the planted treatment, to those who live
    declines: Declines | None = None  # of the planted effect that only devices show


def chunks(people: int, seed: int, plant: str | None = None, list_days: np.ndarray | None = None) -> Iterator[Chunk]:
    """The population, ``CHUNK`` people at a time; a chunk depends on the seed, its number and its size only.

    ``plant`` is one of ``PLANTS``, or None; ``list_days`` are those of ``treatment`` (``programme.list_days``).
    """
    for number, first in enumerate(range(0, people, CHUNK)):
        rng = _stream(seed, number)
        drawn = draw_people(rng, first, min(CHUNK, people - first))
        booking = _stream(seed, number, 1)
        if plant is None:
            yield _chunk(number, rng, booking, live(rng, drawn))
            continue
        own = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, number, PLANTS.index(plant) + 1])))
        if plant == "order":
            courses = draw_courses(own, drawn)
            made = _chunk(number, rng, booking, live(rng, drawn, partial(with_cascades, courses=courses)))
            yield _with_courses(own, made, courses)
        elif plant == "decline":
            declines = draw_declines(own, drawn)
            made = _chunk(number, rng, booking, live(rng, drawn, partial(with_declines, declines=declines)))
            yield replace(made, wearing=walked(made.wearing, declines, len(drawn)), declines=declines)
        else:
            assert list_days is not None
            offers = draw_offers(own, drawn, slow(drawn), list_days)
            made = _chunk(number, rng, booking, live(rng, drawn, partial(with_programme, offers=offers)))
            yield replace(made, offers=_to_the_living(offers, made.course))


def _chunk(number, rng, booking, course):
    visits = draw_visits(rng, course)
    fills = draw_fills(rng, course)
    return Chunk(
        number,
        course,
        visits,
        draw_diagnoses(rng, course, visits),
        draw_results(rng, course, visits),
        draw_prescriptions(rng, course),
        fills,
        fills.day + rng.integers(1, 5, len(fills)),
        draw_claims(rng, course, visits),
        draw_wearing(rng, course),
        draw_appointments(booking, course, visits),
        rng,
    )


def _with_courses(rng, chunk, courses):
    fills = fills_of(courses, chunk.course)
    paid_day = fills.day + rng.integers(1, 5, len(fills))
    return replace(
        chunk,
        fills=chunk.fills.followed_by(fills),
        fill_paid_day=np.concatenate([chunk.fill_paid_day, paid_day]),
        courses=courses,
    )


def _to_the_living(offers, course):
    return offers.take(np.flatnonzero(offers.day <= course.death_day[offers.row]))


def _stream(seed, number, *branch):
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, number], spawn_key=branch)))
