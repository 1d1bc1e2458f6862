"""Promotion's comparison: the same people and draws for both models, and a bound that decides."""

from functools import cache

import numpy as np
import pytest
from scipy.special import expit

from salus.cohorts.label import COST, COUNT, EVENT
from salus.evaluation.metrics import Sample
from salus.evaluation.promote import compared, comparison_of, held_for, said, table

BY = comparison_of(EVENT)
PEOPLE, TIMES = 300, 4
REPLICATES = 100


@pytest.fixture(scope="module")
def world():
    """Rows of people who resemble themselves: their labels, and a model that knows their risk."""
    random = np.random.default_rng(11)
    people = np.repeat(np.arange(PEOPLE), TIMES)
    logits = np.repeat(random.normal(-1, 1.2, PEOPLE), TIMES) + random.normal(0, 0.2, people.size)
    labels = (random.random(people.size) < expit(logits)).astype(np.float64)
    return Sample(people, labels, np.ones(people.size)), logits, random.normal(size=people.size)


@pytest.fixture(scope="module")
def both(world):
    """``both(noise)``: a challenger that sees the risk through ``noise``, and the champion that sees it as it is."""
    sample, logits, blur = world
    return cache(lambda noise: compared(BY, sample, expit(logits + noise * blur), expit(logits), REPLICATES))


def test_a_challenger_that_says_the_same_is_not_inferior_but_not_better_either(both):
    found = both(0.0)
    assert found["difference"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert (found["people"], found["rows"]) == (PEOPLE, PEOPLE * TIMES)
    assert held_for(BY, found, "2", "1", margin=0.01) is None
    assert "expected a lower bound above 0 " in held_for(BY, found, "2", "1", margin=0.0).replace("-0 ", "0 ")


def test_a_worse_challenger_is_held_with_the_figures(both):
    found = both(1.5)
    difference = found["difference"]
    assert difference["low"] < difference["value"] < difference["high"] < 0
    gap = found["challenger"]["auroc"]["value"] - found["champion"]["auroc"]["value"]
    assert difference["value"] == pytest.approx(gap)
    reason = held_for(BY, found, "2", "1", margin=0.02)
    assert f"{found['challenger']['auroc']['value']:.3f} of challenger version 2" in reason
    assert f"{found['champion']['auroc']['value']:.3f} of champion version 1 on 300 people" in reason
    assert said(difference) in reason
    assert "above -0.02 (gate promote)" in reason
    assert held_for(BY, found, "2", "1", margin=-difference["low"] + 1e-9) is None
    assert held_for(BY, found, "2", "1", margin=-difference["low"]) is not None


def test_the_difference_is_paired_so_its_interval_is_narrower_than_either_models(both):
    found = both(0.1)
    widths = [each["high"] - each["low"] for each in (found["difference"], found["champion"]["auroc"])]
    assert 0 < widths[0] < widths[1] / 3


def test_a_persons_rows_count_as_one_draw(world, both):
    sample, logits, blur = world
    again = Sample(*(np.repeat(column, 2) for column in (sample.people, sample.labels, sample.weights)))
    challenger, champion = expit(logits + 0.5 * blur), expit(logits)
    twice = compared(BY, again, np.repeat(challenger, 2), np.repeat(champion, 2), REPLICATES)
    assert twice["difference"] == pytest.approx(both(0.5)["difference"])


def test_labels_of_one_class_promote_nobody(world):
    sample, logits, _ = world
    alike = Sample(sample.people, np.zeros(sample.labels.size), sample.weights)
    found = compared(BY, alike, expit(logits), expit(logits), REPLICATES)
    assert "all alike; expected both classes" in held_for(BY, found, "2", "1", margin=0.4)


def test_the_table_has_every_metric_of_both_and_the_difference(both):
    found = both(0.5)
    lines = table(BY, found).splitlines()
    assert [line.split("  ")[1] for line in lines[1:-1]] == [metric.replace("_", " ") for metric in BY.metrics]
    slope = lines[1 + BY.metrics.index("calibration_slope")]
    for model in ("challenger", "champion"):
        assert said(found[model]["calibration_slope"], sign="") in slope
    assert lines[-1].endswith(said(found["difference"]))


@pytest.mark.parametrize("kind", [COUNT, COST])
def test_numbers_are_compared_by_the_deviance_that_is_explained(world, kind):
    _, logits, blur = world
    random, by, mean = np.random.default_rng(3), comparison_of(kind), np.exp(logits)
    people = np.repeat(np.arange(PEOPLE), TIMES)
    sample = Sample(people, random.poisson(mean).astype(np.float64), np.ones(people.size))
    found = compared(by, sample, mean * np.exp(blur), mean, REPLICATES)
    assert found["difference"]["high"] < 0
    gap = found["challenger"]["d2"]["value"] - found["champion"]["d2"]["value"]
    assert found["difference"]["value"] == pytest.approx(gap)
    assert f"Received Deviance explained {found['challenger']['d2']['value']:.3f}" in held_for(
        by, found, "2", "1", 0.01
    )
    assert held_for(by, compared(by, sample, mean, mean, REPLICATES), "2", "1", 0.01) is None
    assert [line.split("  ")[1] for line in table(by, found).splitlines()[1:-1]] == [
        "d2",
        "r squared",
        "mae",
        "predictive ratio",
    ]
    nought = Sample(people, np.zeros(people.size), np.ones(people.size))
    assert "expected numbers above 0" in held_for(by, compared(by, nought, mean, mean, REPLICATES), "2", "1", 0.01)
