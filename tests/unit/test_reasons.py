"""Reasons and flags: the largest contributions in the person's own figures, and what to mind about the data."""

from datetime import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from salus.cohorts.task import Eligibility
from salus.evaluation.metrics import thinned
from salus.explanation.reasons import by_code, by_feature, by_reason, largest, reasons
from salus.scoring.flags import MEANING, quality_flags
from salus.timelines.clocks import MICROSECONDS_PER_DAY, STATIC, micros
from salus.timelines.spec import CodeGroup, FeatureSpec
from timeline_cases import spec as timelines_spec

DAY = MICROSECONDS_PER_DAY
AS_OF = micros(datetime(2026, 6, 30))


@pytest.fixture(scope="module")
def spec():
    return FeatureSpec(
        windows_days=(90,),
        numeric_windows_days=(),
        count_statistics=("count", "days_since_last"),
        numeric_statistics=("last", "days_since_last"),
        groups=(
            CodeGroup(name="payer", label="Claims", kind="source", codes=("CLAIM",), code_hashes=(1,)),
            CodeGroup(name="ehr", label="Records", kind="source", codes=("ENCOUNTER",), code_hashes=(2,)),
            CodeGroup(name="admission", label="Admissions", kind="count", codes=("A/1", "A/2"), code_hashes=(3, 4)),
            CodeGroup(name="hba1c", label="HbA1c", kind="numeric", unit="%", codes=("LOINC/4548-4",), code_hashes=(5,)),
        ),
    )


@given(arrays(np.float64, st.tuples(st.integers(0, 6), st.integers(1, 9)), elements=st.integers(-3, 3).map(float)))
def test_the_largest_contributions_are_those_that_a_plain_sort_finds(contributions):
    feature, offsets = largest(contributions, most=4)
    for person, row in enumerate(contributions):
        expected = sorted((i for i, value in enumerate(row) if value), key=lambda i: (-abs(row[i]), i))[:4]
        assert feature[offsets[person] : offsets[person + 1]].tolist() == expected
    assert offsets[-1] == feature.size


@given(st.integers(0, 1000))
def test_what_a_flag_adds_is_added_to_its_feature_and_nothing_is_lost(spec, seed):
    contributions = np.random.default_rng(seed).normal(size=(3, spec.width)).astype(np.float32)
    merged = by_feature(contributions, spec)
    assert merged.shape == (3, len(spec.names))
    np.testing.assert_allclose(merged.sum(axis=1), contributions.sum(axis=1), rtol=1e-4, atol=1e-5)
    age, flag = spec.names.index("age"), len(spec.names) + spec.absences.index("age")
    np.testing.assert_allclose(merged[:, age], contributions[:, age] + contributions[:, flag], rtol=1e-5, atol=1e-6)


def told(spec, contribution, value, days_ago):
    """The reasons of one person, with one contribution, value and time of the last event by name."""
    contributions, raw = np.zeros((1, len(spec.names))), np.full((1, len(spec.names)), np.nan, np.float32)
    last = np.full((1, len(spec.groups)), STATIC)
    for name, size in contribution.items():
        contributions[0, spec.names.index(name)] = size
    for name, number in value.items():
        raw[0, spec.names.index(name)] = number
    for name, days in days_ago.items():
        last[0, [group.name for group in spec.groups].index(name)] = AS_OF - days * DAY
    return reasons(contributions, {"inputs": raw}, last, AS_OF, spec).to_pylist()[0]


def test_a_reason_says_what_it_is_in_the_persons_own_figures(spec):
    first, second = told(
        spec,
        {"hba1c.last": 0.7, "admission.count.90d": -1.5},
        {"hba1c.last": 9.5, "admission.count.90d": 0},
        {"hba1c": 12, "admission": 200},
    )
    assert first == {
        "rank": 1,
        "feature": "Admissions: number in the last 90 days",
        "code": "admission",
        "value": 0.0,
        "unit": "",
        "time": None,
        "direction": "lowers",
        "contribution": -1.5,
    }
    assert second == {
        "rank": 2,
        "feature": "HbA1c: last value",
        "code": "LOINC/4548-4",
        "value": 9.5,
        "unit": "%",
        "time": datetime(2026, 6, 18),
        "direction": "raises",
        "contribution": 0.7,
    }


def test_the_time_is_that_of_an_event_in_the_window_or_none(spec):
    name = "admission.count.90d"
    assert told(spec, {name: 1.0}, {name: 1}, {"admission": 90})[0]["time"] == datetime(2026, 4, 1)
    assert told(spec, {name: 1.0}, {name: 0}, {"admission": 91})[0]["time"] is None


def test_a_missing_value_is_null_and_age_has_no_time(spec):
    age, missing = told(spec, {"age": 2.0, "hba1c.last": 1.0}, {"age": 81}, {})
    assert (age["value"], age["unit"], age["time"]) == (81, "years", None)
    assert (missing["value"], missing["time"]) == (None, None)


