"""The evidence for the risk at each index date: the terms of the risk model, as well as what was available shows them.

These are the inputs of the attainable model (docs/risk_model.md). Nothing here looks at the state itself.
"""

from collections.abc import Iterator

import numpy as np

from salus.simulate.catalogue import CAUSE, CONDITION, CONDITIONS, LAB
from salus.simulate.clock import DAYS, DAYS_PER_YEAR, MINUTES, Clock
from salus.simulate.grid import Grid
from salus.simulate.people import enrolled
from salus.simulate.population import Chunk
from salus.simulate.visits import AMBULATORY, EMERGENCY, UNPLANNED

UNKNOWN = 10 * DAYS  # the day on which what nobody records becomes available
WEAR_LAG_DAYS = 2  # from the start of a day worn until its summary is available
SYMPTOMS = [CAUSE[c] for c in ("R06.02", "R53.83", "R60.9")]


def evidence(clock: Clock, chunk: Chunk) -> Iterator[tuple[str, np.ndarray]]:
    """Each term's name and its value, broadcastable to (people, index dates)."""
    grid = Grid(len(chunk.course.people), clock.index_days)
    yield from _people(grid, chunk)
    conditions = _conditions(grid, chunk)
    for name in CONDITION:
        yield name, conditions[name]
    yield from _labs(grid, chunk, conditions)
    yield from _visits(grid, chunk)
    yield from _fills(grid, chunk)
    yield from _steps(grid, chunk)


def _people(grid, chunk):
    people = chunk.course.people
    age = (grid.days - people.birth_day[:, None]) / DAYS_PER_YEAR
    yield "age", (np.maximum(age, 20) - 60) / 10
    yield "old", np.maximum(age - 75, 0) / 10
    yield "male", ~people.female[:, None]
    yield "not in the EHR", ~people.in_ehr[:, None]
    yield "not insured", ~people.in_payer[:, None]


def visit_known_day(chunk: Chunk) -> np.ndarray:
    """int64 (visits,), the first day at whose 00:00 the visit was known: to the EHR at its start, else when paid."""
    visits = chunk.visits
    in_ehr = chunk.course.people.in_ehr[visits.row]
    known = np.where(in_ehr, visits.day + 1, UNKNOWN)
    np.minimum.at(known, chunk.claims.visit, chunk.claims.paid_day + 1)
    return known


