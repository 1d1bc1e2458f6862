"""What became available after a prediction, in whatever way, changes none of its inputs."""

import dataclasses

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from salus.timelines.clocks import NEVER
from salus.timelines.enrolment import enrolled_days
from salus.timelines.model_inputs import last_times, model_inputs, sequence_times
from timeline_cases import CODES, Event, Person, batch_of, events, people, prediction_times, same_blocks, spans, spec

SPEC = spec()
later = st.integers(1, 10**13)
fates = st.sampled_from(["stays", "void", "corrected", "stands"])
never_comes = st.booleans()
events_added, spans_added = st.lists(events, max_size=6), st.lists(spans, max_size=6)


def known_later(row, at, after):
    """The same row, but it became available only after ``at``."""
    return dataclasses.replace(row, available=at + after, superseded=NEVER)


@st.composite
def futures(draw, rows, kind, added, at):
    """``rows`` after something happened to them that became known after ``at``: any mixture of

    additions, corrections (a row is superseded later, and its newer version appears), voids (it is only superseded
    later), and the deletion of rows, or of the news of their end, that only came later.
    """
    changed = [known_later(row, at, draw(later)) for row in draw(added)]
    for row in rows:
        if row.available > at:  # came later: may as well never come
            if draw(never_comes):
                continue
        elif row.superseded > at:  # current at the prediction: its end may move
            fate = draw(fates)
            if fate in ("void", "corrected"):
                row = dataclasses.replace(row, superseded=at + draw(later))
            if fate == "corrected":
                changed.append(known_later(draw(kind), at, draw(later)))
            if fate == "stands":
                row = dataclasses.replace(row, superseded=NEVER)
        changed.append(row)
    return changed


@given(people, prediction_times, st.data())
def test_what_became_known_after_the_prediction_changes_no_input(person, at, data):
    other = Person(
        data.draw(futures(person.events, events, events_added, at)),
        data.draw(futures(person.spans, spans, spans_added, at)),
        person.birth,
        person.sex,
    )
    row, times = np.array([0]), np.array([at])
    before, after = (model_inputs(batch_of([one]), row, times, SPEC) for one in (person, other))
    same_blocks(after, before)
    before, after = (sequence_times(batch_of([one]), row, times, SPEC) for one in (person, other))
    np.testing.assert_array_equal(after, before)
    before, after = (last_times(batch_of([one]), row, times, SPEC) for one in (person, other))
    np.testing.assert_array_equal(after, before)
    before, after = (enrolled_days(batch_of([one]), row, times, 365) for one in (person, other))
    np.testing.assert_array_equal(after, before)


@given(st.floats(-50, 50, width=32), st.floats(-50, 50, width=32), st.tuples(later, later))
def test_which_of_two_results_of_one_time_is_the_last_hangs_on_nothing_that_becomes_of_them(one, other, ends):
    at = 100
    now = [dataclasses.replace(_lab(), value=value) for value in (one, other)]
    then = [dataclasses.replace(lab, superseded=at + end) for lab, end in zip(now, ends)]
    before, after = (
        model_inputs(batch_of([Person(labs)]), np.array([0]), np.array([at]), SPEC) for labs in (now, then)
    )
    assert before["inputs"][0, SPEC.names.index("lab.last")] == max(one, other)
    same_blocks(after, before)


def test_the_priced_leak_does_see_what_came_later():
    """Else the price would be nothing by construction."""
    at = 100
    late = dataclasses.replace(Person([]), events=[known_later(_lab(), at, 10)])
    row, times = np.array([0]), np.array([at])
    honest, leaking = (model_inputs(batch_of([late]), row, times, SPEC, clock=clock) for clock in ("available", "time"))
    count = SPEC.names.index("lab.count.30d")
    assert honest["inputs"][0, count] == 0
    assert leaking["inputs"][0, count] == 1
    assert not honest["event_codes"].any()
    assert leaking["event_codes"].any()
    assert np.isnan(honest["days"]).all()
    assert not np.isnan(leaking["days"]).all()


def _lab():
    return Event(50, 50, NEVER, CODES["LAB/1"], 1.0)
