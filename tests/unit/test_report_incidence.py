"""The report of a time to event: curves by tier beside what was told, and the C-index beside the baseline's."""

import numpy as np
import pytest

from salus.cohorts.task import Task, Tier
from salus.evaluation.survival import measured_times
from salus.evaluation.times import Times
from salus.report.card import Found, attributes
from salus.report.incidence import incidence_section
from salus.report.measured import Measure
from salus.report.overview import overview_section
from salus.report.page import Missing
from salus.report.told import told_of

ENDS = (61, 122, 183, 243, 304, 365)
JANUARY = np.datetime64("2025-01-01").astype("datetime64[us]").astype(np.int64)
TASK = Task.load("mortality_1y")


@pytest.fixture(scope="module")
def measured():
    """What a model that knows the risks and a baseline that knows nothing are found to be on 600 people."""
    random = np.random.default_rng(8)
    risk = np.exp(random.normal(-1.5, 1, 600))
    until = np.minimum(random.exponential(365 / risk), 365)
    left = random.uniform(0, 3000, 600)
    kinds, days = np.where((until < 365) & (until <= left), 1, 0), np.floor(np.minimum(until, left)).astype(int)
    times = Times.of(np.arange(600), kinds, days, np.full(600, JANUARY), 365)
    told = 1 - np.exp(-risk[:, None] * np.array(ENDS) / 365)
    models = {"model": told, "baseline": np.tile(told.mean(axis=0), (600, 1))}
    rows = measured_times(times, ENDS, models, TASK.tiers, 50)
    return {
        (row["model_name"], row["metric"]): Measure(
            row.get("value"), row.get("low"), row.get("high"), 600, 600, row.get("curve_x", ()), row.get("curve_y", ())
        )
        for row in rows
    }


def of_kind(section, kind):
    return [block for block in section.blocks if block.kind == kind]


def test_each_tier_is_drawn_as_it_was_and_as_it_was_told(measured):
    section = incidence_section(measured, TASK)
    [plot] = of_kind(section, "plot")
    drawn = {trace.name: trace for trace in plot.figure.data if trace.name}
    names = [tier.name for tier in TASK.tiers]
    assert set(drawn) == {f"{name}, {which}" for name in names for which in ("observed", "told")}
    assert list(drawn["high, told"].x) == [0, *ENDS]
    observed = [drawn[f"{name}, observed"].y[-1] for name in names]
    assert observed == sorted(observed, reverse=True)
    bands = [trace for trace in plot.figure.data if trace.fill == "toself"]
    for band, name in zip(bands, names, strict=True):
        half = len(band.y) // 2
        assert list(band.x[:half]) == list(band.x[: half - 1 : -1])  # there above the curve, and back below it
        assert band.y[half] <= drawn[f"{name}, observed"].y[-1] <= band.y[half - 1]


def test_the_ends_of_the_curves_and_the_index_beside_the_baselines_stand_in_tables(measured):
    section = incidence_section(measured, TASK)
    tiers, index = of_kind(section, "table")
    assert [row[0] for row in tiers.rows] == ["high", "rising", "low"]
    told = measured["model", "told_incidence: high"].y[-1]
    assert tiers.rows[0][2] == f"{100 * told:.1f} %"
    assert [row[0] for row in index.rows] == ["Model", "Baseline (logistic hazards)", "Model less baseline"]
    assert index.rows[0][1].startswith(f"{measured['model', 'c_index'].value:.3f} (")
    assert index.rows[1][1].startswith("0.500 (")
    assert "competes" not in section.question
    assert f"{100 * measured['model', 'observed_incidence'].value:.1f} % (" in of_kind(section, "text")[0].text
    strip = overview_section(None, measured, {}, told_of(TASK.label)).blocks[0]
    assert strip.figures[0].name == "C-index, model"
    assert "baseline 0.500" in strip.figures[0].detail


def test_a_tier_in_which_nobody_was_is_not_drawn_and_an_evaluation_that_is_not_there_is_named(measured):
    tiers = [Tier(name="certain", from_probability=1.0), *TASK.tiers]
    section = incidence_section(measured, TASK.model_copy(update={"tiers": tiers}))
    assert [row[0] for row in of_kind(section, "table")[0].rows] == ["high", "rising", "low"]
    assert incidence_section({}, TASK).blocks == [Missing("Incidence over time", "evaluate")]


def test_a_competing_death_is_said_where_there_is_one(measured):
    label = TASK.label.model_copy(update={"death": "competing"})
    question = incidence_section(measured, TASK.model_copy(update={"label": label})).question
    assert "Whoever dies before it can no longer have it" in question


def test_it_is_told_as_a_probability():
    told = told_of(TASK.label)
    assert (told.column, told.said(0.123), told.usual) == (
        "probability",
        "12.3 %",
        "incidence in training, by the horizon",
    )


def test_the_card_says_how_well_times_are_told(measured):
    text = {each.number: each.text for each in attributes(TASK, Found(None, None, [], measured, {}, {}))}
    assert text["(1)(iii)"].startswith("Probability, 0 to 1")
    index = measured["model", "c_index"]
    assert f"C-index {index.value:.3f} ({index.low:.3f} to {index.high:.3f})" in text["(7)(i)"]
