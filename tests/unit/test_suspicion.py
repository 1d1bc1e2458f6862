"""What is too good to be true is said where figures are read: on the terminal and in the report."""

import pytest
from pydantic import ValidationError

from salus.cohorts.task import Task
from salus.evaluation.contest import OF_EVENTS, contest_of
from salus.evaluation.folds import across, suspected_of, table
from salus.evaluation.suspicion import BOUND, suspicion
from salus.report.discrimination import discrimination_section
from salus.report.folds import folds_section
from salus.report.measured import Measure


def warnings_of(section):
    return [block.text for block in section.blocks if getattr(block, "tone", "") == "warning"]


@pytest.mark.parametrize(
    ("aurocs", "above", "said"),
    [
        ({"model": 0.701, "boosted_trees": 0.72, "prevalence": 0.5}, 0.7, "(model 0.701, boosted trees 0.720)"),
        ({"model": 0.7, "baseline": None}, 0.7, None),
        ({"model": 0.99}, None, None),
    ],
)
def test_only_what_is_above_the_bound_is_suspected(aurocs, above, said):
    found = suspicion(aurocs, above)
    assert found is None if said is None else said in found


def folds_of(auroc, bound):
    rows = [
        {"model_name": name, "fold": fold, "metric": metric, "people": 20, "rows": 60, "spread": None}
        | {"value": (auroc if name == "boosted_trees" else 0.6) + fold / 1000}
        for name in OF_EVENTS.models
        for fold in range(5)
        for metric in OF_EVENTS.metrics
    ]
    rows += across(rows, 5)
    kept = {"model_name": "model", "fold": None, "metric": BOUND, "value": bound, "people": 100, "rows": 300}
    return rows if bound is None else [*rows, kept | dict.fromkeys(("spread", "low", "high"))]


def test_folds_tell_of_trees_that_rank_too_well():
    rows = folds_of(0.75, 0.7)
    assert "suspected leak: AUROC above 0.70 (boosted trees 0.752)" in table(rows)
    [section] = folds_section(rows)
    assert any("Suspected leak" in said for said in warnings_of(section))
    for innocent in (folds_of(0.69, 0.7), folds_of(0.75, None)):
        assert suspected_of(innocent) is None
        assert "suspected" not in table(innocent)


def test_the_report_warns_of_what_was_learnt_and_not_of_the_truth():
    measured = {("oracle", "auroc"): Measure(0.9), ("model", "auroc"): Measure(0.71), ("model", BOUND): Measure(0.7)}
    [said] = warnings_of(discrimination_section(measured))
    assert "AUROC above 0.70 (model 0.710)" in said
    assert warnings_of(discrimination_section(measured | {("model", "auroc"): Measure(0.69)})) == []
    assert warnings_of(discrimination_section({("model", "auroc"): Measure(0.71)})) == []


def test_the_public_readmissions_are_held_against_what_was_published_and_a_number_has_no_such_bound():
    assert Task.load("diabetes_readmission_uci").suspect_above == 0.70
    cost = Task.load("cost_1y")
    assert contest_of(cost.label.kind).ranked_by == "d2"
    with pytest.raises(ValidationError, match="no AUROC"):
        Task(**cost.model_dump(exclude_none=True) | {"suspect_above": 0.7})
