"""Heads: each loss against the field's own libraries, and its lowest point where the outcome is told best."""

import warnings
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import softmax
from scipy.stats import poisson
from sklearn.metrics import log_loss, mean_pinball_loss, mean_tweedie_deviance

from salus.models import build
from salus.models.heads import against_the_rest, cost, count, hazard, incidence_logit, multi_task, one_of, quantiles
from salus.models.parts import LINEAR
from salus.timelines.blocks import Block

RANDOM = np.random.default_rng(4)
RAW = RANDOM.normal(size=(200, 1))


def loss_of(head, labels, raw):
    return head.loss(tf.constant(labels), tf.constant(raw)).numpy()


def fitted(head, labels, steps=400):
    """The estimate for everybody of outputs that are the same for everybody."""
    raw = keras.Variable(np.zeros((1, head.outputs)), dtype="float64")
    optimiser = keras.optimizers.Adam(0.05)
    optimiser.build([raw])
    everybody = tf.ones((len(labels), 1), tf.float64)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(head.loss(tf.constant(labels), everybody * raw.value))
        optimiser.apply([tape.gradient(loss, raw.value)], [raw])

    for _ in range(steps):
        step()
    return np.asarray(head.estimate(raw.value))[0]


def test_tasks_are_averaged_over_the_labels_that_are_known():
    labels = np.array([[1.0, np.nan], [0.0, 1.0], [np.nan, np.nan]])
    logits = np.array([[0.5, 9.0], [-1.0, 2.0], [3.0, 3.0]])
    p = 1 / (1 + np.exp(-logits))
    expected = [-np.log(p[0, 0]), log_loss([0, 1], p[1], labels=[0, 1]), 0.0]
    np.testing.assert_allclose(loss_of(multi_task(2), labels, logits), expected, rtol=1e-6)


def test_exclusive_classes_are_lost_by_the_cross_entropy_of_a_softmax_over_them_and_none():
    logits = RANDOM.normal(size=(200, 3))
    came = RANDOM.integers(0, 4, 200)  # the last is none of them
    every = softmax(np.column_stack([logits, np.zeros(200)]), axis=1)
    labels = (came[:, None] == np.arange(3)).astype(float)
    assert loss_of(one_of(3), labels, logits).mean() == pytest.approx(log_loss(came, every, labels=range(4)), rel=1e-6)
    np.testing.assert_allclose(one_of(3).estimate(tf.constant(logits)), every[:, :3], rtol=1e-6)


def test_exclusive_classes_for_everybody_are_told_as_their_shares():
    labels = (RANDOM.choice(4, 400, p=[0.1, 0.2, 0.3, 0.4])[:, None] == np.arange(3)).astype(float)
    np.testing.assert_allclose(fitted(one_of(3), labels), labels.mean(axis=0), atol=2e-3)


def test_neither_a_rare_class_nor_a_sure_one_loses_its_logit():
    logits = np.array([[-60.0, 60.0, -30.0]], np.float32)
    assert np.asarray(against_the_rest(tf.constant(logits)))[0] == pytest.approx([-120, 60, -90])


def test_a_count_is_lost_by_poissons_likelihood():
    labels = RANDOM.poisson(1.5, size=(200, 1)).astype(float)
    difference = loss_of(count(), labels, RAW) - loss_of(count(), labels, RAW * 0)
    expected = poisson.logpmf(labels, 1) - poisson.logpmf(labels, np.exp(RAW))
    np.testing.assert_allclose(difference, expected[:, 0], rtol=1e-6, atol=1e-9)


def test_a_cost_is_lost_by_tweedies_deviance():
    labels = np.where(RANDOM.random((200, 1)) < 0.6, 0, RANDOM.gamma(1, 9, size=(200, 1)))
    difference = loss_of(cost(), labels, RAW).mean() - loss_of(cost(), labels, RAW * 0).mean()
    deviance = [mean_tweedie_deviance(labels[:, 0], np.exp(raw[:, 0]), power=1.5) for raw in (RAW, RAW * 0)]
    assert difference == pytest.approx((deviance[0] - deviance[1]) / 2)


def test_quantiles_are_lost_by_the_pinball_and_never_cross():
    head, labels = quantiles([0.1, 0.5, 0.9]), RANDOM.normal(size=(200, 1))
    raw = RANDOM.normal(size=(200, 3)) * 3
    told = np.asarray(head.estimate(tf.constant(raw)))
    assert (np.diff(told, axis=1) > 0).all()
    expected = np.mean([mean_pinball_loss(labels[:, 0], told[:, i], alpha=a) for i, a in enumerate((0.1, 0.5, 0.9))])
    assert loss_of(head, labels, raw).mean() == pytest.approx(expected, rel=1e-6)


