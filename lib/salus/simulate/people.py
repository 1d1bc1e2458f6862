"""Who the people are: age, sex, tendencies, when each condition begins, how each lab trends, and who knows them."""

from dataclasses import dataclass

import numpy as np

from salus.simulate.catalogue import CONDITION, CONDITIONS
from salus.simulate.clock import DAYS, DAYS_PER_YEAR, NO_DAY
from salus.simulate.rows import Rows

NEVER_WEEK = 1_000_000
RACES = ("white", "black", "asian", "other")
RACE_SHARES = (0.66, 0.16, 0.07, 0.11)
UNDER_RECORDED_RACE = RACES.index("black")
SITES = ("a", "b", "c")
SITE_SHARES = (0.5, 0.35, 0.15)
MOLAR_SITE = SITES.index("c")
WEEKS_PER_YEAR = DAYS_PER_YEAR / 7


@dataclass(frozen=True)
class People(Rows):
    """Arrays over people; (people,) unless stated. Days and weeks as in ``clock``."""

    number: np.ndarray  # int64, the simulated person's number, from 0
    birth_day: np.ndarray  # int64
    female: np.ndarray  # bool
    race: np.ndarray  # int8, into RACES
    hispanic: np.ndarray  # bool
    frailty: np.ndarray  # standard normal; no record shows it
    forgetful: np.ndarray  # standard normal; tendency to lapse; no record shows it
    onset_week: np.ndarray  # int64 (people, conditions); NEVER_WEEK where never
    lab_base: np.ndarray  # standard normals (people, 8): what is one's own in each lab
    lab_slope: np.ndarray  # standard normals (people, 4): hba1c, egfr, bnp, weight
    drug_choice: np.ndarray  # uniform (people, conditions): which of a condition's drugs
    steps: np.ndarray  # a day, when well
    site: np.ndarray  # int8, into SITES
    in_ehr: np.ndarray  # bool
    in_payer: np.ndarray  # bool
    in_wearable: np.ndarray  # bool
    wear_day: np.ndarray  # int64, first day with a wearable
    enrolled_day: np.ndarray  # int64, first day of enrolment
    left_day: np.ndarray  # int64, the day after the last one of enrolment; DAYS + 400 where still enrolled
    gap_day: np.ndarray  # int64, first day of the enrolment gap; NO_DAY where none
    gap_end_day: np.ndarray  # int64, first day after the gap

    def has(self, condition: str, week: np.ndarray) -> np.ndarray:
        """bool, whether the condition has begun by each week: (people,) or (people, weeks) like ``week``."""
        onset = self.onset_week[:, CONDITION[condition]]
        return (onset[:, None] if np.ndim(week) == 2 else onset) <= week

    def years_with(self, condition: str, week: np.ndarray) -> np.ndarray:
        """Years since the condition began, 0 before."""
        onset = self.onset_week[:, CONDITION[condition]]
        since = week - (onset[:, None] if np.ndim(week) == 2 else onset)
        return np.maximum(since, 0) / WEEKS_PER_YEAR


def draw_people(rng: np.random.Generator, first: int, count: int) -> People:
    """``count`` people numbered from ``first``."""
    age = _ages(rng, count)
    female = rng.random(count) < 0.52
    metabolic, smoking, frailty, forgetful = rng.standard_normal((4, count))
    birth_day = DAYS - np.floor(age * DAYS_PER_YEAR).astype(np.int64)
    lab_slope = rng.standard_normal((count, 4))
    onset = _onsets(rng, birth_day, female, metabolic, smoking)
    onset[:, CONDITION["ckd4"]] = onset[:, CONDITION["ckd3"]] + _weeks_to_stage_4(lab_slope[:, 1])
    return People(
        number=np.arange(first, first + count),
        birth_day=birth_day,
        female=female,
        race=rng.choice(len(RACES), count, p=RACE_SHARES).astype(np.int8),
        hispanic=rng.random(count) < 0.16,
        frailty=frailty,
        forgetful=forgetful,
        onset_week=onset,
        lab_base=rng.standard_normal((count, 8)),
        lab_slope=lab_slope,
        drug_choice=rng.random((count, len(CONDITIONS))),
        steps=np.clip(9000 - 75 * np.maximum(age - 30, 0) + 2000 * rng.standard_normal(count), 1200, None),
        site=rng.choice(len(SITES), count, p=SITE_SHARES).astype(np.int8),
        **_known_to(rng, birth_day, count),
        **_enrolment(rng, birth_day, count),
    )


