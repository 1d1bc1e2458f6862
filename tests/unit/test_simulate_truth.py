"""The simulated truth is exact, blind to what comes later, and as hard to predict as it was meant to be."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from salus.simulate import population
from salus.simulate.attainable import attainable_probability, fitted
from salus.simulate.clock import DAYS, DAYS_PER_YEAR, HORIZON_DAYS, MINUTES, Clock
from salus.simulate.course import ALIVE
from salus.simulate.evidence import UNKNOWN, evidence, visit_known_day
from salus.simulate.model_page import with_tables
from salus.simulate.people import NEVER_WEEK
from salus.simulate.risk import LASTING_DECAY, RECENT_DECAY, hazards, slow, transitions
from salus.simulate.truth import outcome, true_probability

PATHS = 20_000
CLOCK = Clock(date(2026, 6, 30))


@pytest.fixture(scope="module")
def chunk():
    return next(population.chunks(3000, 11))


def auroc(score, probability):
    """Every person is ``probability`` of a case and the rest of a control."""
    _, place = np.unique(score, return_inverse=True)
    case, control = np.bincount(place, probability), np.bincount(place, 1 - probability)
    return (case * (np.cumsum(control) - control / 2)).sum() / (case.sum() * control.sum())


def adults(course, day):
    age = (day - course.people.birth_day) / DAYS_PER_YEAR
    return np.flatnonzero(course.alive_at(day) & (age >= 18))


def share_admitted_on_paths(rng, course, person, day):
    """One person's next 90 days, drawn day by day, many times over."""
    state, recent, lasting, release = (np.full(PATHS, values[person]) for values in course.state_at(day))
    waiting = np.ones(PATHS, dtype=bool)
    admitted = 0
    for today in range(day, day + HORIZON_DAYS):
        week = today // 7
        if today > day and today % 7 == 0:
            changes, stable, worsening, _ = transitions(
                state, course.slow.worsening[person, week - 1], course.slow.lapse[person, week - 1]
            )
            lapsed = (state // 3) ^ (rng.random(PATHS) < changes)
            place = rng.random(PATHS)
            state = 3 * lapsed + (place >= stable) + (place >= stable + worsening)
            recent, lasting = recent * RECENT_DECAY, lasting * LASTING_DECAY
        if release[0] > week:
            continue
        daily, death = hazards(
            course.slow.admission[person, week], course.slow.death[person, week], recent, lasting, state
        )
        comes = waiting & (rng.random(PATHS) < daily)
        dies = waiting & ~comes & (rng.random(PATHS) < death)
        admitted += comes.sum()
        waiting &= ~comes & ~dies
    return admitted / PATHS


@pytest.mark.parametrize("day", [DAYS - 100, DAYS - 33, DAYS])
def test_the_truth_is_the_share_of_paths_that_lead_to_an_admission(chunk, day):
    truth = true_probability(chunk.course, day)
    in_hospital = chunk.course.state_at(day)[3] > day // 7
    ranked = np.argsort(np.nan_to_num(truth))
    chosen = [ranked[-1], ranked[-20], ranked[-300], ranked[1500], *np.flatnonzero(in_hospital & ~np.isnan(truth))[:1]]
    rng = np.random.default_rng(5)
    for person in chosen:
        share = share_admitted_on_paths(rng, chunk.course, person, day)
        error = np.sqrt(truth[person] * (1 - truth[person]) / PATHS)
        assert abs(share - truth[person]) < 4 * error


def test_outcomes_come_as_often_as_the_truth_says(chunk):
    for day in (DAYS - 900, DAYS - 455, DAYS - 120):
        there = adults(chunk.course, day)
        truth = true_probability(chunk.course, day)[there]
        error = np.sqrt((truth * (1 - truth)).sum())
        assert abs(outcome(chunk.course, day)[there].sum() - truth.sum()) < 4 * error


def test_what_begins_after_the_prediction_changes_no_truth(chunk):
    day = DAYS - 200
    people = chunk.course.people
    later = people.onset_week > day // 7
    changed = replace(people, onset_week=np.where(later, NEVER_WEEK, people.onset_week))
    course = replace(chunk.course, people=changed, slow=slow(changed))
    np.testing.assert_array_equal(true_probability(course, day), true_probability(chunk.course, day))
    assert not np.array_equal(course.slow.admission[:, -1], chunk.course.slow.admission[:, -1])


def test_the_dead_and_the_unborn_have_no_truth(chunk):
    day = DAYS - 300
    gone = (chunk.course.death_day < day) | (chunk.course.people.birth_day >= day)
    assert gone.any()
    np.testing.assert_array_equal(np.isnan(true_probability(chunk.course, day)), gone)
    assert ((chunk.course.death_day == ALIVE) | (chunk.course.death_day < DAYS)).all()


def test_the_oracle_and_the_attainable_model_discriminate_as_they_were_meant_to(chunk):
    attainable = attainable_probability(CLOCK, chunk)
    scored, truths = [], []
    for n, day in enumerate(CLOCK.index_days):
        there = adults(chunk.course, int(day))
        truths.append(true_probability(chunk.course, int(day))[there])
        scored.append(attainable[there, n])
    truth, scored = np.concatenate(truths), np.concatenate(scored)
    oracle = auroc(truth, truth)
    assert 0.03 < truth.mean() < 0.06
    assert 0.77 < oracle < 0.85
    assert 0.77 < auroc(scored, truth) < oracle - 0.003
    assert scored.mean() == pytest.approx(truth.mean(), rel=0.1)


def test_the_committed_fit_discriminates_as_the_issue_asks():
    fit = fitted()
    assert fit["people"] == 500_000
    assert 0.75 < fit["attainable_auroc"] < fit["oracle_auroc"] < 0.85


def as_if_unknown(chunk, day):
    """The same people, everything that was not yet available on ``day`` left out or made up."""
    course, visits, claims = chunk.course, chunk.visits, chunk.claims
    known = visit_known_day(chunk) <= day
    paid = claims.paid_day + 1 <= day
    row = np.arange(len(visits))
    other = np.roll(row, 1)
    blurred = replace(
        visits,
        cause=np.where(known, visits.cause, visits.cause[other]),
        kind=np.where(known, visits.kind, visits.kind[other]),
        listed=np.where(known[:, None], visits.listed, -1),
    )
    return replace(
        chunk,
        visits=blurred,
        claims=replace(claims, paid_day=np.where(paid, claims.paid_day, UNKNOWN)),
        diagnoses=chunk.diagnoses.take(np.flatnonzero(chunk.diagnoses.recorded <= day * MINUTES)),
        results=chunk.results.take(np.flatnonzero(chunk.results.issued <= day * MINUTES)),
        fills=chunk.fills.take(np.flatnonzero(chunk.fill_paid_day + 1 <= day)),
        fill_paid_day=chunk.fill_paid_day[chunk.fill_paid_day + 1 <= day],
        wearing=chunk.wearing.take(np.flatnonzero(chunk.wearing.day + 2 <= day)),
        course=course,
    )


def test_evidence_holds_only_what_was_available():
    chunk = next(population.chunks(400, 3))
    n = 17
    day = int(CLOCK.index_days[n])
    then = dict(evidence(CLOCK, as_if_unknown(chunk, day)))
    for term, value in evidence(CLOCK, chunk):
        whole = np.broadcast_to(value, (400, CLOCK.index_days.size))[:, n]
        cut = np.broadcast_to(then[term], (400, CLOCK.index_days.size))[:, n]
        np.testing.assert_array_equal(cut, whole, err_msg=term)


def test_the_page_of_the_risk_model_states_the_coefficients_of_the_code():
    page = (Path(__file__).parents[2] / "docs" / "risk_model.md").read_text(encoding="utf-8")
    assert page == with_tables(page), "run `python -m salus.simulate.model_page docs/risk_model.md`"
