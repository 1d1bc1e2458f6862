"""One rank alone: what a loop keeps, a checkpoint restores, a package refuses and a guardian kills."""

import io
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise

import horovod.tensorflow as hvd
import keras
import numpy as np
import psutil
import pytest
from sklearn.linear_model import LogisticRegression, PoissonRegressor, TweedieRegressor

from salus.cohorts.classes import Outcomes
from salus.cohorts.intervals import Intervals
from salus.cohorts.label import KINDS
from salus.datasets.feed import batches, in_order
from salus.datasets.folder import Folder, sha256
from salus.datasets.groups import group_bounds
from salus.datasets.manifest import Classed, Timed, open_dataset, stated
from salus.datasets.parquet import Samples, written
from salus.errors import EnvironmentFault, Refused
from salus.models import build
from salus.models.objectives import objective
from salus.timelines.blocks import Block
from salus.timelines.spec import FeatureSpec
from salus.training import checkpoint
from salus.training.launch import Listener, progress_line, rank_environment
from salus.training.loop import Loop, samples_digest
from salus.training.package import load_package, model_bytes, open_package, package_bytes, write_package
from salus.training.plan import NetworkPlan, TrainingPlan, checkpoint_key
from salus.training.rank import TOLD
from salus.training.registry import tracking_uri
from salus.training.train import agreed, best_epoch, has_diverged

WIDTH = 6
BLOCKS = {"inputs": Block((WIDTH,))}
NETWORK = NetworkPlan(
    "tiny",
    "mlp",
    hidden=[8],
    dropout=0.3,
    l2=1e-4,
    learning_rate=0.01,
    epochs=5,
    batch_size=64,
    patience=5,
    reader="arrow",
)
SPEC = FeatureSpec(windows_days=(), numeric_windows_days=(), count_statistics=(), numeric_statistics=(), groups=())


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """1,200 training and 300 tuning samples whose outcome follows from the first input."""
    folder = Folder(str(tmp_path_factory.mktemp("dataset")))
    random = np.random.default_rng(5)
    splits = {}
    for split, rows in (("train", 1200), ("tuning", 300)):
        inputs = random.normal(size=(rows, WIDTH)).astype(np.float32)
        label = (random.random(rows) < 1 / (1 + np.exp(1 - 2 * inputs[:, 0]))).astype(np.float32)
        weight = random.uniform(1, 2, rows).astype(np.float32)
        samples = Samples(np.arange(rows), np.arange(rows), {"inputs": inputs}, label, weight)
        groups = [samples[start:end] for start, end in pairwise(group_bounds(rows, 12, 100))]
        content = written(groups)
        (folder / split).write("part.parquet", content)
        splits[split] = {
            "rows": rows,
            "positives": int(label.sum()),
            "files": [{"name": "part.parquet", "sha256": sha256(content), "groups": [len(group) for group in groups]}],
        }
    folder.write_json(
        "manifest.json", {"format": 1, "blocks": stated(BLOCKS), "spec_hash": "s", "tables": {}, "splits": splits}
    )
    return open_dataset(folder.url)


@pytest.fixture(scope="module", autouse=True)
def alone():
    """Horovod of one rank, without a launcher."""
    hvd.init()


class Killed(Exception):
    """Stands for the end of a process."""


def trained(dataset, folder, network=NETWORK, resume=False, killed_after=None):
    """The loop's model and final state; the run can be made to end after some epoch's checkpoint."""

    def report(epoch):
        if epoch["epoch"] == killed_after:
            raise Killed

    loop = Loop(dataset, network)
    state = loop.run(Folder(str(folder)), "tiny", resume, report)
    return loop.model, state


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


@pytest.mark.parametrize(
    ("label", "same"),
    [
        ("event", LogisticRegression(C=np.inf)),
        ("count", PoissonRegressor(alpha=0, tol=1e-7)),
        ("cost", TweedieRegressor(power=1.5, alpha=0, link="log", tol=1e-7)),
    ],
)
def test_the_loop_finds_what_scikit_learn_finds(dataset, tmp_path, label, same):
    line = NetworkPlan(
        "line", "logistic", label=label, learning_rate=0.05, epochs=120, batch_size=1200, patience=120, reader="arrow"
    )
    _, state = trained(dataset, tmp_path, line)
    samples = Samples.concatenated(list(in_order(dataset.split("train"))))
    expected = same.fit(samples.inputs["inputs"], samples.label, samples.weight)
    kernel, bias = state.variables
    np.testing.assert_allclose(kernel[:, 0], np.ravel(expected.coef_), atol=0.01)
    np.testing.assert_allclose(bias, np.ravel(expected.intercept_), atol=0.01)


