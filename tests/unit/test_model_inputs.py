"""Model inputs against a slow second implementation that follows the words of the definitions, feature by feature."""

import math
import statistics

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salus.timelines import entries
from salus.timelines.blocks import taken
from salus.timelines.clocks import DAYS_PER_YEAR, NEVER, STATIC
from salus.timelines.model_inputs import last_times, model_inputs
from salus.timelines.recency import MEDS_BIRTH_HASH, data_through
from salus.timelines.spec import FeatureSpec
from salus.timelines.standardise import baseline, standardise
from timeline_cases import (
    CODES,
    DAY,
    Event,
    Person,
    batch_of,
    in_order,
    people,
    prediction_times,
    same_blocks,
    samples_of,
    spec,
)

SPEC = spec()


def visible(rows, at, clock):
    """What a prediction sees of events or spans."""
    if clock == "time":
        return [row for row in rows if row.superseded == NEVER]
    return [row for row in rows if row.available <= at < row.superseded]


def slowly(person: Person, at: int, clock: str = "available") -> dict[str, float]:
    """Every feature of one person at one time, by its definition."""
    seen = [e for e in visible(person.events, at, clock) if STATIC < e.time <= at]
    found = {
        "age": math.nan if person.birth is None else (at - person.birth) / DAY / DAYS_PER_YEAR,
        "is_female": {"female": 1.0, "male": 0.0, None: math.nan}[person.sex],
        "any_event.days_since_last": since_last(seen, at),
    }
    for days in SPEC.enrolment_days:
        covered = [
            day
            for day in range(at // DAY - days, at // DAY)
            if any(s.start <= day * DAY < s.end for s in visible(person.spans, at, clock))
        ]
        found[f"enrolled_days.{days}d"] = len(covered)
    for group in SPEC.groups:
        mine = [e for e in seen if e.code in group.code_hashes]
        if group.kind == "source":
            found[f"{group.name}.known"] = float(bool(mine))
        elif group.kind == "count":
            found[f"{group.name}.days_since_last"] = since_last(mine, at)
            for days in SPEC.windows_days:
                within = [e for e in mine if e.time >= at - days * DAY]
                found[f"{group.name}.count.{days}d"] = len(within)
                found[f"{group.name}.exists.{days}d"] = float(bool(within))
                found[f"{group.name}.distinct_days.{days}d"] = len({e.time // DAY for e in within})
        elif group.kind == "amount":
            told = [e for e in mine if not math.isnan(e.value)]
            for days in SPEC.windows_days:
                total = sum(e.value for e in told if e.time >= at - days * DAY)
                found[f"{group.name}.sum.{days}d"] = max(total, 0)
        else:
            found |= slow_numbers(group.name, [e for e in mine if not math.isnan(e.value)], at)
            if group.reference:
                found |= slow_shares(group, [e for e in mine if not math.isnan(e.value)], at, person.sex)
    return found


def slow_shares(group, mine, at, sex):
    """Of somebody whose sex is not known, a value is unusual that would be so of a woman and of a man."""
    usual = {"female": [group.reference.female], "male": [group.reference.male]}
    ranges = usual.get(sex) or usual["female"] + usual["male"]
    found = {}
    for days in SPEC.numeric_windows_days:
        within = [e.value for e in mine if e.time >= at - days * DAY]
        unusual = [value for value in within if all(is_unusual(value, *limits) for limits in ranges)]
        found[f"{group.name}.out_of_range.{days}d"] = len(unusual) / len(within) if within else math.nan
    return found


def is_unusual(value, low, high):
    return (low is not None and value < low) or (high is not None and value > high)


def slow_numbers(name, mine, at):
    mine = in_order(mine)
    found = {f"{name}.last": mine[-1].value if mine else math.nan, f"{name}.days_since_last": since_last(mine, at)}
    for days in SPEC.numeric_windows_days:
        within = [e for e in mine if e.time >= at - days * DAY]
        values, times = [e.value for e in within], [e.time / DAY for e in within]
        found[f"{name}.count.{days}d"] = len(values)
        for statistic, of in (("mean", statistics.fmean), ("min", min), ("max", max)):
            found[f"{name}.{statistic}.{days}d"] = of(values) if values else math.nan
        varied = len(values) > 1 and statistics.pstdev(times) >= 0.4
        line = statistics.linear_regression(times, values).slope * 30 if varied else math.nan
        found[f"{name}.slope.{days}d"] = line
    return found


def since_last(seen, at):
    return (at - max(e.time for e in seen)) / DAY if seen else math.nan


@given(
    st.lists(people, min_size=1, max_size=4),
    st.lists(prediction_times, min_size=1, max_size=4),
    st.sampled_from(["available", "time"]),
)
def test_every_feature_is_what_its_definition_says(persons, times, clock):
    row, at = samples_of(persons, times)
    fast = model_inputs(batch_of(persons), row, at, SPEC, clock=clock)["inputs"]
    slow = [slowly(persons[r], t, clock) for r, t in zip(row, at.tolist())]
    assert set(slow[0]) == set(SPEC.names)
    expected = np.array([[found[name] for name in SPEC.names] for found in slow], np.float32)
    np.testing.assert_allclose(fast, expected, rtol=1e-4, atol=1e-3)


@given(
    st.lists(people, min_size=1, max_size=3),
    st.lists(prediction_times, min_size=1, max_size=3),
    st.sets(st.sampled_from(SPEC.numeric_statistics)),
)
def test_a_statistic_is_the_same_whatever_else_is_asked_for(persons, times, wanted):
    row, at = samples_of(persons, times)
    batch = batch_of(persons)
    whole = model_inputs(batch, row, at, SPEC)["inputs"]
    some = FeatureSpec.from_json(
        spec(numeric_statistics=tuple(wanted), statistics=None, sequence=None, daily=None).to_json()
    )
    columns = [SPEC.names.index(name) for name in some.names]
    same_blocks(model_inputs(batch, row, at, some), {"inputs": whole[:, columns]})


@given(st.lists(people, min_size=3, max_size=6), st.lists(prediction_times, min_size=1, max_size=3), st.integers(1, 7))
def test_neither_slices_of_a_batch_nor_chunks_of_the_work_change_an_input(persons, times, pairs_at_once):
    batch = batch_of(persons)
    row, at = samples_of(persons, times)
    whole = model_inputs(batch, row, at, SPEC)
    part = row >= 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(entries, "PAIRS_AT_ONCE", pairs_at_once)
        same_blocks(model_inputs(batch, row, at, SPEC), whole)
        same_blocks(model_inputs(batch.slice(1), row[part] - 1, at[part], SPEC), taken(whole, part))


def test_samples_may_stand_in_any_order_and_people_may_have_none():
    persons = [Person([Event(DAY, DAY, NEVER, CODES["I10"], math.nan)]), Person([]), Person([])]
    row, at = np.array([2, 0, 0]), np.array([5 * DAY, 3 * DAY, DAY - 1])
    counts = model_inputs(batch_of(persons), row, at, SPEC)["inputs"][:, SPEC.names.index("hypertension.count.7d")]
    np.testing.assert_array_equal(counts, [0, 1, 0])
    nothing = model_inputs(batch_of(persons), row[:0], at[:0], SPEC)
    assert nothing["inputs"].shape == (0, len(SPEC.names))
    assert nothing["event_values"].shape == (0, 5, 4)
    assert nothing["days"].shape == (0, 30, 2)


def test_credits_never_make_an_amount_negative_and_are_taken_off_what_they_repay():
    spent = [(DAY, -50.0), (20 * DAY, 120.0), (98 * DAY, -5.0), (100 * DAY, 500.0)]
    persons = [Person([Event(time, time, NEVER, CODES["COST/USD"], value) for time, value in spent])]
    inputs = model_inputs(batch_of(persons), np.array([0]), np.array([99 * DAY]), SPEC)["inputs"]
    found = dict(zip(SPEC.names, inputs[0]))
    assert [found[f"spent.sum.{days}d"] for days in SPEC.windows_days] == [0, 0, 65]


def test_a_day_of_several_events_counts_once_in_each_window_that_holds_its_last():
    at = 60 * DAY + DAY // 2
    hours = [53 * 24 + 3, 53 * 24 + 13, 53 * 24 + 14, 58 * 24, 58 * 24 + 23, 30 * 24]  # the week begins at 53 d, 12 h
    events = [Event(hour * DAY // 24, 0, NEVER, CODES["I10"], math.nan) for hour in hours]
    inputs = model_inputs(batch_of([Person(events)]), np.array([0]), np.array([at]), SPEC)["inputs"]
    found = dict(zip(SPEC.names, inputs[0]))
    assert [found[f"hypertension.count.{days}d"] for days in SPEC.windows_days] == [4, 6, 6]
    assert [found[f"hypertension.distinct_days.{days}d"] for days in SPEC.windows_days] == [2, 3, 3]


def test_a_birth_is_no_contact():
    persons = [Person([Event(DAY, STATIC, NEVER, MEDS_BIRTH_HASH, math.nan)])]
    inputs = model_inputs(batch_of(persons), np.array([0]), np.array([9 * DAY]), SPEC)["inputs"]
    assert math.isnan(inputs[0, SPEC.names.index("any_event.days_since_last")])


def test_nulls_in_a_clock_are_refused():
    batch = batch_of([Person([])])
    index = batch.schema.get_field_index("available")
    columns = [pa.array([[None]], pa.list_(pa.int64())) if i == index else c for i, c in enumerate(batch.columns)]
    with pytest.raises(ValueError, match="nulls within available"):
        model_inputs(pa.RecordBatch.from_arrays(columns, names=batch.schema.names), np.array([0]), np.array([0]), SPEC)


@given(people, prediction_times)
def test_last_times_and_data_through_are_those_of_what_was_visible(person, at):
    batch, row, times = batch_of([person]), np.array([0]), np.array([at])
    seen = [e for e in visible(person.events, at, "available") if STATIC < e.time <= at]
    expected = [max((e.time for e in seen if e.code in group.code_hashes), default=STATIC) for group in SPEC.groups]
    np.testing.assert_array_equal(last_times(batch, row, times, SPEC)[0], expected)
    assert data_through(batch, row, times)[0] == max(
        (e.available for e in person.events if e.available <= at), default=STATIC
    )


@given(st.lists(people, min_size=1, max_size=4), prediction_times)
def test_standardised_inputs_are_finite_and_say_what_was_missing(persons, at):
    row, times = samples_of(persons, [at])
    blocks = model_inputs(batch_of(persons), row, times, SPEC)
    raw, inputs = blocks["inputs"], standardise(blocks, SPEC)["inputs"]
    assert inputs.shape == (len(persons), SPEC.width)
    assert inputs.dtype == np.float32
    assert np.isfinite(inputs).all()
    assert (np.abs(inputs) <= 5).all()
    features = len(SPEC.names)
    for column, feature in enumerate(SPEC.features):
        missing = np.isnan(raw[:, column])
        assert (inputs[missing, column] == 0).all()
        if feature.absence:
            np.testing.assert_array_equal(inputs[:, features + SPEC.absences.index(feature.absence)], missing)
        else:
            assert not missing.any()
        scale = np.log1p if feature.is_log else np.asarray
        expected = (scale(raw[~missing, column]) - SPEC.statistics.mean[column]) / SPEC.statistics.std[column]
        np.testing.assert_allclose(inputs[~missing, column], np.clip(expected, -5, 5), rtol=1e-4, atol=1e-5)


def test_the_baseline_is_somebody_without_events_of_mean_age_and_sex():
    nobody = model_inputs(batch_of([Person([])]), np.array([0]), np.array([400 * DAY]), SPEC)
    is_known = np.isin(SPEC.names, ["age", "is_female"])
    known = np.where(is_known, np.array(SPEC.statistics.mean), nobody["inputs"]).astype(np.float32)
    expected = standardise(nobody | {"inputs": known}, SPEC)
    for name, block in baseline(SPEC).items():
        np.testing.assert_allclose(block, expected[name][0], atol=1e-6)


def test_a_spec_survives_json_and_its_hash_names_its_content():
    again = FeatureSpec.from_json(SPEC.to_json())
    assert again == SPEC
    assert again.hash == SPEC.hash
    assert spec(windows_days=(7, 60)).hash != SPEC.hash
    assert SPEC.code_of("hypertension.count.7d") == "I10"
    assert SPEC.code_of("diabetes.count.7d") == "diabetes"
    assert len(set(SPEC.names)) == len(SPEC.names) == len(SPEC.labels)


def test_inputs_of_another_spec_are_refused():
    with pytest.raises(ValueError, match="expected a fitted spec"):
        standardise({"inputs": np.zeros((1, 3), np.float32)}, SPEC)
    with pytest.raises(ValueError, match="not fitted"):
        standardise({"inputs": np.zeros((1, len(SPEC.names)), np.float32)}, spec(statistics=None))