def _ages(rng, count):
    """Years at as-of: 7 % children, 55 % of 18 to 64, 38 % of 65 to 97."""
    kind = rng.random(count)
    place = rng.random(count)
    elderly = 65 + 32 * (1 - np.sqrt(1 - place))
    return np.where(kind < 0.07, 0.2 + 17.8 * place, np.where(kind < 0.62, 18 + 47 * place, elderly))


def _onsets(rng, birth_day, female, metabolic, smoking):
    """The week in which each condition begins: the age distribution's inverse at a uniform draw."""
    onset = np.full((birth_day.size, len(CONDITIONS)), NEVER_WEEK, dtype=np.int64)
    for n, condition in enumerate(CONDITIONS):
        place = rng.random(birth_day.size)
        if not condition.ceiling:
            continue
        has = place < condition.ceiling
        share = np.where(has, place / condition.ceiling, 0.5)
        earlier = condition.metabolic * metabolic + condition.smoking * smoking + condition.female * female
        age = condition.midpoint - earlier + condition.spread * np.log(share / (1 - share))
        week = np.floor((birth_day + np.maximum(age, 0.5) * DAYS_PER_YEAR) / 7).astype(np.int64)
        onset[has, n] = week[has]
    return onset


def _weeks_to_stage_4(slope):
    """From eGFR 57 at the onset of stage 3 down to 30."""
    return np.floor(27 / kidney_decline(slope) * WEEKS_PER_YEAR).astype(np.int64)


def kidney_decline(slope: np.ndarray) -> np.ndarray:
    """mL/min/1.73 m2 lost a year once stage 3 has begun."""
    return 2.6 * np.exp(0.6 * slope)


def _known_to(rng, birth_day, count):
    ehr, payer, wearable = rng.random((3, count))
    in_ehr, in_payer = ehr < 0.90, payer < 0.85
    only = rng.random(count) < 0.003
    in_ehr |= ~in_payer
    in_wearable = in_ehr & (wearable < 0.27) & (birth_day < DAYS - 16 * DAYS_PER_YEAR)
    return {
        "in_ehr": in_ehr & ~only,
        "in_payer": in_payer & ~only,
        "in_wearable": in_wearable | only,
        "wear_day": DAYS - rng.integers(60, 900, count),
    }


def _enrolment(rng, birth_day, count):
    kind, place = rng.random((2, count))
    late = kind < 0.12
    leaves = (kind > 0.95) & ~late
    gap = (kind >= 0.12) & (kind < 0.20)
    enrolled = np.where(late, (place * (DAYS - 200)).astype(np.int64), -rng.integers(1, 700, count))
    gap_day = np.where(gap, 200 + (place * (DAYS - 500)).astype(np.int64), NO_DAY)
    return {
        "enrolled_day": np.maximum(enrolled, birth_day),
        "left_day": np.where(leaves, 400 + (place * (DAYS - 450)).astype(np.int64), DAYS + 400),
        "gap_day": gap_day,
        "gap_end_day": np.where(gap, gap_day + rng.integers(45, 200, count), NO_DAY),
    }


def enrolled(people: People, row: np.ndarray, day: np.ndarray) -> np.ndarray:
    """bool (events,), whether the payer covers the person in ``row`` on ``day``."""
    inside = (day >= people.enrolled_day[row]) & (day < people.left_day[row]) & people.in_payer[row]
    return inside & ~((day >= people.gap_day[row]) & (day < people.gap_end_day[row]))
