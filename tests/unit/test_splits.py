"""Splits by hash: the declared shares, for good."""

import numpy as np
import pytest
from pydantic import ValidationError

from salus.cohorts.splits import fold_of, split_of, xxhash64
from salus.cohorts.task import Splits, Task


@pytest.fixture(scope="module")
def people():
    return np.random.default_rng(5).integers(0, 2**63 - 1, 50_000)


def test_xxhash64_is_sparks():
    """Values of Spark 4.0.5's ``SELECT xxhash64(v)``."""
    values = np.array([0, 1, -1, 42, 2**62, np.iinfo(np.int64).min])
    assert xxhash64(values).tolist() == [
        -5252525462095825812,
        -7001672635703045582,
        3858142552250413010,
        -6876166290308861218,
        8973626371093010265,
        -8619748838626508300,
    ]


def test_people_are_shared_out_as_declared(people):
    shares = Splits(train=0.55, tuning=0.15, calibration=0.05, held_out=0.25)
    names, counts = np.unique(split_of(people, shares), return_counts=True)
    found = dict(zip(names.tolist(), (counts / people.size).tolist()))
    assert found == pytest.approx(shares.shares, abs=0.01)


def test_folds_are_even_and_do_not_go_with_splits(people):
    split, fold = split_of(people, Splits()), fold_of(people, 5)
    for name in ("train", "tuning", "calibration", "held_out"):
        counts = np.bincount(fold[split == name], minlength=5) / (split == name).sum()
        assert counts == pytest.approx([0.2] * 5, abs=0.02)


@pytest.mark.parametrize(
    ("stated", "told"),
    [
        ({"by": "time"}, "held_out_last and by: time belong together"),
        ({"by": "site"}, "held_out_sites and by: site belong together"),
        ({"held_out_last": 3}, "held_out_last and by: time belong together"),
        ({"by": "time", "held_out_last": 3, "held_out_sites": ["a"]}, "held_out_sites and by: site belong together"),
    ],
)
def test_who_is_held_out_is_said_in_one_way(stated, told):
    with pytest.raises(ValidationError, match=told):
        Splits(**stated)


def test_where_sites_are_held_out_everybody_else_is_learnt_from(people):
    splits = Splits(by="site", held_out_sites=("a",))
    assert splits.shares == pytest.approx({"train": 0.75, "tuning": 0.125, "calibration": 0.125})
    names, counts = np.unique(split_of(people, splits), return_counts=True)
    assert dict(zip(names.tolist(), (counts / people.size).tolist())) == pytest.approx(splits.shares, abs=0.01)
    assert splits.stated == splits.shares | {"by": "site", "held_out_last": None, "held_out_sites": ["a"]}
    assert Splits().stated == Splits().shares


def test_some_dates_are_left_to_learn_from():
    task = Task.load("admission_90d").model_dump()
    task["splits"] |= {"by": "time", "held_out_last": task["index"]["last"]}
    with pytest.raises(ValidationError, match="held_out_last must be less than the index's dates"):
        Task(**task)
