"""The report's page from plain figures: it needs no network, escapes what it is given, and shows what is missing."""

import re
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import cache
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from salus.quality.results import Result
from salus.quality.volume import Volume
from salus.report import words
from salus.report.attrition import Step, attrition_section
from salus.report.discrimination import discrimination_section
from salus.report.distribution import BARS, WIDTHS, Distribution, TierOfNight, bar_width, distribution_section
from salus.report.importances import importances_section
from salus.report.intake import Delivered, Intake, Refusal, intake_section
from salus.report.measured import Measure
from salus.report.night import Night
from salus.report.overview import overview_section
from salus.report.page import Page, Plot, render
from salus.report.people import people_section
from salus.report.phases import Phase, in_order
from salus.report.plots import thinned
from salus.report.provenance import identity, provenance_section
from salus.report.quality import Checked, quality_section
from salus.report.reliability import reliability_section
from salus.report.stability import stability_section
from salus.report.subgroups import subgroups_section
from salus.report.usefulness import usefulness_section

AS_OF = date(2026, 6, 30)
HOSTILE = "<script>alert('a')</script><img src=http://evil.example/x>"
SECTIONS = [
    "summary",
    "intake",
    "quality",
    "attrition",
    "discrimination",
    "calibration",
    "usefulness",
    "subgroups",
    "stability",
    "distribution",
    "people",
    "provenance",
]


def came_in():
    return Intake(
        7,
        [
            Delivered("fhir_r4", "Observation", 2, 412_006, 411_890, 116, 3_050, 415_212),
            Delivered("fhir_r4", "Encounter", 1, 60_410, 60_391, 19, 401, 120_801),
            Delivered("fhir_r4", "Patient", 1, 4_512, 4_508, 4, 0, 13_820),
            Delivered("payer_extract", "medical_claim", 1, 201_400, 201_333, 67, 4_100, 402_500),
            Delivered("payer_extract", "eligibility", 1, 4_260, 4_260, 0, 0, 4_260),
            Delivered("wearable_daily", "dailyActivity_merged", 1, 310_220, 310_201, 19, 0, 930_603),
        ],
        [
            Refusal("fhir_r4", "Observation", "not_one_json_object", "one JSON object a line", 116),
            Refusal("payer_extract", "medical_claim", "not_a_number", "a decimal number", 67),
            Refusal("fhir_r4", "Encounter", "unknown_person", "a person whom some delivery has named", 19),
            Refusal("wearable_daily", "dailyActivity_merged", "not_a_time", "a date that exists", 19),
            Refusal("fhir_r4", "Patient", "not_a_time", "a date that exists", 4),
        ],
    )


def steps():
    return [
        Step("age 18 or more", 120_000, 9_300, 4_610, None),
        Step("enrolled at the prediction time", 110_700, 21_800, 4_005, None),
        Step("at least 300 days enrolled in the year before, without a gap above 45 days", 88_900, 17_450, 3_620, None),
        Step("horizon and run-out lie within the data", 71_450, 9_940, 3_480, 3_110),
        Step("not censored", 61_510, 1_904, 3_466, 3_052),
    ]


