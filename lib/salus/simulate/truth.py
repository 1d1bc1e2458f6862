"""The truth: the probability of a first unplanned admission before death in the 90 days after an index date.

It is exact given the full state at the index date: the distribution over the six fast states is carried on week by
week, and in each week, or part of one, it loses to admission and to death what the daily hazards take. Nothing else
that the hazards depend on is open: what is slow acts 91 days later, and earlier admissions only fade.
"""

import numpy as np

from salus.simulate.clock import HORIZON_DAYS
from salus.simulate.course import Course
from salus.simulate.risk import (
    LASTING_DECAY,
    RECENT_DECAY,
    STATES,
    Slow,
    hazards,
    transitions,
    within,
)


def true_probability(course: Course, day: int) -> np.ndarray:
    """float64 (people,), for a prediction at 00:00 of ``day``; NaN for the dead and the unborn."""
    week, offset = divmod(day, 7)
    state, recent, lasting, release = course.state_at(day)
    still = np.zeros((STATES, state.size))
    still[state, np.arange(state.size)] = 1.0
    admitted = np.zeros(state.size)
    remaining, days = HORIZON_DAYS, 7 - offset
    while remaining:
        days = min(days, remaining)
        open_to_it = release <= week
        daily, death = hazards(course.slow.admission[:, week], course.slow.death[:, week], recent, lasting)
        to_admission, neither = within(daily * open_to_it, death * open_to_it, days)
        admitted += (still * to_admission).sum(axis=0)
        still *= neither
        remaining -= days
        if remaining:
            still = carried(still, course.slow, week)
            recent, lasting, week, days = recent * RECENT_DECAY, lasting * LASTING_DECAY, week + 1, 7
    return np.where(course.alive_at(day), admitted, np.nan)


def carried(still: np.ndarray, slow: Slow, week: int) -> np.ndarray:
    """The distribution over the fast states, (6, people), after the transition at the end of ``week``."""
    after = np.zeros_like(still)
    for state in range(STATES):
        changes, *levels = transitions(state, slow.worsening[:, week], slow.lapse[:, week])
        lapsed = state // 3
        for level, chance in enumerate(levels):
            if np.ndim(chance) == 0 and chance == 0:
                continue
            moved = still[state] * chance
            lost = moved * changes
            after[3 * (1 - lapsed) + level] += lost
            after[3 * lapsed + level] += moved - lost
    return after


def outcome(course: Course, day: int) -> np.ndarray:
    """bool (people,), whether a first unplanned admission came in the 90 days from ``day`` on."""
    happened = np.zeros(len(course.people), dtype=bool)
    inside = (course.admission_day >= day) & (course.admission_day < day + HORIZON_DAYS)
    happened[course.admission_row[inside]] = True
    return happened