@pytest.fixture(scope="module")
def timed(tmp_path_factory):
    """900 training and 300 tuning samples whose first input raises one cause's hazards and whose second the other's."""
    folder = Folder(str(tmp_path_factory.mktemp("timed")))
    random, intervals = np.random.default_rng(6), Intervals((30, 60, 90), 2)
    splits, hazards = {}, []
    for split, rows in (("train", 900), ("tuning", 300)):
        inputs = random.normal(size=(rows, WIDTH)).astype(np.float32)
        ends = np.stack([random.exponential(90 * np.exp(-inputs[:, at])) for at in (0, 1)] + [np.full(rows, 90.0)])
        ends[2] = np.where(random.random(rows) < 0.2, random.integers(1, 90, rows), 90)
        label = np.array([1, -1, 0], np.float32)[ends.argmin(axis=0)]
        days = np.floor(ends.min(axis=0)).astype(np.float32)
        samples = Samples(np.arange(rows), np.arange(rows), {"inputs": inputs}, label, np.ones(rows, np.float32), days)
        groups = [samples[start:end] for start, end in pairwise(group_bounds(rows, 12, 100))]
        content = written(groups)
        (folder / split).write("part.parquet", content)
        files = [{"name": "part.parquet", "sha256": sha256(content), "groups": [len(group) for group in groups]}]
        splits[split] = {"rows": rows, "positives": int((label > 0).sum()), "files": files}
        hazards = hazards or intervals.hazards(intervals.targets(label, days), np.ones(rows)).tolist()
    told = {"kind": "time_to_event", "intervals_days": [30, 60, 90], "causes": 2, "hazards": hazards}
    manifest = {"blocks": stated(BLOCKS), "spec_hash": "s", "tables": {}, "label": told, "splits": splits}
    folder.write_json("manifest.json", manifest)
    return open_dataset(folder.url)


def test_the_loop_finds_the_discrete_hazards_that_scikit_learn_finds_person_by_interval(timed, tmp_path):
    """A multinomial regression over all intervals that people were at risk in, with a slope of its own in each."""
    line = NetworkPlan("line", "logistic", label="time_to_event", learning_rate=0.05, epochs=150, batch_size=900)
    _, state = trained(timed, tmp_path, replace(line, patience=150, reader="arrow"))
    kernel, bias = (each.reshape(-1, 2, 3) for each in state.variables)
    samples = Samples.concatenated(list(in_order(timed.split("train"))))
    through, cause = timed.timed.intervals.targets(samples.label, samples.observed_days).T
    for interval in range(3):
        at_risk = (through > interval) | ((through == interval) & (cause > 0))
        happened = np.where(through[at_risk] == interval, cause[at_risk], 0)
        same = LogisticRegression(C=np.inf, tol=1e-8).fit(samples.inputs["inputs"][at_risk], happened)
        for part, found in ((kernel[..., interval].T, same.coef_), (bias[0, :, interval], same.intercept_)):
            np.testing.assert_allclose(part, found[1:] - found[0], atol=0.02)
    assert best_epoch(state.history)["tuning_d2"] > 0.05


def of_classes(folder, is_exclusive):
    """900 training and 300 tuning samples with classes that follow from their inputs, as an export writes them."""
    random, outcomes = np.random.default_rng(9), Outcomes(("a", "b", "c"), is_exclusive)
    splits, shares = {}, []
    for split, rows in (("train", 900), ("tuning", 300)):
        inputs = random.normal(size=(rows, WIDTH)).astype(np.float32)
        raw = inputs[:, :3] - np.array([0.5, 1.0, 1.5])
        if is_exclusive:
            noisy = np.column_stack([raw, np.zeros(rows)]) + random.gumbel(size=(rows, 4))
            holding = np.arange(3) == noisy.argmax(axis=1)[:, None]
        else:
            holding = raw + random.logistic(size=raw.shape) > 0
        label, ones = outcomes.number(holding).astype(np.float32), np.ones(rows, np.float32)
        samples = Samples(np.arange(rows), np.arange(rows), {"inputs": inputs}, label, ones, 0 * ones)
        groups = [samples[start:end] for start, end in pairwise(group_bounds(rows, 12, 100))]
        content = written(groups)
        (folder / split).write("part.parquet", content)
        files = [{"name": "part.parquet", "sha256": sha256(content), "groups": [len(group) for group in groups]}]
        splits[split] = {"rows": rows, "positives": int((label > 0).sum()), "files": files}
        shares = shares or holding.mean(axis=0).tolist()
    told = {"kind": "multi_class", "classes": list(outcomes.names), "is_exclusive": is_exclusive, "shares": shares}
    manifest = {"blocks": stated(BLOCKS), "spec_hash": "s", "tables": {}, "label": told, "splits": splits}
    folder.write_json("manifest.json", manifest)
    return open_dataset(folder.url)


