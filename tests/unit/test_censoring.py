"""Censoring weights: a worked example, and the sum that they must keep."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from salus.cohorts.censoring import staying_enrolled


def test_the_worked_example():
    """Ten people: one event on day 1; two leave on day 2; on day 3 one event and one leaves; five reach day 5.

    Staying beyond day 2: of the 9 left, 2 leave: 7/9. Beyond day 3: the event comes first, so 1 of 6 leaves:
    7/9 x 5/6. So the event on day 3 weighs 9/7, and whoever reaches day 5 weighs 54/35.
    """
    days, enrolled = staying_enrolled(np.array([5, 1, 3, 2]), np.array([5, 1, 1, 0]), np.array([0, 0, 1, 2]))
    np.testing.assert_array_equal(days, [1, 2, 3, 5])
    np.testing.assert_allclose(1 / enrolled, [1, 1, 9 / 7, 54 / 35])


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12))
def test_weights_make_up_for_everybody_who_left(counts):
    """Those who stay stand in for those who leave, as long as somebody stays to the end."""
    known = np.array([stay for stay, _ in counts] + [1])
    censored = np.array([leave for _, leave in counts] + [0])
    _, enrolled = staying_enrolled(np.arange(known.size), known, censored)
    np.testing.assert_allclose((known / enrolled).sum(), known.sum() + censored.sum())