def measured():
    found = {}
    for name, auroc, brier in (
        ("model", 0.781, 0.0461),
        ("baseline", 0.768, 0.0466),
        ("attainable", 0.793, 0.0456),
        ("oracle", 0.812, 0.0449),
    ):
        power = auroc / (1 - auroc)
        x = [place / 200 for place in range(201)]
        found |= {
            (name, "auroc"): Measure(auroc, auroc - 0.021, auroc + 0.02, 702, 12_204),
            (name, "auroc_over_truth"): Measure(auroc - 0.004, auroc - 0.02, auroc + 0.013, 702, 12_204),
            (name, "auprc"): Measure(auroc / 4, auroc / 4 - 0.03, auroc / 4 + 0.03, 702, 12_204),
            (name, "brier"): Measure(brier, brier - 0.003, brier + 0.003, 702, 12_204),
            (name, "calibration_slope"): Measure(1.03, 0.91, 1.16, 702, 12_204),
            (name, "calibration_intercept"): Measure(-0.04, -0.15, 0.07, 702, 12_204),
            **{
                (name, f"{figure}_top_{percent}"): Measure(value, 0.9 * value, 1.1 * value, 702, 12_204)
                for percent in (1, 5, 10)
                for figure, value in (("sensitivity", 0.02 * percent), ("ppv", 0.3 / percent), ("lift", 7 / percent))
            },
            (name, "net_benefit"): Measure(None, x=[0.01, 0.05, 0.2], y=[0.03, 0.012 * auroc, 0.001]),
            (name, "roc_curve"): Measure(None, x=x, y=[value ** (1 / power) for value in x]),
            (name, "pr_curve"): Measure(None, x=x, y=[0.05 + 0.6 * (1 - value) ** 2 for value in x]),
        }
    groups = [0.008, 0.013, 0.018, 0.024, 0.031, 0.04, 0.052, 0.07, 0.105, 0.21]
    for name, shift in (("model", 1.02), ("baseline", 1.12)):
        found |= {
            (name, "calibration_curve"): Measure(None, x=groups, y=[shift * group for group in groups]),
            (name, "calibration_curve_low"): Measure(None, x=groups, y=[0.8 * group for group in groups]),
            (name, "calibration_curve_high"): Measure(None, x=groups, y=[1.3 * group for group in groups]),
        }
    return found | {
        ("model", "share_of_attainable_lift"): Measure(0.961, 0.92, 0.99, 702, 12_204),
        ("model", "net_benefit_of_all"): Measure(None, x=[0.01, 0.05, 0.2], y=[0.03, -0.01, -0.2]),
        ("model", "leakage_price"): Measure(0.034, 0.02, 0.047, 702, 12_204),
        ("model", "auroc_by_time"): Measure(0.815, 0.8, 0.83, 702, 12_204),
        ("model", "auroc_by_available_time"): Measure(0.781, 0.76, 0.8, 702, 12_204),
    }


def of_subgroups():
    """Women like everybody else; a race that is served less well; an age with too few events."""

    def of(auroc, gap, events=90):
        return {
            "events": Measure(events, None, None, 300, 5_000),
            "auroc": Measure(auroc, auroc - 0.03, auroc + 0.03, 300, 5_000),
            "auroc_gap": Measure(gap, gap - 0.02, gap + 0.02, 300, 5_000),
        }

    few = {"events": Measure(3, None, None, 9, 80)}
    return {"sex: female": of(0.78, -0.01), "race: black": of(0.69, -0.09), "age: 85 and over": few}


def of_months():
    """A year that holds, and a month with too few events to rank."""

    def of(observed, auroc=None):
        ratio = observed / 0.05
        found = {
            "events": Measure(observed * 2000, None, None, 700, 2_000),
            "mean_predicted": Measure(0.05, 0.047, 0.053, 700, 2_000),
            "observed": Measure(observed, observed - 0.01, observed + 0.01, 700, 2_000),
            "observed_over_expected": Measure(ratio, ratio - 0.2, ratio + 0.2, 700, 2_000),
        }
        return found if auroc is None else found | {"auroc": Measure(auroc, auroc - 0.04, auroc + 0.04, 700, 2_000)}

    return {f"2025-{month:02d}": of(0.045 + 0.001 * month, 0.77 + 0.002 * month) for month in range(1, 12)} | {
        "2025-12": of(0.009)
    }


def scoring():
    return Night(
        "score-3f9a1c22b7d0",
        4_940,
        3_620,
        3_611,
        9,
        "admission_90d",
        "1",
        "9c1e" * 16,
        {"timelines": 3, "events": 5, "codes": 1},
        "0.1.0+3cc0051aa11b",
        datetime(2026, 7, 1, 2, 4),
        datetime(2026, 6, 29, 23, 0),
        "c0ffee",
    )


def lying():
    heights = [
        420,
        700,
        520,
        380,
        290,
        220,
        170,
        140,
        110,
        90,
        80,
        70,
        60,
        50,
        45,
        40,
        35,
        30,
        25,
        20,
        18,
        15,
        12,
        10,
        8,
        6,
        5,
        4,
        3,
        2,
    ]
    tiers = [
        TierOfNight("very high", 80, 0.21, 0.297, 19.2),
        TierOfNight("high", 281, 0.12, 0.21, 43.0),
        TierOfNight("medium", 1_000, 0.04, 0.12, 70.1),
        TierOfNight("low", 2_250, 0.0, 0.04, 41.0),
    ]
    names = ["low"] * 4 + ["medium"] * 8 + ["high"] * 9 + ["very high"] * 9
    bars = {(name, place): people for place, (name, people) in enumerate(zip(names, heights))}
    return Distribution(0.01, bars, tiers, {"no_data_in_look_back": 6, "no_finite_score": 3}, 0.0512)


