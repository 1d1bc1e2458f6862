"""The report of a count or a cost: what was told beside what was, in its unit, and nowhere a probability."""

import math
from datetime import date, datetime

import numpy as np
import pytest

from salus.cohorts.label import COST, Label
from salus.cohorts.task import Task
from salus.evaluation.measures import measures_of
from salus.evaluation.metrics import Sample
from salus.report.card import Found, attributes
from salus.report.distribution import BARS, Distribution, TierOfNight, bar_width, distribution_section
from salus.report.estimates import estimates_section
from salus.report.measured import Measure
from salus.report.overview import overview_section
from salus.report.page import Page, render
from salus.report.people import people_section
from salus.report.stability import stability_section
from salus.report.subgroups import subgroups_section
from salus.report.told import PROBABILITY, told_of

AS_OF = date(2026, 6, 30)
TOLD = told_of(Label(horizon_days=365, death="no_event", cost={"currency": "USD"}))
MEASURES = measures_of(COST)


def planted(too_much=1.0, people=1500):
    """A sample, what a model that tells ``too_much`` and a baseline tell of it, and two attributes."""
    random = np.random.default_rng(3)
    raw = random.normal(8, 1, people)
    spent = np.where(random.random(people) < 0.3, 0, np.exp(raw) * random.gamma(2, 0.5 / 0.7, people))
    told = {"model": too_much * np.exp(raw), "baseline": np.full(people, spent.mean())}
    sex = np.where(np.arange(people) % 2, "female", "male")
    months = np.where(np.arange(people) % 3, "2025-03", "2025-04")
    return Sample(np.arange(people), spent, np.ones(people)), told, sex, months


def as_measures(rows):
    """Rows of an evaluation as the report reads them."""
    return {
        (row.get("subgroup"), row["model_name"], row["metric"]): Measure(
            *(row.get(name) for name in ("value", "low", "high")),
            100,
            100,
            tuple(row.get("curve_x") or ()),
            tuple(row.get("curve_y") or ()),
        )
        for row in rows
    }


def found(too_much=1.0):
    """(measures of everybody, of subgroups, of months)."""
    sample, told, sex, months = planted(too_much)
    raw = np.log(told["model"])
    overall = MEASURES.of_models(sample, told, replicates=30) + MEASURES.price(sample, raw, raw * 1.02, replicates=30)
    groups = MEASURES.of_subgroups(sample, told["model"], {"sex": sex}, replicates=30)
    by_month = MEASURES.of_months(sample, told["model"], months, replicates=30)

    def by_name(rows, prefix=""):
        made = {}
        for (name, _, metric), measure in as_measures(rows).items():
            made.setdefault(name.removeprefix(prefix), {})[metric] = measure
        return made

    everybody = {key[1:]: measure for key, measure in as_measures(overall).items()}
    return everybody, by_name(groups), by_name(by_month, "month: ")


def person(rank):
    bounds = {"estimate": 9000.0 - rank, "estimate_low": 8000.0, "estimate_high": 9900.0}
    return bounds | {
        "subject_id": 77 + rank,
        **{f"probability{which}": None for which in ("", "_low", "_high")},
        "percentile": 99.0,
        "tier": "high",
        "previous_probability": None,
        "days_since_last_event": 3.0,
        "reasons": [],
        "data_quality_flags": [],
        "reason_method": "integrated_gradients",
    }


def sections(too_much=1.0):
    measured, groups, months = found(too_much)
    tiers = [TierOfNight("high", 20, 5000, 9000, 130_000.0), TierOfNight("low", 80, 10, 5000, 70_000.0)]
    bars = {("high", 25): 20, ("low", 3): 80}
    return {
        section.id: section
        for section in (
            overview_section(None, measured, {}, TOLD),
            estimates_section(measured, TOLD),
            subgroups_section(groups, TOLD.of_subgroups),
            stability_section(months, TOLD),
            distribution_section(Distribution(200, bars, tiers, {}, 2000.0), TOLD),
            people_section([person(1), person(2)], AS_OF, TOLD),
        )
    }


def test_the_page_of_a_cost_speaks_of_dollars_and_nowhere_of_a_probability():
    page = render(Page("Cost", "cost_1y", AS_OF, datetime(2026, 7, 1), list(sections().values())))
    body = page[page.index("<main>") :]
    assert "probabilit" not in body.lower()
    assert "AUROC" not in body
    assert all(text in body for text in ("8,999 USD (8,000 to 9,900)", "130,000 USD", "R², model", "Predictive ratio"))


@pytest.mark.parametrize(("too_much", "tone", "said"), [(1.0, "note", "contains 1"), (1.5, "warning", "too high")])
def test_a_level_that_is_off_is_said_aloud(too_much, tone, said):
    first = sections(too_much)["estimates"].blocks[0]
    assert (first.tone, said in first.text) == (tone, True)


def test_each_group_by_what_was_told_has_its_predictive_ratio():
    measured, _, _ = found(too_much=1.5)
    [table] = [
        block for block in sections(1.5)["estimates"].blocks if "from the least" in getattr(block, "caption", "")
    ]
    curve = measured["model", "calibration_curve"]
    assert len(table.rows) == len(curve.x) == 10
    ratios = [float(row[-1].split(" ")[0]) for row in table.rows]
    np.testing.assert_allclose(ratios, np.array(curve.x) / curve.y, atol=0.006)
    assert 1.2 < np.median(ratios) < 1.9


def test_subgroups_and_months_are_told_off_where_their_level_is():
    assert "Predictive ratio" in sections(1.5)["subgroups"].blocks[-1].columns[-1]
    months = sections(1.5)["stability"]
    assert "predicted over observed lies off 1: 2025-03" in months.blocks[0].text
    assert months.blocks[-1].rows[0][-1].endswith("▲")


def test_bars_of_any_amount_are_round_and_fit():
    for highest in (0.7, 3.0, 45.0, 46.0, 12_345.0, 9e6):
        width = bar_width(highest, None)
        assert highest / width <= BARS
        assert round(width / 10 ** math.floor(math.log10(width) + 1e-9), 6) in (1, 2, 5)
        assert highest / width > BARS / 3


def test_the_card_says_what_a_cost_is_and_how_near_it_came():
    measured, groups, months = found()
    listed = attributes(Task.load("cost_1y"), Found(None, None, [], measured, groups, months))
    text = {each.number: each.text for each in listed}
    assert text["(1)(iii)"].startswith("Estimate of a mean, in USD")
    assert "R squared" in text["(7)(i)"]
    assert "Predictive ratio" in text["(7)(ii)"]


def test_an_event_is_told_as_ever():
    assert told_of(Task.load("high_cost_1y").label) is PROBABILITY
