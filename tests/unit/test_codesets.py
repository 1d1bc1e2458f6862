"""The published code lists: how many codes each condition has, and which of them may overlap.

The numbers are those of Quan et al. 2005 (doi:10.1097/01.mlr.0000182534.19832.83), tables 1 and 2, with ranges
written out (C00-C26 is 27 categories).
"""

import csv
import re
from collections import Counter
from itertools import combinations

import pytest

from salus.quality.declaration import load_checks
from salus.settings import conf_dir
from salus.sources.units import read_units, units_path
from salus.timelines.features import codeset

ICD10CM = re.compile(r"ICD10CM/[A-Z]\d[0-9A-Z](\.[0-9A-Z]{1,4})?$")
PLANNED = re.compile(r"(CCS_(DX|PR)/\d{1,3}|ICD10PCS/[0-9A-HJ-NP-Z]{7}|ICD10CM/[A-Z]\d[0-9A-Z](\.[0-9A-Z]{1,4})?)\$")

CHARLSON = {
    "myocardial_infarction": 3,
    "heart_failure": 14,
    "peripheral_vascular": 13,
    "cerebrovascular": 13,
    "dementia": 7,
    "chronic_pulmonary": 21,
    "rheumatic": 9,
    "peptic_ulcer": 4,
    "mild_liver": 19,
    "diabetes": 25,
    "diabetes_complicated": 25,
    "plegia": 12,
    "renal": 22,
    "malignancy": 27 + 5 + 5 + 1 + 14 + 17 + 5 + 1 + 8,
    "severe_liver": 11,
    "metastatic": 4,
    "hiv": 4,
}
ELIXHAUSER = {
    "heart_failure": 14,
    "arrhythmia": 14,
    "valvular": 20,
    "pulmonary_circulation": 5,
    "peripheral_vascular": 13,
    "hypertension": 1,
    "hypertension_complicated": 4,
    "paralysis": 12,
    "neurological": 22,
    "chronic_pulmonary": 21,
    "diabetes": 15,
    "diabetes_complicated": 35,
    "hypothyroidism": 5,
    "renal_failure": 10,
    "liver": 23,
    "peptic_ulcer": 8,
    "hiv": 4,
    "lymphoma": 9,
    "metastatic": 4,
    "solid_tumour": 27 + 5 + 5 + 1 + 14 + 17 + 1,
    "rheumatic": 21,
    "coagulopathy": 9,
    "obesity": 1,
    "weight_loss": 9,
    "fluid_electrolyte": 3,
    "blood_loss_anaemia": 1,
    "deficiency_anaemia": 5,
    "alcohol": 12,
    "drug": 10,
    "psychoses": 10,
    "depression": 9,
}
SHARED = {
    "charlson": set(),
    "elixhauser": {
        ("heart_failure", "alcohol"),  # I42.6, alcoholic cardiomyopathy
        ("heart_failure", "hypertension_complicated"),  # I11.0, I13.0, I13.2
        ("hypertension_complicated", "renal_failure"),  # I12.0, I13.1
        ("pulmonary_circulation", "chronic_pulmonary"),  # I27.8, I27.9
        ("paralysis", "neurological"),  # G11.4
        ("liver", "alcohol"),  # K70: alcoholic liver disease
        ("psychoses", "depression"),  # F31.5, F20.4
    },
    "chronic_conditions": {("hypertension", "heart_failure")},
}


def prefixes(name):
    return {group.name: group.prefixes for group in codeset(name)}


@pytest.mark.parametrize(("name", "published"), [("charlson", CHARLSON), ("elixhauser", ELIXHAUSER)])
def test_each_condition_has_as_many_codes_as_were_published(name, published):
    assert {group: len(codes) for group, codes in prefixes(name).items()} == published


@pytest.mark.parametrize("name", ["charlson", "elixhauser", "chronic_conditions"])
def test_codes_are_icd_10_cm_and_no_two_conditions_share_one_but_where_it_was_published(name):
    groups = prefixes(name)
    assert all(ICD10CM.match(code) for codes in groups.values() for code in codes)
    shared = {
        (one, other)
        for (one, codes), (other, others) in combinations(groups.items(), 2)
        if any(a.startswith(b) or b.startswith(a) for a in codes for b in others)
    }
    assert shared == SHARED[name]


@pytest.mark.parametrize(
    "name", ["admission_90d", "charlson", "elixhauser", "chronic_conditions", "drug_classes", "common_labs"]
)
def test_no_code_of_a_group_says_what_another_of_it_says(name):
    for group, codes in prefixes(name).items():
        assert not [(a, b) for a in codes for b in codes if a is not b and a.startswith(b)], group


def test_the_weights_are_of_the_conditions_and_sum_to_what_was_published():
    with (conf_dir() / "codesets" / "comorbidity_weights.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    weights = {}
    for row in rows:
        weights.setdefault((row["codeset"], row["source"]), {})[row["group"]] = int(row["weight"])
    assert {key: sum(found.values()) for key, found in weights.items()} == {
        ("charlson", "Charlson 1987"): 10 * 1 + 4 * 2 + 3 + 2 * 6,
        ("charlson", "Quan 2011"): 2 + 2 + 1 + 1 + 2 + 1 + 2 + 1 + 2 + 4 + 6 + 4,
        ("elixhauser", "van Walraven 2009"): 93 - 23,
    }
    for (name, _), found in weights.items():
        assert list(found) == list(prefixes(name))
    quan = weights["charlson", "Quan 2011"]
    assert [name for name, weight in quan.items() if weight == 0] == [
        "myocardial_infarction",
        "peripheral_vascular",
        "cerebrovascular",
        "peptic_ulcer",
        "diabetes",
    ]


def test_a_group_of_labs_has_one_unit_the_one_that_its_numbers_are_kept_in():
    units = read_units(units_path())
    for group in codeset("common_labs"):
        for code in group.prefixes:
            assert {kept for kept, _, _ in units[code].values()} == {group.unit}, code


def test_every_lab_with_a_unit_has_a_range():
    [values] = [check for check in load_checks().checks.values() if check.kind == "value_range"]
    assert set(read_units(units_path())) - set(values.ranges) == {"LOINC/21000-5", "LOINC/32207-3"}


def test_drug_classes_are_atc_classes_and_whole_ingredients():
    for group, codes in prefixes("drug_classes").items():
        assert all(re.match(r"ATC/[A-Z]\d{2}[A-Z]|RxNorm/\d+\$$|ATC/[A-Z]\d{2}$", code) for code in codes), group
        assert any(code.startswith("ATC/") for code in codes), group


def test_planned_admissions_are_the_lists_of_2019():
    """Yale CORE's hospital-wide readmission measure, version 8.0: tables PR.1 to PR.4."""
    lists = prefixes("planned_admissions")
    kinds = {name: Counter(code.partition("/")[0] for code in codes) for name, codes in lists.items()}
    assert kinds == {
        "always_planned_procedure": {"CCS_PR": 3},
        "always_planned_diagnosis": {"CCS_DX": 2},
        "potentially_planned_procedure": {"CCS_PR": 63, "ICD10PCS": 1187},
        "acute_diagnosis": {"CCS_DX": 80, "ICD10CM": 216},
        "acute_at_first": {"CCS_DX": 21},
    }
    every = [code for codes in lists.values() for code in codes]
    assert len(set(every)) == len(every)
    assert all(PLANNED.fullmatch(code) for code in every)