def person(rank, **changes):
    reasons = [
        {
            "rank": 1,
            "feature": "unplanned admissions, last 180 days",
            "code": "ENCOUNTER/IMP/EM",
            "value": 2.0,
            "unit": None,
            "time": datetime(2026, 5, 21),
            "direction": "raises",
            "contribution": 0.91,
        },
        {
            "rank": 2,
            "feature": "haemoglobin A1c, last value",
            "code": "LOINC/4548-4",
            "value": 9.4,
            "unit": "%",
            "time": datetime(2026, 6, 12),
            "direction": "raises",
            "contribution": 0.44,
        },
        {
            "rank": 3,
            "feature": "days since the last metformin order",
            "code": "RxNorm/860975",
            "value": 212.0,
            "unit": "d",
            "time": datetime(2025, 11, 30),
            "direction": "raises",
            "contribution": 0.30,
        },
        {
            "rank": 4,
            "feature": "steps a day, last 30 days",
            "code": "STEPS/DAY",
            "value": 7412.0,
            "unit": "/d",
            "time": datetime(2026, 6, 29),
            "direction": "lowers",
            "contribution": -0.21,
        },
        {
            "rank": 5,
            "feature": "age",
            "code": "",
            "value": 81.2,
            "unit": "a",
            "time": None,
            "direction": "raises",
            "contribution": 0.17,
        },
    ]
    return {
        "subject_id": 8_123_440_991_223_007_001 + rank * 977,
        "probability": 0.31 - 0.006 * rank,
        "probability_low": 0.26 - 0.006 * rank,
        "probability_high": 0.36 - 0.006 * rank,
        "relative_risk": 5.6,
        "percentile": 99.98 - 0.03 * rank,
        "tier": "very high",
        "previous_probability": None,
        "days_since_last_event": 1.0,
        "reasons": reasons,
        "data_quality_flags": ["enrolment_gap", "single_source"] if rank == 2 else [],
        "reason_method": "integrated gradients, 32 steps",
        **changes,
    }


def data_checked():
    """One check that falls short at one of two codes, one that is met, one of too few; a day on which a feed fell."""
    results = [
        Result("plausibility", "values", "LOINC/2345-7", "Out of range.", 30, 100, 0.3, 0.01, "short", (5, 6)),
        Result("completeness", "birth_dates", "", "No birth.", 2, 400, 0.005, 0.01, "met", (7, 8)),
        Result("conformance", "code_format", "LOINC", "No such code.", 1, 3, 1 / 3, 0.01, "too few", ()),
        Result("plausibility", "values", "LOINC/2160-0", "Out of range.", 1, 900, 1 / 900, 0.01, "met", (4,)),
    ]
    days = [
        Volume("fhir_r4", date(2026, 6, 1) + timedelta(days=day), 1000 - 900 * (day == 20), 1000.0, day == 20)
        for day in range(28)
    ]
    return Checked(results, days)


def took():
    at = datetime(2026, 7, 1, 2, 4)
    return [
        Phase(job, source, "succeeded", taken, taken, at)
        for job, source, taken in (
            ("simulate", "", 5.2),
            ("ingest", "fhir_r4", 31.0),
            ("ingest", "payer_extract", 14.2),
            ("ingest", "wearable_daily", 8.9),
            ("timelines", "", 12.5),
            ("cohort", "", 24.1),
            ("export", "", 9.7),
            ("train", "", 58.0),
            ("evaluate", "", 16.6),
            ("score", "", 17.3),
        )
    ]


@cache
def example():
    """A whole report from plain figures."""
    card = {"intended_use": "Offering care management to people whose risk is high."}
    return Page(
        "Unplanned admission in the next 90 days",
        "admission_90d",
        AS_OF,
        datetime(2026, 7, 1, 2, 5),
        [
            overview_section(scoring(), measured(), card),
            intake_section(came_in()),
            quality_section(data_checked()),
            attrition_section(steps()),
            discrimination_section(measured()),
            reliability_section(measured()),
            usefulness_section(measured()),
            subgroups_section(of_subgroups()),
            stability_section(of_months()),
            distribution_section(lying()),
            people_section([person(rank) for rank in range(20)], AS_OF),
            provenance_section(
                took(),
                {"Code": "0.1.0+3cc0051aa11b", "Snapshot": "score-3f9a1c22b7d0-19-7 of 2026-07-01"},
                scoring().inputs,
                {"pyspark": "4.0.5", "keras": "3.15.1"},
            ),
        ],
    )


