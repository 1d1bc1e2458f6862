"""The model card: 31 attributes in the rule's order, from the tables, from people, or said to be missing."""

import json
import re
from dataclasses import replace
from datetime import date, datetime

import pytest

from salus.cohorts.card import Card
from salus.cohorts.task import Task
from salus.report.attrition import Step
from salus.report.card import ATTRIBUTES, CRITERIA, NOT_MEASURED, NOT_PROVIDED, Found, attributes, card_json, card_page
from salus.report.measured import Measure
from salus.report.page import render

AS_OF, AT = date(2026, 6, 30), datetime(2026, 7, 1, 2, 5)
IN_EACH_GROUP = (4, 4, 2, 4, 2, 4, 5, 4, 2)
NOTHING = Found(None, None, [], {}, {}, {})


@pytest.fixture
def task():
    return Task.load("admission_90d")


@pytest.fixture
def found():
    """A model that serves one race less well than everybody else, and was off in one of two months."""

    def of(auroc, gap, people):
        return {
            "events": Measure(90, None, None, people, 5_000),
            "auroc": Measure(auroc, auroc - 0.03, auroc + 0.03, people, 5_000),
            "auroc_gap": Measure(gap, gap - 0.02, gap + 0.02, people, 5_000),
        }

    measured = {
        ("model", "auroc"): Measure(0.781, 0.76, 0.801, 700, 12_000),
        ("model", "ici"): Measure(0.0123),
        ("baseline", "auroc"): Measure(0.7, 0.68, 0.72, 700, 12_000),
        ("model", "roc_curve"): Measure(None, x=[0, 1], y=[0, 1]),
    }
    months = {
        "2026-01": {"observed_over_expected": Measure(1.0, 0.8, 1.2)},
        "2026-02": {"observed_over_expected": Measure(1.5, 1.2, 1.8)},
    }
    steps = [Step("age 18 or more", 1_000, 100, 90, None), Step("not censored", 900, 50, 80, 60)]
    people = {"race: black": of(0.69, -0.09, 140), "sex: female": of(0.78, -0.01, 350)}
    return Found(None, None, steps, measured, people, months)


def test_the_rules_attributes_are_all_there_once_and_in_order(task):
    listed = attributes(task, NOTHING)
    roman = ("i", "ii", "iii", "iv", "v")
    numbers = [f"({group})({roman[place]})" for group, many in enumerate(IN_EACH_GROUP, 1) for place in range(many)]
    assert [each.number for each in listed] == numbers
    assert len(listed) == len({each.name for each in listed}) == 31


def test_every_key_of_the_card_states_one_attribute():
    keys = [key for _, _, key in ATTRIBUTES if key]
    assert sorted(keys) == sorted(Card.model_fields)


def test_what_nobody_stated_and_nothing_measured_is_said_so(task):
    bare = task.model_copy(update={"card": Card(intended_use="Offering care.", cautions="  ")})
    said = {each.number: (each.text, each.origin) for each in attributes(bare, NOTHING)}
    assert said["(2)(i)"] == ("Offering care.", "task")
    assert said["(3)(ii)"] == (NOT_PROVIDED, "")
    assert said[CRITERIA] == (NOT_MEASURED.format("cohort"), "")
    for number in ("(4)(iii)", "(7)(i)", "(7)(ii)", "(8)(ii)", "(8)(iv)"):
        assert said[number] == (NOT_MEASURED.format("evaluate"), ""), number
    stated = [number for number, _, key in ATTRIBUTES if key]
    assert [number for number in stated if said[number][0] != NOT_PROVIDED] == ["(2)(i)"]


def test_what_is_measured_is_told_with_its_interval(task, found):
    said = {each.number: each.text for each in attributes(task, found)}
    assert "90 days" in said["(1)(iii)"]
    assert "of 1,000 pairs" in said["(4)(i)"]
    assert "Left: 850 pairs of 80 people, 60 with the event." in said["(4)(i)"]
    assert "race: black: 140 (20 %)" in said["(4)(iii)"]
    assert "AUROC 0.781 (0.760 to 0.801); ICI 0.0123" in said["(7)(i)"]
    assert "Material gaps to everybody else: race: black (AUROC: −0.090)." in said["(7)(ii)"]
    assert "off 1 in 1: 2026-02." in said["(8)(ii)"]


def test_the_sample_size_and_the_search_are_told(task, found):
    told = {"required": 130_000, "rows": 9_000, "people": 800, "parameters": 620, "cox_snell_r2": 0.05, "forced": True}
    tuned = {"search": "abc", "trial": 3, "settings": {"dropout": 0.1}, "metric": "tuning_auroc", "tuning_metric": 0.8}
    known = replace(found, trained={"sample_size": told, "tuned": tuned})
    [said] = [each.text for each in attributes(task, known) if each.number == CRITERIA]
    assert "60 with the event." in said
    assert "required 130,000, available 9,000 (of 800 people), forced;" in said
    data = json.loads(card_json(task, AS_OF, AT, attributes(task, known), known))
    assert (data["sample_size"], data["tuned"]) == (told, tuned)


def test_html_and_json_say_the_same(task, found):
    listed = attributes(task, found)
    html = render(card_page(task, AS_OF, AT, listed, "report.html"))
    data = json.loads(card_json(task, AS_OF, AT, listed, found))
    assert re.findall(r'href="(?!#|data:)([^"]+)"', html) == ["report.html"]
    assert len(html) < 60_000, "a card needs no plotly"
    assert len(data["attributes"]) == 31
    for each in data["attributes"]:
        assert each["name"].replace("'", "&#39;") in html
        assert each["number"] in html
    assert data["figures"] == {
        "auroc": {"value": 0.781, "low": 0.76, "high": 0.801, "people": 700, "rows": 12_000},
        "ici": {"value": 0.0123, "low": None, "high": None, "people": None, "rows": None},
    }
    assert data["subgroups"]["race: black"]["auroc_gap"]["value"] == -0.09
    assert data["model"] is None


def test_what_people_state_is_text_and_not_markup(task):
    hostile = task.model_copy(update={"card": Card(developer="<script>alert(1)</script>")})
    html = render(card_page(hostile, AS_OF, AT, attributes(hostile, replace(NOTHING)), "r.html"))
    assert "<script>alert(1)" not in html
    assert "&lt;script&gt;alert(1)" in html
