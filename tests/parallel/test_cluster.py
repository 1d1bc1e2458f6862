"""The same road on a real cluster manager: a Spark standalone cluster of two workers on loopback."""

import os
import subprocess
import sys

import pytest
from pyspark.sql import functions as F

from loopback import ON_LOOPBACK, SUBMITTED
from salus.storage import Tables


@pytest.mark.slow  # the whole demo again, its executors on two workers
def test_a_cluster_gives_the_scores_that_local_mode_gives(spark, first_demo, cluster, tmp_path):
    local = first_demo[1] / "warehouse"
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "salus.launch",
            "demo",
            *first_demo[0].args[4:6],
            "--warehouse",
            str(tmp_path / "warehouse"),
            "--landing",
            f"{local}.landing",
            *SUBMITTED,
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | ON_LOOPBACK | {"SALUS_MASTER": cluster.url, "SALUS_KEY_FILE": f"{local}.key"},
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    here, there = (Tables(spark, str(folder)) for folder in (local, tmp_path / "warehouse"))
    columns = ["subject_id", "probability", "score_raw", "not_scored_reason", "tier"]
    ours, theirs = (tables.read("scores").select(columns) for tables in (here, there))
    assert theirs.count() == ours.count() > 0
    assert theirs.where("probability is not null").count() > 0
    other = (
        ours.alias("a")
        .join(theirs.alias("b"), "subject_id", "full")
        .where(
            ~F.col("a.not_scored_reason").eqNullSafe(F.col("b.not_scored_reason"))
            | ~F.col("a.tier").eqNullSafe(F.col("b.tier"))
            | (F.abs(F.col("a.score_raw") - F.col("b.score_raw")) > 1e-5)
            | (F.abs(F.col("a.probability") - F.col("b.probability")) > 1e-6)
        )
    )
    assert other.isEmpty()
    assert (
        len({executor.name for worker in cluster.folder.glob("worker-*") for executor in worker.glob("app-*/*")}) == 2
    )
