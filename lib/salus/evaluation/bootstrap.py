"""Intervals by the bootstrap clustered by person.

A person gives many rows, one a prediction time, and they resemble each other; an interval that resampled rows
would be too narrow. So people are drawn with replacement and bring all their rows: a replicate is nothing but a
whole-number weight on each person, and every statistic here takes weights. Statistics that are taken together
share their replicates, so differences between them are paired.
"""

from collections.abc import Callable, Iterator

import numpy as np

REPLICATES = 200
LEVEL = 0.95


def person_weights(people: np.ndarray, replicates: int = REPLICATES, seed: int = 0) -> Iterator[np.ndarray]:
    """How often each row's person was drawn, replicate by replicate.

    Args:
        people: int64 (rows,), the person of each row.
        replicates: how many draws.
        seed: the same seed gives the same draws.

    Yields:
        float64 (rows,): whole numbers; equal on all rows of a person; over people they sum to their number.
    """
    distinct, person = np.unique(people, return_inverse=True)
    random = np.random.default_rng(seed)
    for _ in range(replicates):
        drawn = np.bincount(random.integers(0, distinct.size, distinct.size), minlength=distinct.size)
        yield drawn[person].astype(np.float64)


def intervals(
    statistics: Callable[[np.ndarray], np.ndarray], people: np.ndarray, replicates: int = REPLICATES, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """95 % percentile intervals of ``statistics``, each over the same replicates.

    Args:
        statistics: weights (rows,) to the values (statistics,).
        people: int64 (rows,), the person of each row.
        replicates: how many draws.
        seed: of the draws.

    Returns:
        The lower and the upper bounds, float64 (statistics,); NaN where too few replicates gave a value.
    """
    values = np.array([statistics(weights) for weights in person_weights(people, replicates, seed)])
    enough = np.isfinite(values).mean(axis=0) >= LEVEL
    bounds = np.full((2, values.shape[1]), np.nan)
    tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    bounds[:, enough] = np.nanquantile(values[:, enough], tails, axis=0)
    return bounds[0], bounds[1]
