"""What is recorded of whom: the shares are pandas's, a planted gap is found, and the report says it."""

import numpy as np
import pandas as pd
import pytest

from salus.evaluation.completeness import RECORDED, RECORDED_GAP, by_completeness, flags_of, is_material
from salus.report.completeness import completeness
from salus.report.measured import Measure
from salus.report.page import Plot
from salus.timelines.spec import CodeGroup, FeatureSpec

PEOPLE, TIMES = 600, 4


def group(name, kind="numeric"):
    return CodeGroup(name=name, label=name.upper(), kind=kind, codes=(name,), code_hashes=(len(name),))


@pytest.fixture(scope="module")
def world():
    """Rows of people of two races and two sexes; HbA1c is seen half as often of one race, weight of all alike."""
    random = np.random.default_rng(3)
    people = np.repeat(np.arange(PEOPLE) * 7, TIMES)
    race = np.repeat(random.choice(["black", "white", ""], PEOPLE, p=[0.3, 0.6, 0.1]), TIMES)
    sex = np.repeat(random.choice(["female", "male"], PEOPLE), TIMES)
    often = np.repeat(random.random(PEOPLE), TIMES)
    hba1c = often < np.where(race == "black", 0.3, 0.6)
    weight = random.random(people.size) < 0.5
    return people, {"HbA1c": hba1c, "Weight": weight}, {"race": race, "sex": sex}


@pytest.fixture(scope="module")
def found(world):
    return by_completeness(*world, replicates=100)


def test_shares_and_gaps_are_pandas_and_lie_in_their_intervals(world, found):
    people, recorded, attributes = world
    table = pd.DataFrame({"person": people, **recorded, **attributes})
    value = {(row["subgroup"], row["metric"]): row for row in found}
    assert len(value) == len(found) == 4 * 2 * 2
    for attribute in attributes:
        known = table[table[attribute] != ""]
        for name, mine in known.groupby(attribute):
            for lab in recorded:
                share, others = mine[lab].mean(), known[known[attribute] != name][lab].mean()
                row = value[f"{attribute}: {name}", f"{RECORDED}{lab}"]
                gap = value[f"{attribute}: {name}", f"{RECORDED_GAP}{lab}"]
                assert row["value"] == pytest.approx(share)
                assert gap["value"] == pytest.approx(share - others)
                assert row["low"] < share < row["high"]
                assert gap["low"] < share - others < gap["high"]
                assert (row["people"], row["rows"]) == (mine["person"].nunique(), len(mine))


def test_only_the_planted_gap_is_material(found):
    material = {
        (row["subgroup"], row["metric"].removeprefix(RECORDED_GAP))
        for row in found
        if row["metric"].startswith(RECORDED_GAP) and is_material(row["value"], row["low"], row["high"])
    }
    assert material == {("race: black", "HbA1c"), ("race: white", "HbA1c")}


def test_an_interval_is_that_of_people_and_not_of_rows(world):
    people, recorded, attributes = world

    def width(people):
        rows = by_completeness(people, {"HbA1c": recorded["HbA1c"]}, {"sex": attributes["sex"]}, replicates=200)
        return rows[0]["high"] - rows[0]["low"]

    assert width(people) > 1.5 * width(np.arange(people.size))


def test_flags_are_those_of_the_longest_window():
    spec = FeatureSpec(
        windows_days=(30,),
        numeric_windows_days=(90, 365),
        count_statistics=("count",),
        numeric_statistics=("last", "mean", "slope"),
        groups=(group("hba1c"), group("visit", "count"), group("egfr")),
    )
    flags = flags_of(spec)
    assert list(flags) == ["HBA1C", "EGFR"]
    absences = [spec.absences[place - len(spec.names)] for place in flags.values()]
    assert absences == ["hba1c.365d", "egfr.365d"]
    assert flags_of(spec.model_copy(update={"numeric_windows_days": ()})) == {}


def test_the_report_says_whose_records_lack_what_and_maps_all_of_them(found):
    by_subgroup = {}
    for row in found:
        of = by_subgroup.setdefault(row["subgroup"], {})
        of[row["metric"]] = Measure(row["value"], row["low"], row["high"], row["people"], row["rows"])
    said, drawn = completeness(by_subgroup)
    assert said.tone == "warning"
    assert "HbA1c of race: black" in said.text
    assert "race: white" not in said.text  # of whom more is recorded
    assert "Weight" not in said.text
    assert isinstance(drawn, Plot)
    [heatmap] = drawn.figure.data
    assert np.array(heatmap.z).shape == (4, 2)
    of_age = {"age: under 45": by_subgroup["race: black"]}
    assert completeness(of_age)[0].tone == "note"
    assert completeness({"sex: female": {}}) == []
