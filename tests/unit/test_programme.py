"""The planted treatment: absent unless asked for, in the truth and the records, and seen for what it hides."""

import json
from datetime import date

import numpy as np
import pyarrow.parquet as pq
import pytest

from salus.cohorts.task import Tier
from salus.cohorts.treatment import Treatment
from salus.evaluation.metrics import Sample
from salus.evaluation.treatment import Decisions, arms_of, by_treatment
from salus.simulate import population, programme
from salus.simulate.attainable import attainable_probability
from salus.simulate.clock import DAYS, DAYS_PER_YEAR, HORIZON_DAYS, MINUTES, Clock
from salus.simulate.risk import slow
from salus.simulate.truth import outcome, true_probability
from salus.simulate.writer import simulate
from salus.timelines.clocks import MICROSECONDS_PER_DAY
from written_files import hashes

AS_OF = date(2026, 6, 30)
CLOCK = Clock(AS_OF)
LISTS = programme.list_days(CLOCK)
TREATMENT = Treatment(given=("CPT/99490",), withheld=("programme/usual-care",))
HIGHEST_TENTH = [Tier(name="high", from_percentile=90), Tier(name="others", from_percentile=0)]
PEOPLE, SEED = 40_000, 7


def known_lists():
    """The lists whose 90 days are over at as-of."""
    return LISTS[LISTS + HORIZON_DAYS <= DAYS]


@pytest.fixture(scope="module")
def chunk():
    return next(population.chunks(5000, 11, "treatment", LISTS))


def test_where_chance_treats_nobody_all_but_the_programmes_own_records_is_what_it_is_without(tmp_path, monkeypatch):
    monkeypatch.setattr(programme, "UNTREATED", 1.0)
    simulate(300, 7, AS_OF, tmp_path / "plain")
    simulate(300, 7, AS_OF, tmp_path / "planted", "treatment")
    plain, planted = hashes(tmp_path / "plain"), hashes(tmp_path / "planted")
    assert set(plain) == set(planted)
    differ = {name for name, digest in plain.items() if planted[name] != digest}
    assert {name.partition(".")[0] for name in differ} == {"ehr/Procedure", "truth/truth", "manifest"}
    truth = pq.read_table(tmp_path / "planted" / "truth" / "truth.000.parquet")
    untreated, decided = truth["untreated_probability"], truth["programme"].to_pylist()
    assert untreated.equals(truth["true_probability"])
    assert set(decided) == {None, "withheld"}
    assert pq.read_table(tmp_path / "plain" / "truth" / "truth.000.parquet").equals(
        truth.drop(["untreated_probability", "programme"])
    )


def test_the_records_tell_who_was_enrolled_and_whom_chance_left_untreated(tmp_path):
    manifest = simulate(1500, 7, AS_OF, tmp_path, "treatment")
    lines = [json.loads(line) for path in (tmp_path / "ehr").glob("Procedure*") for line in path.open()]
    mine = [line for line in lines if line["id"].startswith("pg-")]
    codes = {"99490": "given", "usual-care": "withheld"}
    told = {
        (line["subject"]["reference"], line["performedDateTime"][:10], codes[line["code"]["coding"][0]["code"]])
        for line in mine
    }
    rows = pq.read_table(tmp_path / "truth" / "truth.000.parquet").to_pylist()
    true = {
        (f"Patient/{row['ehr_patient_id']}", str(row["as_of"]), row["programme"]) for row in rows if row["programme"]
    }
    assert told == true
    assert (
        len(mine)
        == len(told)
        == sum(
            manifest["planted"][name]
            for name in ("people enrolled in care management", "people left to usual care by chance")
        )
    )
    assert all(line["performedDateTime"][10:] == "T10:00:00Z" for line in mine)


