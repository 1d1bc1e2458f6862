"""What the loop comes to is what scikit-learn comes to, for every kind of label."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, PoissonRegressor, TweedieRegressor

from salus.cohorts.classes import Outcomes
from salus.cohorts.intervals import Intervals
from salus.datasets.feed import in_order
from salus.datasets.folder import Folder, sha256
from salus.datasets.groups import group_bounds
from salus.datasets.manifest import open_dataset, stated
from salus.datasets.parquet import Samples, written
from salus.training.plan import NetworkPlan
from salus.training.train import best_epoch
from tiny_network import BLOCKS, WIDTH, trained


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
