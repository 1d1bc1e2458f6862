"""What wearables count: steps, active and sedentary minutes, sleep and weight, on the days they are worn."""

from dataclasses import dataclass

import numpy as np

from salus.simulate.clock import DAYS
from salus.simulate.course import Course
from salus.simulate.labs import weight
from salus.simulate.rows import Rows

STEPS_FACTOR = np.array([1.0, 0.72, 0.50])  # by decompensation
WORN = (0.15, 0.45)  # share of days, least and most


@dataclass(frozen=True)
class Wearing(Rows):
    """Arrays over days worn, by person, then day."""

    row: np.ndarray
    day: np.ndarray  # int64
    steps: np.ndarray  # int64
    active: np.ndarray  # int64 (days, 3): very, fairly and lightly active minutes
    sedentary: np.ndarray  # int64, minutes
    asleep: np.ndarray  # int64, minutes; -1 where the night was not recorded
    kg: np.ndarray  # float64; NaN where not weighed


def draw_wearing(rng: np.random.Generator, course: Course) -> Wearing:
    """The days on which wearers wore their device."""
    people = course.people
    wearer = np.flatnonzero(people.in_wearable)
    share = rng.uniform(*WORN, wearer.size)
    last = np.minimum(course.death_day[wearer], DAYS)
    span = np.maximum(last - people.wear_day[wearer], 0)
    which = np.repeat(np.arange(wearer.size), span)
    day = np.arange(which.size) - np.repeat(np.cumsum(span) - span, span) + people.wear_day[wearer][which]
    worn = rng.random(which.size, dtype=np.float32) < share[which]
    worn &= course.release[wearer[which], day // 7] <= day // 7
    row, day = wearer[which[worn]], day[worn]
    worse = course.state[row, day // 7] % 3
    steps = (people.steps[row] * STEPS_FACTOR[worse] * np.exp(0.28 * rng.standard_normal(row.size))).astype(np.int64)
    lightly = np.clip(steps / 45 + rng.integers(0, 60, row.size), 0, 600).astype(np.int64)
    active = np.stack([steps // 700, steps // 600, lightly], axis=1)
    asleep = np.clip(415 - 25 * worse + 55 * rng.standard_normal(row.size), 60, 780).astype(np.int64)
    asleep = np.where(rng.random(row.size) < 0.4, asleep, -1)
    sedentary = np.clip(1440 - active.sum(axis=1) - np.where(asleep > 0, asleep, 400), 60, 1400)
    weighed = rng.random(row.size) < 0.06
    kg = np.full(row.size, np.nan)
    kg[weighed] = np.round(_weighed(people, row[weighed], day[weighed], worse[weighed], rng), 2)
    return Wearing(row, day, steps, active, sedentary, asleep, kg)


def _weighed(people, row, day, worse, rng):
    p = people.take(row)
    fluid = 2.0 * worse * p.has("heart_failure", day // 7)
    return weight(p, day // 7) + fluid + 0.4 * rng.standard_normal(row.size)