def test_a_list_holds_the_highest_tenth_of_the_adults_whom_the_ehr_knows(chunk):
    people, day = chunk.course.people, int(LISTS[0])
    risk = slow(people).admission[:, day // 7]
    may = people.in_ehr & ((day - people.birth_day) / DAYS_PER_YEAR >= programme.ADULT)
    listed = np.flatnonzero(may)[np.argsort(-risk[may])[: int(np.ceil(programme.TOP * (may.sum() - 1)))]]
    offered = chunk.offers.row[chunk.offers.day == day]
    np.testing.assert_array_equal(np.sort(offered), np.intersect1d(listed, np.flatnonzero(chunk.course.alive_at(day))))


def test_nobody_is_offered_a_place_again_before_the_last_offer_is_over(chunk):
    offers = chunk.offers.take(np.lexsort((chunk.offers.day, chunk.offers.row)))
    again = offers.row[1:] == offers.row[:-1]
    assert again.sum() > 500
    assert (offers.day[1:] - offers.day[:-1])[again].min() >= programme.LASTS > HORIZON_DAYS
    assert np.isin(offers.day, LISTS).all()
    assert chunk.offers.is_given.mean() == pytest.approx(1 - programme.UNTREATED, abs=0.02)


def test_outcomes_follow_the_truth_and_only_who_is_enrolled_has_a_lower_one(chunk):
    of_arm = {True: [], False: []}
    for day in map(int, known_lists()):
        true, happened = true_probability(chunk.course, day), outcome(chunk.course, day)
        untreated = true_probability(programme.untreated_from(chunk.course, chunk.offers, day), day)
        for is_given, found in of_arm.items():
            row = chunk.offers.row[(chunk.offers.day == day) & (chunk.offers.is_given == is_given)]
            found.append(np.stack([true[row], untreated[row], happened[row]]))
    treated, left = (np.concatenate(of_arm[is_given], axis=1) for is_given in (True, False))
    np.testing.assert_array_equal(left[0], left[1])
    assert (treated[0] < treated[1]).all()
    # The odds of a day are halved, in all but the first days of the horizon.
    assert 0.5 < treated[0].mean() / treated[1].mean() < 0.65
    for true, _, happened in (treated, left):
        error = np.sqrt((true * (1 - true)).sum()) / true.size
        assert happened.mean() == pytest.approx(true.mean(), abs=3 * error)


def test_what_a_list_does_is_settled_before_any_prediction_that_it_touches():
    """Facts of the 90 days after a prediction change none of the lists of these days."""
    chunk = next(population.chunks(500, 11))
    people, day = chunk.course.people, int(LISTS[4])
    assert LISTS[6] - day <= HORIZON_DAYS
    later = np.where(people.onset_week * 7 > day, people.onset_week + 4, people.onset_week)
    until = LISTS[:7]
    told = [
        programme.draw_offers(np.random.default_rng(3), people, slow(who), until)
        for who in (people, type(people)(**{**vars(people), "onset_week": later}))
    ]
    assert len(told[0]) > 50
    for name in ("row", "day", "is_given"):
        np.testing.assert_array_equal(*(getattr(offers, name) for offers in told))


def programme_seen():
    """What evaluation sees of 40,000 people, told the attainable probability, and the truth of the offered.

    Returns:
        Mapping of (subgroup, metric) to its row; the mean untreated probability of the highest tier's offered.
    """
    parts = []
    for chunk in population.chunks(PEOPLE, SEED, "treatment", LISTS):
        attainable = attainable_probability(CLOCK, chunk)
        numbers = chunk.course.people.number
        minutes = chunk.offers.day * MINUTES + programme.ENROLMENT
        made = Decisions(numbers[chunk.offers.row], minutes * (MICROSECONDS_PER_DAY // MINUTES), chunk.offers.is_given)
        for day in map(int, known_lists()):
            there = np.flatnonzero(chunk.course.alive_at(day) & chunk.course.people.in_ehr)
            untreated = true_probability(programme.untreated_from(chunk.course, chunk.offers, day), day)[there]
            at = np.full(there.size, day * MICROSECONDS_PER_DAY)
            told = attainable[there, int(np.flatnonzero(CLOCK.index_days == day)[0])]
            arms = arms_of(numbers[there], at, made, TREATMENT)
            parts.append((numbers[there], outcome(chunk.course, day)[there], told, arms, untreated))
    people, labels, told, arms, untreated = (np.concatenate(part) for part in zip(*parts, strict=True))
    sample = Sample(people, labels.astype(np.float64), np.ones(people.size))
    found = {(row["subgroup"], row["metric"]): row for row in by_treatment(sample, told, arms, HIGHEST_TENTH)}
    offered = np.isin(arms, ("given", "withheld")) & (told >= np.quantile(told, 0.9))
    return found, untreated[offered].mean()


def within(row, value):
    return row["low"] < value < row["high"]


@pytest.mark.large
def test_the_randomised_part_recovers_the_untreated_risk_that_treatment_hides():
    found, untreated = programme_seen()
    left, treated = found["treatment: withheld", "observed"], found["treatment: given", "observed"]
    assert within(left, untreated)
    assert left["rows"] > 500
    assert treated["high"] < left["low"]
    assert treated["high"] < untreated
    assert within(found["treatment: withheld", "observed_over_expected"], 1)
    assert found["treatment: given", "observed_over_expected"]["high"] < 0.8
    assert found["treatment: decided before", "observed_over_expected"]["high"] < 0.9
    assert found["treatment: offered", "risk_difference"]["high"] < 0
    assert found["treatment: offered", "risk_ratio"]["high"] < 1


@pytest.mark.slow
def test_a_treatment_that_does_nothing_hides_nothing(monkeypatch):
    monkeypatch.setattr(programme, "ODDS_RATIO", 1.0)
    found, untreated = programme_seen()
    assert within(found["treatment: given", "observed"], untreated)
    assert within(found["treatment: withheld", "observed"], untreated)
    assert within(found["treatment: offered", "risk_difference"], 0)
    assert within(found["treatment: offered", "risk_ratio"], 1)
