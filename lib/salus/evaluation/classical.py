"""Models that need no network, on the same inputs and folds: what a network must be worth its electricity against.

Gradient-boosted trees are the strongest of them on tables (Grinsztajn et al., NeurIPS 2022), a linear support vector
machine the plainest. Both are scikit-learn's, and learn on one machine: from at most ``BYTES_AT_MOST`` of training
inputs, whole row groups of them, which are hash classes of people, so that a larger split gives a fair part of itself.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import SGDClassifier
from threadpoolctl import threadpool_limits

from salus.cohorts.label import MEDIAN
from salus.cohorts.task import Task
from salus.datasets import Dataset
from salus.datasets.feed import in_order
from salus.datasets.manifest import Split
from salus.datasets.parquet import Samples
from salus.evaluation.metrics import Sample
from salus.evaluation.predictions import is_sampled
from salus.evaluation.times import at_horizon
from salus.timelines.blocks import INPUTS

BYTES_AT_MOST = 512 * 2**20
"""Of training inputs that are held at once."""

THREADS = max(1, (os.cpu_count() or 1) // 2)
"""Of a fit. Each of its many small steps waits for all threads, so one that shares its core holds up the rest."""

Score = Callable[[np.ndarray], np.ndarray]
"""Inputs float32 (rows, width) to a score before calibration, float64 (rows,): a logit, the logarithm of a mean, or a
median."""


def classical_models(dataset: Dataset, task: Task, seed: int, at_most: int = BYTES_AT_MOST) -> dict[str, Score]:
    """``boosted_trees`` and, but for a number, ``linear_svm``, fitted on the windowed inputs of the training split.

    Trees stop growing where ten more do not help the tuning split, as networks stop by it. A time to event is learnt as
    a yes or no at its horizon, of several classes the focus.

    Args:
        dataset: whose splits train and tuning are learnt from.
        task: what its labels are.
        seed: of what is random in fitting.
        at_most: bytes of a split's inputs.
    """
    train, tuning = (_learnt_from(_some(windowed(dataset, split), at_most), task) for split in ("train", "tuning"))
    settings = {
        "learning_rate": 0.05,
        "max_iter": 500,
        "l2_regularization": 1.0,
        "early_stopping": True,
        "random_state": seed,
    }
    is_number = task.label.kind.is_number
    of_median = {"loss": "quantile", "quantile": MEDIAN} if task.label.kind.quantiles else {"loss": "poisson"}
    trees = (
        HistGradientBoostingRegressor(**of_median, **settings)
        if is_number
        else HistGradientBoostingClassifier(**settings)
    )
    with threadpool_limits(THREADS, "openmp"):
        trees.fit(
            train.inputs,
            train.labels,
            sample_weight=train.weights,
            X_val=tuning.inputs,
            y_val=tuning.labels,
            sample_weight_val=tuning.weights,
        )
    if task.label.kind.quantiles:
        return {"boosted_trees": trees.predict}
    if is_number:
        return {"boosted_trees": lambda inputs: np.log(trees.predict(inputs))}
    machine = SGDClassifier(loss="hinge", alpha=1e-3, average=True, class_weight="balanced", random_state=seed)
    machine.fit(train.inputs, train.labels, sample_weight=train.weights)
    return {"boosted_trees": trees.decision_function, "linear_svm": machine.decision_function}


class _LearntFrom(NamedTuple):
    inputs: np.ndarray
    labels: np.ndarray
    weights: np.ndarray


def _learnt_from(samples: Samples, task: Task) -> _LearntFrom:
    every = Sample(
        samples.subject_id,
        samples.label,
        samples.weight,
        times=samples.prediction_time,
        days=samples.observed_days,
    )
    place, known = at_horizon(task, every)
    inputs = samples.inputs[INPUTS]
    return _LearntFrom(inputs if place.size == len(samples) else inputs[place], known.labels, known.weights)


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
