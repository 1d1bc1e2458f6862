"""Event sequences and daily matrices against their definitions, one event and one day at a time."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salus.timelines.blocks import EVENT_COLUMNS
from salus.timelines.clocks import DAYS_PER_YEAR, NEVER, STATIC
from salus.timelines.model_inputs import model_inputs, sequence_times
from salus.timelines.standardise import LOG_YEAR, standardise
from timeline_cases import CODES, DAY, Event, Person, batch_of, in_order, people, prediction_times, samples_of, spec

SPEC = spec()
SEQUENCE, DAILY = SPEC.sequence, SPEC.daily
MANY = st.tuples(st.lists(people, min_size=1, max_size=4), st.lists(prediction_times, min_size=1, max_size=4))
CLOCK = st.sampled_from(["available", "time"])


def seen_by(person, at, clock):
    """The dated events that a prediction sees, in the timeline's order."""
    if clock == "time":
        seen = [e for e in person.events if e.superseded == NEVER]
    else:
        seen = [e for e in person.events if e.available <= at < e.superseded]
    dated = [e for e in seen if STATIC < e.time <= at]
    return in_order(dated)


def slow_sequence(person, at, clock):
    """(code id, value, gap, days before, age) of each of the last events."""
    known = [e for e in seen_by(person, at, clock) if e.code in SEQUENCE.code_hashes][-SEQUENCE.length :]
    rows, before = [], None
    for event in known:
        age = math.nan if person.birth is None else (event.time - person.birth) / DAY / DAYS_PER_YEAR
        gap = 0 if before is None else (event.time - before) / DAY
        code = SEQUENCE.code_hashes.index(event.code) + 1
        rows.append((code, event.value, gap, (at - event.time) / DAY, age))
        before = event.time
    return rows + [(0, *[math.nan] * 4)] * (SEQUENCE.length - len(rows))


def slow_day(person, at, clock, days_back, channel):
    """The mean of a channel's values on the day that began ``days_back + 1`` days before the prediction."""
    values = [
        e.value
        for e in seen_by(person, at, clock)
        if e.code in channel.code_hashes and not math.isnan(e.value) and (at - e.time) // DAY == days_back
    ]
    return sum(values) / len(values) if values else math.nan


@settings(max_examples=100, deadline=None)
@given(MANY, CLOCK)
def test_a_sequence_holds_the_last_visible_events_in_their_order(many, clock):
    row, at = samples_of(*many)
    found = model_inputs(batch_of(many[0]), row, at, SPEC, clock=clock)
    expected = np.array([slow_sequence(many[0][r], t, clock) for r, t in zip(row, at.tolist())])
    np.testing.assert_array_equal(found["event_codes"], expected[..., 0])
    np.testing.assert_allclose(found["event_values"], expected[..., 1:], rtol=1e-5, atol=1e-4)
    assert (found["event_codes"].dtype, found["event_values"].dtype) == (np.int32, np.float32)


