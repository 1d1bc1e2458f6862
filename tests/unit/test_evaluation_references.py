"""Net benefit and subgroups' figures: against dcurves and fairlearn, which know no bootstrap of people."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.metrics import recall_score, roc_auc_score

from salus.evaluation.metrics import Sample, measured
from salus.evaluation.subgroups import METRICS, by_subgroup
from salus.evaluation.usefulness import highest, net_benefit

pytestmark = pytest.mark.large  # importing dcurves takes seconds, for it draws and fits survival models too

EXACTLY = {"rel": 1e-9, "abs": 1e-9}


@pytest.fixture(scope="module")
def world():
    """Rows of two sites, told a probability that is often the same for several, which count up to three times."""
    random = np.random.default_rng(17)
    told = np.round(expit(random.normal(-1.5, 1.0, 900)), 2).clip(0.01, 0.99)
    labels = (random.random(900) < told).astype(float)
    site = np.where(random.random(900) < 0.4, "north", "south")
    return told, labels, random.integers(1, 4, 900).astype(float), site


def test_net_benefit_is_that_of_dcurves(world):
    from dcurves import dca

    told, labels, weights, _ = world
    at = np.round(np.linspace(0.02, 0.6, 59), 2)  # many of them are told to somebody, who acts
    each = np.repeat(np.arange(told.size), weights.astype(int))  # dcurves knows no weights
    frame = pd.DataFrame({"event": labels[each].astype(int), "told": told[each]})
    curves = dca(frame, outcome="event", modelnames=["told"], thresholds=at).pivot(
        index="threshold", columns="model", values="net_benefit"
    )
    assert net_benefit(told, labels, weights, at) == pytest.approx(curves["told"].to_numpy(), **EXACTLY)
    assert net_benefit(np.ones(told.size), labels, weights, at) == pytest.approx(curves["all"].to_numpy(), **EXACTLY)
    assert (curves["none"] == 0).all()


def test_the_decision_curve_that_is_kept_is_that_of_dcurves(world):
    from dcurves import dca

    told, labels, _, _ = world
    sample = Sample(np.arange(told.size), labels, np.ones(told.size))
    rows = {row["metric"]: row for row in measured(sample, {"model": told}, replicates=2)}
    at = rows["net_benefit"]["curve_x"]
    frame = pd.DataFrame({"event": labels.astype(int), "told": told})
    curves = dca(frame, outcome="event", modelnames=["told"], thresholds=at).set_index("model")["net_benefit"]
    assert rows["net_benefit"]["curve_y"] == pytest.approx(curves["told"].tolist(), **EXACTLY)
    assert rows["net_benefit_of_all"]["curve_y"] == pytest.approx(curves["all"].tolist(), **EXACTLY)


def test_figures_of_subgroups_and_their_gap_are_those_of_fairlearn(world):
    from fairlearn.metrics import MetricFrame

    told, labels, weights, site = world
    is_top = highest(told, weights, 5)

    def observed_over_expected(labels, told, sample_weight):
        return sample_weight @ labels / (sample_weight @ told)

    def found_at_the_top(labels, told, sample_weight):
        return recall_score(labels, told >= told_at_least, sample_weight=sample_weight)

    told_at_least = told[is_top == 1].min()
    figures = dict(zip(METRICS, (roc_auc_score, observed_over_expected, found_at_the_top), strict=True))
    theirs = MetricFrame(
        metrics=figures,
        y_true=labels,
        y_pred=told,
        sensitive_features=site,
        sample_params={name: {"sample_weight": weights} for name in figures},
    )
    sample = Sample(np.arange(told.size), labels, weights)
    rows = by_subgroup(sample, told, {"site": site}, replicates=2)
    ours = {(row["subgroup"], row["metric"]): row["value"] for row in rows}
    for metric in METRICS:
        for name in ("north", "south"):
            assert ours[f"site: {name}", metric] == pytest.approx(theirs.by_group[metric][name], **EXACTLY)
        gap = abs(ours["site: north", f"{metric}_gap"])
        assert gap == pytest.approx(theirs.difference("between_groups")[metric], **EXACTLY)
