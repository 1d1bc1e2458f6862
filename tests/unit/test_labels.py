"""Labels: shards equal es-aces over everything equal the definition; deaths compete, and leaving censors."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from label_cases import (
    ADMISSION,
    AFTER_DISCHARGE,
    CODES,
    GAP,
    WITHIN_TEN_DAYS,
    batch_of,
    batch_of_days,
    everybody_at_once,
    instant,
    label,
    population,
    span,
)
from salus.cohorts.labels import LABEL_STEPS, aces_config, label_codes, label_samples
from salus.errors import Refused
from salus.timelines.clocks import MICROSECONDS_PER_DAY as DAY
from salus.timelines.clocks import NEVER


@pytest.mark.parametrize(("config", "horizon_days"), [(WITHIN_TEN_DAYS, 10), (AFTER_DISCHARGE, 30)])
def test_shards_give_what_es_aces_gives_on_everybody_at_once(config, horizon_days, tmp_path):
    people = list(population(150, seed=3))
    predictions = [day * DAY for day in (5, 12, 31, 40)]
    expected = everybody_at_once(people, predictions, config, tmp_path)
    found = {}
    for first in range(0, len(people), 40):
        shard = people[first : first + 40]
        row, at = np.repeat(np.arange(len(shard)), 4), np.tile(predictions, len(shard))
        labels = label_samples(batch_of(shard), row, at, label(config, horizon_days=horizon_days), CODES)
        for r, t, lost, positive in zip(row.tolist(), at.tolist(), labels.lost_at, labels.is_positive):
            if lost == 0:
                found[first + r, instant(t)] = bool(positive)
            if lost == 3:  # the label's window ends beyond the horizon, or never
                del expected[first + r, instant(t)]
    assert found == expected
    assert 10 < sum(found.values()) < len(found) - 10


someone = st.fixed_dictionaries(
    {
        "admissions": st.lists(st.integers(0, 45), max_size=4),
        "death": st.one_of(st.none(), st.integers(0, 45)),
        "spans": st.lists(span, max_size=4),
    }
)


def slowly(person, day, death_is):
    """(step lost, is positive, days observed) of the definition, in whole days."""
    admissions = [at for at in person["admissions"] if person["death"] is None or at <= person["death"]]
    death = person["death"] if person["death"] is not None else 1_000
    if death <= day:
        return 1, False, -1
    happens = [at for at in admissions if day <= at < day + 10]
    if death_is == "composite" and death < day + 10:
        happens.append(death)
    event = min(happens, default=1_000)
    covered = {at for first, days, current in person["spans"] if current for at in range(first, first + days)}
    left = day
    while any(
        {before, after} <= covered for before in range(left - GAP, left + 1) for after in range(left, before + GAP + 2)
    ):
        left += 1
    first = min(event, death, day + 10)
    if left <= min(event, death) and left < day + 10:
        return 4, False, left - day
    return 0, event < 1_000, first - day


@pytest.mark.parametrize("death_is", ["no_event", "composite"])
@given(st.lists(someone, min_size=1, max_size=4))
def test_it_is_its_definition_day_by_day(death_is, people):
    batch = batch_of_days(people, lambda person: [(at, ADMISSION) for at in person["admissions"]])
    days = (4, 11, 25)
    row, at = np.repeat(np.arange(len(people)), 3), np.tile(np.array(days) * DAY, len(people))
    found = label_samples(batch, row, at, label(death=death_is, censor_at_disenrolment=True), CODES, GAP)
    expected = [slowly(person, day, death_is) for person in people for day in days]
    assert list(zip(*(column.tolist() for column in found))) == expected


def test_an_admission_on_the_day_of_the_prediction_counts_and_one_at_the_horizon_does_not():
    on = [{"events": [(day * DAY, ADMISSION, np.nan, NEVER)]} for day in (20, 29, 30)]
    found = label_samples(batch_of(on), np.arange(3), np.full(3, 20 * DAY), label(), CODES)
    assert found.is_positive.tolist() == [True, True, False]


def test_what_a_newer_version_took_back_is_no_event():
    taken_back = [{"events": [(21 * DAY, ADMISSION, np.nan, 40 * DAY)]}]
    found = label_samples(batch_of(taken_back), np.array([0]), np.array([20 * DAY]), label(), CODES)
    assert found.lost_at.tolist() == [0]
    assert found.is_positive.tolist() == [False]


def test_the_same_shard_twice_gives_the_same_labels():
    """es-aces changes a configuration while it queries, so that a second query with it would drift."""
    people = list(population(60, seed=8))
    row, at = np.arange(60), np.full(60, 12 * DAY)
    first, second = (label_samples(batch_of(people), row, at, label(AFTER_DISCHARGE), CODES) for _ in range(2))
    for once, again in zip(first, second):
        np.testing.assert_array_equal(once, again)


def test_codes_are_looked_up_for_the_predicates_that_the_windows_name():
    predicates = {"admission": {"code": {"regex": "^ENCOUNTER/IMP/"}}, "idle": {"code": "X"}}
    vocabulary = pl.DataFrame({"code": ["ENCOUNTER/IMP/EM", "ENCOUNTER/AMB", "X"], "code_hash": [1, 2, 3]})
    assert label_codes(label(WITHIN_TEN_DAYS | {"predicates": predicates}), vocabulary) == {1: "ENCOUNTER/IMP/EM"}


def test_what_aces_does_not_take_is_refused():
    target = WITHIN_TEN_DAYS["windows"]["target"] | {"has": {"admission": "1"}}
    with pytest.raises(Refused, match="label that ACES does not take"):
        aces_config(label(WITHIN_TEN_DAYS | {"windows": {"target": target}}))


def test_its_steps_are_those_that_lose_somebody():
    assert len(LABEL_STEPS) == 4
