"""The report's section of folds: shown where they were measured, and plain about a network that trees beat."""

from datetime import date, datetime

import pytest

from salus.cohorts.label import COST
from salus.evaluation.contest import OF_EVENTS, contest_of
from salus.evaluation.folds import across
from salus.report.folds import folds_section
from salus.report.page import Page, render


def rows_of(model, trees):
    auroc = {"model": model, "boosted_trees": trees, "baseline": 0.66, "linear_svm": 0.65, "prevalence": 0.5}
    rows = [
        {"model_name": name, "fold": fold, "metric": metric, "people": 20, "rows": 60, "spread": None}
        | {"value": auroc[name] + fold / 1000}
        for name in OF_EVENTS.models
        for fold in range(5)
        for metric in OF_EVENTS.metrics
    ]
    for row in rows:
        if row["model_name"] == "prevalence":
            row["value"] = None if row["metric"] == "calibration_slope" else 0.5
    return rows + across(rows, 5)


@pytest.mark.parametrize(
    ("model", "trees", "says", "tone"),
    [
        (0.70, 0.68, "AUROC: the model's is above that of boosted trees; difference +0.020", "note"),
        (0.66, 0.68, "below that of boosted trees; difference −0.020", "warning"),
        (0.68, 0.68, "not to be told from that of boosted trees; difference +0.000", "note"),
    ],
)
def test_the_network_is_held_against_trees(model, trees, says, tone):
    [section] = folds_section(rows_of(model, trees))
    said = section.blocks[0]
    assert says in said.text
    assert said.tone == tone


def test_every_model_has_its_row_and_every_fold_its_dot():
    [section] = folds_section(rows_of(0.7, 0.69))
    _, plot, table = section.blocks
    assert [row[0] for row in table.rows] == ["Model", "Baseline", "Boosted trees", "Linear SVM", "Prevalence"]
    assert table.rows[0][1] == "0.702 ± 0.002"
    assert table.rows[-1][-1] == ""
    assert len(plot.figure.data[0].x) == 5 * len(OF_EVENTS.models)
    page = render(Page("Title", "tiny", date(2026, 1, 1), datetime(2026, 1, 1), [section]))
    assert "100 people in all" in page


def test_numbers_are_held_against_trees_by_what_they_explain():
    contest = contest_of(COST)
    rows = [
        {"model_name": name, "fold": fold, "metric": metric, "people": 20, "rows": 60, "spread": None}
        | {"value": 0.1 * place + fold / 1000}
        for place, name in enumerate(reversed(contest.models))
        for fold in range(5)
        for metric in contest.metrics
    ]
    [section] = folds_section(rows + across(rows, 5))
    said, plot, table = section.blocks
    assert said.text.startswith("Deviance explained: the model's is above that of boosted trees; difference +0.200")
    assert table.columns == ("Model", "Deviance explained", "R²", "MAE", "Predictive ratio")
    assert [row[0] for row in table.rows] == ["Model", "Baseline", "Boosted trees", "Mean"]
    assert plot.caption == "Deviance explained of each model, a dot a fold."


def test_without_folds_there_is_no_section():
    assert folds_section([]) == []
