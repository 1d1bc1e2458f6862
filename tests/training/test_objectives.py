"""Objectives: what is learnt of each kind of label, in whatever unit it is counted."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit

from salus.models.losses import binary_loss
from salus.models.objectives import objective

RANDOM = np.random.default_rng(9)
PLAIN = SimpleNamespace(label_smoothing=0.0, positive_weight=1.0, focal_gamma=0.0)
RAW = RANDOM.normal(size=400)


def gradient(asked, labels, raw):
    at = tf.constant(raw)
    with tf.GradientTape() as tape:
        tape.watch(at)
        loss = tf.reduce_mean(asked.loss(tf.constant(labels), at))
    return tape.gradient(loss, at).numpy()


def test_an_event_is_learnt_by_its_log_loss_from_the_prevalence_on():
    labels = (RANDOM.random(400) < 0.2).astype(float)
    asked = objective("event", 0.2, SimpleNamespace(**vars(PLAIN) | {"positive_weight": 3.0}))
    assert expit(asked.start) == pytest.approx(0.6 / (0.6 + 0.8))
    settings = SimpleNamespace(**vars(PLAIN) | {"positive_weight": 3.0})
    np.testing.assert_array_equal(
        asked.loss(tf.constant(labels), tf.constant(RAW)), binary_loss(tf.constant(labels), tf.constant(RAW), settings)
    )
    assert (asked.metric, asked.measure(labels, labels, np.ones(400))) == ("auroc", 1.0)


@pytest.mark.parametrize("kind", ["count", "cost"])
def test_the_best_estimate_for_everybody_is_the_mean_from_which_training_starts(kind):
    labels = np.where(RANDOM.random(400) < 0.5, 0.0, RANDOM.integers(1, 9, 400))
    asked = objective(kind, labels.mean(), PLAIN)
    assert np.exp(asked.start) == pytest.approx(labels.mean())
    assert gradient(asked, labels, np.full(400, asked.start)).sum() == pytest.approx(0, abs=1e-9)
    assert asked.measure(labels, np.full(400, asked.start), np.ones(400)) == pytest.approx(0, abs=1e-9)


def test_dollars_and_cents_are_learnt_alike():
    dollars = np.where(RANDOM.random(400) < 0.5, 0.0, RANDOM.gamma(1, 900, 400))
    in_dollars, in_cents = (objective("cost", each.mean(), PLAIN) for each in (dollars, 100 * dollars))
    np.testing.assert_allclose(
        gradient(in_cents, 100 * dollars, RAW + in_cents.start), gradient(in_dollars, dollars, RAW + in_dollars.start)
    )
