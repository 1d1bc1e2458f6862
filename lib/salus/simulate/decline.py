"""A planted effect that only devices show: months in which somebody walks far less than before, and falls ill more.

Low physical activity is a part of frailty and tells of admissions (Fried et al., J Gerontol A 2001;56:M146-56). Here
adults of all kinds go through such months. No diagnosis, no result and no claim names them; who wears a device takes
half of the steps that one used to, so of wearers a series of steps tells, and of all others nothing does.

It is asked for (``simulate --plant decline``). Without it nothing here is drawn, and with it by a generator of its own.
"""

from dataclasses import dataclass, replace

import numpy as np

from salus.simulate.clock import DAYS, DAYS_PER_YEAR
from salus.simulate.devices import Wearing
from salus.simulate.people import People
from salus.simulate.risk import Slow, with_spells
from salus.simulate.rows import Rows

EFFECT = 2.5  # on the logit of the daily hazard of an unplanned admission while a decline lasts, 91 days later
STEPS_FACTOR = 0.5  # of what one would have walked
PARTS = 4  # of the history, each with one decline at most
BEGINS = 0.5  # share of adults and parts with a decline
LASTS = 120  # days
ADULT = 18  # years


@dataclass(frozen=True)
class Declines(Rows):
    """Arrays over declines, by person, then time."""

    row: np.ndarray  # int64, the person
    first_day: np.ndarray  # int64


def draw_declines(rng: np.random.Generator, people: People) -> Declines:
    """The declines of ``people``, whether they wear a device or not."""
    part = DAYS // PARTS
    begins = rng.random((len(people), PARTS)) < BEGINS
    first = part * np.arange(PARTS) + rng.integers(0, part - LASTS, begins.shape)
    is_adult = first >= (people.birth_day + ADULT * DAYS_PER_YEAR)[:, None]
    row, place = np.nonzero(begins & is_adult)
    return Declines(row, first[row, place])


def with_declines(settled: Slow, declines: Declines) -> Slow:
    """``settled`` with what declines add to the hazard: like all that is slow, each week's 91 days later."""
    return with_spells(settled, declines.row, declines.first_day, declines.first_day + LASTS, EFFECT)


def walked(wearing: Wearing, declines: Declines, people: int) -> Wearing:
    """``wearing`` of so many ``people`` with the fewer steps of the days of a decline, and what follows from steps."""
    is_declining = np.zeros((people, DAYS), bool)
    for row, first in zip(declines.row, declines.first_day, strict=True):
        is_declining[row, first : first + LASTS] = True
    factor = np.where(is_declining[wearing.row, wearing.day], STEPS_FACTOR, 1.0)
    active = (wearing.active * factor[:, None]).astype(np.int64)
    sat = np.clip(wearing.sedentary + (wearing.active - active).sum(axis=1), 60, 1400)
    return replace(
        wearing,
        steps=(wearing.steps * factor).astype(np.int64),
        active=active,
        sedentary=np.where(factor < 1, sat, wearing.sedentary),
    )
