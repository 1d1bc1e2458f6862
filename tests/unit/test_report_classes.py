"""The report of several classes: each against the rest beside the baseline, and what was most probable."""

import numpy as np
from scipy.special import softmax

from salus.cohorts.task import Task
from salus.evaluation.classes import measured_classes
from salus.evaluation.metrics import Sample
from salus.report.card import Found, attributes
from salus.report.classes import classes_section
from salus.report.measured import Measure
from salus.report.overview import overview_section
from salus.report.page import Missing
from salus.report.told import told_of

TASK = Task.load("admission_cause_90d")
OUTCOMES = TASK.label.outcomes
SEVERAL = Task.load("unplanned_care_180d").label.outcomes


def measured(outcomes, is_better=True):
    """What a model that knows the risks, or nothing, and a baseline that is the other are found to be."""
    random = np.random.default_rng(8)
    true = softmax(random.normal(0, 1.5, (300, len(outcomes.names) + 1)), axis=1)
    drawn = (random.random(300)[:, None] > true.cumsum(axis=1)).sum(axis=1)
    sample = Sample(np.arange(300), outcomes.number(np.arange(len(outcomes.names)) == drawn[:, None]), np.ones(300))
    usual = np.tile(true.mean(axis=0), (300, 1))
    knowing, other = (dict(zip((*outcomes.names, "none"), each.T)) for each in (true, usual))
    models = {"model": knowing if is_better else other, "baseline": other if is_better else knowing}
    return {
        (row["model_name"], row["metric"]): Measure(
            row.get("value"), row.get("low"), row.get("high"), 600, 600, row.get("curve_x", ()), row.get("curve_y", ())
        )
        for row in measured_classes(sample, outcomes, models, 10)
    }


def of_kind(section, kind):
    return [block for block in section.blocks if block.kind == kind]


def test_each_class_stands_beside_the_baseline_and_all_together():
    found = measured(OUTCOMES)
    section = classes_section(found, OUTCOMES)
    each, together, confusion = of_kind(section, "table")
    names = ["respiratory", "infection or kidney", "other", "heart failure", "none"]
    assert [row[0] for row in each.rows] == names
    assert each.rows[3][1].startswith(f"{found['model', 'auroc: heart_failure'].value:.3f} (")
    assert each.rows[3][2].startswith("0.500 (")
    assert [row[0] for row in together.rows] == ["Model", "Baseline (logistic regression)", "Model less baseline"]
    assert together.rows[0][2].startswith(f"{found['model', 'log_loss'].value:.4f} (")
    assert [row[0] for row in confusion.rows] == names
    assert confusion.rows[0][1] == f"{100 * found['model', 'confusion: respiratory'].y[0]:.1f} %"
    [plot] = of_kind(section, "plot")
    assert [trace.name for trace in plot.figure.data if trace.name] == [*names, "perfect"]
    assert "heart failure" in section.question
    assert of_kind(section, "text")[0].text.endswith("the model is better.")


def test_a_model_that_is_worse_than_its_baseline_is_warned_of():
    text = of_kind(classes_section(measured(OUTCOMES, is_better=False), OUTCOMES), "text")[0]
    assert text.text.endswith("the model is worse.")
    assert text.tone == "warning"


def test_classes_by_themselves_have_no_confusion_and_none_of_them_no_figures():
    section = classes_section(measured(SEVERAL), SEVERAL)
    each, _ = of_kind(section, "table")
    assert [row[0] for row in each.rows] == ["emergency visit", "death", "unplanned admission"]
    assert "may have several" in section.question


def test_without_an_evaluation_it_says_which_job_makes_one():
    [missing] = classes_section({}, OUTCOMES).blocks
    assert isinstance(missing, Missing)
    assert missing.job == "evaluate"


def test_the_page_and_the_card_say_whose_probability_it_is():
    told = told_of(TASK.label)
    assert told.usual == "share of heart failure in training"
    assert "heart failure" in str(overview_section(None, {}, {}, told).blocks)
    listed = attributes(TASK, Found(None, None, [], {}, {}, {}, {}))
    assert any("Probability of each of respiratory" in str(each) for each in listed)
