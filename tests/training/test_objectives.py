"""Objectives: what is learnt of each kind of label, in whatever unit it is counted."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from salus.cohorts.classes import Outcomes
from salus.cohorts.intervals import Intervals, incidence
from salus.datasets.manifest import Classed, Quantiled, Timed
from salus.evaluation.inference import Network
from salus.models import ARCHITECTURES, build
from salus.models.losses import binary_loss
from salus.models.objectives import objective
from salus.timelines.blocks import EVENT_COLUMNS, Block

BLOCKS = {
    "inputs": Block((3,)),
    "event_codes": Block((4,), "int32", 5),
    "event_values": Block((4, len(EVENT_COLUMNS))),
    "days": Block((14, 2)),
}

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


def times_of(rows, causes):
    """Everybody's type and days within a horizon of 90, some censored."""
    days = RANDOM.integers(0, 91, rows)
    kinds = RANDOM.choice([1, 0, -1] if causes == 2 else [1, 0], rows)
    return np.where(days == 90, 0, kinds), days


@pytest.mark.parametrize("causes", [1, 2])
def test_a_time_starts_at_the_hazards_of_training_from_which_nothing_pulls_it_away(causes):
    intervals = Intervals((30, 60, 90), causes)
    targets = intervals.targets(*times_of(5000, causes)).astype(float)
    asked = objective("time_to_event", 0.5, PLAIN, Timed(intervals, intervals.hazards(targets, np.ones(5000))))
    same = np.broadcast_to(asked.start, (5000, 3 * causes))
    assert asked.outputs == 3 * causes
    # somebody is added to each interval, who is nothing beside hundreds
    np.testing.assert_allclose(gradient(asked, targets, same).sum(axis=0), 0, atol=5e-4)
    assert (asked.metric, asked.measure(targets, same, np.ones(5000))) == ("d2", pytest.approx(0, abs=1e-9))
    better = same + 2 * (targets[:, 1:] == 1) * (targets[:, :1] == np.arange(3 * causes))
    assert asked.measure(targets, better, np.ones(5000)) > 0.1


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_tells_the_incidence_by_the_end_of_each_interval(architecture, tmp_path):
    intervals = Intervals((30, 365), 2)
    hazards = [[0.02, 0.1], [0.01, 0.2]]
    asked = objective("time_to_event", 0.1, PLAIN, Timed(intervals, hazards))
    settings = SimpleNamespace(hidden=[4], units=4, layers=1, attention_heads=2, dropout=0.0, l2=0.0, seed=1)
    told = asked.told(build(architecture, BLOCKS, settings, asked.start, asked.outputs))
    told.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    nobody = {name: np.zeros((3, *block.shape), block.dtype) for name, block in BLOCKS.items()}
    network = Network(again, batch=4)
    np.testing.assert_allclose(expit(network.curves(nobody)), [incidence(hazards)] * 3, rtol=1e-4)
    np.testing.assert_allclose(expit(network.logits(nobody)), [0.02 + 0.97 * 0.1] * 3, rtol=1e-4)


@pytest.mark.parametrize("is_exclusive", [True, False])
def test_classes_start_at_their_shares_from_which_nothing_pulls_them_away(is_exclusive):
    outcomes = Outcomes(("a", "b", "c"), is_exclusive)
    label = RANDOM.choice([0, 1, 2, 4] if is_exclusive else range(8), 4000).astype(np.float32)
    held = outcomes.holding(label)
    asked = objective("multi_class", 0.5, PLAIN, classed=Classed(outcomes, held.mean(axis=0).tolist()))
    targets = asked.targets(label, np.zeros(4000, np.float32))
    np.testing.assert_array_equal(targets, held)
    same = np.broadcast_to(np.asarray(asked.start), (4000, 3))
    np.testing.assert_allclose(gradient(asked, targets.astype(float), same).sum(axis=0), 0, atol=1e-6)
    assert asked.targets(np.empty(0, np.float32), np.empty(0, np.float32)).shape == (0, 3)
    said, weight = RANDOM.normal(size=(4000, 3)) + held, RANDOM.uniform(1, 3, 4000)
    every = np.exp(said) / (1 + np.exp(said).sum(axis=1, keepdims=True)) if is_exclusive else said
    areas = [roc_auc_score(held[:, each], every[:, each], sample_weight=weight) for each in range(3)]
    assert (asked.metric, asked.measure(targets, said, weight)) == ("macro_auroc", pytest.approx(np.mean(areas)))


