"""Splits by hash: the declared shares, for good."""

import numpy as np
import pytest

from salus.cohorts.splits import fold_of, split_of, xxhash64
from salus.cohorts.task import Splits


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
