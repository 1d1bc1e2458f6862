"""Integrated gradients: exact where the truth is known, complete everywhere."""

import keras
import numpy as np
import pytest

from salus.evaluation.inference import Network
from salus.explanation.integrated_gradients import IntegratedGradients, is_complete, total_of

WIDTH = 12


@pytest.fixture(scope="module")
def inputs():
    return windows(np.random.default_rng(2).normal(size=(700, WIDTH)))


def windows(numbers):
    """Numbers as the block of windowed inputs."""
    return {"inputs": np.asarray(numbers, np.float32)}


def network(activation, seed=1):
    keras.utils.set_random_seed(seed)
    given = keras.Input((WIDTH,), name="inputs")
    spread = keras.initializers.RandomNormal(stddev=0.7)
    hidden = keras.layers.Dense(32, activation, kernel_initializer=spread, bias_initializer=spread)(given)
    hidden = keras.layers.Dropout(0.5)(keras.layers.Dense(16, activation, bias_initializer=spread)(hidden))
    return keras.Model({"inputs": given}, keras.layers.Dense(1)(hidden))


def test_logits_are_the_models_whatever_the_number_of_rows(inputs):
    model = network("relu")
    ours = Network(model, batch=64)
    for rows in (0, 1, 63, 64, 65, 700):
        some = windows(inputs["inputs"][:rows])
        np.testing.assert_allclose(ours.logits(some), np.ravel(model(some)), rtol=1e-5, atol=1e-5)


def test_of_a_logistic_regression_each_contribution_is_coefficient_times_difference(inputs):
    given = keras.Input((WIDTH,), name="inputs")
    model = keras.Model({"inputs": given}, keras.layers.Dense(1)(given))
    coefficients = np.linspace(-1, 1, WIDTH).astype(np.float32)
    model.set_weights([coefficients[:, None], np.array([0.3], np.float32)])
    baseline = np.full(WIDTH, 0.5, np.float32)
    gradients = IntegratedGradients(model, windows(baseline))
    found = gradients.contributions(inputs, Network(model).logits(inputs))
    expected = coefficients * (inputs["inputs"] - baseline)
    np.testing.assert_allclose(found["inputs"], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("activation", ["relu", "gelu", "tanh"])
def test_contributions_sum_to_the_difference_for_all_but_one_in_a_hundred(activation, inputs):
    model = network(activation)
    gradients = IntegratedGradients(model, windows(np.zeros(WIDTH)))
    logits = Network(model).logits(inputs)
    found = total_of(gradients.contributions(inputs, logits))
    difference = logits - float(np.ravel(model(windows(np.zeros((1, WIDTH)))))[0])
    assert is_complete(found, difference).mean() >= 0.99


def test_more_points_are_taken_for_those_who_need_them_and_only_for_them(inputs):
    model = network("relu")
    logits = Network(model).logits(inputs)
    coarse = IntegratedGradients(model, windows(np.zeros(WIDTH)), steps=(16,))
    refined = IntegratedGradients(model, windows(np.zeros(WIDTH)), steps=(16, 2048))
    first, last = (each.contributions(inputs, logits)["inputs"] for each in (coarse, refined))
    enough = is_complete(first.sum(axis=1, dtype=np.float64), logits - coarse.baseline_logit)
    assert 0.1 < enough.mean() < 0.9
    np.testing.assert_array_equal(first[enough], last[enough])
    assert is_complete(last.sum(axis=1, dtype=np.float64), logits - coarse.baseline_logit).mean() >= 0.99


def test_an_input_at_its_baseline_contributes_nothing(inputs):
    model = network("gelu")
    same = inputs["inputs"].copy()
    same[:, 4] = 0.25
    baseline = np.zeros(WIDTH, np.float32)
    baseline[4] = 0.25
    logits = Network(model).logits(windows(same))
    found = IntegratedGradients(model, windows(baseline)).contributions(windows(same), logits)["inputs"]
    assert not found[:, 4].any()
    assert found[:, 3].any()


def test_completeness_tolerates_a_hundredth_and_no_more():
    difference = np.array([2.0, 2.0, 0.0, 0.0])
    off = np.array([0.0199, 0.0201, 0.00099, 0.00101])
    assert is_complete(difference + off, difference).tolist() == [True, False, True, False]
