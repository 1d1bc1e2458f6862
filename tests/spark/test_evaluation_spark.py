"""An evaluation end to end: calibrated on its own split, measured beside its competitors, leakage priced, done once."""

import argparse

import numpy as np
import pytest
from pyspark.sql import functions as F

from evaluation_world import PEOPLE_A_SPLIT, SPEC_OF_WORLD, TASK, TIMES, fill, model_row, package
from salus.cohorts.label import EVENT
from salus.cohorts.task import Model
from salus.datasets.export import DATASETS, newest_dataset
from salus.datasets.folder import Folder
from salus.datasets.manifest import MANIFEST
from salus.errors import Refused
from salus.evaluation.evaluate import _write, evaluate
from salus.evaluation.measures import measures_of
from salus.evaluation.predictions import collected, is_sampled, predictions, sampled
from salus.evaluation.suspicion import BOUND
from salus.evaluation.trained import calibration_of, in_use, trained
from salus.job import spark_job
from salus.report.measured import measures
from salus.storage.tables import Tables
from salus.training.champion import FIRST, decision
from salus.training.package import package_bytes


@pytest.fixture
def task():
    return TASK


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory, spark):
    folder = tmp_path_factory.mktemp("evaluation") / "warehouse"
    dataset_hash = fill(spark, folder)
    looks_at = {"tiny": ("admission.count.90d", 1.5), "tiny-logistic": ("any_event.days_since_last", -0.7)}
    with spark_job("set-up", argparse.Namespace(warehouse=str(folder)), quiet=True) as job:
        rows = [
            model_row(name, "3", package(f"{folder}/_packages/{name}", *what), f"_packages/{name}", dataset_hash)
            for name, what in looks_at.items()
        ]
        job.tables.append("models", job.tables.frame("models", rows))
    return folder


def test_an_evaluation(job_in, warehouse, task, capsys):
    with job_in(warehouse, "evaluate") as job:
        evaluate(job, task)
    said = capsys.readouterr().err
    every = job.tables.read("evaluations").collect()
    rows = {(row["model_name"], row["metric"]): row for row in every if row["subgroup"] is None}
    subgroups = {(row["subgroup"], row["metric"]): row for row in every if row["subgroup"] is not None}

    # Everybody held out, and the truth on those whose truth is known.
    assert rows["model", "auroc"]["people"] == PEOPLE_A_SPLIT
    assert rows["model", "auroc"]["rows"] == PEOPLE_A_SPLIT * len(TIMES)
    assert 0 < rows["oracle", "auroc"]["people"] < PEOPLE_A_SPLIT
    assert {name for name, _ in rows} == {"model", "baseline", "attainable", "oracle"}
    assert (rows["model", "auroc"]["model_version"], rows["oracle", "auroc"]["model_version"]) == ("3", "")
    assert {row["split"] for row in rows.values()} == {"held_out"}

    # Everybody is in one sex; whose birth is not known is in no band of age.
    by_sex = [subgroups[f"sex: {sex}", "auroc"] for sex in ("female", "male")]
    assert sum(row["people"] for row in by_sex) == PEOPLE_A_SPLIT
    assert subgroups["sex: male", "auroc_gap"]["value"] == -subgroups["sex: female", "auroc_gap"]["value"] != 0
    known = subgroups["age: 45 to 64", "events"]
    assert 0 < known["people"] < PEOPLE_A_SPLIT
    months = [f"month: 2025-{month:02d}" for month in (1, 4, 7)]
    assert {subgroup for subgroup, _ in subgroups} == {
        *("sex: female", "sex: male", "age: 45 to 64", "care site: clinic 0", "care site: clinic 1", "payer: mutual"),
        *months,
    }
    assert {subgroups[month, "observed"]["people"] for month in months} == {PEOPLE_A_SPLIT}
    ratios = [subgroups[month, "observed_over_expected"] for month in months]
    assert all(ratio["low"] < ratio["value"] < ratio["high"] for ratio in ratios)

    # Everybody is in the only tier on each date, so it finds every event, and nobody is new in it.
    [everybody] = task.tiers
    for name in ("model", "baseline"):
        at_tier = [rows[name, f"{each}: {everybody.name}"] for each in ("sensitivity", "lift", "share", "alerts_a_day")]
        assert [row["value"] for row in at_tier] == [1, 1, 1, 0]
        assert {row["people"] for row in at_tier} == {PEOPLE_A_SPLIT}

    # The model knows what the truth is made of; the baseline looks at recency alone.
    assert rows["model", "share_of_attainable_lift"]["value"] == pytest.approx(1, abs=0.02)
    assert rows["model", "auroc_over_baseline"]["low"] > 0
    slope = rows["model", "calibration_slope"]
    assert slope["low"] < 1 < slope["high"]

    # What the interval beside each probability holds is asked where the truth is known.
    assert rows["model", "interval_coverage"]["rows"] == rows["oracle", "auroc"]["rows"]
    assert 0.25 < rows["model", "interval_coverage"]["value"] <= 1
    assert 0 < rows["model", "interval_width"]["value"] < 0.2

    # By time, the late claims give the labels away.
    assert rows["model", "leakage_price"]["low"] > 0.03
    assert rows["model", "auroc_by_available_time"]["value"] == pytest.approx(rows["model", "auroc"]["value"], abs=1e-6)
    price = rows["model", "leakage_price"]
    assert f"leakage's price: {price['value']:+.3f} ({price['low']:+.3f} to {price['high']:+.3f})" in said
    assert job.figures["leakage_price"] == pytest.approx(rows["model", "leakage_price"]["value"])

    # The calibration stands in its table and beside the package, under its own hash.
    model = trained(job.tables, task.id, "tiny")
    calibration = calibration_of(job.tables, model)
    assert calibration.people == PEOPLE_A_SPLIT
    assert Folder(f"{warehouse}/_packages/tiny").read(f"calibration-{calibration.version}.json").decode() == (
        calibration.to_json()
    )
    assert job.tables.read("calibrations").where(F.col("model_name") == "tiny-logistic").count() == 1

    # Once is enough.
    with job_in(warehouse, "evaluate") as again:
        evaluate(again, task)
    assert again.skipped
    assert again.figures == job.figures