@pytest.mark.parametrize("is_exclusive", [True, False])
def test_the_loop_finds_the_regressions_of_classes_that_scikit_learn_finds(is_exclusive, tmp_path):
    dataset = of_classes(Folder(str(tmp_path / "classes")), is_exclusive)
    line = NetworkPlan("line", "logistic", label="multi_class", learning_rate=0.05, epochs=150, batch_size=900)
    _, state = trained(dataset, tmp_path, replace(line, patience=150, reader="arrow"))
    samples = Samples.concatenated(list(in_order(dataset.split("train"))))
    came = dataset.classed.outcomes.holding(samples.label)
    at = samples.inputs["inputs"]
    kernel, bias = state.variables
    if is_exclusive:
        number = np.where(came.any(axis=1), came.argmax(axis=1) + 1, 0)
        fitted = LogisticRegression(C=np.inf, tol=1e-8).fit(at, number)
        expected = fitted.coef_[1:] - fitted.coef_[0], fitted.intercept_[1:] - fitted.intercept_[0]
    else:
        each = [LogisticRegression(C=np.inf, tol=1e-8).fit(at, came[:, place]) for place in range(3)]
        expected = np.concatenate([one.coef_ for one in each]), np.concatenate([one.intercept_ for one in each])
    np.testing.assert_allclose(kernel.T, expected[0], atol=0.02)
    np.testing.assert_allclose(bias, expected[1], atol=0.02)
    assert best_epoch(state.history)["tuning_macro_auroc"] > 0.7


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


def test_a_checkpoint_of_other_work_is_not_gone_on_from():
    plan = TrainingPlan("d", "hash", "c", (NETWORK,))
    keys = {
        checkpoint_key(plan, NETWORK, 2),
        checkpoint_key(plan, NETWORK, 3),
        checkpoint_key(plan, replace(NETWORK, l2=0.5), 2),
        checkpoint_key(replace(plan, dataset_hash="o"), NETWORK, 2),
    }
    assert len(keys) == 4
    assert checkpoint_key(replace(plan, resume=True), NETWORK, 2) in keys
    assert TrainingPlan.from_json(plan.to_json()) == plan


def test_a_damaged_checkpoint_is_refused(tmp_path):
    folder = Folder(str(tmp_path))
    assert checkpoint.load(folder, "none") is None
    folder.write("torn.npz", b"PK\x03\x04 torn")
    with pytest.raises(Refused, match=r"torn\.npz, which can't be read"):
        checkpoint.load(folder, "torn")


@pytest.fixture
def package(tmp_path):
    """The folder of a package, and what its model says of one person."""
    model = build("mlp", BLOCKS, NETWORK)
    folder = str(tmp_path / "package")
    write_package(
        folder, {"model.keras": model_bytes(model), "spec.json": SPEC.to_json().encode(), "training.json": b"{}"}
    )
    return folder, model


def test_a_package_comes_back_from_its_folder_and_from_its_bytes(package):
    folder, model = package
    inputs = {"inputs": np.ones((1, WIDTH), np.float32)}
    for again in (load_package(folder), open_package(package_bytes(folder))):
        np.testing.assert_array_equal(again.model(inputs), model(inputs))
        assert again.spec == SPEC
        assert again.hash == sha256(Folder(folder).read("manifest.json"))


@pytest.mark.parametrize("name", ["model.keras", "spec.json", "training.json"])
def test_a_package_that_was_changed_is_refused_before_anything_is_loaded(package, name, monkeypatch):
    folder = Folder(package[0])
    content = bytearray(folder.read(name))
    content[-1] ^= 1
    folder.write(name, bytes(content))
    monkeypatch.setattr(keras.saving, "load_model", lambda *given, **options: pytest.fail("it was loaded"))
    for read in (load_package, package_bytes):
        with pytest.raises(Refused, match=f"{name} is not the file that was packaged"):
            read(folder.url)


def test_a_package_that_is_not_whole_is_refused(package):
    folder = Folder(package[0])
    folder.delete("spec.json")
    with pytest.raises(Refused, match=r"without spec\.json"):
        load_package(folder.url)


def test_a_model_with_code_of_its_own_is_not_loaded(package):
    folder = Folder(package[0])
    given = keras.Input((WIDTH,))
    lambdas = keras.Model(given, keras.layers.Lambda(lambda x: x[:, :1])(given))
    write_package(
        folder.url, {"model.keras": model_bytes(lambdas), "spec.json": SPEC.to_json().encode(), "training.json": b"{}"}
    )
    with pytest.raises(ValueError, match=r"lambda|unsafe"):
        load_package(folder.url)


