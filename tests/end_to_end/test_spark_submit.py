"""Jobs by spark-submit itself, without the launcher: as README says it for clusters, on a master that is at hand."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pyspark
import pytest

from salus.storage import Tables

ROOT = Path(__file__).resolve().parents[2]
SUBMIT = Path(pyspark.__file__).parent / "bin" / "spark-submit"
HERE = {"--master": ["local[2]"], "--deploy-mode": ["client"], "--driver-memory": ["1g"]}
ELSEWHERE = ("--archives", "--num-executors", "--executor-memory")


def example(manager):
    """The words of README's example for ``manager`` between spark-submit and the job's file, in pairs."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    words = shlex.split(text[text.index(f"spark-submit --master {manager}") :].partition("\n\n")[0].replace("\\\n", ""))
    options = words[1 : next(place for place, word in enumerate(words) if word.endswith("jobs/score.py"))]
    return list(zip(options[::2], options[1::2], strict=True))


def here(option, value):
    """The words of an example's option that say the same on this machine."""
    if option in ELSEWHERE:
        return []
    if option == "--packages" and (jars := os.environ.get("SALUS_JARS")):
        return ["--jars", ",".join(map(str, Path(jars).glob("*.jar")))]
    if value.startswith("spark.pyspark."):
        value = f"{value.partition('=')[0]}={sys.executable}"
    return [option, *HERE.get(option, [value.replace("/opt/salus/jars", os.environ.get("SALUS_JARS", ""))])]


@pytest.fixture
def submitted(tmp_path):
    """``submitted(manager, job, ...)``: how the job ended that README's example for the manager was told to run.

    What the machine knows of Spark and of Salus is taken away: an example has to say all that it needs.
    """

    def submit(manager, job, *arguments):
        options = [word for pair in example(manager) for word in here(*pair)]
        return subprocess.run(
            [
                str(SUBMIT),
                *options,
                str(ROOT / "jobs" / f"{job}.py"),
                f"--warehouse={tmp_path / 'warehouse'}",
                *arguments,
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env={
                key: value for key, value in os.environ.items() if not key.startswith(("SALUS_", "PYSPARK_", "SPARK_"))
            },
        )

    return submit


def test_jobs_run_by_spark_submit_as_readme_says_it_for_clusters(spark, job_in, submitted, tmp_path):
    warehouse = tmp_path / "warehouse"
    with job_in(warehouse) as job:
        row = {"source_subject_id": 1, "record_id": 1, "version": 1, "ordinal": 0, "file_id": 1, "record": 0}
        job.tables.append("events", job.tables.frame("events", [row | {"code": "A"}]))
    made = submitted("yarn", "timelines")
    assert made.returncode == 0, (made.stdout + made.stderr)[-4000:]
    assert made.stdout.splitlines()[-1].startswith("timelines ")
    assert Tables(spark, str(warehouse)).read("timelines").count() == 1
    told = submitted("k8s:", "status")
    assert told.returncode == 0, (told.stdout + told.stderr)[-4000:]
    assert "Nothing was delivered yet" in told.stdout
    assert [line.split()[-1].partition("-")[0] for line in told.stdout.splitlines()[-2:]] == ["timelines", "test"]


def test_a_refusal_is_the_exit_code_of_spark_submit(submitted, tmp_path):
    ended = submitted("k8s:", "ingest", "--source=fhir_r4", f"--input={tmp_path / 'nowhere'}", "--create-key")
    assert ended.returncode == 2, (ended.stdout + ended.stderr)[:2000]
    (line,) = [line for line in (ended.stdout + ended.stderr).splitlines() if line.startswith("salus: ")]
    assert f"{tmp_path / 'nowhere'}; expected a folder" in line
