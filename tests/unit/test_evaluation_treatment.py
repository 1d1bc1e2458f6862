"""What treatment hides: which prediction a decision follows, intervals that hold, and how the report says it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from statsmodels.stats.proportion import proportion_confint

from salus.cohorts.task import Task, Tier
from salus.cohorts.treatment import Treatment
from salus.evaluation.metrics import Sample
from salus.evaluation.treatment import EARLIER, GIVEN, NONE, WITHHELD, Decisions, arms_of, by_treatment, share_of
from salus.report.measured import Measure, apart
from salus.report.page import Missing
from salus.report.treatment import treatment_section
from salus.timelines.clocks import MICROSECONDS_PER_DAY

HOUR = MICROSECONDS_PER_DAY // 24
TREATMENT = Treatment(given=("CPT/99490",), withheld=("programme/usual-care",), within_days=7, lasts_days=30)
TIERS = [Tier(name="high", from_percentile=80), Tier(name="low", from_percentile=0)]
hours = st.integers(0, 60 * 2).map(lambda half_days: 12 * half_days)
made = st.lists(st.tuples(st.integers(0, 3), hours, st.booleans()), max_size=12)
asked = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 60)), max_size=30)


def decisions_of(rows):
    rows = sorted(rows, key=lambda row: (row[0], row[1], not row[2]))
    people, hour, is_given = zip(*rows, strict=True) if rows else ((), (), ())
    return Decisions(np.array(people, np.int64), np.array(hour, np.int64) * HOUR, np.array(is_given, bool))


def slowly(rows, person, day):
    """The definition, one decision at a time."""
    mine = sorted((hour - 24 * day, not is_given) for who, hour, is_given in rows if who == person)
    for hour, is_withheld in mine:
        if 0 <= hour < 7 * 24:
            return WITHHELD if is_withheld else GIVEN
    return EARLIER if any(-30 * 24 <= hour < 0 for hour, _ in mine) else NONE


@given(made, asked)
def test_a_decision_follows_the_prediction_that_it_came_soon_after(rows, predictions):
    people = np.array([person for person, _ in predictions], np.int64)
    times = np.array([day for _, day in predictions], np.int64) * MICROSECONDS_PER_DAY
    found = arms_of(people, times, decisions_of(rows), TREATMENT)
    assert found.tolist() == [slowly(rows, *each) for each in predictions]


@pytest.mark.parametrize(
    ("decisions", "arm"),
    [
        ([(1, 0, True)], GIVEN),  # at the instant of the prediction
        ([(1, 7 * 24 - 1, False)], WITHHELD),
        ([(1, 7 * 24, False)], NONE),
        ([(1, -30 * 24, True)], EARLIER),
        ([(1, -30 * 24 - 1, True)], NONE),
        ([(1, -24, True), (1, 24, False)], WITHHELD),
        ([(1, 24, False), (1, 48, True)], WITHHELD),  # the first decides
        ([(1, 24, False), (1, 24, True)], GIVEN),  # who is said to have been treated was
        ([(0, 24, True), (2, 24, True)], NONE),  # others
    ],
)
def test_a_decision_follows_within_seven_days_and_acts_for_thirty(decisions, arm):
    made = decisions_of([(person, hour + 40 * 24, is_given) for person, hour, is_given in decisions])
    found = arms_of(np.array([1]), np.array([40 * MICROSECONDS_PER_DAY]), made, TREATMENT)
    assert found.tolist() == [arm]


def test_the_interval_of_predictions_of_different_people_is_wilsons():
    random = np.random.default_rng(4)
    labels = (random.random(200) < 0.2).astype(float)
    share = share_of(labels, np.ones(200), np.arange(200))
    assert share.value == labels.mean()
    assert share.bounds == pytest.approx(proportion_confint(labels.sum(), 200, method="wilson"), abs=2e-3)


def test_ten_predictions_of_one_person_that_all_come_true_are_as_sure_as_one():
    labels = np.repeat((np.arange(40) < 8).astype(float), 10)
    of_rows = share_of(labels, np.ones(400), np.repeat(np.arange(40), 10))
    assert of_rows.number == pytest.approx(39)  # n - 1 in the place of n
    assert share_of(labels, np.ones(400), np.arange(400)).number == pytest.approx(399)


def test_no_event_among_few_people_leaves_a_wide_interval():
    share = share_of(np.zeros(30), np.ones(30), np.repeat(np.arange(15), 2))
    assert share.value == 0
    assert share.bounds == pytest.approx((0, proportion_confint(0, 15, method="wilson")[1]))
    assert share.bounds[1] > 0.15


def test_ninety_five_of_a_hundred_intervals_hold_the_untreated_risk_whatever_people_have_in_common():
    """People whose risks differ, with one to four predictions each, of about 25 events in all."""
    random, held, trials = np.random.default_rng(12), 0, 600
    for _ in range(trials):
        people = np.repeat(np.arange(60), random.integers(1, 5, 60))
        labels = (random.random(people.size) < random.beta(1, 5, 60)[people]).astype(float)
        low, high = share_of(labels, random.uniform(0.9, 1.3, people.size), people).bounds
        held += low < 1 / 6 < high
    assert 0.92 < held / trials < 0.98


def planted(effect, people=6000):
    """Predictions that are right without treatment; of the tier two thirds are offered it, and a tenth of those not."""
    random = np.random.default_rng(9)
    told = random.beta(1, 9, people)
    top = told >= np.quantile(told, 0.8)
    offered = top & (random.random(people) < 2 / 3)
    left = offered & (random.random(people) < 0.1)
    arms = np.select([left, offered], [WITHHELD, GIVEN], NONE)
    labels = (random.random(people) < told * np.where(arms == GIVEN, effect, 1)).astype(float)
    sample = Sample(np.arange(people), labels, np.ones(people))
    return sample, told, arms, top


def rows_of(found):
    return {(row["subgroup"].removeprefix("treatment: "), row["metric"]): row for row in found}


def test_the_highest_tier_is_counted_and_nobody_else():
    sample, told, arms, top = planted(0.5)
    found = rows_of(by_treatment(sample, told, arms, TIERS))
    for arm in (GIVEN, WITHHELD, NONE):
        mask = top & (arms == arm)
        assert found[arm, "events"]["value"] == sample.labels[mask].sum()
        assert found[arm, "observed"]["rows"] == mask.sum()
        assert found[arm, "mean_predicted"]["value"] == pytest.approx(told[mask].mean())
        assert found[arm, "observed"]["value"] == pytest.approx(sample.labels[mask].mean())
        ratio = found[arm, "observed_over_expected"]
        assert ratio["value"] == pytest.approx(sample.labels[mask].sum() / told[mask].sum())
    difference = found[GIVEN, "observed"]["value"] - found[WITHHELD, "observed"]["value"]
    assert found["offered", "risk_difference"]["value"] == pytest.approx(difference)
    assert found["offered", "risk_difference"]["rows"] == (top & (arms != NONE)).sum()


@pytest.mark.parametrize(("effect", "hides"), [(0.4, True), (1.0, False)])
def test_a_treatment_is_told_by_the_difference_that_chance_made(effect, hides):
    found = rows_of(by_treatment(*planted(effect)[:3], TIERS))
    assert found[WITHHELD, "observed_over_expected"]["low"] < 1 < found[WITHHELD, "observed_over_expected"]["high"]
    assert (found[GIVEN, "observed_over_expected"]["high"] < 1) == hides
    assert (found["offered", "risk_difference"]["high"] < 0) == hides
    assert (found["offered", "risk_ratio"]["high"] < 1) == hides
    assert found["offered", "risk_ratio"]["low"] < effect < found["offered", "risk_ratio"]["high"]


def test_without_anybody_left_untreated_there_is_no_difference():
    sample, told, arms, _ = planted(0.5)
    found = rows_of(by_treatment(sample, told, np.where(arms == WITHHELD, GIVEN, arms), TIERS))
    assert {arm for arm, _ in found} == {GIVEN, NONE}


def section_of(rows):
    kept = {}
    for row in rows:
        measure = Measure(row["value"], row["low"], row["high"], row["people"], row["rows"])
        kept.setdefault(row["subgroup"], {})[row["metric"]] = measure
    return treatment_section(apart(kept)[2])


def test_the_report_says_how_many_events_treatment_hides():
    sample, told, arms, top = planted(0.4)
    said, plot, table = section_of(by_treatment(sample, told, arms, TIERS)).blocks
    treated, left = (sample.labels[top & (arms == arm)] for arm in (GIVEN, WITHHELD))
    hidden = round((left.mean() - treated.mean()) * treated.size)
    assert f"treatment hides about {hidden} events (" in said.text
    assert f") behind {treated.size} predictions" in said.text
    assert f"{100 * left.mean():.1f} % (" in said.text
    drawn = {trace.name: trace for trace in plot.figure.data}
    assert drawn["happened"].x[:2] == pytest.approx((treated.mean(), left.mean()))
    assert [row[0] for row in table.rows] == [
        "Treated after the prediction",
        "Left untreated at random",
        "Not offered treatment",
    ]
    assert "risk ratio" in table.caption


def test_the_report_claims_nothing_that_chance_could_have_made():
    said = section_of(by_treatment(*planted(1.0)[:3], TIERS)).blocks[0]
    assert "hides about" not in said.text
    assert "not certain" in said.text


def test_the_report_warns_where_nobody_was_left_untreated():
    sample, told, arms, _ = planted(0.5)
    said, *others = section_of(by_treatment(sample, told, np.where(arms == WITHHELD, GIVEN, arms), TIERS)).blocks
    assert said.tone == "warning"
    assert "can't be told" in said.text
    assert len(others) == 2
    assert isinstance(treatment_section({}).blocks[0], Missing)


def test_a_task_may_name_its_treatment_and_its_cohort_stays_the_same():
    task = Task.load("admission_90d")
    treated = task.model_copy(update={"treatment": TREATMENT})
    assert task.treatment is None
    assert (treated.cohort_hash, treated.label_hash) == (task.cohort_hash, task.label_hash)
    assert treated.hash != task.hash


def test_a_cost_has_no_share_of_events_that_treatment_could_hide():
    stated = Task.load("cost_1y").model_dump(exclude_none=True)
    with pytest.raises(ValidationError, match="what treatment hides"):
        Task(**stated, treatment=TREATMENT.model_dump())
