"""The planted effect of order: absent unless asked for, alike in every count, and in the truth."""

from dataclasses import fields, replace
from datetime import date

import numpy as np
import pytest

from salus.errors import Refused
from salus.simulate import cascade, population
from salus.simulate.catalogue import DRUG_NAMES
from salus.simulate.clock import DAYS, DAYS_PER_YEAR, HORIZON_DAYS, LAG_WEEKS
from salus.simulate.risk import slow
from salus.simulate.truth import outcome, true_probability
from salus.simulate.writer import simulate
from written_files import hashes

AS_OF = date(2026, 6, 30)
DAY, WINDOWS = 900, (30, 90, 365)
DRUGS = [DRUG_NAMES.index(name) for name in (cascade.BLOCKER, cascade.DIURETIC)]


@pytest.fixture(scope="module")
def chunk():
    return next(population.chunks(5000, 11, "order"))


def acting(courses, day):
    """Courses that go on at some time of which the hazards of the 90 days from ``day`` on tell."""
    lag = 7 * LAG_WEEKS
    return (courses.second_day < day - 7) & (courses.first_day + cascade.LASTS > day - lag + 7)


def test_without_courses_the_files_are_those_of_a_population_in_which_nothing_is_planted(tmp_path, monkeypatch):
    monkeypatch.setattr(cascade, "BEGINS", 0.0)
    simulate(200, 7, AS_OF, tmp_path / "plain")
    simulate(200, 7, AS_OF, tmp_path / "planted", "order")
    plain, planted = hashes(tmp_path / "plain"), hashes(tmp_path / "planted")
    assert {name for name, digest in plain.items() if planted[name] != digest} == {"manifest.json"}
    assert set(plain) == set(planted)


def test_who_takes_neither_drug_unless_it_is_planted():
    plain = next(population.chunks(500, 11))
    assert plain.courses is None
    assert not np.isin(plain.fills.drug, DRUGS).any()


def test_a_planted_population_is_another_one(tmp_path):
    simulate(20, 7, AS_OF, tmp_path)
    with pytest.raises(Refused, match="expected an empty folder"):
        simulate(20, 7, AS_OF, tmp_path, "order")
    other = tmp_path / "other"
    manifest = simulate(20, 7, AS_OF, other, "order")
    assert manifest["plant"] == "order"
    assert simulate(20, 7, AS_OF, other, "order") is None
    with pytest.raises(Refused, match="expected an empty folder"):
        simulate(20, 7, AS_OF, other)


def test_both_orders_are_equally_frequent_among_adults(chunk):
    courses = chunk.courses
    assert len(courses) > 10_000
    assert courses.is_cascade.mean() == pytest.approx(0.5, abs=0.02)
    apart = courses.second_day - courses.first_day
    assert (apart.min(), apart.max()) == cascade.APART
    age = (courses.first_day - chunk.course.people.birth_day[courses.row]) / DAYS_PER_YEAR
    assert age.min() >= cascade.ADULT
    by_person = courses.row[1:] == courses.row[:-1]
    assert (courses.first_day[1:] - courses.first_day[:-1])[by_person].min() > cascade.LASTS


def test_the_drug_that_is_dispensed_first_tells_a_cascade(chunk):
    fills = chunk.fills.take(np.flatnonzero(np.isin(chunk.fills.drug, DRUGS)))
    courses = chunk.courses
    for number in np.flatnonzero(courses.second_day < np.minimum(chunk.course.death_day[courses.row], DAYS))[:300]:
        mine = (fills.row == courses.row[number]) & (fills.day >= courses.first_day[number])
        mine &= fills.day < courses.first_day[number] + cascade.LASTS
        drug = fills.drug[mine][np.argsort(fills.day[mine], kind="stable")]
        assert drug[0] == DRUGS[0 if courses.is_cascade[number] else 1]
        assert drug[1] == DRUGS[1 if courses.is_cascade[number] else 0]


def test_counts_and_days_since_the_last_are_alike_for_both_drugs(chunk):
    """At any day after the first common refill, but where a window's edge falls between the two first fills."""
    fills, courses, people = chunk.fills, chunk.courses, len(chunk.course.people)
    begun = (courses.first_day < DAY) & (courses.first_day + cascade.TOGETHER >= DAY)
    settled = np.setdiff1d(np.flatnonzero(chunk.course.alive_at(DAY)), courses.row[begun])
    last, counts = np.full((2, people), -1), np.zeros((2, len(WINDOWS), people))
    for place, drug in enumerate(DRUGS):
        mine = (fills.drug == drug) & (fills.day < DAY)
        np.maximum.at(last[place], fills.row[mine], fills.day[mine])
        for window, days in enumerate(WINDOWS):
            counts[place, window] = np.bincount(fills.row[mine & (fills.day >= DAY - days)], minlength=people)
    np.testing.assert_array_equal(*last[:, settled])
    assert (last[0, settled] > 0).mean() > 0.5
    for window, days in enumerate(WINDOWS):
        is_cut = (courses.first_day < DAY - days) & (courses.second_day >= DAY - days)
        whole = np.setdiff1d(settled, courses.row[is_cut])
        np.testing.assert_array_equal(*counts[:, window, whole])
        assert whole.size > 0.97 * settled.size


def test_the_truth_follows_the_order_and_outcomes_follow_the_truth(chunk):
    courses, truth, happened = chunk.courses, true_probability(chunk.course, DAY), outcome(chunk.course, DAY)
    found = {}
    for order in (True, False):
        row = np.unique(courses.row[acting(courses, DAY) & (courses.is_cascade == order)])
        row = row[~np.isnan(truth[row])]
        found[order] = truth[row].mean()
        error = np.sqrt((truth[row] * (1 - truth[row])).sum()) / row.size
        assert happened[row].mean() == pytest.approx(truth[row].mean(), abs=4 * error)
    assert found[True] > 2.5 * found[False]


def test_a_course_that_begins_after_a_prediction_does_not_touch_its_truth(chunk):
    known = chunk.courses.take(np.flatnonzero(chunk.courses.second_day < DAY))
    settled = slow(chunk.course.people)
    assert len(known) < len(chunk.courses)
    told = [
        true_probability(replace(chunk.course, slow=cascade.with_cascades(settled, courses)), DAY)
        for courses in (chunk.courses, known)
    ]
    np.testing.assert_array_equal(*told)
    week = (DAY + HORIZON_DAYS) // 7
    for field in fields(settled):
        same = getattr(cascade.with_cascades(settled, chunk.courses), field.name) == getattr(settled, field.name)
        assert same[:, week].all() == (field.name != "admission")
