"""What happens to people over the years: the fast state, unplanned admissions and deaths, week by week."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from salus.simulate.clock import DAYS, WEEKS
from salus.simulate.people import People
from salus.simulate.risk import (
    LASTING_DECAY,
    RECENT_DECAY,
    Slow,
    hazards,
    slow,
    transitions,
    within,
)

ON_WORSENING = 1  # the state in which somebody leaves hospital: on medication, not yet well
ALIVE = 10 * DAYS  # the death day of those who live


@dataclass(frozen=True)
class Course:
    """The states of every week, and the admissions and deaths; arrays (people, WEEKS) unless stated."""

    people: People
    slow: Slow
    state: np.ndarray  # int8, at the week's start: 3 * lapsed + decompensation
    recent: np.ndarray  # decaying sums of admissions at the week's start
    lasting: np.ndarray
    release: np.ndarray  # int16, the first week in which the person can be admitted (again)
    death_day: np.ndarray  # int64 (people,); ALIVE where alive at as-of
    admission_row: np.ndarray  # int64 (admissions,), the person; by day, then person
    admission_day: np.ndarray  # int64 (admissions,)
    stay: np.ndarray  # int64 (admissions,), days from admission to discharge

    def alive_at(self, day: int) -> np.ndarray:
        """bool (people,), born before and not dead at 00:00 of ``day``."""
        return (self.people.birth_day < day) & (self.death_day >= day)

    def state_at(self, day: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """State, recent and lasting admissions and the week of release at 00:00 of ``day``, each (people,)."""
        week = day // 7
        state, release = self.state[:, week].astype(np.int64), self.release[:, week].astype(np.int64)
        recent, lasting = self.recent[:, week].copy(), self.lasting[:, week].copy()
        just = (self.admission_day >= 7 * week) & (self.admission_day < day)
        row = self.admission_row[just]
        state[row] = ON_WORSENING
        recent[row] += 1
        lasting[row] += 1
        release[row] = released(self.admission_day[just], self.stay[just])
        return state, recent, lasting, release


def released(day: np.ndarray, stay: np.ndarray | int) -> np.ndarray:
    """The first week that begins on or after discharge."""
    return -(-(day + stay) // 7)


def live(rng: np.random.Generator, people: People, planted: Callable[[Slow], Slow] = lambda settled: settled) -> Course:
    """The course of everybody through the whole history, and the state at as-of as its last column.

    ``planted`` changes what is settled beforehand.
    """
    settled = planted(slow(people))
    count, columns = len(people), WEEKS + 1
    weeks = {
        name: np.zeros((columns, count), dtype)
        for name, dtype in (("state", np.int8), ("recent", np.float64), ("lasting", np.float64), ("release", np.int16))
    }
    state = np.where(rng.random(count) < 0.9, 0, 1).astype(np.int64)
    recent, lasting, release = np.zeros(count), np.zeros(count), released(people.birth_day, 1).clip(0)
    death_day = np.full(count, ALIVE)
    admissions = []
    for week in range(columns):
        for name, values in (("state", state), ("recent", recent), ("lasting", lasting), ("release", release)):
            weeks[name][week] = values
        if week == WEEKS:
            break
        chance = rng.random((5, count))
        at_risk = (release <= week) & (death_day == ALIVE)
        day, admitted, dies = _events(chance, settled, week, state, recent, lasting, at_risk)
        death_day = np.where(dies, 7 * week + day, death_day)
        row = np.flatnonzero(admitted)
        stay = _stay(chance[2, row], state[row])
        admissions.append((row, 7 * week + day[row], stay))
        state = np.where(admitted, ON_WORSENING, state)
        recent, lasting = (recent + admitted) * RECENT_DECAY, (lasting + admitted) * LASTING_DECAY
        release[row] = released(7 * week + day[row], stay)
        state = _moved(chance[3:], settled, week, state)
    row, day, stay = (np.concatenate(part) for part in zip(*admissions, strict=True))
    return Course(
        people,
        settled,
        **{name: values.T for name, values in weeks.items()},
        death_day=death_day,
        admission_row=row,
        admission_day=day,
        stay=stay,
    )


def _events(chance, settled, week, state, recent, lasting, at_risk):
    """The day of the week on which something happens, and whether it is an admission or a death."""
    daily, death = hazards(settled.admission[:, week], settled.death[:, week], recent, lasting, state)
    to_admission, neither = within(daily, death, 7)
    any_event = 1 - neither
    happens = at_risk & (chance[0] < any_event)
    stays = (1 - daily) * (1 - death)
    # The first day of an event, given one within the week: the geometric distribution's inverse at the same draw.
    day = np.floor(np.log1p(-np.minimum(chance[0], any_event)) / np.log(stays)).clip(0, 6).astype(np.int64)
    admitted = happens & (chance[1] * any_event < to_admission)
    return day, admitted, happens & ~admitted


def _stay(chance, state):
    """Days in hospital: geometric with a mean of about 4, longer when acute."""
    mean = np.where(state % 3 == 2, 6.0, 4.0)
    return 1 + np.floor(np.log1p(-chance) / np.log1p(-1 / mean)).astype(np.int64).clip(0, 40)


def _moved(chance, settled, week, state):
    changes, stable, worsening, _ = transitions(state, settled.worsening[:, week], settled.lapse[:, week])
    lapsed = (state // 3) ^ (chance[0] < changes)
    return 3 * lapsed + np.where(chance[1] < stable, 0, np.where(chance[1] < stable + worsening, 1, 2))
