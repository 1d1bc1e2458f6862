"""A run in MLflow says in which environment it was and shows how it learnt; on a computer with GPUs as well."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from salus.training import environment
from salus.training.registry import FIGURE, Registry, tracking_uri

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
HISTORY = [
    {"epoch": 1, "loss": 0.7, "tuning_loss": 0.6, "tuning_auroc": 0.6},
    {"epoch": 2, "loss": 0.5, "tuning_loss": 0.4, "tuning_auroc": 0.7},
    {"epoch": 3, "loss": 0.4, "tuning_loss": 0.5, "tuning_auroc": 0.7},
]


def registry_in(folder):
    return Registry(tracking_uri(str(folder), None), "tiny", f"{folder}/_registry/artifacts")


def run_of(registry, number):
    return registry.client.get_run(registry.client.get_model_version("tiny", number).run_id)


def test_a_registered_models_run_has_its_environment_and_its_curves(tmp_path):
    registry = registry_in(tmp_path)
    number = registry.register("tiny", str(tmp_path), {"seed": 7}, HISTORY, {"task": "tiny"})
    run = run_of(registry, number)
    assert run.data.tags["version.keras"] == version("keras")
    assert {"version.python", "version.horovod", "version.pyspark", "version.delta-spark", "task"} <= set(run.data.tags)
    [kept] = tmp_path.glob(f"_registry/artifacts/*/artifacts/{FIGURE}")
    assert Path(run.info.artifact_uri) == kept.parent
    page = kept.read_text(encoding="utf-8")
    for said in ('"name":"training"', '"name":"tuning"', "kept", '"x0":2,"x1":2'):
        assert said in page
    assert "<script src=" not in page


def test_a_trial_has_its_environment_and_no_page(tmp_path):
    registry = registry_in(tmp_path)
    run = registry.client.get_run(registry.track("tiny trial 1", {}, HISTORY, {"task": "tiny"}))
    assert run.data.tags["version.numpy"] == version("numpy")
    assert list(tmp_path.rglob(FIGURE)) == []


def test_a_moved_warehouse_registers_and_draws_nothing_where_it_was(tmp_path):
    before = tmp_path / "before"
    registry_in(before).register("tiny", str(before), {}, HISTORY, {})
    after = before.rename(tmp_path / "after")
    number = registry_in(after).register("tiny", str(after), {}, HISTORY, {})
    assert number == "2"
    assert not before.exists()


@pytest.mark.parametrize("has_gpus", [False, True])
def test_either_of_both_tensorflows_is_named_and_none_that_is_missing(monkeypatch, has_gpus):
    installed = {"tensorflow" if has_gpus else "tensorflow-cpu": "2.18.1", "keras": "3.13.2"}

    def version_of(name):
        if name not in installed:
            raise PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(environment, "version", version_of)
    assert environment.packages() == installed
    assert environment.environment().keys() == {"python", *installed}
