"""Refits that differ by a known amount are told to differ by it."""

import numpy as np
import pytest

from salus.cohorts.task import Task, Tier
from salus.evaluation.contest import OF_EVENTS, contest_of
from salus.evaluation.instability import BANDS, instability, measured_row
from salus.evaluation.tiers import tier_places
from salus.report.refits import refits_section
from salus.report.told import PROBABILITY, told_of

TIERS = [Tier(name="high", from_percentile=90), Tier(name="low", from_percentile=0)]


def by_metric(rows):
    return {(row["metric"], row["band"]): row for row in rows}


def test_refits_that_agree_move_nobody():
    told = np.linspace(0.01, 0.5, 200)
    found = by_metric(instability(told, np.tile(told, (4, 1)), TIERS))
    for metric in ("mape", "spread_p50", "spread_p99", "tier_changed"):
        assert found[metric, None]["value"] == 0
    assert found["top_tier_kept", None]["value"] == 1
    assert found["top_tier_kept", None]["people"] == 20


def test_a_planted_spread_is_found_where_it_was_planted():
    random = np.random.default_rng(3)
    told = np.linspace(0.05, 0.45, 4000)
    noise = np.where(np.arange(4000) < 2000, 0.001, 0.02)
    refitted = told + random.normal(0, 1, (40, 4000)) * noise
    found = by_metric(instability(told, refitted, TIERS))
    assert found["spread_p50", 1]["value"] == pytest.approx(0.001, rel=0.05)
    assert found["spread_p50", BANDS]["value"] == pytest.approx(0.02, rel=0.05)
    assert found["mape", None]["value"] == pytest.approx(np.sqrt(2 / np.pi) * 0.0105, rel=0.05)
    assert found["told", BANDS]["value"] == pytest.approx(told[3600:].mean())
    assert found["mape", None]["lowest"] < found["mape", None]["value"] < found["mape", None]["highest"]


def test_who_is_swapped_over_a_bound_changes_the_tier():
    told = np.arange(100) / 200
    swapped = told.copy()
    swapped[[89, 90]] = swapped[[90, 89]]
    found = by_metric(instability(told, np.array([told, swapped]), TIERS))
    assert (found["tier_changed", None]["lowest"], found["tier_changed", None]["highest"]) == (0, 0.02)
    assert found["top_tier_kept", None]["lowest"] == 0.9


def test_tiers_are_those_of_a_night():
    told = np.array([0.1, 0.2, 0.2, 0.9])
    by_probability = [Tier(name="high", from_probability=0.5), Tier(name="mid", from_probability=0.2)]
    assert tier_places(told, by_probability).tolist() == [2, 1, 1, 0]
    by_percentile = [Tier(name="high", from_percentile=80), Tier(name="mid", from_percentile=50)]
    assert tier_places(told, by_percentile).tolist() == [2, 1, 1, 0]  # midranks 12.5, 50, 50, 87.5


def section_of(told, contest, label):
    refitted = told * np.array([[0.9], [1.0], [1.2]])
    refitted[0, ::7] *= 1.5
    rows = [*instability(told, refitted, TIERS), measured_row(contest.ranked_by, np.array([0.5, 0.6, 0.7]), 300)]
    [section] = refits_section([row | {"refits": 3} for row in rows], label)
    return by_metric(rows), section


def test_the_report_tells_what_changed_and_draws_it():
    found, section = section_of(np.linspace(0.01, 0.4, 300), OF_EVENTS, PROBABILITY)
    words, plot, table = section.blocks
    assert f"{100 * found['tier_changed', None]['value']:.1f} %" in words.text
    assert len(plot.figure.data) == 2
    assert plot.figure.layout.xaxis.tickformat == ".0%"
    assert table.rows[0][0] == "Probability moves by, on average"
    assert table.rows[-1] == ("AUROC", "0.600", "0.500", "0.700")
    assert refits_section([], PROBABILITY) == []


def test_the_report_tells_of_estimates_in_their_unit():
    label = Task.load("emergency_visits_1y").label
    _, section = section_of(np.linspace(0, 9, 300), contest_of(label.kind), told_of(label))
    _, plot, table = section.blocks
    assert plot.figure.layout.xaxis.title.text == "mean estimate, visits, of a tenth of the people"
    assert "%" not in plot.figure.layout.xaxis.tickformat + plot.figure.layout.yaxis.tickformat
    assert table.rows[0][0] == "Estimate (visits) moves by, on average"
    assert table.rows[-1] == ("Deviance explained", "0.600", "0.500", "0.700")
