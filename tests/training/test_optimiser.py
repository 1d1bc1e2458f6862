"""Learning rates, and arithmetic in fewer bits: what is trained, and what is kept."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from salus.datasets.folder import Folder
from salus.training.loop import Loop
from salus.training.optimiser import Optimiser
from tiny_network import BLOCKS, NETWORK, trained


@pytest.mark.parametrize(("warm_up", "expected"), [(0, [1, 1, 1, 1, 1, 1]), (4, [0.25, 0.5, 0.75, 1, 1, 1])])
def test_the_learning_rate_rises_in_a_line_to_its_height_and_stays_there(warm_up, expected):
    """Adam's step is the learning rate where the gradient is always the same."""
    weight, steps = keras.Variable(np.zeros(1, np.float32)), []
    optimiser = Optimiser([weight], 0.1, warm_up_steps=warm_up)
    for _ in expected:
        before = weight.numpy()
        optimiser.apply([np.ones(1, np.float32)], [weight])
        steps.append(float((before - weight.numpy())[0]) / 0.1)
    assert steps == pytest.approx(expected, rel=1e-3)


def test_a_network_warms_up_over_epochs_of_its_own_steps(dataset, tmp_path):
    """Of one step each: of four epochs the first has a quarter of the rate, and Adam's first step is the rate."""
    plan = replace(NETWORK, l2=1.0, batch_size=4096, epochs=1, warm_up_epochs=4.0)
    loop = Loop(dataset, plan)
    assert loop.steps == 1
    weights = loop.model.get_layer("hidden_1").kernel
    before = weights.numpy()
    loop.run(Folder(str(tmp_path)), "tiny", False, lambda epoch: None)
    assert np.abs(weights.numpy() - before).max() == pytest.approx(NETWORK.learning_rate / 4, rel=1e-3)


@pytest.mark.parametrize("architecture", ["mlp", "logistic"])
def test_a_network_that_learns_in_fewer_bits_is_kept_in_32_and_says_about_the_same(dataset, tmp_path, architecture):
    plan = replace(NETWORK, architecture=architecture, dropout=0.0)
    whole, whole_state = trained(dataset, tmp_path / "whole", plan)
    loop = Loop(dataset, replace(plan, precision="mixed_bfloat16"))
    assert loop.model.get_layer("linear").compute_dtype == "bfloat16"
    assert whole.get_layer("linear").compute_dtype == "float32"
    state = loop.run(Folder(str(tmp_path / "fewer")), "tiny", False, lambda epoch: None)
    kept = loop.told()
    assert {layer.compute_dtype for layer in kept.layers} == {"float32"}
    assert state.history[-1]["tuning_auroc"] == pytest.approx(whole_state.history[-1]["tuning_auroc"], abs=0.03)
    people = {"inputs": np.random.default_rng(1).normal(size=(50, *BLOCKS["inputs"].shape)).astype("f4")}
    told, rounded = np.asarray(kept(people)), np.asarray(loop.model(people)).astype("f4")
    assert not np.array_equal(told, rounded)
    np.testing.assert_allclose(told, rounded, atol=0.1)
