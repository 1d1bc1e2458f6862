"""A Spark standalone cluster of two workers on loopback, and what a job on it is told."""

import os
import re
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pyspark

SPARK_HOME = Path(pyspark.__file__).parent
SECONDS_TO_START = 120
ON_LOOPBACK = {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_HOME": str(SPARK_HOME), "PYSPARK_PYTHON": sys.executable}
SUBMITTED = (
    "--spark",
    "--conf=spark.driver.host=127.0.0.1",
    "--conf=spark.driver.bindAddress=127.0.0.1",
    "--conf=spark.sql.shuffle.partitions=4",
    "--executor-cores=1",
    "--executor-memory=1g",
    "--driver-memory=1g",
)
"""The last arguments of a job there: one executor a worker."""


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


@contextmanager
def standalone(folder):
    """The URL of a cluster of two workers, a core each, that work in ``folder``."""
    with ExitStack() as ending:
        url = Daemon(ending, "master.Master").said(r"Starting Spark master at (spark://\S+)")[1]
        of_each = ["--cores", "1", "--memory", "1g", "--work-dir"]
        workers = [
            Daemon(ending, "worker.Worker", *of_each, str(folder / f"worker-{number}"), url) for number in range(2)
        ]
        for worker in workers:
            worker.said("Successfully registered with master")
        yield url
