"""Codes against OMOP's vocabulary files: a small vocabulary in both of Athena's forms, and a real slice of it."""

import csv
import os

import pytest

from salus.errors import Refused
from salus.timelines.code_map import code_map, vocabulary_key
from salus.timelines.codes import codes, unmapped

CONCEPTS = [
    (1, "Type 2 diabetes without complications", "ICD10CM", "4-char billing code", "", "E11.9"),
    (2, "Type 2 diabetes mellitus", "SNOMED", "Clinical Finding", "S", "44054006"),
    (3, "Diabetes mellitus", "SNOMED", "Clinical Finding", "S", "73211009"),
    (4, 'atorvastatin "Lipitor" 10 MG', "NDC", "11-digit NDC", "", "00071015523"),
    (5, "atorvastatin 10 MG Oral Tablet", "RxNorm", "Clinical Drug", "S", "617312"),
    (6, "atorvastatin", "RxNorm", "Ingredient", "S", "83367"),
    (7, "atorvastatin; systemic", "ATC", "ATC 5th", "C", "C10AA05"),
    (8, "HMG CoA reductase inhibitors", "ATC", "ATC 4th", "C", "C10AA"),
    (9, "atorvastatin Oral Tablet", "RxNorm", "Clinical Drug Form", "S", "371304"),
    (10, "Office visit", "CPT4", "CPT4", "S", "99213"),
    (11, "Hypertension", "ICD10CM", "3-char billing code", "", "I10"),
]
RELATIONS = [
    (1, 2, "Maps to", ""),
    (2, 2, "Maps to", ""),
    (4, 5, "Maps to", ""),
    (4, 6, "Has ingredient", ""),
    (11, 3, "Maps to", "D"),
]
ANCESTORS = [(2, 2, 0), (3, 2, 1), (5, 5, 0), (9, 5, 1), (6, 5, 2), (7, 5, 3), (8, 5, 4), (8, 5, 5), (10, 10, 0)]
HEADERS = {
    "concept": "concept_id concept_name vocabulary_id concept_class_id standard_concept concept_code",
    "concept_relationship": "concept_id_1 concept_id_2 relationship_id invalid_reason",
    "concept_ancestor": "ancestor_concept_id descendant_concept_id min_levels_of_separation",
}
CARRIED = {
    "ICD10CM/E11.9": 5,
    "SNOMED/44054006": 1,
    "NDC/00071015523": 2,
    "CPT/99213": 1,
    "ICD10CM/I10": 1,
    "LOCAL/7": 3,
}
EXPECTED = {
    ("ICD10CM/E11.9", "ICD10CM/E11.9", "itself", 0),
    ("ICD10CM/E11.9", "SNOMED/44054006", "maps_to", 0),
    ("ICD10CM/E11.9", "SNOMED/73211009", "ancestor", 1),
    ("SNOMED/44054006", "SNOMED/44054006", "itself", 0),
    ("SNOMED/44054006", "SNOMED/73211009", "ancestor", 1),
    ("NDC/00071015523", "NDC/00071015523", "itself", 0),
    ("NDC/00071015523", "RxNorm/617312", "maps_to", 0),
    ("NDC/00071015523", "RxNorm/83367", "ancestor", 2),
    ("NDC/00071015523", "ATC/C10AA05", "ancestor", 3),
    ("NDC/00071015523", "ATC/C10AA", "ancestor", 4),
    ("CPT/99213", "CPT/99213", "itself", 0),
    ("ICD10CM/I10", "ICD10CM/I10", "itself", 0),
}


def write(folder, upper, separator):
    """The vocabulary as Athena gives it (upper case, tabs, no quotes), or as a table tool would."""
    for name, rows in (
        ("concept", CONCEPTS),
        ("concept_relationship", RELATIONS),
        ("concept_ancestor", ANCESTORS),
    ):
        path = folder / f"{name.upper() if upper else name}.csv"
        header = HEADERS[name].split()
        with path.open("w", encoding="utf-8", newline="") as file:
            if separator == "\t":
                file.writelines("\t".join(map(str, row)) + "\n" for row in [header, *rows])
            else:
                csv.writer(file).writerows([header, *rows])
    return str(folder)


