"""Searches: what a task may declare, what is proposed next, and which trial is best."""

import json
import math

import numpy as np
import pytest

from salus.cohorts.search_space import Candidates
from salus.cohorts.task import Task, tasks_dir
from salus.errors import Refused
from salus.training.trials import best_of, table
from salus.training.tune import proposed

SPACE = {
    "hidden": Candidates(choices=([8], [16, 8])),
    "units": Candidates(low=4, high=64, log=True),
    "learning_rate": Candidates(low=0.0001, high=0.1, log=True),
}
OWN = {"settings": {"hidden": [512], "units": 1, "learning_rate": 0.5}, "tuning_metric": 0.6}


def declared(tmp_path, text):
    shipped = (tasks_dir() / "diabetes_onset_1y.yml").read_text(encoding="utf-8")
    path = tmp_path / "diabetes_onset_1y.yml"
    path.write_text(f"{shipped}\ntune:\n  {text}\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dropoff: {low: 0, high: 0.5}", "dropoff can't be tuned; expected some of hidden, "),
        ("seed: {low: 1, high: 9}", "seed can't be tuned"),
        ("dropout: {low: 0, high: 1}", "dropout can't be 1"),
        ("dropout: {low: 0.5, high: 0.1}", "low (0.5) must be below high (0.1)"),
        ("dropout: {low: 0.1}", "either choices, or low and high"),
        ("dropout: {choices: [0.1, 0.2], low: 0.1, high: 0.2}", "either choices, or low and high"),
        ("dropout: {choices: [0.1, 0.2], low: 0.1}", "either choices, or low and high"),
        ("l2: {low: 0, high: 0.1, log: true}", "log needs a low above 0"),
        ("units: {low: 4.5, high: 9}", "units can't be 4.5"),
        ("hidden: {low: 4, high: 9}", "hidden is no number: name its choices"),
        ("hidden: {choices: [[32], wide]}", "hidden can't be wide"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused_with_its_line(tmp_path, text, said):
    path = declared(tmp_path, text)
    lines = path.read_text(encoding="utf-8").splitlines()
    with pytest.raises(Refused) as refused:
        Task.from_file(path)
    assert said in str(refused.value)
    assert any(f"{path}:{len(lines) - up}: " in str(refused.value) for up in (0, 1))


def test_a_space_that_can_be_searched_is_kept(tmp_path):
    task = Task.from_file(declared(tmp_path, "hidden: {choices: [[32], [64, 32]]}"))
    assert task.tune["hidden"].choices == ([32], [64, 32])


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_what_is_proposed_lies_in_the_space_and_follows_from_the_seed_and_the_trials_before(sampler):
    tried = [OWN]
    for _ in range(15):
        settings = proposed(SPACE, tried, sampler, seed=3)
        assert settings == proposed(SPACE, tried, sampler, seed=3)
        assert settings["hidden"] in ([8], [16, 8])
        assert isinstance(settings["units"], int)
        assert 4 <= settings["units"] <= 64
        assert 0.0001 <= settings["learning_rate"] <= 0.1
        tried.append({"settings": settings, "tuning_metric": 0.5 + settings["units"] / 1000})
    distinct = {json.dumps(trial["settings"]) for trial in tried[1:]}
    assert len(distinct) == 15
    logs = np.log10([trial["settings"]["learning_rate"] for trial in tried[1:]])
    assert logs.min() < -3 < -2 < logs.max(), "evenly on the logarithm"
    first = [proposed(SPACE, [OWN], sampler, seed)["units"] for seed in range(60)]
    assert np.mean(np.array(first) <= 16) > 0.35, "of whole numbers too"
    assert proposed(SPACE, [OWN], sampler, seed=3) != proposed(SPACE, [OWN], sampler, seed=4)


def test_tpe_looks_near_what_did_well_and_away_from_what_diverged():
    space = {"dropout": Candidates(low=0.0, high=0.9)}
    rates = np.linspace(0, 0.9, 20)

    def proposals(goodness):
        own = {"settings": {"dropout": 0.0}, "tuning_metric": 0.5}
        tried = [own, *({"settings": {"dropout": rate}, "tuning_metric": goodness(rate)} for rate in rates)]
        return np.mean([proposed(space, tried, "tpe", seed)["dropout"] for seed in range(20)])

    assert proposals(lambda rate: 1 - rate) < 0.25
    assert proposals(lambda rate: rate) > 0.65
    assert proposals(lambda rate: -5 - rate) < 0.25, "also where every metric is below nought"
    assert proposals(lambda rate: math.nan if rate > 0.45 else rate - 5) < 0.5, "what diverged is worse than the worst"
    assert proposals(lambda rate: math.nan if rate > 0.45 else rate) == proposals(lambda rate: rate * (rate <= 0.45))


def test_the_best_is_the_highest_that_did_not_diverge():
    def of(*values):
        return [{"tuning_metric": value} for value in values]

    assert best_of(of(0.6, math.nan, 0.7, 0.7)) == 2
    assert best_of(of(math.nan, 0.4)) == 1
    with pytest.raises(Refused, match="2 trials that all diverged"):
        best_of(of(math.nan, math.nan))


def test_the_table_marks_the_best_and_says_what_diverged():
    rows = [
        {"trial": 2, "settings": json.dumps({"hidden": [16, 8]}), "tuning_loss": None, "tuning_metric": None},
        {"trial": 1, "settings": json.dumps({"hidden": [8]}), "tuning_loss": 0.3, "tuning_metric": 0.71},
    ]
    told = {"epoch": 3, "metric": "tuning_auroc"}
    lines = table([row | told | {"is_best": row["trial"] == 1} for row in rows]).splitlines()
    assert lines[0].endswith("tuning loss  tuning AUROC")
    assert [line.split()[0] for line in lines] == ["trial", "1", "2", "best:"]
    assert lines[1].endswith("0.7100  best")
    assert "[16, 8]" in lines[2]
    assert "diverged" in lines[2]
    assert lines[3] == "  best: hidden: [8]"
    told["metric"] = "tuning_d2"
    lines = table([row | told | {"is_best": row["trial"] == 1} for row in rows]).splitlines()
    assert lines[0].endswith("tuning loss  tuning deviance explained")
    assert lines[1].endswith(f"{'0.7100':>27}  best"), "under its heading"
