"""An ingest that is killed: readers see what was published before, and the next run ends as if nothing had been."""

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from salus.settings import conf_dir
from salus.storage.tables import Tables

ROOT = Path(__file__).resolve().parents[2]
TABLES = ("events", "persons", "records", "links", "identity", "ingested_files", "quarantine")
DELIVERED = "2021-06-01"

pytestmark = pytest.mark.slow  # each run is a process with a Spark of its own


@pytest.fixture(scope="module")
def landing(tmp_path_factory):
    """A folder of two first files, and one of six more; the settings and the key that all runs share."""
    folder = tmp_path_factory.mktemp("crashes")
    shutil.copytree(conf_dir(), folder / "conf")
    shutil.copy(ROOT / "tests" / "data" / "registry.yml", folder / "conf" / "sources")
    people = [f"p{number}" for number in range(60)]
    head = "lab,person,day,released,result\n"
    for name, parts in (("first", [0]), ("second", [0, 1, 2])):
        (folder / name).mkdir()
        for part in parts:
            mine = people[part * 20 : part * 20 + 20]
            born = "".join(f"{one},19{50 + number}-01-01\n" for number, one in enumerate(mine))
            (folder / name / f"person_{part}.csv").write_text("person,born\n" + born)
            labs = "".join(
                f"l{part}-{number},{one},2021-01-01,2021-01-02,{number if number % 7 else 'n/a'}\n"
                for number, one in enumerate([*mine, "nobody"])
            )
            (folder / name / f"lab_{part}.csv").write_text(head + labs)
    return folder


def start(landing, warehouse, delivery):
    environment = os.environ | {
        "SALUS_CONF": str(landing / "conf"),
        "SALUS_KEY_FILE": str(landing / "key"),
        "SALUS_MASTER": "local[1]",
        "SALUS_DRIVER_MEMORY": "1g",
    }
    return subprocess.Popen(
        [
            sys.executable,
            str(ROOT / "jobs" / "ingest.py"),
            *("--source=registry", f"--input={landing / delivery}", f"--warehouse={warehouse}"),
            *(f"--delivered-at={DELIVERED}", "--create-key"),
        ],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=landing,
    )


def ended_well(process):
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said[-2000:]


def commits(warehouse):
    return sum(1 for _ in warehouse.glob("*/_delta_log/*.json"))


def seen(spark, warehouse):
    """What a reader sees: every row of every table, without the ids and clocks of runs."""
    tables = Tables(spark, str(warehouse))
    return {name: sorted(map(str, tables.read(name).collect())) for name in TABLES}


@pytest.fixture(scope="module")
def undisturbed(spark, landing):
    """A warehouse with the first delivery; what it shows; what it shows after the second; and the commits of that."""
    before, after = landing / "before", landing / "after"
    ended_well(start(landing, before, "first"))
    shutil.copytree(before, after)
    ended_well(start(landing, after, "second"))
    return before, seen(spark, before), seen(spark, after), commits(after) - commits(before)


def killed_at(landing, undisturbed, spark, warehouse, moments):
    """Kill a run after each number of ``moments`` of its commits, one run after another; then let one end."""
    before, first, whole, _ = undisturbed
    shutil.copytree(before, warehouse)
    for moment in moments:
        enough = commits(warehouse) + moment
        process = start(landing, warehouse, "second")
        while commits(warehouse) < enough and process.poll() is None:
            try:
                process.wait(timeout=0.01)
            except subprocess.TimeoutExpired:
                continue
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert seen(spark, warehouse) in (first, whole)
    ended_well(start(landing, warehouse, "second"))
    assert seen(spark, warehouse) == whole


def test_a_run_that_is_killed_leaves_no_trace_and_can_be_run_again(spark, landing, undisturbed, tmp_path):
    draw, most = random.Random(3), undisturbed[3]
    killed_at(landing, undisturbed, spark, tmp_path / "warehouse", [draw.randrange(1, most) for _ in range(3)])
    assert len(undisturbed[2]["events"]) == 3 * len(undisturbed[1]["events"]) > 100


@pytest.mark.parametrize("round_", range(4))
def test_runs_that_are_killed_at_many_moments_end_like_one_that_was_not(spark, landing, undisturbed, tmp_path, round_):
    draw, most = random.Random(100 + round_), undisturbed[3]
    killed_at(landing, undisturbed, spark, tmp_path / "warehouse", [draw.randrange(most + 1) for _ in range(5)])
