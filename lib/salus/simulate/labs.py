"""Where each lab lies when it is well measured: a slow level that trends, and what decompensation adds to it."""

import numpy as np

from salus.simulate.catalogue import LAB
from salus.simulate.people import People, kidney_decline

STABLE, WORSENING, ACUTE = 0, 1, 2


def hba1c(people: People, week: np.ndarray) -> np.ndarray:
    """%, the slow level; rises with the years of diabetes."""
    own, slope = _column(people.lab_base, 0, week), _column(people.lab_slope, 0, week)
    diabetic = people.has("diabetes", week)
    with_it = 7.1 + 0.9 * own + (0.12 + 0.25 * slope) * people.years_with("diabetes", week).clip(0, 8)
    return np.where(diabetic, with_it, 5.4 + 0.25 * own + 0.5 * people.has("prediabetes", week)).clip(4.5, 14)


def egfr(people: People, week: np.ndarray) -> np.ndarray:
    """mL/min/1.73 m2, the slow level; falls with age, and with the years of chronic kidney disease."""
    own, slope = _column(people.lab_base, 1, week), _column(people.lab_slope, 1, week)
    age = (week * 7 - _own(people.birth_day, week)) / 365.25
    healthy = 108 - 0.55 * np.maximum(age - 30, 0) + 7 * own
    sick = 57 - kidney_decline(slope) * people.years_with("ckd3", week)
    return np.where(people.has("ckd3", week), sick, np.maximum(healthy, 61)).clip(7, 130)


def log_bnp(people: People, week: np.ndarray) -> np.ndarray:
    """Natural logarithm of BNP in pg/mL, the slow level."""
    own, slope = _column(people.lab_base, 2, week), _column(people.lab_slope, 2, week)
    with_it = 1.5 + 0.15 * np.maximum(1 + slope, 0) * people.years_with("heart_failure", week).clip(0, 8)
    return (
        3.3 + 0.45 * own + with_it * people.has("heart_failure", week) + 0.5 * people.has("atrial_fibrillation", week)
    )


def haemoglobin(people: People, week: np.ndarray) -> np.ndarray:
    """g/dL, the slow level."""
    own = _column(people.lab_base, 3, week)
    level = 14.6 - 1.1 * _own(people.female, week) + 0.7 * own
    return level - 3.0 * people.has("anaemia", week) - 1.2 * people.has("ckd4", week)


def weight(people: People, week: np.ndarray) -> np.ndarray:
    """kg, the slow level."""
    own, slope = _column(people.lab_base, 4, week), _column(people.lab_slope, 3, week)
    age = (week * 7 - _own(people.birth_day, week)) / 365.25
    grown = (
        80
        - 10 * _own(people.female, week)
        + 11 * own
        + 18 * people.has("obesity", week)
        + 22 * people.has("severe_obesity", week)
        + 0.6 * slope * (week / 52)
    )
    return np.where(age < 18, 4 + 3.4 * age, grown).clip(3.5, 260)


def measured(people: People, row: np.ndarray, week: np.ndarray, lab: str, state: np.ndarray, noise: np.ndarray):
    """What the laboratory reports, in the catalogue's unit.

    Args:
        row: int64 (results,), the person of each result.
        week: int64 (results,), its week.
        lab: the catalogue's name of the lab.
        state: int8 (results,), the decompensation of that week.
        noise: standard normal (results,).

    Returns:
        float64 (results,), unrounded.
    """
    p = people.take(row)
    worse = np.array([0.0, 0.5, 1.0])[state]
    own = p.lab_base[:, 5]
    if lab == "hba1c":
        return hba1c(p, week) + 0.15 * noise
    if lab == "glucose":
        return (28.7 * hba1c(p, week) - 46.7 + 14 * worse + 14 * noise).clip(45, 600)
    if lab == "egfr":
        return (egfr(p, week) * (1 - 0.18 * worse) * np.exp(0.05 * noise)).clip(5, 150)
    if lab == "creatinine":
        filtered = egfr(p, week) * (1 - 0.18 * worse) * np.exp(0.05 * noise)
        return (np.where(p.female, 66, 84) / filtered).clip(0.3, 14)
    if lab == "bnp":
        failing = 0.4 + 0.8 * p.has("heart_failure", week)
        return np.exp(log_bnp(p, week) + failing * worse + 0.2 * noise).clip(5, 8000)
    if lab == "weight":
        return weight(p, week) + 4.0 * worse * p.has("heart_failure", week) - 0.8 * worse + 0.5 * noise
    if lab == "haemoglobin":
        return (haemoglobin(p, week) - 0.5 * worse + 0.3 * noise).clip(4, 20)
    if lab == "crp":
        return np.exp(0.7 + 0.5 * own + 1.6 * worse + 0.5 * noise).clip(0.2, 400)
    if lab == "potassium":
        return 4.2 + 0.35 * p.has("ckd4", week) + 0.3 * noise
    if lab == "ldl":
        return (112 + 22 * own + 24 * p.has("hyperlipidaemia", week) + 9 * noise).clip(30, 300)
    raise ValueError(f"Received the lab {lab}; expected one of {', '.join(LAB)}.")


def blood_pressure(people: People, row: np.ndarray, week: np.ndarray, noise: np.ndarray) -> tuple:
    """Systolic and diastolic pressure in mm[Hg], each float64 (results,)."""
    p = people.take(row)
    systolic = 121 + 12 * p.has("hypertension", week) + 7 * p.lab_base[:, 6] + 8 * noise
    return systolic.clip(80, 230), (0.58 * systolic + 4 + 3 * p.lab_base[:, 7]).clip(40, 130)


def _own(values, week):
    return values[:, None] if np.ndim(week) == 2 else values


def _column(values, column, week):
    return _own(values[:, column], week)
