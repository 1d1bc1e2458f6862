"""Intervals of a horizon: who went through which, and what share of those at risk had what in which."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salus.cohorts.intervals import Intervals, incidence

ENDS = (10, 30, 60)
row = st.tuples(st.sampled_from([1, 0, -1]), st.integers(0, 59))


@pytest.mark.parametrize(
    ("event_type", "days", "through", "cause"),
    [
        (1, 0, 0, 1),
        (1, 9, 0, 1),
        (1, 10, 1, 1),  # an interval ends before its last day
        (-1, 59, 2, 2),
        (0, 4, 0, 0),
        (0, 5, 1, 0),  # there for half of the first
        (0, 19, 1, 0),
        (0, 20, 2, 0),
        (0, 60, 3, 0),  # the horizon
    ],
)
def test_who_leaves_went_through_an_interval_if_they_were_there_for_half_of_it(event_type, days, through, cause):
    found = Intervals(ENDS, 2).targets(np.array([event_type]), np.array([days]))
    assert found.tolist() == [[through, cause]]


@pytest.mark.parametrize("causes", [1, 2])
@given(st.lists(st.tuples(row, st.integers(1, 4)), min_size=1, max_size=20))
def test_hazards_are_shares_of_those_at_risk_and_of_one_more_who_has_everybodys(causes, rows):
    kinds, days = np.array([each for each, _ in rows]).T
    kinds = np.abs(kinds) if causes == 1 else kinds
    weights = np.array([weight for _, weight in rows], float)
    intervals = Intervals(ENDS, causes)
    targets = intervals.targets(kinds, days)
    events, at_risk = np.empty((causes, 3)), np.empty(3)
    for interval in range(3):
        here = targets[:, 0] == interval
        at_risk[interval] = weights @ ((targets[:, 0] > interval) | (here & (targets[:, 1] > 0)))
        events[:, interval] = [weights @ (here & (targets[:, 1] == cause + 1)) for cause in range(causes)]
    usual = [(events[cause].sum() + 0.5) / (at_risk.sum() + (causes + 1) / 2) for cause in range(causes)]
    expected = [(events[cause] + usual[cause]) / (at_risk + 1) for cause in range(causes)]
    found = intervals.hazards(targets, weights)
    np.testing.assert_allclose(found, expected)
    assert (found.sum(axis=0) < 1).all()


def test_incidence_is_of_those_who_are_still_there():
    np.testing.assert_allclose(incidence([[0.1, 0.2], [0.3, 0.0]]), [0.1, 0.1 + 0.6 * 0.2])
    np.testing.assert_allclose(incidence([[0.1, 0.2]]), [0.1, 1 - 0.9 * 0.8])