def _conditions(grid, chunk):
    entries, visits, claims = chunk.diagnoses, chunk.visits, chunk.claims
    in_ehr = chunk.course.people.in_ehr[entries.row]
    known = {}
    listed = visits.listed[claims.visit]
    cause = visits.cause[claims.visit]
    for n, condition in enumerate(CONDITIONS):
        mine = in_ehr & (entries.condition == n)
        billed = (listed == n).any(axis=1)
        if condition.name in ("heart_failure", "copd"):
            billed |= cause == CAUSE["I50.9" if condition.name == "heart_failure" else "J44.1"]
        row = np.concatenate([entries.row[mine], claims.row[billed]])
        day = np.concatenate([entries.recorded[mine] // MINUTES + 1, claims.paid_day[billed] + 1])
        known[condition.name] = grid.known(row, day)
    return known


def _labs(grid, chunk, conditions):
    results = chunk.results
    in_ehr = chunk.course.people.in_ehr[results.row]
    for name, excess, of in (
        ("hba1c", lambda v: np.maximum(v - 8, 0), "diabetes"),
        ("egfr", lambda v: np.maximum(60 - v, 0) / 10, "ckd3"),
        ("bnp", lambda v: np.maximum(np.log(v) - np.log(100), 0), "heart_failure"),
        ("haemoglobin", lambda v: np.maximum(12 - v, 0), "anaemia"),
        ("crp", np.log, None),
        ("weight", None, None),
    ):
        here = np.flatnonzero(in_ehr & (results.lab == LAB[name]))
        row, day, known = results.row[here], results.time[here] // MINUTES, results.issued[here] // MINUTES + 1
        value = results.value[here]
        raised = value if excess is None else excess(value)
        last, when = grid.last(row, results.time[here], known, raised, day)
        count = grid.window(row, day, known, 730)
        mean = grid.window(row, day, known, 730, raised) / np.maximum(count, 1)
        fresh = np.exp((np.nan_to_num(when, nan=-1e6) - grid.days) / 40)
        if name == "weight":
            yield (
                "weight above its mean, heart failure",
                np.nan_to_num(last - mean).clip(-6, 6) * fresh * conditions["heart_failure"],
            )
            continue
        if of:
            yield f"mean {name}", mean
            yield f"no {name}", (count == 0) & conditions[of]
        if name in ("bnp", "crp"):
            yield f"last {name}, fresh", np.nan_to_num(last) * fresh
        if name in ("egfr", "bnp"):
            yield f"last {name} against its mean, fresh", np.nan_to_num(last - mean) * fresh


def _visits(grid, chunk):
    visits, known = chunk.visits, visit_known_day(chunk)
    day = visits.day
    kinds = {
        "ambulatory": visits.kind == AMBULATORY,
        "emergency": visits.kind == EMERGENCY,
        "symptoms": np.isin(visits.cause, SYMPTOMS),
        "admission": visits.kind == UNPLANNED,
    }
    for name, decays in (
        ("ambulatory", (40, 365)),
        ("emergency", (40, 365)),
        ("symptoms", (40, 365)),
        ("admission", (20, 42, 315)),
    ):
        here = np.flatnonzero(kinds[name] & (known < UNKNOWN))
        for decay in decays:
            total = grid.fading(visits.row[here], day[here], known[here], decay)
            yield f"{name}, fading in {decay} days", np.minimum(total, 2.0 if decay > 90 else 1.5)
    stay = np.flatnonzero(kinds["admission"] & chunk.course.people.in_ehr[visits.row])
    inside = np.zeros(grid.shape)
    for n, today in enumerate(grid.days):
        here = stay[(known[stay] <= today) & (visits.end[stay] > today * MINUTES)]
        inside[visits.row[here], n] = 1
    yield "in hospital", inside


def _fills(grid, chunk):
    fills = chunk.fills
    paid = enrolled(chunk.course.people, fills.row, fills.day)
    here = np.flatnonzero(paid & fills.primary)
    row, day, known = fills.row[here], fills.day[here], chunk.fill_paid_day[here] + 1
    (last,) = grid.last(row, day, known, day)
    treated = ~np.isnan(last)
    covered = chunk.course.people.in_payer[:, None] & _covered(grid, chunk)
    overdue = np.where(treated, grid.days - np.nan_to_num(last) - 30, 0) * covered
    yield "has filled", treated & covered
    yield "no fill yet, treated condition", ~treated & covered
    for least in (6, 14, 28):
        yield f"fill overdue for {least} days", overdue > least
    yield "fill overdue, 30 days", np.clip(overdue, 0, 120) / 30
    yield "fills missed in a year", treated * covered * np.maximum(11 - grid.window(row, day, known, 365), 0) / 11


def _covered(grid, chunk):
    everyone = np.arange(grid.people)
    return np.stack([enrolled(chunk.course.people, everyone, np.full(grid.people, d - 1)) for d in grid.days], axis=1)


def _steps(grid, chunk):
    worn = chunk.wearing
    known = worn.day + WEAR_LAG_DAYS
    level = np.log(worn.steps + 100.0)
    recent, now = grid.window(worn.row, worn.day, known, 16), grid.window(worn.row, worn.day, known, 16, level)
    usual, before = grid.window(worn.row, worn.day, known, 200), grid.window(worn.row, worn.day, known, 200, level)
    earlier = usual - recent
    fall = (before - now) / np.maximum(earlier, 1) - now / np.maximum(recent, 1)
    there = (recent > 0) & (earlier > 2)
    yield "steps below usual", np.where(there, fall * recent / (recent + 1.5), 0)
    yield "steps known", there
