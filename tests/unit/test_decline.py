"""The planted decline: absent unless asked for, in the steps of wearers alone, and in the truth of everybody."""

from dataclasses import fields, replace
from datetime import date

import numpy as np
import pytest

from salus.simulate import decline, population
from salus.simulate.clock import DAYS, DAYS_PER_YEAR, LAG_WEEKS
from salus.simulate.risk import slow
from salus.simulate.truth import outcome, true_probability
from salus.simulate.writer import simulate
from written_files import hashes

AS_OF = date(2026, 6, 30)
DAY = 900


@pytest.fixture(scope="module")
def chunk():
    return next(population.chunks(5000, 11, "decline"))


def test_without_declines_the_files_are_those_of_a_population_in_which_nothing_is_planted(tmp_path, monkeypatch):
    monkeypatch.setattr(decline, "BEGINS", 0.0)
    simulate(200, 7, AS_OF, tmp_path / "plain")
    simulate(200, 7, AS_OF, tmp_path / "planted", "decline")
    plain, planted = hashes(tmp_path / "plain"), hashes(tmp_path / "planted")
    assert {name for name, digest in plain.items() if planted[name] != digest} == {"manifest.json"}
    assert set(plain) == set(planted)


def test_adults_decline_once_in_a_part_whether_they_wear_a_device_or_not(chunk):
    declines, people = chunk.declines, chunk.course.people
    assert ((declines.first_day - people.birth_day[declines.row]) / DAYS_PER_YEAR).min() >= decline.ADULT
    by_person = declines.row[1:] == declines.row[:-1]
    assert (declines.first_day[1:] - declines.first_day[:-1])[by_person].min() > 0
    assert declines.first_day.max() + decline.LASTS <= DAYS
    adult = DAYS - people.birth_day > 30 * DAYS_PER_YEAR
    shares = [
        np.isin(np.flatnonzero(adult & who), declines.row).mean() for who in (people.in_wearable, ~people.in_wearable)
    ]
    assert shares == pytest.approx([1 - (1 - decline.BEGINS) ** decline.PARTS] * 2, abs=0.04)


def test_a_wearer_walks_half_as_far_while_it_lasts_and_everything_else_of_a_day_is_as_it_was(chunk):
    worn, declines = chunk.wearing, chunk.declines
    lasting = np.zeros((len(chunk.course.people), DAYS), bool)
    for row, first in zip(declines.row, declines.first_day, strict=True):
        lasting[row, first : first + decline.LASTS] = True
    during = lasting[worn.row, worn.day]
    assert 0.1 < during.mean() < 0.25
    total = [np.bincount(worn.row[when], worn.steps[when], len(lasting)) for when in (during, ~during)]
    days = [np.bincount(worn.row[when], minlength=len(lasting)) for when in (during, ~during)]
    enough = (days[0] > 20) & (days[1] > 20)
    ratio = (total[0][enough] / days[0][enough]) / (total[1][enough] / days[1][enough])
    assert np.median(ratio) == pytest.approx(decline.STEPS_FACTOR, abs=0.03)
    assert worn.sedentary.max() <= 1400
    undone = decline.Declines(declines.row[:0], declines.first_day[:0])
    again = decline.walked(worn, undone, len(lasting))
    for field in fields(worn):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(worn, field.name))


def test_the_truth_follows_declines_and_outcomes_follow_the_truth(chunk):
    truth, happened = true_probability(chunk.course, DAY), outcome(chunk.course, DAY)
    first, lag = chunk.declines.first_day, 7 * LAG_WEEKS
    acting = (first < DAY - lag + 20) & (first + decline.LASTS > DAY - 20)  # for most of the horizon
    declining = np.isin(np.arange(truth.size), chunk.declines.row[acting])
    adult = ~np.isnan(truth) & (DAY - chunk.course.people.birth_day > 30 * DAYS_PER_YEAR)
    near = np.isin(
        np.arange(truth.size), chunk.declines.row[(first < DAY + 7) & (first + decline.LASTS + lag > DAY - 7)]
    )
    means = []
    for who in (declining & adult, ~near & adult):
        assert who.sum() > 300
        error = np.sqrt((truth[who] * (1 - truth[who])).sum()) / who.sum()
        assert happened[who].mean() == pytest.approx(truth[who].mean(), abs=4 * error)
        means.append(truth[who].mean())
    assert means[0] > 3 * means[1]


def test_a_decline_that_begins_after_a_prediction_does_not_touch_its_truth(chunk):
    known = chunk.declines.take(np.flatnonzero(chunk.declines.first_day < DAY))
    settled = slow(chunk.course.people)
    assert len(known) < len(chunk.declines)
    told = [
        true_probability(replace(chunk.course, slow=decline.with_declines(settled, declines)), DAY)
        for declines in (chunk.declines, known)
    ]
    np.testing.assert_array_equal(*told)
