"""What a model goes by: of codes, channels and features alike, and what is told by the value of one."""

from datetime import date, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salus.explanation.importances import POINTS, dependence, importances, table, values_of
from salus.explanation.reasons import by_name, by_reason, names_told
from salus.report.importances import importances_section
from salus.report.page import Page, render
from salus.report.told import PROBABILITY
from timeline_cases import spec as timelines_spec


@given(st.integers(0, 1000))
def test_a_code_has_what_its_events_gave_and_nothing_is_lost(seed):
    random, spec, people = np.random.default_rng(seed), timelines_spec(), 4
    codes = random.integers(0, len(spec.sequence.codes) + 1, (people, 5)).astype(np.int32)
    events = random.normal(size=codes.shape) * (codes > 0)
    contributions = {
        "inputs": random.normal(size=(people, spec.width)),
        "event_codes": events,
        "event_values": np.zeros((people, 5, 6)),
        "days": random.normal(size=(people, 30, 4)),
    }
    raw = {"inputs": np.zeros((people, len(spec.names))), "event_codes": codes}
    named = by_name(by_reason(contributions, raw, spec), raw, spec)
    names = [name for name, *_ in names_told(spec)]
    assert named.shape == (people, len(names))
    for person in range(people):
        for number, label in enumerate(spec.sequence.labels, start=1):
            given_by = events[person, codes[person] == number].sum()
            assert named[person, names.index(f"{label}: event")] == pytest.approx(given_by, abs=1e-9)
    channel = names.index("Lab: days of the last 30")
    np.testing.assert_allclose(named[:, channel], contributions["days"][:, :, [1, 3]].sum(axis=(1, 2)), atol=1e-9)
    whole = sum(block.sum(axis=tuple(range(1, block.ndim))) for block in contributions.values())
    np.testing.assert_allclose(named.sum(axis=1), whole, rtol=1e-6, atol=1e-6)


def test_the_largest_comes_first_and_what_never_contributes_is_left_out():
    spec = timelines_spec()
    contributions = np.zeros((4, len(names_told(spec))))
    contributions[:, 2] = 1, -3, 0, -1
    contributions[:, 7] = 2, 2, -2, 2
    first, second = importances(contributions, np.array([1, 1, 2, 3]), spec)
    assert (first["place"], first["rank"], first["feature"]) == (7, 1, spec.labels[7])
    assert (first["contribution"], first["low"], first["high"], first["raises"]) == (2, 2, 2, 0.75)
    assert (second["place"], second["contribution"], second["among_reasons"]) == (2, 1.25, 0.75)
    assert second["raises"] == pytest.approx(1 / 3)
    assert second["low"] < 1.25 < second["high"]


@given(st.integers(0, 1000), st.integers(1, 400))
def test_a_feature_is_looked_at_where_there_are_people(seed, different):
    known = np.random.default_rng(seed).integers(0, different, 500).astype(np.float32)
    values = values_of(known)
    assert 1 <= values.size <= POINTS
    assert (np.diff(values) > 0).all()
    assert np.isin(values, known).all()
    if np.unique(known).size > POINTS:
        assert (known < values[0]).mean() <= 0.05 <= (known <= values[0]).mean()
        assert (known > values[-1]).mean() <= 0.05 + 1e-9
    else:
        assert values.tolist() == np.unique(known).tolist()


def test_what_is_told_by_a_value_is_of_those_of_whom_the_feature_is_known():
    logits = np.array([[0.0, 1.0], [2.0, 3.0], [np.nan, np.nan]])
    found = dependence(np.array([5.0, 9.0]), logits, lambda logit: 10 * logit)
    assert found.mean.tolist() == [10, 20]
    assert found.low == pytest.approx([2, 12])
    assert found.high == pytest.approx([18, 28])


def rows():
    one = {"unit": "years", "people": 40, "rows": 800, "raises": 0.6, "among_reasons": 0.8, "code": "X"}
    size = {"contribution": 0.5, "low": 0.4, "high": 0.6}
    curve = {"dependence_x": [1, 2], "dependence_y": [0.1, 0.2], "dependence_low": [0, 0.1], "dependence_high": [1, 1]}
    bare = dict.fromkeys(curve)
    return [
        {"rank": 1, "feature": "Age <b>", **one, **size, **curve},
        {"rank": 2, "feature": "LAB/1: event", **one, **size, **bare},
    ]


def test_the_section_shows_sizes_and_a_plot_of_each_feature_that_was_looked_at():
    section = importances_section(rows(), PROBABILITY)
    kinds = [block.kind for block in section.blocks]
    assert kinds == ["plot", "text", "plot", "table"]
    assert section.blocks[2].caption == "Age <b>"
    assert section.blocks[3].rows[1] == ("LAB/1: event", "X", "0.500 (0.400 to 0.600)", "60 %", "80 %")
    page = render(Page("Title", "tiny", date(2026, 1, 1), datetime(2026, 1, 1), [section]))
    assert "Age &lt;b&gt;" in page
    assert "<b>" not in page.split("<body")[1].replace("&lt;b&gt;", "")


def test_a_model_of_sequences_alone_has_no_dependences_and_without_rows_the_job_is_named():
    assert [block.kind for block in importances_section(rows()[1:]).blocks] == ["plot", "table"]
    assert importances_section([]).blocks[0].job == "explain"


def test_the_terminal_shows_as_many_as_fit():
    assert len(table([rows()[0]] * 30).splitlines()) == 16