def test_a_hazard_is_lost_by_the_likelihood_of_what_was_seen_of_each_person():
    logits = RANDOM.normal(size=(3, 4))
    h = 1 / (1 + np.exp(-logits))
    labels = np.array([[2.0, 1.0], [2.0, 0.0], [4.0, 0.0]])  # in the third; censored after two; never in four
    expected = [
        -np.log((1 - h[0, 0]) * (1 - h[0, 1]) * h[0, 2]),
        -np.log((1 - h[1, 0]) * (1 - h[1, 1])),
        -np.log(np.prod(1 - h[2])),
    ]
    np.testing.assert_allclose(loss_of(hazard(4), labels, logits), expected, rtol=1e-6)
    np.testing.assert_allclose(hazard(4).estimate(tf.constant(logits)), 1 - np.cumprod(1 - h, axis=1), rtol=1e-6)


def test_a_hazard_for_everybody_is_kaplan_meiers():
    from lifelines import KaplanMeierFitter

    event, end = RANDOM.geometric(0.2, 500), RANDOM.integers(1, 7, 500)
    happened = event <= end
    through = np.where(happened, event - 1, end)
    told = fitted(hazard(6), np.stack([through, happened], axis=1).astype(float))
    survival = KaplanMeierFitter().fit(np.minimum(event, end), happened).survival_function_at_times(range(1, 7))
    np.testing.assert_allclose(1 - told, survival, atol=2e-3)


def test_with_a_competing_cause_a_hazard_is_lost_by_the_likelihood_of_both():
    logits = RANDOM.normal(size=(4, 2, 3))
    h = np.exp(logits) / (1 + np.exp(logits).sum(axis=1, keepdims=True))
    on = 1 - h.sum(axis=1)
    labels = np.array([[1.0, 1.0], [1.0, 2.0], [2.0, 0.0], [3.0, 0.0]])  # event, death, censored, to the horizon
    expected = [
        -np.log(on[0, 0] * h[0, 0, 1]),
        -np.log(on[1, 0] * h[1, 1, 1]),
        -np.log(on[2, 0] * on[2, 1]),
        -np.log(np.prod(on[3])),
    ]
    raw = logits.reshape(4, 6)
    np.testing.assert_allclose(loss_of(hazard(3, causes=2), labels, raw), expected, rtol=1e-6)
    there = np.cumprod(np.c_[np.ones(4), on[:, :-1]], axis=1)
    told = np.asarray(hazard(3, causes=2).estimate(tf.constant(raw)))
    np.testing.assert_allclose(told, np.cumsum(h[:, 0] * there, axis=1), rtol=1e-6)


def test_hazards_of_two_causes_for_everybody_are_aalen_and_johansens():
    from lifelines import AalenJohansenFitter

    ends = [RANDOM.geometric(chance, 600) for chance in (0.15, 0.1)] + [RANDOM.integers(1, 7, 600)]
    first, cause = np.min(ends, axis=0), np.argmin(ends, axis=0)
    through, kind = np.where(cause == 2, first, first - 1), np.where(cause == 2, 0, cause + 1)
    told = fitted(hazard(6, causes=2), np.stack([through, kind], axis=1).astype(float))
    ordered = first + np.where(kind == 0, 0.5, 0)  # who leaves at the end of an interval was there for its events
    fitter = AalenJohansenFitter(calculate_variance=False, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it moves tied times apart, and says so
        curve = fitter.fit(ordered, kind, event_of_interest=1).cumulative_density_
    observed = [curve[curve.index < at + 0.5].iloc[-1, 0] for at in range(1, 7)]
    np.testing.assert_allclose(told, observed, atol=4e-3)


def test_neither_a_tiny_incidence_nor_one_near_one_loses_its_logit():
    for causes in (1, 2):
        low = np.full((1, causes * 2), -40.0, np.float32)
        assert np.asarray(incidence_logit(tf.constant(low), causes))[0] == pytest.approx([-40, -40 + np.log(2)])
    high = np.array([[30.0, 30.0]], np.float32)
    assert np.asarray(incidence_logit(tf.constant(high), 1))[0] == pytest.approx([30, 60])


@pytest.mark.parametrize(("head", "expected"), [(count(), np.mean), (cost(), np.mean)])
def test_everybodys_count_and_cost_is_the_mean(head, expected):
    labels = np.where(RANDOM.random((300, 1)) < 0.5, 0.0, RANDOM.integers(1, 9, (300, 1)))
    assert fitted(head, labels)[0] == pytest.approx(expected(labels), rel=5e-3)


def test_every_architecture_can_carry_a_head():
    settings = SimpleNamespace(hidden=[4], units=4, layers=1, attention_heads=2, dropout=0.0, l2=0.0, seed=1)
    model = build("mlp", {"inputs": Block((3,))}, settings, prior_logit=-1.0, outputs=4)
    assert model({"inputs": np.zeros((2, 3), np.float32)}).numpy().tolist() == [[-1.0] * 4] * 2
    assert model.get_layer(LINEAR).units == 4