def test_where_one_class_always_holds_none_starts_at_next_to_nothing():
    asked = objective("multi_class", 0.5, PLAIN, classed=Classed(Outcomes(("a", "b"), True), [0.25, 0.75]))
    assert np.isfinite(asked.start).all()
    assert np.diff(asked.start) == pytest.approx(np.log(3))


@pytest.mark.parametrize("is_exclusive", [True, False])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_tells_the_probability_of_each_class(architecture, is_exclusive, tmp_path):
    shares = [0.02, 0.1, 0.3]
    asked = objective("multi_class", 0.3, PLAIN, classed=Classed(Outcomes(("a", "b", "c"), is_exclusive), shares))
    settings = SimpleNamespace(hidden=[4], units=4, layers=1, attention_heads=2, dropout=0.0, l2=0.0, seed=1)
    told = asked.told(build(architecture, BLOCKS, settings, asked.start, asked.outputs))
    told.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    nobody = {name: np.zeros((3, *block.shape), block.dtype) for name, block in BLOCKS.items()}
    network = Network(again, batch=4)
    np.testing.assert_allclose(expit(network.curves(nobody)), [shares] * 3, rtol=1e-4)
    np.testing.assert_allclose(expit(network.logits(nobody)), [0.3] * 3, rtol=1e-4)


LEVELS = (0.1, 0.5, 0.9)


def quantiled(labels):
    return Quantiled(LEVELS, np.quantile(labels, LEVELS).tolist())


def test_quantiles_start_at_everybodys_and_are_told_in_the_labels_unit_with_the_median_last():
    labels = RANDOM.gamma(2, 900, 5000)
    asked = objective("cost", labels.mean(), PLAIN, quantiled=quantiled(labels))
    assert (asked.metric, asked.outputs, asked.is_flat) == ("d2_pinball", 3, False)
    said = np.tile(asked.start, (5000, 1))
    assert asked.measure(labels, said, np.ones(5000)) == pytest.approx(0, abs=1e-3)
    settings = SimpleNamespace(hidden=[], units=4, layers=1, attention_heads=1, dropout=0.0, l2=0.0, seed=1)
    model = build("logistic", {"inputs": BLOCKS["inputs"]}, settings, asked.start, asked.outputs)
    told = Network(asked.told(model)).curves({"inputs": np.zeros((1, 3), np.float32)})
    np.testing.assert_allclose(told[0], np.quantile(labels, (0.1, 0.9, 0.5)), rtol=1e-4)


def test_quantiles_are_learnt_alike_in_dollars_and_cents_and_so_that_as_many_lie_below_as_they_say():
    dollars = RANDOM.gamma(2, 900, 5000)
    in_dollars, in_cents = (
        objective("cost", each.mean(), PLAIN, quantiled=quantiled(each)) for each in (dollars, 100 * dollars)
    )
    assert in_dollars.start == pytest.approx(in_cents.start)
    raw = RANDOM.normal(size=(5000, 3))
    np.testing.assert_allclose(gradient(in_cents, 100 * dollars, raw), gradient(in_dollars, dollars, raw))
    pulled = gradient(in_dollars, dollars, np.tile(in_dollars.start, (5000, 1))).sum(axis=0)
    np.testing.assert_allclose(pulled, 0, atol=1e-3)


def test_a_model_of_quantiles_is_saved_and_loaded_in_safe_mode(tmp_path):
    labels = RANDOM.gamma(2, 3, 500)
    asked = objective("count", labels.mean(), PLAIN, quantiled=quantiled(labels))
    settings = SimpleNamespace(hidden=[], units=4, layers=1, attention_heads=1, dropout=0.0, l2=0.0, seed=1)
    model = asked.told(build("logistic", {"inputs": BLOCKS["inputs"]}, settings, asked.start, asked.outputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    inputs = RANDOM.normal(size=(20, 3)).astype(np.float32)
    np.testing.assert_array_equal(loaded({"inputs": inputs}), model({"inputs": inputs}))
    told = np.asarray(model({"inputs": inputs}))
    assert (told[:, 0] < told[:, 2]).all()
    assert (told[:, 2] < told[:, 1]).all()
