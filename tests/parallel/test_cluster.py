"""The same road on a real cluster manager: a Spark standalone cluster of two workers on loopback."""

import os
import re
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import pyspark
import pytest
from pyspark.sql import functions as F

from salus.storage import Tables

SPARK_HOME = Path(pyspark.__file__).parent
SECONDS_TO_START = 120
ON_LOOPBACK = {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_HOME": str(SPARK_HOME), "PYSPARK_PYTHON": sys.executable}


class Daemon:
    """A master or worker; ``said(pattern)`` waits until its log says so."""

    def __init__(self, ending, name, *arguments):
        self._process = ending.enter_context(
            subprocess.Popen(
                [
                    str(SPARK_HOME / "bin" / "spark-class"),
                    f"org.apache.spark.deploy.{name}",
                    "--host",
                    "127.0.0.1",
                    "--port",
                    "0",
                    "--webui-port",
                    "0",
                    *arguments,
                ],
                env=os.environ | ON_LOOPBACK,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        self._lines, self._more = [], threading.Condition()
        reader = threading.Thread(target=self._read, daemon=True)
        reader.start()
        ending.callback(reader.join)  # Popen closes what it reads from
        ending.callback(self._process.kill)

    def _read(self):
        for line in self._process.stderr:
            with self._more:
                self._lines.append(line)
                self._more.notify_all()

    def said(self, pattern):
        def found():
            return next((match for line in self._lines if (match := re.search(pattern, line))), None)

        with self._more:
            match = self._more.wait_for(found, SECONDS_TO_START)
        assert match, f"{pattern!r} was not said in {SECONDS_TO_START} s:\n{''.join(self._lines[-20:])}"
        return match


@pytest.fixture
def cluster(tmp_path):
    """The URL of a standalone cluster of two workers, a core each."""
    with ExitStack() as ending:
        url = Daemon(ending, "master.Master").said(r"Starting Spark master at (spark://\S+)")[1]
        workers = [
            Daemon(
                ending,
                "worker.Worker",
                "--cores",
                "1",
                "--memory",
                "1g",
                "--work-dir",
                str(tmp_path / f"worker-{number}"),
                url,
            )
            for number in range(2)
        ]
        for worker in workers:
            worker.said("Successfully registered with master")
        yield url


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
            "--spark",
            "--conf",
            "spark.driver.host=127.0.0.1",
            "--conf",
            "spark.driver.bindAddress=127.0.0.1",
            "--conf",
            "spark.sql.shuffle.partitions=4",
            "--executor-cores",
            "1",
            "--executor-memory",
            "1g",
            "--driver-memory",
            "1g",
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | ON_LOOPBACK | {"SALUS_MASTER": cluster, "SALUS_KEY_FILE": f"{local}.key"},
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
    assert len({executor.name for worker in tmp_path.glob("worker-*") for executor in worker.glob("app-*/*")}) == 2