@pytest.mark.parametrize(("upper", "separator"), [(True, "\t"), (False, ",")])
def test_a_code_is_mapped_to_its_standard_code_its_ingredient_and_its_classes(spark, tmp_path, upper, separator):
    carried = spark.createDataFrame([(code,) for code in CARRIED], "code string")
    rows = code_map(carried, write(tmp_path, upper, separator)).collect()
    assert len(rows) == len(EXPECTED)
    assert {(row["code"], row["concept"], row["relation"], row["levels"]) for row in rows} == EXPECTED
    assert {row["name"] for row in rows if row["concept"].startswith("NDC")} == {'atorvastatin "Lipitor" 10 MG'}


def test_what_the_vocabulary_does_not_know_keeps_its_code_and_is_counted(spark, tmp_path):
    events = spark.createDataFrame([(code,) for code, number in CARRIED.items() for _ in range(number)], "code string")
    mapped = code_map(events.distinct(), write(tmp_path, True, "\t")).localCheckpoint()
    table = codes(events, mapped).localCheckpoint()
    assert unmapped(table, mapped) == {"codes_unmapped": 1, "events_unmapped": 3}
    found = {row["code"]: row for row in table.collect()}
    assert {code: row["events"] for code, row in found.items()} == CARRIED
    assert found["LOCAL/7"]["ancestors"] is None
    assert found["NDC/00071015523"]["ancestors"] == ["ATC/C10AA", "ATC/C10AA05", "RxNorm/617312", "RxNorm/83367"]


def test_a_vocabulary_that_lacks_something_is_refused_and_another_release_is_told_apart(tmp_path):
    folder = write(tmp_path, True, "\t")
    key = vocabulary_key(folder)
    assert vocabulary_key(folder) == key
    os.utime(tmp_path / "CONCEPT.csv", (1, 1))
    assert vocabulary_key(folder) != key
    (tmp_path / "CONCEPT.csv").write_text("concept_id\tconcept_code\n")
    with pytest.raises(Refused, match=r"CONCEPT\.csv, which lacks the columns concept_class_id, concept_name"):
        vocabulary_key(folder)
    (tmp_path / "CONCEPT.csv").unlink()
    with pytest.raises(Refused, match=r"has no concept\.csv"):
        vocabulary_key(folder)
    assert vocabulary_key(None) is None


@pytest.mark.real_data
def test_the_drugs_of_a_real_slice_have_the_ingredients_that_pandas_finds(spark, real_data):
    pandas = pytest.importorskip("pandas")
    folder = real_data / "omop" / "vocabulary_slice"
    concept = pandas.read_csv(folder / "concept.csv", dtype=str, keep_default_na=False)
    above = pandas.read_csv(folder / "concept_ancestor.csv", dtype=str)
    drugs = concept[concept.concept_class_id == "Clinical Drug"]
    ingredients = concept[concept.concept_class_id == "Ingredient"]
    slowly = drugs.merge(above, left_on="concept_id", right_on="descendant_concept_id").merge(
        ingredients, left_on="ancestor_concept_id", right_on="concept_id"
    )
    expected = {(f"RxNorm/{row.concept_code_x}", f"RxNorm/{row.concept_code_y}") for row in slowly.itertuples()}
    carried = spark.createDataFrame([(f"RxNorm/{code}",) for code in drugs.concept_code], "code string").distinct()
    rows = code_map(carried, str(folder)).where("relation = 'ancestor' AND concept LIKE 'RxNorm/%'").collect()
    assert {(row["code"], row["concept"]) for row in rows} == expected
    assert len(expected) == 2
