"""The report's page from plain figures: it needs no network, escapes what it is given, and shows what is missing."""

import re
import shutil
from datetime import UTC, date, datetime
from html.parser import HTMLParser

import pytest

from salus.report import plots, words
from salus.report.attrition import Step, attrition_section
from salus.report.discrimination import discrimination_section
from salus.report.distribution import Distribution, TierOfNight, bar_width, distribution_section
from salus.report.intake import Delivered, Intake, Refusal, intake_section
from salus.report.measured import Measure
from salus.report.night import Night
from salus.report.overview import overview_section
from salus.report.page import Page, Person, People, Reason, Section, Table, Text, label, render
from salus.report.people import people_section
from salus.report.phases import Phase, in_order
from salus.report.provenance import provenance_section
from salus.report.reliability import reliability_section

AS_OF = date(2026, 6, 30)
HOSTILE = "<script>alert('a')</script><img src=http://evil.example/x>"
SECTIONS = ("summary", "intake", "attrition", "discrimination", "calibration", "distribution", "people", "provenance")
PLOTS = {"summary": 0, "intake": 1, "attrition": 1, "discrimination": 3, "calibration": 1, "distribution": 1, "people": 1,
         "provenance": 1}


def came_in():
    return Intake(7, [
        Delivered("fhir_r4", "Observation", 2, 412_006, 411_890, 116, 3_050, 415_212),
        Delivered("fhir_r4", "Encounter", 1, 60_410, 60_391, 19, 401, 120_801),
        Delivered("fhir_r4", "Patient", 1, 4_512, 4_508, 4, 0, 13_820),
        Delivered("payer_extract", "medical_claim", 1, 201_400, 201_333, 67, 4_100, 402_500),
        Delivered("payer_extract", "eligibility", 1, 4_260, 4_260, 0, 0, 4_260),
        Delivered("wearable_daily", "dailyActivity_merged", 1, 310_220, 310_201, 19, 0, 930_603),
    ], [
        Refusal("fhir_r4", "Observation", "not_one_json_object", "one JSON object a line", 116),
        Refusal("payer_extract", "medical_claim", "not_a_number", "a decimal number", 67),
        Refusal("fhir_r4", "Encounter", "unknown_person", "a person whom some delivery has named", 19),
        Refusal("wearable_daily", "dailyActivity_merged", "not_a_time", "a date that exists", 19),
        Refusal("fhir_r4", "Patient", "not_a_time", "a date that exists", 4),
    ])


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
    for name, auroc, brier in (("model", 0.781, 0.0461), ("baseline", 0.768, 0.0466), ("attainable", 0.793, 0.0456),
                               ("oracle", 0.812, 0.0449)):
        power = auroc / (1 - auroc)
        x = [place / 200 for place in range(201)]
        found |= {
            (name, "auroc"): Measure(auroc, auroc - 0.021, auroc + 0.02, 702, 12_204),
            (name, "auroc_over_truth"): Measure(auroc - 0.004, auroc - 0.02, auroc + 0.013, 702, 12_204),
            (name, "auprc"): Measure(auroc / 4, auroc / 4 - 0.03, auroc / 4 + 0.03, 702, 12_204),
            (name, "brier"): Measure(brier, brier - 0.003, brier + 0.003, 702, 12_204),
            (name, "calibration_slope"): Measure(1.03, 0.91, 1.16, 702, 12_204),
            (name, "calibration_intercept"): Measure(-0.04, -0.15, 0.07, 702, 12_204),
            (name, "roc_curve"): Measure(None, x=x, y=[value ** (1 / power) for value in x]),
            (name, "precision_recall_curve"): Measure(None, x=x, y=[0.05 + 0.6 * (1 - value) ** 2 for value in x]),
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
        ("model", "leakage_price"): Measure(0.034, 0.02, 0.047, 702, 12_204),
        ("model", "auroc_by_time"): Measure(0.815, 0.8, 0.83, 702, 12_204),
        ("model", "auroc_by_available_time"): Measure(0.781, 0.76, 0.8, 702, 12_204),
    }


