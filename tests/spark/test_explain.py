"""What a model goes by, of one whose contributions and dependences are known."""

import argparse
from datetime import datetime

import numpy as np
import pytest

from evaluation_world import DAY, PEOPLE_A_SPLIT, SPLITS, TASK, TIMES, fill, model_row, package, simulated
from salus.evaluation.evaluate import evaluate
from salus.evaluation.trained import calibration_of, trained
from salus.explanation import explain as explaining
from salus.explanation.explain import explain
from salus.job import spark_job
from salus.timelines.standardise import CLIP

COUNT, RECENCY = ("admission.count.90d", 1.5), ("any_event.days_since_last", -0.1)
LABELS = {
    "Admissions: number in the last 90 days": COUNT,
    "Days since the last event of any kind": RECENCY,
}


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory, spark):
    folder = tmp_path_factory.mktemp("explained") / "warehouse"
    dataset_hash = fill(spark, folder)
    looks_at = {"tiny": (*COUNT, (RECENCY,)), "tiny-logistic": (*RECENCY, ())}
    with spark_job("set-up", argparse.Namespace(warehouse=str(folder)), quiet=True) as job:
        rows = [
            model_row(
                name,
                "3",
                package(f"{folder}/_packages/{name}", feature, weight, beside=beside),
                f"_packages/{name}",
                dataset_hash,
            )
            for name, (feature, weight, beside) in looks_at.items()
        ]
        job.tables.append("models", job.tables.frame("models", rows))
    with spark_job("evaluate", argparse.Namespace(warehouse=str(folder)), quiet=True) as job:
        evaluate(job, TASK)
    return folder


def seen():
    """Of each prediction of people held out: admissions within 90 days, days since the last event or NaN."""
    people, samples = simulated()
    for number, at, _, split, _ in samples:
        if split != SPLITS[-1]:
            continue
        happened = [t for t, known in zip(people[number][6], people[number][7]) if t < at and known <= at]
        within = sum(at - t <= 90 * DAY for t in happened)
        yield within, (at - max(happened)) / DAY if happened else np.nan


def test_what_a_linear_model_goes_by_is_what_its_weights_say(job_in, warehouse):
    with job_in(warehouse, "explain") as job:
        explain(job, TASK)
    rows = {row["feature"]: row for row in job.tables.read("importances").collect()}
    assert rows.keys() == LABELS.keys()
    assert {(row["people"], row["rows"]) for row in rows.values()} == {(PEOPLE_A_SPLIT, PEOPLE_A_SPLIT * len(TIMES))}

    count, days = np.array(list(seen())).T
    unknown = np.isnan(days)
    assert 0 < unknown.sum() < unknown.size / 2
    size = {"Admissions: number in the last 90 days": np.log1p(count) * COUNT[1]}
    # A person without events is told by a flag, and here the flag has no weight: their recency contributes nothing.
    size["Days since the last event of any kind"] = np.where(unknown, 0, np.minimum(np.log1p(days), CLIP) * RECENCY[1])
    for feature, contributed in size.items():
        row = rows[feature]
        assert row["contribution"] == pytest.approx(np.abs(contributed).mean(), rel=1e-3)
        assert row["low"] < row["contribution"] < row["high"]
        assert row["among_reasons"] == pytest.approx((contributed != 0).mean())
        assert row["raises"] == (1 if LABELS[feature][1] > 0 else 0)
    assert [rows[feature]["rank"] for feature in size] == [1, 2]
    assert [rows[feature]["code"] for feature in size] == ["A", "any_event"]

    # If everybody had so many admissions and kept their own recency; and of whom there is one, the other way round.
    told = calibration_of(job.tables, trained(job.tables, TASK.id, "tiny")).calibrated
    row = rows["Admissions: number in the last 90 days"]
    assert row["dependence_x"] == sorted(set(count))
    for value, mean, low, high in zip(*(row[f"dependence_{name}"] for name in ("x", "y", "low", "high")), strict=True):
        said = told(0.2 + COUNT[1] * np.log1p(value) + size["Days since the last event of any kind"])
        assert mean == pytest.approx(said.mean(), rel=1e-4)
        assert [low, high] == pytest.approx(np.quantile(said, [0.1, 0.9]), rel=1e-4)
    row = rows["Days since the last event of any kind"]
    assert len(row["dependence_x"]) == 9
    assert set(row["dependence_x"]) <= set(days[~unknown])
    for value, mean in zip(row["dependence_x"], row["dependence_y"], strict=True):
        said = told(
            0.2 + RECENCY[1] * min(np.log1p(value), CLIP) + size["Admissions: number in the last 90 days"][~unknown]
        )
        assert mean == pytest.approx(said.mean(), rel=1e-4)

    # Once is enough.
    with job_in(warehouse, "explain") as again:
        explain(again, TASK)
    assert again.skipped
    assert again.figures == job.figures


def test_a_large_population_is_asked_by_parts_and_again_by_a_smaller_one(job_in, warehouse, monkeypatch):
    monkeypatch.setattr(explaining, "ROWS", 450)
    monkeypatch.setattr(explaining, "ROWS_OF_DEPENDENCE", 90)
    with job_in(warehouse, "explain") as job:
        explain(job, TASK)
    assert 350 < job.figures["rows"] < 550
    assert 45 < job.figures["rows_asked_again"] < 145


def test_a_model_that_looks_at_nothing_is_told_as_one(job_in, warehouse):
    blind = package(f"{warehouse}/_packages/blind", COUNT[0], 0.0)
    with spark_job("set-up", argparse.Namespace(warehouse=str(warehouse)), quiet=True) as job:
        made = [row.asDict() for row in job.tables.read("models").where("model_name = 'tiny'").collect()]
        kept = [row.asDict() for row in job.tables.read("calibrations").where("model_name = 'tiny'").collect()]
        new = {"model_version": "4", "package_hash": blind}
        models = [row | new | {"package_path": "_packages/blind", "trained_at": datetime(2026, 2, 1)} for row in made]
        job.tables.append("models", job.tables.frame("models", models))
        job.tables.append("calibrations", job.tables.frame("calibrations", [row | new for row in kept]))
    with job_in(warehouse, "explain") as job:
        explain(job, TASK)
    assert (job.figures["explained"], job.figures["dependences"]) == (0, 0)
    assert job.tables.read("importances").isEmpty()
