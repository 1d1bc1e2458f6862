"""The loss and its variations against their formulas in plain numpy."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import log_loss

from salus.models.losses import binary_loss

PLAIN = {"label_smoothing": 0.0, "positive_weight": 1.0, "focal_gamma": 0.0}
LOGIT = np.linspace(-6, 6, 49)
LABEL = (np.arange(49) % 3 == 0).astype(float)
PROBABILITY = 1 / (1 + np.exp(-LOGIT))


def loss(**changes):
    settings = SimpleNamespace(**PLAIN | changes)
    return binary_loss(tf.constant(LABEL), tf.constant(LOGIT), settings).numpy()


def cross_entropy(label):
    return -label * np.log(PROBABILITY) - (1 - label) * np.log(1 - PROBABILITY)


def test_without_variations_it_is_the_log_loss():
    assert loss().mean() == pytest.approx(log_loss(LABEL, PROBABILITY))


def test_a_smoothed_label_is_a_little_less_than_certain():
    np.testing.assert_allclose(loss(label_smoothing=0.1), cross_entropy(np.where(LABEL > 0, 0.95, 0.05)))


def test_a_positive_that_counts_as_four_negatives_is_four_of_it():
    np.testing.assert_allclose(loss(positive_weight=4.0), cross_entropy(LABEL) * np.where(LABEL > 0, 4, 1))


def test_a_focal_loss_counts_who_is_told_apart_less():
    told = np.where(LABEL > 0, PROBABILITY, 1 - PROBABILITY)
    np.testing.assert_allclose(loss(focal_gamma=2.0), -((1 - told) ** 2) * np.log(told))


def test_it_is_finite_and_has_finite_gradients_for_any_logit():
    logit = tf.constant([-200.0, 0.0, 200.0] * 2)
    label = tf.constant([0.0] * 3 + [1.0] * 3)
    with tf.GradientTape() as tape:
        tape.watch(logit)
        settings = SimpleNamespace(label_smoothing=0.1, positive_weight=3.0, focal_gamma=2.0)
        each = binary_loss(label, logit, settings)
    assert np.isfinite(each).all()
    assert np.isfinite(tape.gradient(each, logit)).all()
