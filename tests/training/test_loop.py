"""A network in training on one rank: what an epoch tells, where it stops, what it comes to, how it is gone on with."""

import gc
import time
from dataclasses import replace

import numpy as np
import psutil
import pytest

from salus.datasets.feed import batches, in_order
from salus.datasets.folder import Folder
from salus.datasets.parquet import RowGroups, Samples
from salus.errors import Refused
from salus.models import build
from salus.training.loop import Loop, samples_digest
from salus.training.plan import NetworkPlan
from salus.training.train import best_epoch, has_diverged
from tiny_network import BLOCKS, NETWORK, WIDTH, Killed, trained


def test_an_architecture_that_does_not_exist_is_refused():
    with pytest.raises(Refused, match="expected one of logistic, mlp"):
        build("oracle", BLOCKS, NETWORK)


def test_an_epoch_tells_how_long_it_waited_for_input_and_what_it_holds(dataset, tmp_path, monkeypatch):
    delay = 0.2

    def late(*given):
        time.sleep(delay)
        yield from batches(*given)

    loops = [Loop(dataset, NetworkPlan("m", "logistic", epochs=2, batch_size=64)) for _ in range(2)]
    quick = loops[0].run(Folder(str(tmp_path / "quick")), "m", False, lambda epoch: None).history[-1]
    monkeypatch.setattr("salus.training.loop.batches", late)
    slow = loops[1].run(Folder(str(tmp_path / "slow")), "m", False, lambda epoch: None).history[-1]
    assert 0 < quick["rank_waited_seconds"] < quick["seconds"]
    assert delay <= slow["rank_waited_seconds"] < slow["seconds"]
    assert slow["rank_memory_mb"] == pytest.approx(psutil.Process().memory_info().rss / 1e6, rel=0.2)


def test_what_an_epoch_s_reader_held_is_free_before_the_next_epoch(dataset, tmp_path, monkeypatch):
    held = []

    def counted(*given):
        held.append(sum(isinstance(each, RowGroups) for each in gc.get_objects()))
        yield from batches(*given)

    monkeypatch.setattr("salus.training.loop.batches", counted)
    gc.disable()
    try:
        trained(dataset, tmp_path, replace(NETWORK, reader="petastorm", epochs=3))
    finally:
        gc.enable()
    assert held == [0, 0, 0]
    with pytest.raises(Killed):
        trained(dataset, tmp_path / "killed", killed_after=2)
    assert gc.get_freeze_count() == 0


def test_the_mlp_without_hidden_layers_is_the_logistic_regression():
    bare = build("mlp", BLOCKS, replace(NETWORK, hidden=[]))
    assert bare.count_params() == build("logistic", BLOCKS, NETWORK).count_params() == WIDTH + 1


def test_a_resumed_training_ends_bit_by_bit_where_an_undisturbed_one_does(dataset, tmp_path):
    model, whole = trained(dataset, tmp_path / "whole")
    with pytest.raises(Killed):
        trained(dataset, tmp_path / "killed", killed_after=2)
    again, resumed = trained(dataset, tmp_path / "killed", resume=True)
    for one, other in zip(model.variables, again.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    for part in ("variables", "optimiser", "best"):
        for one, other in zip(getattr(whole, part), getattr(resumed, part), strict=True):
            np.testing.assert_array_equal(one, other)
    assert [epoch["tuning_loss"] for epoch in whole.history] == [epoch["tuning_loss"] for epoch in resumed.history]


def test_a_training_that_diverges_ends_and_says_so_in_its_history(dataset, tmp_path):
    wild = replace(NETWORK, learning_rate=1e30, epochs=6, patience=1)
    _, state = trained(dataset, tmp_path, wild)
    assert state.history[-1]["tuning_loss"] == np.inf
    assert has_diverged(best_epoch(state.history))
    assert len(state.history) == 2


def test_training_stops_when_the_tuning_loss_no_longer_falls_and_keeps_the_best_weights(dataset, tmp_path):
    eager = replace(NETWORK, hidden=[256], dropout=0.0, l2=0.0, learning_rate=0.1, epochs=40, patience=2)
    model, state = trained(dataset, tmp_path, eager)
    losses = [epoch["tuning_loss"] for epoch in state.history]
    assert len(losses) == int(np.argmin(losses)) + 3 < 40
    samples = Samples.concatenated(list(in_order(dataset.split("tuning"))))
    logit = model(samples.inputs, training=False).numpy()[:, 0].astype(float)
    loss = np.average(np.logaddexp(0, np.where(samples.label > 0, -logit, logit)), weights=samples.weight)
    assert loss == pytest.approx(min(losses), rel=1e-5)


def test_a_digest_tells_sets_of_samples_apart():
    subjects, times = np.arange(100, dtype=np.int64) - 50, np.arange(100, dtype=np.int64) % 7
    whole = samples_digest(subjects, times)
    assert whole == samples_digest(subjects[::-1], times[::-1])
    assert whole == samples_digest(subjects[:30], times[:30]) ^ samples_digest(subjects[30:], times[30:])
    assert whole != samples_digest(subjects[1:], times[1:])
    assert whole != samples_digest(np.append(subjects, 3), np.append(times, 3))
    assert whole != samples_digest(subjects, times[::-1])
