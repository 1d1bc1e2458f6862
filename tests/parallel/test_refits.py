"""Refits end to end: real ranks with other seeds, measured beside the model that scores, and none trained twice."""

import argparse

import pytest
from pyspark.sql import functions as F

import salus.evaluation.refits as again
from salus.cohorts.task import Model, ModelSettings, Tier
from salus.datasets.export import export
from salus.datasets.folder import Folder
from salus.errors import EnvironmentFault, Refused
from salus.evaluation.evaluate import evaluate
from salus.job import spark_job
from salus.training.train import train
from visits_world import fill, task_of

pytestmark = pytest.mark.slow  # a model and two refits of it, by two ranks each
DROPPED_OUT = ModelSettings(hidden=(8,), epochs=3, batch_size=64, learning_rate=0.02, dropout=0.3)


@pytest.fixture(scope="module")
def task():
    tiers = [Tier(name="high", from_percentile=80), Tier(name="low", from_percentile=0)]
    return task_of(model=Model(architecture="mlp", settings=DROPPED_OUT), tiers=tiers)


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory, spark, task):
    folder = str(tmp_path_factory.mktemp("refits") / "warehouse")
    fill(spark, folder)
    for work in (export, train, evaluate):
        with job_in(folder, work.__name__) as job:
            work(job, task)
    return folder


def job_in(folder, name="refits"):
    return spark_job(name, argparse.Namespace(warehouse=folder, ranks=2), quiet=True)


def test_refits_differ_by_their_seed_alone_and_a_finished_one_is_not_trained_again(warehouse, task, monkeypatch):
    seeds, run_ranks = [], again.run_ranks

    def once(spark, plan, *rest, **options):
        seeds.append(plan.networks[0].seed)
        if seeds == [8, 9]:
            raise EnvironmentFault("Received the end of a rank; expected its work.")
        return run_ranks(spark, plan, *rest, **options)

    monkeypatch.setattr(again, "run_ranks", once)
    with pytest.raises(EnvironmentFault), job_in(warehouse) as job:
        again.refits(job, task, 2)
    with job_in(warehouse) as job:
        again.refits(job, task, 2)
        rows = job.tables.read("refits").collect()
        auroc = job.tables.read("evaluations").where("model_name = 'model' AND metric = 'auroc' AND subgroup IS NULL")
        [measured] = auroc.select("value").collect()
    assert seeds == [8, 9, 9]
    found = {row["metric"]: row for row in rows if row["band"] is None}
    assert 0 < found["mape"]["value"] < 0.2
    assert 0 < found["spread_p50"]["value"] <= found["spread_p90"]["value"] <= found["spread_p99"]["value"]
    assert found["auroc"]["lowest"] < found["auroc"]["highest"]
    assert found["auroc"]["value"] == pytest.approx(measured["value"], abs=0.15)
    assert {row["refits"] for row in rows} == {2}
    assert Folder(f"{warehouse}/_refits/{task.id}").names() == []

    with job_in(warehouse) as job:
        again.refits(job, task, 2)
        assert job.tables.read("refits").where(F.col("metric") == "mape").count() == 1
    assert job.skipped
    assert seeds == [8, 9, 9]


def test_one_refit_has_no_spread(warehouse, task):
    with pytest.raises(Refused, match="Received 1 refits; expected at least 2"), job_in(warehouse) as job:
        again.refits(job, task, 1)
