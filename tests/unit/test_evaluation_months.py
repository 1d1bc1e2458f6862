"""Stability by month of prediction: against plain means, and against a drift that was planted."""

from datetime import datetime

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from salus.evaluation.metrics import Sample
from salus.evaluation.months import by_month, months_of
from salus.report.measured import Measure, apart
from salus.report.stability import off_months, stability_section

MONTHS = ("2025-11", "2025-12", "2026-01", "2026-02")
DRIFTED = "2026-02"


def test_a_prediction_belongs_to_its_calendar_month_in_utc():
    ends = [datetime(2025, 12, 31, 23, 59), datetime(2026, 1, 1), datetime(1969, 12, 31)]
    micros = np.array([np.datetime64(end, "us").astype(np.int64) for end in ends])
    assert months_of(micros).tolist() == ["2025-12", "2026-01", "1969-12"]


@pytest.fixture(scope="module")
def drifting():
    """1,500 people in each of four months; in the last one events are far more common than they were told."""
    random = np.random.default_rng(10)
    people = np.tile(np.arange(1500), len(MONTHS))
    months = np.repeat(MONTHS, 1500)
    logits = random.normal(-2, 1, people.size)
    true = expit(logits + np.where(months == DRIFTED, 1.0, 0.0))
    labels = (random.random(people.size) < true).astype(float)
    sample = Sample(people, labels, random.uniform(0.8, 1.5, people.size))
    shuffled = random.permutation(people.size)
    sample = Sample(people[shuffled], labels[shuffled], sample.weights[shuffled])
    probability, months = expit(logits)[shuffled], months[shuffled]
    return sample, probability, months, by_month(sample, probability, months, replicates=100)


def test_a_month_is_measured_by_its_own_rows(drifting):
    sample, probability, months, rows = drifting
    found = {(row["subgroup"], row["metric"]): row for row in rows}
    assert [row["subgroup"] for row in rows if row["metric"] == "events"] == [f"month: {month}" for month in MONTHS]
    for month in MONTHS:
        inside = months == month
        labels, weights = sample.labels[inside], sample.weights[inside]
        plain = {
            "events": labels.sum(),
            "mean_predicted": np.average(probability[inside], weights=weights),
            "observed": np.average(labels, weights=weights),
            "auroc": roc_auc_score(labels, probability[inside], sample_weight=weights),
        }
        for metric, value in plain.items():
            assert found[f"month: {month}", metric]["value"] == pytest.approx(value)
        assert found[f"month: {month}", "auroc"]["people"] == 1500
        assert (
            found[f"month: {month}", "observed"]["low"] < plain["observed"] < found[f"month: {month}", "auroc"]["high"]
        )


def test_the_month_that_drifted_is_the_one_whose_interval_lies_off_one(drifting):
    ratio = {row["subgroup"]: row for row in drifting[3] if row["metric"] == "observed_over_expected"}
    assert ratio[f"month: {DRIFTED}"]["low"] > 1.4
    assert all(ratio[f"month: {month}"]["low"] < 1 < ratio[f"month: {month}"]["high"] for month in MONTHS[:-1])


def test_a_month_with_few_events_is_counted_and_not_ranked():
    labels = np.r_[np.ones(5), np.zeros(95)]
    rows = by_month(Sample(np.arange(100), labels, np.ones(100)), np.full(100, 0.1), np.repeat("2026-01", 100), 20)
    found = {row["metric"]: row["value"] for row in rows}
    assert found == {
        "events": 5,
        "mean_predicted": pytest.approx(0.1),
        "observed": pytest.approx(0.05),
        "observed_over_expected": pytest.approx(0.5),
    }


def test_the_report_tells_months_from_people_and_names_the_one_that_drifted(drifting):
    kept = {}
    for row in drifting[3]:
        measure = Measure(row["value"], row["low"], row["high"], row["people"], row["rows"])
        kept.setdefault(row["subgroup"], {})[row["metric"]] = measure
    others = {"sex: female": {"events": Measure(3)}, "treatment: given": {"events": Measure(4)}}
    people, months, arms = apart(kept | others)
    assert (list(people), list(arms)) == (["sex: female"], ["given"])
    assert list(months) == list(MONTHS)
    said, plot, table = stability_section(months).blocks
    assert (said.tone, DRIFTED in said.text) == ("note", True)
    drawn = {trace.name: trace for trace in plot.figure.data}
    assert drawn["AUROC"].y == tuple(months[month]["auroc"].value for month in MONTHS)
    assert [row[0] for row in table.rows if "▲" in row[5]] == [DRIFTED]


def test_a_model_that_is_off_in_most_months_is_a_warning(drifting):
    off = {
        "events": Measure(40),
        "mean_predicted": Measure(0.1),
        "observed": Measure(0.2),
        "observed_over_expected": Measure(2.0, 1.5, 2.6),
    }
    said, _, table = stability_section({"2026-01": off, "2026-02": off}).blocks
    assert said.tone == "warning"
    assert table.rows[0][-1] == "too few events"


def test_too_many_events_are_off_as_too_few_are_and_an_interval_without_bounds_is_not():
    bounds = {"2026-01": (0.6, 0.9), "2026-02": (0.8, 1.2), "2026-03": (1.1, 1.6), "2026-04": (None, None)}
    months = {name: {"observed_over_expected": Measure(1.0, *ends, 50, 100)} for name, ends in bounds.items()}
    assert off_months(months) == ["2026-01", "2026-03"]
