"""Race and ethnicity: one group however sources spell it."""

import numpy as np
import pyarrow as pa
import pytest

from salus.errors import Refused
from salus.evaluation.categories import category, read_categories
from salus.evaluation.predictions import _attributes


@pytest.mark.parametrize(
    ("attribute", "spellings", "meant"),
    [
        ("race", ["White", "WHITE", "white", "Caucasian", "2106-3", "CMS/1", "OMOP/8527"], "White"),
        ("race", ["black", "Black or  African American", "AfricanAmerican", "CMS/2"], "Black or African American"),
        ("race", ["hawaiian", "2076-8", "OMOP/8557"], "Native Hawaiian or Other Pacific Islander"),
        ("race", ["Other", "Other Race", "CMS/3"], "Other"),
        ("race", ["CMS/0", "Unknown"], ""),
        ("race", ["a spelling of its own"], "a spelling of its own"),
        ("race", ["nonhispanic"], "nonhispanic"),
        ("ethnicity", ["H", "hispanic", "2135-2", "Hispanic or Latino"], "Hispanic or Latino"),
        ("ethnicity", ["nonhispanic", "non-hispanic", "NOT HISPANIC OR LATINO"], "Not Hispanic or Latino"),
        ("care_site", ["white"], "white"),
    ],
)
def test_a_spelling_means_its_category_and_one_that_is_not_listed_itself(attribute, spellings, meant):
    assert {category(attribute, spelling) for spelling in spellings} == {meant}


def test_people_of_two_spellings_are_in_one_subgroup():
    told = pa.table(
        {
            "birth": pa.array([None] * 5, pa.float64()),
            "prediction_time": pa.array([0] * 5, pa.int64()),
            "race": ["White", "white", "black", None, "Black or African American"],
            "payer": ["white", "White", "", None, ""],
        }
    )
    found = _attributes(told)
    assert list(found["race"]) == ["White", "White", "Black or African American", "", "Black or African American"]
    assert list(found["payer"]) == ["white", "White", "", "", ""]
    assert np.array_equal(found["age"], [""] * 5)


@pytest.mark.parametrize(
    "row", ["race,White,White", "sex,f,female", "race,white", "race,white,White\nrace,white,Other"]
)
def test_a_row_that_is_no_new_spelling_is_refused_by_its_line(tmp_path, row):
    path = tmp_path / "race_and_ethnicity.csv"
    path.write_text(f"attribute,spelling,category\n{row}\n", encoding="utf-8")
    with pytest.raises(Refused, match=rf":{2 + row.count(chr(10))}: received a row that is no new spelling"):
        read_categories(path)
