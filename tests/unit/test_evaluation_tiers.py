"""What acting on a tier finds and how many alerts a day it is: against counting one person at a time."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salus.cohorts.task import Tier
from salus.evaluation.metrics import Sample
from salus.evaluation.tiers import FIGURES, at_tiers, tier_metric
from salus.report.measured import Measure
from salus.report.usefulness import usefulness_section

DAY = 86_400_000_000
TIERS = [Tier(name="high", from_probability=0.5), Tier(name="rising", from_probability=0.2)]
prediction = st.tuples(st.integers(0, 4), st.integers(0, 3), st.sampled_from([0.1, 0.2, 0.4, 0.5, 0.9]), st.booleans())


def slowly(rows, bound, days, is_by_event):
    """The definitions, one person and one date at a time; rows are (person, day, told, label, weight)."""
    acted_on = [row for row in rows if row[2] >= bound]
    found = sum(row[4] for row in acted_on if row[3])
    events, weight = sum(row[4] for row in rows if row[3]), sum(row[4] for row in rows)
    dates, was_in, alerts = sorted({row[1] for row in rows}), defaultdict(set), 0.0
    for person, day, *_ in acted_on:
        was_in[day].add(person)
    for person, day, _, _, own in acted_on:
        before = dates[dates.index(day) - 1]
        if is_by_event or (day != dates[0] and person not in was_in[before]):
            alerts += own
    held = sum(row[4] for row in acted_on)
    ppv = found / held if held else np.nan
    return [found / events, ppv, ppv / (events / weight), held / weight, alerts / days if days else np.nan]


@given(st.lists(prediction, min_size=2, max_size=30, unique_by=lambda row: row[:2]), st.booleans())
def test_figures_at_a_tier_are_their_definitions(drawn, is_by_event):
    apart = (0, 31, 59, 90)  # dates of a calendar need not be evenly apart
    rows = [(person, apart[at], told, label, 1 + person / 8) for person, at, told, label in drawn]
    people, at, told, labels, weights = (np.array(column) for column in zip(*rows, strict=True))
    sample = Sample(people, labels.astype(float), weights, times=at * DAY)
    found = at_tiers(sample, {"model": told}, TIERS, is_by_event, replicates=2)
    if not sample.has_both_classes:
        assert found == []
        return
    days = int(at.max() - at.min()) + is_by_event
    for bound, tier in ((0.5, "high"), (0.2, "rising")):
        values = {row["metric"]: row["value"] for row in found}
        expected = slowly(rows, bound, days, is_by_event)
        each = [values[tier_metric(figure, tier)] for figure in FIGURES]
        known = each if days else each[:-1]
        assert known == pytest.approx(expected[: len(known)], nan_ok=True)


@pytest.fixture(scope="module")
def found():
    """400 people on 12 dates a month apart, whose risk lasts: few are new in a tier, and few in it leave."""
    random = np.random.default_rng(8)
    people, at = np.repeat(np.arange(400), 12), np.tile(np.arange(12) * 30 * DAY, 400)
    lasting = np.repeat(random.beta(1, 6, 400), 12)
    told = np.clip(lasting + random.normal(0, 0.01, people.size), 0.001, 0.999)
    labels = (random.random(people.size) < lasting).astype(float)
    sample = Sample(people, labels, np.ones(people.size), times=at)
    tiers = [Tier(name="high", from_percentile=95), Tier(name="low", from_percentile=0)]
    rows = at_tiers(sample, {"model": told, "baseline": random.random(people.size)}, tiers, False)
    return {(row["model_name"], row["metric"]): row | {"people": 400} for row in rows}


def test_a_lasting_risk_alerts_less_than_one_that_jumps_and_intervals_hold_the_figures(found):
    model, jumping = (found[name, "alerts_a_day: high"]["value"] for name in ("model", "baseline"))
    assert jumping == pytest.approx(400 * 0.05 * 0.95 * 11 / 330, rel=0.2)
    assert model < jumping / 2
    for figure in FIGURES:
        row = found["model", f"{figure}: high"]
        assert row["low"] < row["value"] < row["high"]
    everybody = [found["model", f"{figure}: low"]["value"] for figure in ("sensitivity", "lift", "share")]
    assert everybody == [1, 1, 1]


def test_the_report_shows_the_tiers_from_the_highest(found):
    measured = {key: Measure(row["value"], row["low"], row["high"], row["people"]) for key, row in found.items()}
    measured["model", "ppv_top_1"] = measured["baseline", "ppv_top_1"] = Measure(0.5)
    [table] = [block for block in usefulness_section(measured).blocks if "tiers" in getattr(block, "caption", "")]
    assert [row[:2] for row in table.rows[:2]] == [["Model", "high and above"], ["Model", "low and above"]]
    assert len(table.rows) == 4
    assert table.rows[0][2].startswith("0.050")
    [note] = [block for block in usefulness_section(measured).blocks if "Alerts a day" in getattr(block, "text", "")]
    assert "of the 400 held out" in note.text