def test_what_is_recorded_of_each_row_comes_with_its_prediction(spark, warehouse, task):
    dataset, packed = newest_dataset(str(warehouse), task.id), package_bytes(f"{warehouse}/_packages/tiny")
    flags = {"Age": len(SPEC_OF_WORLD.names) + SPEC_OF_WORLD.absences.index("age")}
    predicted = predictions(spark, dataset, "held_out", [spark.sparkContext.broadcast(packed)], flags)
    held_out = collected(predicted, 1, recorded=flags)
    assert held_out.people.size == PEOPLE_A_SPLIT * len(TIMES)
    np.testing.assert_array_equal(held_out.recorded["Age"], held_out.people % 7 != 0)  # the others' birth is not known
    assert collected(predicted.drop("recorded"), 1).recorded == {}


def test_a_model_of_another_data_set_is_refused(job_in, warehouse, task):
    other = task.model_copy(update={"id": "tiny", "model": Model(architecture="logistic")})
    folder = Folder(f"{warehouse}/{DATASETS}/{task.id}/one")
    kept = folder.read_json(MANIFEST)
    try:
        folder.write_json(MANIFEST, kept | {"format": 2})
        with pytest.raises(Refused, match="another data set"), job_in(warehouse, "other evaluate") as job:
            evaluate(job, other)
    finally:
        folder.write_json(MANIFEST, kept)


def test_the_champions_evaluation_stays_beside_the_challengers(job_in, warehouse, task, capsys):
    def measured_of(version, auroc, task=task):
        """Write what ``evaluate`` would of the tiny model's ``version``."""
        row = model_row("tiny", version, f"package {version}", "p", reigning.dataset_hash)
        with job_in(warehouse, "evaluate") as job:
            job.tables.append("models", job.tables.frame("models", [row]))
            named = {"model": "tiny", "baseline": "tiny-logistic"}
            models = {stands_as: trained(job.tables, TASK.id, name) for stands_as, name in named.items()}
            _write(job, task, measures_of(EVENT), models, [{"model_name": "model", "metric": "auroc", "value": auroc}])

    def aurocs(*versions):
        tables = Tables(job.spark, str(warehouse))
        found = [measures(tables, TASK.id, version)[0] for version in versions]
        return [each["model", "auroc"].value if each else None for each in found]

    with job_in(warehouse, "promote") as job:
        reigning = trained(job.tables, TASK.id, "tiny")
        job.tables.append("promotions", decision(job, TASK, vars(reigning), FIRST))
        before = measures(job.tables, TASK.id)
    measured_of("4", 0.6)
    tables = Tables(job.spark, str(warehouse))
    assert in_use(tables, TASK) == reigning
    assert measures(tables, TASK.id, "3") == before
    assert aurocs("4", None) == [0.6, 0.6], "the newest, where no version is asked for"
    measured_of("5", 0.7)
    assert aurocs("3", "4", "5") == [before[0]["model", "auroc"].value, None, 0.7]

    # What is better than the task says it can be is told, and what it was held against is kept beside it.
    assert "suspected leak" not in capsys.readouterr().err
    measured_of("6", 0.7, task.model_copy(update={"suspect_above": 0.65}))
    assert "suspected leak: AUROC above 0.65 (model 0.700)" in capsys.readouterr().err
    assert measures(Tables(job.spark, str(warehouse)), TASK.id, "6")[0]["model", BOUND].value == 0.65


@pytest.mark.parametrize("share", [0.0, 0.25, 0.9, 1.0])
def test_a_share_of_the_people_is_the_same_in_a_query_and_in_numpy(spark, share):
    people = np.random.default_rng(4).integers(-(2**63), 2**63 - 1, 2000)
    kept = sampled(spark.createDataFrame([(one,) for one in people.tolist()], "subject_id long"), share)
    found = {row["subject_id"] for row in kept.collect()}
    assert found == set(people[is_sampled(people, share)].tolist())
    assert abs(len(found) / people.size - share) < 0.05
