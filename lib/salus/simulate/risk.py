"""The risk model: what the hazards of an unplanned admission and of death depend on, and their coefficients.

docs/risk_model.md writes it out. What is slow (age, conditions, lab levels) acts with a lag of 91 days, so that it is
settled at any prediction for the 90 days after it; what is fast is a Markov chain of six states with weekly steps.
"""

from dataclasses import dataclass, replace

import numpy as np

from salus.simulate.catalogue import CONDITIONS
from salus.simulate.clock import DAYS_PER_YEAR, LAG_WEEKS, WEEKS
from salus.simulate.labs import egfr, haemoglobin, hba1c, log_bnp
from salus.simulate.people import People

ON, LAPSED = 0, 1
STATES = 6  # 3 * lapsed + decompensation
AHEAD = 15  # weeks after as-of that a horizon can touch
RECENT_DECAY = float(np.exp(-1 / 6))  # a week
LASTING_DECAY = float(np.exp(-1 / 45))  # a week

ADMISSION = {
    "intercept": -8.92,
    "age": 0.22,
    "old": 0.15,
    "male": 0.10,
    "hba1c": 0.18,
    "egfr": 0.07,
    "bnp": 0.25,
    "haemoglobin": 0.12,
    "frailty": 0.25,
    "recent": 0.50,
    "lasting": 0.25,
    "lapsed": 0.45,
    "worsening": 1.20,
    "acute": 1.70,
}
DEATH = {
    "intercept": -12.0,
    "age": 0.75,
    "old": 0.25,
    "male": 0.25,
    "frailty": 0.25,
    "recent": 0.60,
    "worsening": 0.70,
    "acute": 1.60,
}
WORSENING_LOGIT = {  # weekly, from stable
    "intercept": -5.3,
    "age": 0.10,
    "frailty": 0.10,
    "lapsed": 1.0,
}
LAPSE_LOGIT = {  # weekly, of those who have a drug
    "intercept": -4.3,
    "forgetful": 0.5,
}
FAST = {  # weekly probabilities
    "lapsed to on, while stable": 0.07,
    "lapsed to on, while worsening or acute": 0.14,
    "worsening to stable, on": 0.12,
    "worsening to stable, lapsed": 0.06,
    "worsening to acute": 0.07,
    "acute to worsening": 0.22,
    "acute to stable": 0.05,
}
TERMS = {
    "intercept": "always",
    "age": "age in decades from 60 (negative below; from age 20 on)",
    "old": "age in decades above 75",
    "male": "male",
    "hba1c": "hba1c",
    "egfr": "egfr",
    "bnp": "BNP, each unit of its natural logarithm above 100 pg/mL",
    "haemoglobin": "haemoglobin",
    "frailty": "frailty, each standard deviation (no record shows it)",
    "forgetful": "forgetfulness, each standard deviation (no record shows it)",
    "recent": "admissions, each decaying by exp(-1/6) a week, the sum at most 1.5",
    "lasting": "admissions, each decaying by exp(-1/45) a week, the sum at most 2",
    "lapsed": "medication lapsed",
    "worsening": "decompensation: worsening",
    "acute": "decompensation: acute",
}


@dataclass(frozen=True)
class Slow:
    """What is settled 91 days ahead, float32 (people, WEEKS + AHEAD), one column a week of the hazard."""

    admission: np.ndarray  # logit of the daily hazard without admissions and the fast state
    death: np.ndarray
    worsening: np.ndarray  # logit of the weekly probability to worsen, on medication
    lapse: np.ndarray  # weekly probability to lapse


def slow(people: People) -> Slow:
    """The slow part of the risk of each person and week."""
    week = np.arange(WEEKS + AHEAD)[None, :] - LAG_WEEKS
    age = (7 * week - people.birth_day[:, None]) / DAYS_PER_YEAR
    decades = ((np.maximum(age, 20) - 60) / 10).astype(np.float32)
    old = (np.maximum(age - 75, 0) / 10).astype(np.float32)
    male, frailty = ~people.female[:, None], people.frailty[:, None].astype(np.float32)
    admission = _linear(ADMISSION, decades, old, male) + _labs(people, week)
    death = _linear(DEATH, decades, old, male)
    worsening = np.float32(WORSENING_LOGIT["intercept"]) + np.float32(WORSENING_LOGIT["age"]) * decades
    for logit, table in ((admission, ADMISSION), (death, DEATH), (worsening, WORSENING_LOGIT)):
        logit += np.float32(table["frailty"]) * frailty
    treated = np.zeros(age.shape, dtype=bool)
    for n, condition in enumerate(CONDITIONS):
        has = people.onset_week[:, n, None] <= week
        for logit, weight in (
            (admission, condition.admission),
            (death, condition.death),
            (worsening, condition.burden),
        ):
            if weight:
                logit += has * np.float32(weight)
        if condition.drugs:
            treated |= has
    lapse = sigmoid(LAPSE_LOGIT["intercept"] + LAPSE_LOGIT["forgetful"] * people.forgetful[:, None].astype(np.float32))
    return Slow(admission, death, worsening, treated * lapse.astype(np.float32))