def test_a_guardian_kills_a_process_that_no_longer_beats_and_leaves_one_that_does():
    rank = "\n".join(
        (
            "import sys, threading",
            "from salus.training.guardian import Heartbeat",
            "with Heartbeat(30, float(sys.argv[1])) as heart:",
            "    heart.beat()",
            "    print('beaten', flush=True)",
            "    threading.Event().wait(float(sys.argv[2]))",
        )
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    hung = subprocess.run([sys.executable, "-c", rank, "1", "60"], env=environment, timeout=50, check=False)
    assert hung.returncode == -9
    ended = subprocess.run([sys.executable, "-c", rank, "30", "0"], env=environment, timeout=50, check=False)
    assert ended.returncode == 0


def test_the_driver_hears_what_ranks_tell_in_whatever_pieces_it_comes():
    listener = Listener()
    text = f"[0]<stdout>:{TOLD}{json.dumps({'epoch': 1})}\n[1]<stderr>:some warning\n[0]<stdout>:{TOLD}{{}}\n"
    for piece in (text[:20], text[20:45], text[45:]):
        listener.write(piece)
    assert listener.heard == [{"epoch": 1}, {}]
    assert list(listener.last) == ["[1]<stderr>:some warning"]
    assert isinstance(listener, io.TextIOBase)


def test_an_epoch_is_told_in_one_line():
    told = {
        "network": "m",
        "epoch": 2,
        "epochs": 5,
        "loss": 0.25,
        "tuning_loss": 0.5,
        "tuning_auroc": 0.75,
        "samples_a_second": 12345.6,
        "seconds": 2.0,
    }
    assert progress_line(told) == (
        "m epoch 2/5: loss 0.2500, tuning loss 0.5000, AUROC 0.750, 12,346 samples/s, at most 6 s left"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_metric_of_every_kind_of_label_can_be_told(kind):
    settings = NetworkPlan("m", "logistic")
    timed = Timed(Intervals((30, 60)), [[0.1, 0.2]]) if kind == "time_to_event" else None
    classed = Classed(Outcomes(("a", "b"), True), [0.1, 0.2]) if kind.startswith("multi") else None
    metric = objective(kind, 0.3, settings, timed, classed).metric
    told = {"network": "m", "epoch": 1, "epochs": 1, "loss": 1, "tuning_loss": 1, "samples_a_second": 1, "seconds": 1}
    assert "0.625" in progress_line(told | {f"tuning_{metric}": 0.625})


def test_a_digest_tells_sets_of_samples_apart():
    subjects, times = np.arange(100, dtype=np.int64) - 50, np.arange(100, dtype=np.int64) % 7
    whole = samples_digest(subjects, times)
    assert whole == samples_digest(subjects[::-1], times[::-1])
    assert whole == samples_digest(subjects[:30], times[:30]) ^ samples_digest(subjects[30:], times[30:])
    assert whole != samples_digest(subjects[1:], times[1:])
    assert whole != samples_digest(np.append(subjects, 3), np.append(times, 3))
    assert whole != samples_digest(subjects, times[::-1])


def test_ranks_that_disagree_or_saw_other_samples_are_a_fault(dataset):
    def rank(weights, samples):
        return {"networks": {"m": {"weights": weights, "history": [{"rank_samples": samples}]}}}

    agreed([rank("a", 700), rank("a", 500)], dataset)
    with pytest.raises(EnvironmentFault, match="different weights"):
        agreed([rank("a", 700), rank("b", 500)], dataset)
    with pytest.raises(EnvironmentFault, match="1199"):
        agreed([rank("a", 700), rank("a", 499)], dataset)


def test_a_registry_needs_a_server_where_the_warehouse_is_no_folder(tmp_path):
    assert tracking_uri(str(tmp_path), None) == f"sqlite:///{tmp_path}/_registry/mlflow.db"
    assert tracking_uri("s3a://bucket/warehouse", "http://mlflow:5000") == "http://mlflow:5000"
    with pytest.raises(Refused, match="SALUS_TRACKING_URI"):
        tracking_uri("s3a://bucket/warehouse", None)


def test_how_horovod_works_is_the_drivers_to_say(monkeypatch):
    monkeypatch.setenv("HOROVOD_CYCLE_TIME", "7")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    told = rank_environment()
    assert told["HOROVOD_CYCLE_TIME"] == "7"
    assert told["TF_CPP_MIN_LOG_LEVEL"] == "3"
    assert told["ARROW_DEFAULT_MEMORY_POOL"] == "mimalloc"
