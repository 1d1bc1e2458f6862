"""Search, promotion and cross-validation on a real cluster manager: a standalone cluster of two workers on loopback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs_on_cluster import TASK
from loopback import ON_LOOPBACK
from salus.evaluation.contest import OF_EVENTS
from salus.storage import Tables
from salus.training.champion import FIRST, PROMOTED

TESTS = Path(__file__).resolve().parents[1]


@pytest.mark.slow  # some twenty trainings
def test_models_are_searched_promoted_and_cross_validated_on_a_cluster(spark, cluster, tmp_path):
    warehouse = str(tmp_path / "warehouse")
    ended = subprocess.run(
        [sys.executable, "-m", "jobs_on_cluster", cluster.url, warehouse],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | ON_LOOPBACK | {"PYTHONPATH": os.pathsep.join([os.environ["PYTHONPATH"], str(TESTS)])},
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    tables = Tables(spark, warehouse)

    own, other = tables.read("trials").orderBy("trial").collect()
    assert other["is_best"]
    assert other["tuning_metric"] > own["tuning_metric"] + 0.1, "a line sees no risk that falls and rises"

    decisions = tables.read("promotions").orderBy("decided_at").collect()
    assert [row["decision"] for row in decisions] == [FIRST, PROMOTED]
    assert decisions[1]["low"] > 0

    found = {(row["model_name"], row["metric"], row["fold"]): row for row in tables.read("folds").collect()}
    assert {name for name, _, _ in found} == set(OF_EVENTS.models)
    assert {fold for _, _, fold in found} == {None, *range(TASK.folds)}
    assert found["boosted_trees", "auroc", None]["value"] > 0.75
    workers = {executor.name for worker in cluster.folder.glob("worker-*") for executor in worker.glob("app-*/*")}
    assert len(workers) == 2, "one executor a worker, and a rank in each"