@settings(max_examples=60, deadline=None)
@given(MANY, CLOCK)
def test_a_daily_matrix_holds_the_mean_of_each_day_and_no_zero_for_a_day_without(many, clock):
    row, at = samples_of(*many)
    found = model_inputs(batch_of(many[0]), row, at, SPEC, clock=clock)["days"]
    expected = [
        [
            [slow_day(many[0][r], t, clock, back, channel) for channel in DAILY.channels]
            for back in range(DAILY.days - 1, -1, -1)
        ]
        for r, t in zip(row, at.tolist())
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@settings(max_examples=60, deadline=None)
@given(MANY)
def test_standardised_blocks_are_finite_and_say_what_is_there(many):
    row, at = samples_of(*many)
    raw = model_inputs(batch_of(many[0]), row, at, SPEC)
    found = standardise(raw, SPEC)
    assert {name: (block.shape[1:], str(block.dtype)) for name, block in found.items()} == {
        name: (block.shape, block.dtype) for name, block in SPEC.blocks.items()
    }
    assert all(np.isfinite(block).all() for block in found.values())
    columns = {name: found["event_values"][..., place] for place, name in enumerate(EVENT_COLUMNS)}
    present = raw["event_codes"] > 0
    np.testing.assert_array_equal(columns["present"], present)
    assert not found["event_values"][~present].any()
    value, gap, before, age = np.moveaxis(raw["event_values"], -1, 0)
    np.testing.assert_array_equal(columns["value_known"], ~np.isnan(value))
    of_code = np.array([0, *SEQUENCE.mean])[raw["event_codes"]], np.array([1, *SEQUENCE.std])[raw["event_codes"]]
    expected = np.nan_to_num(np.clip((value - of_code[0]) / of_code[1], -5, 5))
    np.testing.assert_allclose(columns["value"], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(columns["log_gap"], np.nan_to_num(np.log1p(gap) / LOG_YEAR), rtol=1e-5)
    np.testing.assert_allclose(columns["log_days_before"], np.nan_to_num(np.log1p(before) / LOG_YEAR), rtol=1e-5)
    scaled = (age - SPEC.statistics.mean[0]) / SPEC.statistics.std[0]
    np.testing.assert_allclose(columns["age"], np.nan_to_num(np.clip(scaled, -5, 5)), rtol=1e-4, atol=1e-5)
    channels = len(DAILY.channels)
    np.testing.assert_array_equal(found["days"][..., channels:], np.isnan(raw["days"]))
    scaled = (raw["days"] - [c.mean for c in DAILY.channels]) / [c.std for c in DAILY.channels]
    np.testing.assert_allclose(found["days"][..., :channels], np.nan_to_num(np.clip(scaled, -5, 5)), rtol=1e-5)


@pytest.mark.parametrize("clock", ["available", "time"])
@pytest.mark.parametrize("late", [0.0, 0.3, 0.9])
def test_of_histories_many_times_as_long_the_last_visible_events_are_kept(clock, late):
    random = np.random.default_rng(7)

    def event(time):
        available = time + int(random.random() < late) * int(random.integers(1, 200)) * DAY
        superseded = available + int(random.integers(1, 100)) * DAY if random.random() < late else NEVER
        return Event(time, available, superseded, int(random.choice(SEQUENCE.code_hashes)), float(random.integers(50)))

    many = [
        Person([event(int(time)) for time in random.choice(400 * 1440, size, False) * (DAY // 1440)], birth=-9000 * DAY)
        for size in (0, 1, SEQUENCE.length, 20, 150, 150)
    ]
    row, at = samples_of(many, [day * DAY for day in range(0, 450, 15)])
    found = model_inputs(batch_of(many), row, at, SPEC, clock=clock)
    expected = np.array([slow_sequence(many[r], t, clock) for r, t in zip(row, at.tolist())])
    np.testing.assert_array_equal(found["event_codes"], expected[..., 0])
    np.testing.assert_allclose(found["event_values"], expected[..., 1:], rtol=1e-5, atol=1e-4)


def test_the_newest_that_were_known_are_found_behind_any_number_that_were_not():
    """The walk back has to go on until it has met enough of what was visible."""
    known = [Event(day * DAY, day * DAY, NEVER, CODES["I10"], float(day)) for day in range(4)]
    late = [Event(day * DAY, 900 * DAY, NEVER, CODES["I10"], -1.0) for day in range(10, 400)]
    replaced = [Event(day * DAY, day * DAY, 401 * DAY, CODES["I10"], -2.0) for day in range(10, 400)]
    person = Person(known + late + replaced)
    found = model_inputs(batch_of([person]), np.array([0]), np.array([500 * DAY]), SPEC)
    np.testing.assert_array_equal(found["event_values"][0, :, 0], [0, 1, 2, 3, np.nan])
    np.testing.assert_array_equal(
        sequence_times(batch_of([person]), np.array([0]), np.array([500 * DAY]), SPEC)[0],
        [0, DAY, 2 * DAY, 3 * DAY, STATIC],
    )


def test_a_spec_of_windows_only_has_one_block_and_says_so_in_its_hash():
    windows = SPEC.model_copy(update={"sequence": None, "daily": None})
    windows = type(SPEC).from_json(windows.to_json())
    assert list(windows.blocks) == ["inputs"]
    shorter = SPEC.sequence.model_copy(update={"length": 4})
    hashes = {each.hash for each in (windows, SPEC, spec(sequence=shorter), spec(daily=None))}
    assert len(hashes) == 4
    assert type(SPEC).from_json(SPEC.to_json()).blocks == SPEC.blocks