class Read(HTMLParser):
    """What a browser would make of a page: its elements, its links, its text, and whether its tags are balanced."""

    VOID = ("meta", "link", "img", "br")

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.opened, self.elements, self.text, self.scripts = [], [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.opened.append(tag)

    def handle_endtag(self, tag):
        assert self.opened.pop() == tag

    def handle_data(self, data):
        (self.scripts if self.opened[-1:] == ["script"] else self.text).append(data)

    def values(self, attribute):
        """Every value of ``attribute`` in the page."""
        return [attrs[attribute] for _, attrs in self.elements if attribute in attrs]

    def count(self, tag):
        """How many elements ``tag`` the page has."""
        return sum(name == tag for name, _ in self.elements)

    @property
    def words(self):
        """What a reader sees, on one line."""
        return " ".join(" ".join(self.text).split())


@pytest.fixture(scope="module")
def page():
    """The example, read."""
    return Read(render(example()))


def test_the_page_fetches_nothing(page):
    for attribute in ("src", "href", "action", "srcset", "data", "poster"):
        assert [value for value in page.values(attribute) if not value.startswith(("#", "data:"))] == []
    (policy,) = (attrs["content"] for tag, attrs in page.elements if attrs.get("http-equiv"))
    assert "default-src 'none'" in policy
    assert "http" not in policy
    styles = "".join(page.text)
    assert "@import" not in styles
    assert not re.search(r"url\(", styles)


def test_plotly_is_embedded_once(page):
    assert sum("plotly.js v" in script for script in page.scripts) == 1
    assert page.count("figure") == sum("Plotly.newPlot" in script for script in page.scripts)


def test_every_section_has_its_place_its_heading_and_its_link(page):
    sections = [attrs for tag, attrs in page.elements if tag == "section"]
    assert [attrs["id"] for attrs in sections] == SECTIONS
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert all(attrs["aria-labelledby"] in ids for attrs in sections)
    assert {value[1:] for value in page.values("href") if value.startswith("#")} == set(SECTIONS)
    assert page.opened == []


def test_a_table_says_what_its_cells_are(page):
    headings = [attrs for tag, attrs in page.elements if tag == "th"]
    assert headings
    assert all(attrs.get("scope") in ("row", "col") for attrs in headings)
    assert page.count("caption") == page.count("table")


def test_what_falls_short_stands_first_with_its_people_and_a_full_bar():
    section = quality_section(data_checked())
    statement, short, every, plot = section.blocks
    assert statement.tone == "warning"
    assert "1 checks fall short: values." in statement.text
    assert [row[0] for row in short.rows] == ["values"]
    assert short.rows[0][-1] == "5 6"
    told = {row[0]: (row[3], row[4], row[5], row[6], bar) for row, bar in zip(every.rows, every.bars)}
    assert told == {
        "values": ("falls short", "31", "1,000", "30.00 % LOINC/2345-7", 1.0),
        "birth_dates": ("met", "2", "400", "0.50 %", 0.5),
        "code_format": ("too few", "1", "3", "–", 0.0),
    }
    assert next(iter(told)) == "values"
    assert list(plot.figure.data[1].x) == [date(2026, 6, 21)]
    met = replace(data_checked(), results=[one for one in data_checked().results if not one.falls_short])
    assert [block.kind for block in quality_section(met).blocks] == ["text", "table", "plot"]


def test_numbers_are_aligned_and_words_are_not():
    html = render(replace(example(), sections=[attrition_section(steps())]))
    row = html[html.index("<tbody>") : html.index("</tr>", html.index("<tbody>"))]
    assert re.findall(r"<(t[hd])[^>]*?(class=\"number\")?>", row) == [("th", "")] + 6 * [("td", 'class="number"')]


@cache
def hostile():
    """The example with markup in the place of every text that comes out of a table."""
    came = came_in()
    delivered = [replace(came.delivered[0], source=HOSTILE, record_type=HOSTILE)]
    reason = person(1)["reasons"][0] | {"feature": HOSTILE, "code": HOSTILE, "unit": HOSTILE, "direction": HOSTILE}
    lies = lying()
    tier = lies.tiers[0].name
    return Page(
        HOSTILE,
        HOSTILE,
        AS_OF,
        datetime(2026, 7, 1),
        [
            overview_section(
                replace(scoring(), model_name=HOSTILE, model_version=HOSTILE), measured(), {HOSTILE: HOSTILE}
            ),
            intake_section(Intake(1, delivered, [Refusal(HOSTILE, HOSTILE, HOSTILE, HOSTILE, 116)])),
            quality_section(
                Checked(
                    [replace(one, check=HOSTILE, object=HOSTILE, means=HOSTILE) for one in data_checked().results],
                    [replace(one, source=HOSTILE) for one in data_checked().volumes],
                )
            ),
            attrition_section([replace(steps()[0], criterion=HOSTILE)]),
            distribution_section(
                Distribution(
                    0.01,
                    {(HOSTILE if name == tier else name, place): count for (name, place), count in lies.bars.items()},
                    [replace(lies.tiers[0], name=HOSTILE), *lies.tiers[1:]],
                    {HOSTILE: 9},
                    0.05,
                )
            ),
            people_section(
                [person(1, tier=HOSTILE, data_quality_flags=[HOSTILE], reasons=[reason], reason_method=HOSTILE)], AS_OF
            ),
            provenance_section(
                [Phase(HOSTILE, HOSTILE, "succeeded", 1.0, 1.0, datetime(2026, 7, 1))],
                {HOSTILE: HOSTILE},
                {HOSTILE: 1},
                {HOSTILE: HOSTILE},
            ),
        ],
    )


def test_markup_in_the_data_stays_text():
    html = render(hostile())
    read = Read(html)
    assert read.count("img") == 0
    assert read.count("script") == read.count("figure") + 2, "plotly, one a plot, and the printer's"
    assert HOSTILE in read.words
    assert "<script>alert" not in html


def test_markup_in_the_data_is_no_markup_to_plotly():
    plotted = [block.figure for section in hostile().sections for block in section.blocks if isinstance(block, Plot)]
    assert len(plotted) == 6
    texts = [text for figure in plotted for text in strings(figure.to_plotly_json())]
    assert [text for text in texts if re.search("<(script|img)", text)] == []
    assert any("&lt;script" in text for text in texts)


def strings(node):
    """Every string in a plotly figure."""
    if isinstance(node, str):
        return [node]
    children = node.values() if isinstance(node, dict) else node if isinstance(node, (list, tuple)) else ()
    return [text for child in children for text in strings(child)]


def test_what_is_not_there_yet_names_the_job_that_makes_it():
    empty = [
        overview_section(None, {}, {}),
        intake_section(None),
        attrition_section([]),
        discrimination_section({}),
        reliability_section({}),
        usefulness_section({}),
        subgroups_section({}),
        stability_section({}),
        importances_section([]),
        distribution_section(None),
        people_section([], AS_OF),
        provenance_section([], {}, {}, {}),
    ]
    html = render(replace(example(), sections=empty))
    said = re.findall(r"not yet available: run <code>(\w+)</code>", html)
    assert said == ["score", "evaluate", "ingest", "cohort", *["evaluate"] * 5, "explain", "score", "score", "demo"]
    assert len(html) < 40_000, "a page without a plot needs no plotly"


def test_what_does_not_add_up_is_said_aloud():
    came = came_in()
    lost = replace(came, delivered=[replace(came.delivered[0], read=came.delivered[0].read + 7), *came.delivered[1:]])
    assert _tones(intake_section(came)) == ["note"]
    assert _tones(intake_section(lost)) == ["warning"]
    assert "7 records are unaccounted for" in intake_section(lost).blocks[0].text
    assert _tones(intake_section(replace(came, refusals=came.refusals[1:]))) == ["warning"]


def _tones(section):
    return [block.tone for block in section.blocks if block.kind == "text"]


@pytest.mark.parametrize(
    ("slope", "tone", "says"),
    [
        (Measure(1.03, 0.91, 1.16), "note", "contains 1"),
        (Measure(0.71, 0.60, 0.82), "warning", "too extreme"),
        (Measure(1.40, 1.20, 1.60), "warning", "too timid"),
    ],
)
def test_a_slope_off_one_is_said_aloud(slope, tone, says):
    said = reliability_section(measured() | {("model", "calibration_slope"): slope}).blocks[0]
    assert (said.tone, says in said.text) == (tone, True)


def test_a_material_gap_is_said_aloud_and_a_narrow_one_is_not():
    said = subgroups_section(of_subgroups()).blocks[0]
    assert said.tone == "warning"
    assert "race: black (AUROC: −0.090)" in said.text
    assert "female" not in said.text
    alike = {name: measures for name, measures in of_subgroups().items() if name != "race: black"}
    assert subgroups_section(alike).blocks[0].tone == "note"
    assert subgroups_section(alike).blocks[-1].rows[-1][-1] == "too few events"


def test_every_person_scored_is_in_the_histogram():
    histogram = distribution_section(lying()).blocks[0].figure
    assert sum(sum(trace.y) for trace in histogram.data) == sum(lying().bars.values())


def test_a_person_is_shown_with_what_is_associated_with_the_score(page):
    assert str(person(1)["subject_id"]) in page.words
    assert "31.0 % (26.0 to 36.0)" in page.words
    assert "haemoglobin A1c, last value LOINC/4548-4 9.4 % 18 days before ▲ raises +0.44" in page.words
    assert "▼ lowers −0.21" in page.words
    assert "Mind: days without insurance in the look-back; known to one source only." in page.words


def test_the_order_is_that_of_the_road():
    at = datetime(2026, 7, 1)
    shuffled = [
        Phase(job, source, "succeeded", 1.0, 1.0, at + timedelta(minutes=minute))
        for job, source, minute in (
            ("score", "", 9),
            ("ingest", "payer", 3),
            ("something_else", "", 0),
            ("ingest", "ehr", 2),
            ("simulate", "", 1),
        )
    ]
    assert [phase.name for phase in in_order(shuffled)] == [
        "simulate",
        "ingest ehr",
        "ingest payer",
        "score",
        "something_else",
    ]


@given(st.floats(0, 1))
def test_bars_fit(highest):
    width = bar_width(highest)
    assert highest / width <= BARS
    assert all(highest / narrower > BARS for narrower in WIDTHS if narrower < width)


@given(st.lists(st.integers(), max_size=60), st.integers(2, 20))
def test_a_thinned_curve_keeps_its_ends_and_its_order(values, points):
    kept = thinned(list(enumerate(values)), points)
    assert len(kept) == min(len(values), points)
    assert kept == sorted(set(kept))
    assert kept[:1] + kept[-1:] == list(enumerate(values))[:1] + list(enumerate(values))[-1:]


@pytest.mark.parametrize(
    ("hours", "said"),
    [
        (0, "on the day"),
        (1, "the day before"),
        (24, "the day before"),
        (25, "2 days before"),
        (18 * 24, "18 days before"),
        (90 * 24, "3 months before"),
        (800 * 24, "2.2 years before"),
    ],
)
def test_when_is_said_in_the_largest_unit_that_still_tells(hours, said):
    assert words.span_before(datetime(2026, 6, 30) - timedelta(hours=hours), AS_OF) == said


def test_figures_are_said_as_a_reader_says_them():
    assert words.count(1234567) == "1,234,567"
    assert words.interval(0.781, 0.76, 0.8011) == "0.781 (0.760 to 0.801)"
    assert words.interval(0.781, None, None) == words.interval(0.781, float("nan"), float("nan")) == "0.781"
    assert words.percentile(99.98) == "99.9"
    assert words.signed(-0.214) == "−0.21"
    assert [words.quantity(*each) for each in ((9.41, "%"), (2.0, None), (7412.4, "/d"), (float("nan"), "%"))] == [
        "9.41 %",
        "2",
        "7,412 /d",
        "–",
    ]


def test_provenance_names_the_encoder_that_a_model_began_from():
    told = {"model_name": "t-encoder", "model_version": "2", "objective": "codes to come", "package_hash": "p"}
    found = identity(None, None, None, pretrained=told | {"dataset_hash": "d"})
    assert found["Began from"] == "t-encoder, version 2 (codes to come)"
    assert (found["Encoder package (SHA-256)"], found["Encoder's training data (SHA-256)"]) == ("p", "d")
    assert "Began from" not in identity(None, None, None)
