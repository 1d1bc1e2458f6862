"""A search end to end: real ranks, each trial tracked, none done twice, and a model trained by the best settings."""

import argparse
import json
from types import SimpleNamespace

import pytest
from mlflow import MlflowClient

import salus.training.tune as tuning
from salus.cohorts.label import EVENT
from salus.cohorts.search_space import Candidates
from salus.cohorts.task import Gates, Model, ModelSettings, Splits
from salus.datasets.folder import Folder
from salus.errors import EnvironmentFault, Refused
from salus.job import spark_job
from salus.training.package import package_info
from salus.training.train import train
from salus.training.trials import table
from size_dataset import write_dataset_of_sizes

pytestmark = pytest.mark.slow  # some eight trainings

LINE = ModelSettings(hidden=[], epochs=3, batch_size=128, patience=3, learning_rate=0.02, reader="arrow")
TASK = SimpleNamespace(
    id="tiny",
    hash="t",
    cohort_hash="c",
    label_hash="l",
    label=SimpleNamespace(kind=EVENT),
    splits=Splits(),
    gates=Gates(),
    model=Model(architecture="mlp", settings=LINE),
    baseline=Model(architecture="logistic", settings=ModelSettings(epochs=1, batch_size=512, reader="arrow")),
    tune={"hidden": Candidates(choices=([16], [16, 8])), "learning_rate": Candidates(low=0.02, high=0.05, log=True)},
)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_search_that_was_cut_short_goes_on_and_its_best_settings_are_trained(spark, tmp_path, monkeypatch):
    warehouse, started = str(tmp_path / "warehouse"), []
    write_dataset_of_sizes(warehouse, "tiny")
    run_ranks = tuning.run_ranks

    def cut_short(spark, plan, *rest, **options):
        started.append(plan.networks[0])
        if len(started) == 2:
            raise EnvironmentFault("Received the end of a rank; expected its work.")
        return run_ranks(spark, plan, *rest, **options)

    def run(name, work, *given, **options):
        with spark_job(name, argparse.Namespace(warehouse=warehouse, ranks=2), quiet=True) as job:
            return job, work(job, TASK, *given, **options)

    with pytest.raises(Refused, match="no finished search"):
        run("train", train, is_tuned=True)
    monkeypatch.setattr(tuning, "run_ranks", cut_short)
    with pytest.raises(EnvironmentFault):
        run("tune", tuning.tune, trials=2, sampler="random")
    job, rows = run("tune", tuning.tune, trials=2, sampler="random")
    assert len(started) == 3, "the finished trial is not done again"
    assert started[1] == started[2], "and the one that was cut short is the same"

    # The task's own settings are a line, which learns nothing here; the search finds a network.
    own, other = sorted(rows, key=lambda row: row["trial"])
    assert json.loads(own["settings"]) == {"hidden": [], "learning_rate": 0.02}
    best = json.loads(other["settings"])
    assert best["hidden"] in ([16], [16, 8])
    assert 0.02 <= best["learning_rate"] <= 0.05
    assert own["tuning_metric"] < 0.6 < 0.7 < other["tuning_metric"]
    assert (own["is_best"], other["is_best"]) == (False, True)
    assert job.figures["best"] == other["tuning_metric"]
    assert "best" in table(rows).splitlines()[2]

    client = MlflowClient(f"sqlite:///{warehouse}/_registry/mlflow.db")
    for row in rows:
        tracked = client.get_run(row["tracked_as"])
        assert tracked.data.params["learning_rate"] == str(json.loads(row["settings"])["learning_rate"])
        assert tracked.data.tags["trial"] == str(row["trial"])
        assert tracked.data.metrics["tuning_auroc"] > 0

    # What is done is not done again, and leaves no checkpoint.
    again, same = run("tune", tuning.tune, trials=2, sampler="random")
    assert (again.skipped, len(started)) == (True, 3)
    assert sorted(map(str, same)) == sorted(map(str, rows))
    assert Folder(f"{warehouse}/_checkpoints/tiny.trials").names() == []

    job, _ = run("train", train, is_tuned=True)
    models = {row["model_name"]: row for row in job.tables.read("models").collect()}
    info = package_info(f"{warehouse}/{models['tiny']['package_path']}")
    assert {name: info["settings"][name] for name in best} == best
    assert info["settings"]["epochs"] == LINE.epochs
    assert info["tuned"]["settings"] == best
    assert (info["tuned"]["trial"], info["tuned"]["tuning_metric"]) == (2, other["tuning_metric"])
    assert info["best"]["tuning_auroc"] > 0.7
