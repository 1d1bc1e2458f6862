"""Labels of several classes: each is what es-aces says of it, and together they are their definition day by day."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from label_cases import (
    ADMISSION,
    AFTER_DISCHARGE,
    CODES,
    GAP,
    LAB,
    WITHIN_TEN_DAYS,
    batch_of,
    batch_of_days,
    everybody_at_once,
    instant,
    label,
    population,
    span,
)
from salus.cohorts.classes import AT_MOST, Classes, Outcomes
from salus.cohorts.labels import label_samples
from salus.timelines.clocks import MICROSECONDS_PER_DAY as DAY
from salus.timelines.clocks import NEVER

EXCLUSIVE = ("first_to_happen", "first_listed", None)
THREE = {
    "predicates": AFTER_DISCHARGE["predicates"] | {"test": {"code": "LAB"}},
    "windows": WITHIN_TEN_DAYS["windows"],
}


def of_classes(aces, predicates, exclusive=None, **changes):
    return label(aces, classes={"predicates": predicates, "exclusive": exclusive}, **changes)


@pytest.mark.parametrize(("windows", "horizon_days"), [(THREE["windows"], 10), (AFTER_DISCHARGE["windows"], 30)])
def test_each_class_is_what_es_aces_says_of_it_on_everybody_at_once(windows, horizon_days, tmp_path):
    people = list(population(150, seed=3))
    predictions = [day * DAY for day in (5, 12, 31, 40)]
    row, at = np.repeat(np.arange(len(people)), 4), np.tile(predictions, len(people))
    aces, names = {"predicates": THREE["predicates"], "windows": windows}, ("high", "test", "admission")
    asked = of_classes(aces, names, horizon_days=horizon_days)
    found = label_samples(batch_of(people), row, at, asked, CODES)
    holding = asked.outcomes.holding(found.value)
    for place, name in enumerate(asked.outcomes.names):
        target = windows["target"] | {"label": name}
        expected = everybody_at_once(people, predictions, aces | {"windows": windows | {"target": target}}, tmp_path)
        mine = {
            (r, instant(t)): bool(holds)
            for r, t, lost, holds in zip(row.tolist(), at.tolist(), found.lost_at, holding[:, place])
            if lost == 0
        }
        beyond = {(r, instant(t)) for r, t, lost in zip(row.tolist(), at.tolist(), found.lost_at) if lost == 3}
        assert mine == {pair: holds for pair, holds in expected.items() if pair not in beyond}
        assert 5 < sum(mine.values()) < len(mine) - 5


someone = st.fixed_dictionaries(
    {
        "days": st.lists(st.tuples(st.integers(0, 45), st.sampled_from([ADMISSION, LAB])), max_size=5),
        "death": st.one_of(st.none(), st.integers(0, 45)),
        "spans": st.lists(span, max_size=4),
    }
)
LISTED = ("test", "admission", "death")
CODE_OF = {"test": LAB, "admission": ADMISSION}
DYING = {
    "predicates": {"test": {"code": "LAB"}, "admission": {"code": "ADMISSION"}, "death": {"code": "MEDS_DEATH"}},
    "windows": WITHIN_TEN_DAYS["windows"],
}


def slowly(person, day, exclusive):
    """(step lost, the classes that hold, days observed) of the definition, in whole days."""
    death = person["death"] if person["death"] is not None else 1_000
    if death <= day:
        return 1, set(), -1
    first = {
        name: min((at for at, code in person["days"] if code == CODE_OF[name] and day <= at <= death), default=1_000)
        for name in CODE_OF
    } | {"death": death}
    first = {name: at if at < day + 10 else 1_000 for name, at in first.items()}
    covered = {at for begin, days, current in person["spans"] if current for at in range(begin, begin + days)}
    left = day
    while any(
        {before, after} <= covered for before in range(left - GAP, left + 1) for after in range(left, before + GAP + 2)
    ):
        left += 1
    # When nothing could change it any more: the first of all, the one listed first, or all of them.
    certain = {"first_to_happen": min(first.values()), "first_listed": first["test"], None: max(first.values())}
    ends = min(certain[exclusive], death)
    if left <= ends and left < day + 10:
        return 4, set(), min(left, death) - day
    happened = [name for name in LISTED if first[name] < 1_000]
    if exclusive is not None and happened:
        happened = [min(happened, key=lambda name: first[name] if exclusive == "first_to_happen" else 0)]
    return 0, set(happened), min(ends, day + 10) - day


@pytest.mark.parametrize("exclusive", EXCLUSIVE)
@given(st.lists(someone, min_size=1, max_size=4))
def test_together_they_are_their_definition_day_by_day(exclusive, people):
    batch = batch_of_days(people, lambda person: person["days"])
    days = (4, 11, 25)
    row, at = np.repeat(np.arange(len(people)), 3), np.tile(np.array(days) * DAY, len(people))
    asked = of_classes(DYING, LISTED, exclusive, death="event", censor_at_disenrolment=True)
    found = label_samples(batch, row, at, asked, CODES | {0: "MEDS_DEATH"}, GAP)
    held = [
        {name for name, holds in zip(asked.outcomes.names, each) if holds}
        for each in asked.outcomes.holding(found.value)
    ]
    assert list(zip(found.lost_at.tolist(), held, found.observed_days.tolist())) == [
        slowly(person, day, exclusive) for person in people for day in days
    ]


@pytest.mark.parametrize(
    ("exclusive", "held", "certain"),
    [
        ("first_to_happen", ["b", "a", "c", "a", None], [3, 5, 7, 2, NEVER]),
        ("first_listed", ["a", "a", "b", "a", None], [9, 5, NEVER, 2, NEVER]),
        (None, ["ab", "ac", "bc", "abc", ""], [NEVER, NEVER, NEVER, 8, NEVER]),
    ],
)
def test_of_exclusive_classes_the_first_holds_by_time_or_as_listed(exclusive, held, certain):
    """Classes a, b and c as listed, of which b is in the focus and so kept last."""
    times = {"a": [9, 5, NEVER, 2, NEVER], "c": [NEVER, 6, 7, 2, NEVER], "b": [3, NEVER, 8, 8, NEVER]}
    classes = Classes(predicates=("a", "b", "c"), exclusive=exclusive)
    holding, ends = classes.holding(np.column_stack(list(times.values())), "b")
    found = ["".join(sorted(name for name, holds in zip(times, each) if holds)) for each in holding]
    assert (found, ends.tolist()) == ([each or "" for each in held], certain)


@given(st.integers(2, AT_MOST), st.randoms())
def test_a_set_of_classes_survives_the_number_that_a_data_set_keeps(classes, random):
    outcomes = Outcomes(tuple(f"class_{place}" for place in range(classes)), False)
    holding = np.array([[random.random() < 0.5 for _ in range(classes)] for _ in range(20)])
    kept = outcomes.number(holding).astype(np.float32)
    np.testing.assert_array_equal(outcomes.holding(kept), holding)
    assert ((kept > 0) == holding.any(axis=1)).all()


def test_none_of_exclusive_classes_is_told_too_and_the_focus_is_the_last_of_the_classes():
    outcomes = of_classes(THREE, ("admission", "test", "high"), "first_listed").outcomes
    assert (outcomes.names, outcomes.focus) == (("test", "high", "admission"), "admission")
    assert outcomes.told == ("test", "high", "admission", "none")
    truth = outcomes.truth(np.array([0, 1, 2, 4]))
    np.testing.assert_array_equal(truth, np.eye(4, dtype=bool)[[3, 0, 1, 2]])
    several = outcomes._replace(is_exclusive=False)
    assert several.told == outcomes.names
    assert [tuple(each) for each in several.truth(np.arange(8))] == [
        each[::-1] for each in product([False, True], repeat=3)
    ]