def with_spells(settled: Slow, row: np.ndarray, first_day: np.ndarray, end_day: np.ndarray, effect: float) -> Slow:
    """``settled`` with ``effect`` on the logit of an admission in spells: like all that is slow, 91 days later.

    Args:
        settled: of all people.
        row: int64 (spells,), the person of each.
        first_day, end_day: int64 (spells,), the first day of each, and the day after its last.
        effect: of a spell, on the logit of the daily hazard.
    """
    week = np.arange(settled.admission.shape[1])[None, :] - LAG_WEEKS
    lasts = (7 * week >= first_day[:, None]) & (7 * week < end_day[:, None])
    admission = settled.admission.copy()
    np.add.at(admission, row, lasts * np.float32(effect))
    return replace(settled, admission=admission)


def _linear(table, decades, old, male):
    f = np.float32
    return f(table["intercept"]) + f(table["age"]) * decades + f(table["old"]) * old + f(table["male"]) * male


def _labs(people, week):
    a = ADMISSION
    total = a["hba1c"] * np.maximum(hba1c(people, week) - 8, 0)
    total += a["egfr"] * np.maximum(60 - egfr(people, week), 0) / 10
    total += a["bnp"] * np.maximum(log_bnp(people, week) - np.log(100), 0)
    total += a["haemoglobin"] * np.maximum(12 - haemoglobin(people, week), 0)
    return total.astype(np.float32)


def sigmoid(logit: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-logit))."""
    return 1 / (1 + np.exp(-logit))


def _by_state(table):
    values = np.zeros(STATES)
    for lapsed in (ON, LAPSED):
        for n, name in enumerate(("stable", "worsening", "acute")):
            values[3 * lapsed + n] = table.get(name, 0) + lapsed * table.get("lapsed", 0)
    return values


ADMISSION_BY_STATE, DEATH_BY_STATE = _by_state(ADMISSION), _by_state(DEATH)


def hazards(slow_admission, slow_death, recent, lasting, state=None):
    """Daily hazards of an unplanned admission and, without one that day, of death.

    Args:
        slow_admission, slow_death: (people,), the week's columns of ``Slow``.
        recent, lasting: (people,), the decaying sums of earlier admissions.
        state: (people,), the fast state of each; all six states of everybody where it is None.

    Returns:
        Two float64 arrays, (people,), or (6, people) where ``state`` is None.
    """
    short = np.minimum(recent, 1.5)
    admission = slow_admission + ADMISSION["recent"] * short + ADMISSION["lasting"] * np.minimum(lasting, 2)
    death = slow_death + DEATH["recent"] * short
    if state is None:
        return sigmoid(admission + ADMISSION_BY_STATE[:, None]), sigmoid(death + DEATH_BY_STATE[:, None])
    return sigmoid(admission + ADMISSION_BY_STATE[state]), sigmoid(death + DEATH_BY_STATE[state])


def within(daily: np.ndarray, death: np.ndarray, days: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities over ``days`` days of equal hazards: admitted first, and neither admitted nor dead."""
    stays = (1 - daily) * (1 - death)
    neither = _power(stays, days)
    return daily * (1 - neither) / np.maximum(1 - stays, 1e-300), neither


def _power(base, exponent):
    """``base ** exponent`` of a small whole number, by squaring: several times as fast as numpy's power."""
    result = None
    while exponent:
        if exponent & 1:
            result = base if result is None else result * base
        base, exponent = base * base, exponent >> 1
    return result


def _of_each_state(stable, worsening, acute):
    """Constants by state, of which a pair is (on medication, lapsed)."""
    pairs = [value if isinstance(value, tuple) else (value, value) for value in (stable, worsening, acute)]
    return np.array([pair[lapsed] for lapsed in (ON, LAPSED) for pair in pairs])


RESUMES = _of_each_state(FAST["lapsed to on, while stable"], *[FAST["lapsed to on, while worsening or acute"]] * 2)
TO_STABLE = _of_each_state(
    0.0, (FAST["worsening to stable, on"], FAST["worsening to stable, lapsed"]), FAST["acute to stable"]
)
TO_ACUTE = _of_each_state(0.0, FAST["worsening to acute"], 1 - FAST["acute to stable"] - FAST["acute to worsening"])


def transitions(state, slow_worsening: np.ndarray, lapse: np.ndarray) -> tuple:
    """What the fast state does in a week.

    Args:
        state: int64 (people,), or one int for everybody.
        slow_worsening: (people,), the week's column of ``Slow.worsening``.
        lapse: (people,), the week's column of ``Slow.lapse``.

    Returns:
        The probability that adherence changes, and those that decompensation is then stable, worsening and acute:
        each (people,), or a float where one state has the same for everybody.
    """
    if np.ndim(state) == 0 and state % 3:
        changes = RESUMES[state] if state >= 3 else lapse
        return changes, TO_STABLE[state], 1 - TO_STABLE[state] - TO_ACUTE[state], TO_ACUTE[state]
    worsen = sigmoid(slow_worsening + WORSENING_LOGIT["lapsed"] * (state // 3))
    changes = np.where(np.asarray(state) >= 3, RESUMES[state], lapse)
    stable = np.where(np.asarray(state) % 3 == 0, 1 - worsen, TO_STABLE[state])
    return changes, stable, 1 - stable - TO_ACUTE[state], TO_ACUTE[state]