def test_people_without_contributions_have_no_reasons_and_the_others_keep_theirs(spec):
    contributions = np.zeros((3, len(spec.names)))
    contributions[1, 0] = 1.0
    raw, last = np.ones((3, len(spec.names)), np.float32), np.full((3, len(spec.groups)), STATIC)
    assert [len(each) for each in reasons(contributions, {"inputs": raw}, last, AS_OF, spec).to_pylist()] == [0, 1, 0]
    assert reasons(contributions[:0], {"inputs": raw[:0]}, last[:0], AS_OF, spec).to_pylist() == []


@given(st.integers(0, 1000))
def test_events_of_one_code_are_one_reason_told_by_the_event_that_gave_most(seed):
    random = np.random.default_rng(seed)
    codes, given = random.integers(0, 4, (3, 6)), random.normal(size=(3, 6))
    merged = by_code(given, codes)
    for person in range(3):
        for code in set(codes[person]) - {0}:
            mine = np.flatnonzero(codes[person] == code)
            expected = np.zeros(mine.size)
            expected[np.argmax(np.abs(given[person, mine]))] = given[person, mine].sum()
            np.testing.assert_allclose(merged[person, mine], expected, atol=1e-12)
    assert not merged[codes == 0].any()


def test_an_event_and_a_daily_series_are_reasons_in_the_persons_own_figures():
    spec = timelines_spec()
    features = len(spec.names)
    contributions = {
        "inputs": np.zeros((1, spec.width), np.float32),
        "event_codes": np.array([[0.5, 0.25, 0, 0, 0]], np.float32),
        "event_values": np.zeros((1, 5, 6), np.float32),
        "days": np.zeros((1, 30, 4), np.float32),
    }
    contributions["event_values"][0, 0, 3] = 0.5
    contributions["days"][0, 3, [1, 3]] = -0.25, -0.5
    raw = {
        "inputs": np.zeros((1, features), np.float32),
        "event_codes": np.array([[4, 4, 0, 0, 0]], np.int32),
        "event_values": np.full((1, 5, 4), np.nan, np.float32),
        "days": np.full((1, 30, 2), np.nan, np.float32),
    }
    raw["event_values"][0, :2, 0] = 7.5, 6.0
    raw["days"][0, :2, 1] = 2.0, 4.0
    when = np.array([[AS_OF - 9 * DAY, AS_OF - 2 * DAY, STATIC, STATIC, STATIC]])
    merged = by_reason(contributions, raw, spec)
    assert merged.shape == (1, features + 5 + 2)
    last = np.full((1, len(spec.groups)), STATIC)
    first, second = reasons(merged, raw, last, AS_OF, spec, when).to_pylist()[0]
    assert first == {
        "rank": 1,
        "feature": "LAB/1: event",
        "code": "LAB/1",
        "value": 7.5,
        "unit": None,
        "time": datetime(2026, 6, 21),
        "direction": "raises",
        "contribution": 1.25,
    }
    assert second == {
        "rank": 2,
        "feature": "Lab: days of the last 30",
        "code": "lab",
        "value": 3.0,
        "unit": "mg/dL",
        "time": None,
        "direction": "lowers",
        "contribution": -0.75,
    }


def flags_of(spec, known=(1, 1), lab=10.0, event=10.0, enrolled=365, dropped=0, unitless=0):
    raw = np.full((1, len(spec.names)), np.nan, np.float32)
    for name, number in {
        "payer.known": known[0],
        "ehr.known": known[1],
        "hba1c.days_since_last": lab,
        "any_event.days_since_last": event,
    }.items():
        raw[0, spec.names.index(name)] = number
    rules = Eligibility(look_back_days=365)
    counts = [np.array([number], np.int32) for number in (enrolled, dropped, unitless)]
    found = quality_flags(raw, *counts, rules, spec)
    assert found.type == pa.list_(pa.string())
    return found.to_pylist()[0]


@pytest.mark.parametrize(
    ("given", "flag"),
    [
        ({"known": (0, 1)}, "single_source"),
        ({"lab": 366.0}, "no_lab_in_a_year"),
        ({"lab": np.nan}, "no_lab_in_a_year"),
        ({"event": 183.0}, "no_event_in_half_a_year"),
        ({"enrolled": 364}, "enrolment_gap"),
        ({"dropped": 1}, "events_dropped"),
        ({"unitless": 1}, "values_without_unit"),
    ],
)
def test_each_flag_is_raised_by_its_own_fault_alone(spec, given, flag):
    assert flags_of(spec) == []
    assert flags_of(spec, **given) == [flag]


def test_every_flag_can_be_raised_at_once_in_the_order_of_their_meanings(spec):
    assert flags_of(spec, (1, 0), 400.0, 400.0, 10, 3, 2) == list(MEANING)


def test_a_thinned_curve_keeps_its_ends_and_lies_on_the_curve():
    x = np.linspace(0, 1, 5000) ** 2
    kept_x, kept_y = thinned(x, np.sqrt(x), points=50)
    assert (kept_x[0], kept_x[-1]) == (0, 1)
    assert len(kept_x) <= 50
    np.testing.assert_allclose(kept_y, np.sqrt(kept_x))
