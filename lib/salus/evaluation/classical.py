"""Models that need no network, on the same inputs and folds: what a network must be worth its electricity against.

Gradient-boosted trees are the strongest of them on tables (Grinsztajn et al., NeurIPS 2022), a linear support vector
machine the plainest. Both are scikit-learn's, and learn on one machine: from at most ``BYTES_AT_MOST`` of training
inputs, whole row groups of them, which are hash classes of people, so that a larger split gives a fair part of itself.
"""

import os
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import SGDClassifier
from threadpoolctl import threadpool_limits

from salus.datasets import Dataset
from salus.datasets.feed import in_order
from salus.datasets.manifest import Split
from salus.datasets.parquet import Samples
from salus.evaluation.predictions import is_sampled
from salus.timelines.blocks import INPUTS

BYTES_AT_MOST = 512 * 2**20
"""Of training inputs that are held at once."""

THREADS = max(1, (os.cpu_count() or 1) // 2)
"""Of a fit. Each of its many small steps waits for all threads, so one that shares its core holds up the rest."""

Score = Callable[[np.ndarray], np.ndarray]
"""Inputs float32 (rows, width) to a score before calibration, float64 (rows,)."""


def classical_models(dataset: Dataset, seed: int, at_most: int = BYTES_AT_MOST) -> dict[str, Score]:
    """``boosted_trees`` and ``linear_svm``, fitted on the windowed inputs of the training split.

    Trees stop growing where ten more do not help the tuning split, as networks stop by it.

    Args:
        dataset: whose splits train and tuning are learnt from.
        seed: of what is random in fitting.
        at_most: bytes of a split's inputs.
    """
    train, tuning = (_some(windowed(dataset, split), at_most) for split in ("train", "tuning"))
    trees = HistGradientBoostingClassifier(
        learning_rate=0.05, max_iter=500, l2_regularization=1.0, early_stopping=True, random_state=seed
    )
    with threadpool_limits(THREADS, "openmp"):
        trees.fit(
            train.inputs[INPUTS],
            train.label,
            sample_weight=train.weight,
            X_val=tuning.inputs[INPUTS],
            y_val=tuning.label,
            sample_weight_val=tuning.weight,
        )
    machine = SGDClassifier(loss="hinge", alpha=1e-3, average=True, class_weight="balanced", random_state=seed)
    machine.fit(train.inputs[INPUTS], train.label, sample_weight=train.weight)
    return {"boosted_trees": trees.decision_function, "linear_svm": machine.decision_function}


def scores_of(
    dataset: Dataset, split: str, models: Mapping[str, Score], share: float = 1.0
) -> tuple[Samples, dict[str, np.ndarray]]:
    """The samples of ``split`` without their inputs, and each model's score of them; one row group is held at a time.

    Args:
        dataset: exported samples.
        split: its name.
        models: what ``classical_models`` fitted.
        share: of the people, always the same ones: those whom ``predictions.sampled`` keeps.

    Returns:
        The samples and, by model, float64 (samples,), by subject_id and prediction_time.
    """
    samples: list[Samples] = []
    scores: dict[str, list[np.ndarray]] = {name: [] for name in models}
    for every_sample in in_order(windowed(dataset, split)):
        group = every_sample if share >= 1 else every_sample[is_sampled(every_sample.subject_id, share)]
        if not len(group):
            continue
        for name, score in models.items():
            scores[name].append(score(group.inputs[INPUTS]))
        samples.append(Samples(group.subject_id, group.prediction_time, {}, group.label, group.weight))
    every = Samples.concatenated(samples)
    order = np.lexsort((every.prediction_time, every.subject_id))
    return every[order], {name: np.concatenate(parts)[order] for name, parts in scores.items()}


def windowed(dataset: Dataset, split: str) -> Split:
    """A split of which only the windowed inputs are read."""
    return dataset.split(split).only([INPUTS])


def _some(split: Split, at_most: int) -> Samples:
    return Samples.concatenated(list(_first(split, at_most)))


def _first(split: Split, at_most: int) -> Iterator[Samples]:
    taken = 0
    for samples in in_order(split):
        taken += samples.inputs[INPUTS].nbytes
        if taken > at_most and taken > samples.inputs[INPUTS].nbytes:
            return
        yield samples
