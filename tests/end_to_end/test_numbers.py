"""What people cost, from an insurer's files to a night's estimates: the whole road of a label that is a number."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import functions as F

import report
import score
from road import AS_OF, travelled
from salus.report.report import default_path
from salus.storage import Tables

pytestmark = pytest.mark.slow  # every job once, on the files of some hundreds of people

TASK = "cost_1y"
TASKS = {TASK: (("epochs: 20", "epochs: 8"),)}
FILES = ("eligibility", "medical_claim", "pharmacy_claim")


@pytest.fixture(scope="module")
def warehouse(spark, tmp_path_factory):
    """A warehouse in which every job up to a report of costs has run."""
    folder = tmp_path_factory.mktemp("numbers")
    with travelled(folder, 600, ["payer_extract"], FILES, TASKS) as run:
        for phase in (score, report):
            run(phase, f"--task={TASK}", f"--as-of={AS_OF}")
        yield Tables(spark, str(folder / "warehouse"))


def test_a_label_is_the_sum_of_the_newest_versions_line_by_line(warehouse):
    """Corrections, voids and late claims among them."""
    records = warehouse.read("records").select("record_id", "version").toPandas()
    costs = warehouse.read("costs").select(
        "source_subject_id", "record_id", "version", "incurred_date", "amount_allowed"
    )
    newest = records.groupby("record_id", as_index=False)["version"].max()
    every = costs.toPandas()
    current = every.merge(newest, on=["record_id", "version"])
    assert 0 < len(current) < len(every)  # some were corrected or withdrawn
    current["incurred_date"] = pd.to_datetime(current["incurred_date"])
    rows = warehouse.read(f"cohorts/{TASK}").select("subject_id", "prediction_time", "float_value").toPandas()
    joined = rows.merge(current, left_on="subject_id", right_on="source_subject_id", how="left")
    after = joined["incurred_date"] - joined["prediction_time"]
    is_inside = (after >= timedelta(0)) & (after < timedelta(days=365))
    spent = joined["amount_allowed"].astype(float).where(is_inside, 0.0)
    expected = spent.groupby([joined["subject_id"], joined["prediction_time"]]).sum()
    found = rows.set_index(["subject_id", "prediction_time"])["float_value"]
    pd.testing.assert_series_equal(found.sort_index(), expected.sort_index(), check_names=False)
    assert (found > 0).mean() > 0.5


def test_the_night_tells_estimates_that_the_evaluation_vouches_for(warehouse):
    rows = (
        warehouse.read("evaluations").where("subgroup IS NULL").toPandas().set_index(["model_name", "metric"])["value"]
    )
    assert 0.5 < rows["model", "predictive_ratio"] < 2
    assert rows["model", "d2"] > 0.05
    scores = warehouse.read("scores").where(F.col("as_of") == F.lit(AS_OF)).toPandas()
    told = scores[scores["not_scored_reason"].isna()]
    assert len(told) > 100
    assert (told["estimate_low"] < told["estimate"]).all()
    assert (told["estimate"] < told["estimate_high"]).all()
    assert set(told["estimate_unit"]) == {"USD"}
    assert scores["probability"].isna().all()
    usual = rows["model", "mean_observed"]
    assert 0.3 * usual < told["estimate"].mean() < 3 * usual
    assert np.corrcoef(told["estimate"], told["percentile"])[0, 1] > 0.5


def test_the_report_speaks_of_dollars(warehouse):
    text = default_path(warehouse.warehouse, TASK, AS_OF).read_text(encoding="utf-8")
    assert "Do the estimates hold?" in text
    assert "Do the probabilities hold?" not in text