def scoring():
    return Night("score-3f9a1c22b7d0", 4_940, 3_620, 3_611, 9, "admission_90d", "1", "9c1e" * 16,
                 {"timelines": 3, "events": 5, "codes": 1}, "0.1.0+3cc0051aa11b", datetime(2026, 7, 1, 2, 4),
                 datetime(2026, 6, 29, 23, 0))


def lying():
    heights = [420, 700, 520, 380, 290, 220, 170, 140, 110, 90, 80, 70, 60, 50, 45, 40, 35, 30, 25, 20, 18, 15, 12, 10, 8,
               6, 5, 4, 3, 2]
    tiers = [TierOfNight("very high", 80, 0.21, 0.297, 19.2), TierOfNight("high", 281, 0.12, 0.21, 43.0),
             TierOfNight("medium", 1_000, 0.04, 0.12, 70.1), TierOfNight("low", 2_250, 0.0, 0.04, 41.0)]
    names = ["low"] * 4 + ["medium"] * 8 + ["high"] * 9 + ["very high"] * 9
    return Distribution(0.01, {(name, place): people for place, (name, people) in enumerate(zip(names, heights))}, tiers,
                        {"no event within two years": 6, "birth date unknown": 3}, 0.0512)


def person(rank, **changes):
    reasons = [
        {"rank": 1, "feature": "unplanned admissions, last 180 days", "code": "ENCOUNTER/IMP/EM", "value": 2.0,
         "unit": None, "time": datetime(2026, 5, 21), "direction": "raises", "contribution": 0.91},
        {"rank": 2, "feature": "haemoglobin A1c, last value", "code": "LOINC/4548-4", "value": 9.4, "unit": "%",
         "time": datetime(2026, 6, 12), "direction": "raises", "contribution": 0.44},
        {"rank": 3, "feature": "days since the last metformin order", "code": "RxNorm/860975", "value": 212.0,
         "unit": "d", "time": datetime(2025, 11, 30), "direction": "raises", "contribution": 0.30},
        {"rank": 4, "feature": "steps a day, last 30 days", "code": "STEPS/DAY", "value": 7412.0, "unit": "/d",
         "time": datetime(2026, 6, 29), "direction": "lowers", "contribution": -0.21},
        {"rank": 5, "feature": "age", "code": "", "value": 81.2, "unit": "a", "time": None, "direction": "raises",
         "contribution": 0.17},
    ]
    return {"subject_id": 8_123_440_991_223_007_001 + rank * 977, "probability": 0.31 - 0.006 * rank,
            "probability_low": 0.26 - 0.006 * rank, "probability_high": 0.36 - 0.006 * rank, "relative_risk": 5.6,
            "percentile": 99.98 - 0.03 * rank, "tier": "very high", "previous_probability": None,
            "days_since_last_event": 1.0, "data_quality_flags": ["enrolment_gap", "single_source"] if rank == 2 else [], "reasons": reasons,
            "reason_method": "integrated gradients, 32 steps", **changes}


def took():
    at = datetime(2026, 7, 1, 2, 4)
    return [Phase(job, source, "succeeded", taken, taken, at) for job, source, taken in (
        ("simulate", "", 5.2), ("ingest", "fhir_r4", 31.0), ("ingest", "payer_extract", 14.2),
        ("ingest", "wearable_daily", 8.9), ("timelines", "", 12.5), ("cohort", "", 24.1), ("export", "", 9.7),
        ("train", "", 58.0), ("evaluate", "", 16.6), ("score", "", 17.3))]


def example():
    """A whole report from plain figures."""
    return Page("Unplanned admission within 90 days", "admission_90d", AS_OF, datetime(2026, 7, 1, 2, 5), [
        overview_section(scoring(), measured(), {"intended_use": "Offering care management."}), intake_section(came_in()), attrition_section(steps()),
        discrimination_section(measured()), reliability_section(measured()), distribution_section(lying()),
        people_section([person(rank) for rank in range(20)], AS_OF),
        provenance_section(took(), {"Code": "0.1.0+3cc0051aa11b", "Snapshot": "score-3f9a1c22b7d0-19-7 of 2026-07-01"},
                           scoring().inputs, {"pyspark": "4.0.5", "keras": "3.15.1"}),
    ])
