"""A rank dies or hangs: the job ends within a minute with one clear error, and leaves no process behind.

The job is ``train`` as it ships, without restarts, in a process of its own; time is measured from the signal.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from loopback import ON_LOOPBACK, SUBMITTED
from rank_processes import descendants, guardians, ranks
from road import change
from salus.settings import conf_dir
from size_dataset import write_dataset_of_sizes

SECONDS = 60
LONG = {
    "tiny": (
        ("id: admission_90d", "id: tiny"),
        ("epochs: 30, batch_size: 512, patience: 5", "epochs: 2000, batch_size: 16, patience: 2000"),
    )
}


@pytest.fixture
def training(tmp_path):
    """``training(master)``: a job ``train`` of two ranks there that would go on for minutes, and who ran before."""
    shutil.copytree(conf_dir(), tmp_path / "conf")
    change(tmp_path / "conf" / "tasks", LONG)
    write_dataset_of_sizes(str(tmp_path / "warehouse"), "tiny")
    started = []

    def start(master):
        on_cluster = [] if master.startswith("local") else SUBMITTED
        asked = ["train", "--task=tiny", "--force", "--ranks=2", f"--warehouse={tmp_path / 'warehouse'}", *on_cluster]
        others = descendants()
        settings = {"SALUS_CONF": str(tmp_path / "conf"), "SALUS_MASTER": master, "SALUS_DRIVER_MEMORY": "1g"}
        job = subprocess.Popen(
            [sys.executable, "-m", "salus.launch", *asked],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=tmp_path,
            env=os.environ | (ON_LOOPBACK if on_cluster else {}) | settings,
        )
        started.append(job)
        return job, others

    yield start
    for job in started:
        job.kill()
        job.wait()
        job.stdout.close()


def fallen(job, others, sent):
    """How a ``job`` ended of which the second rank was ``sent`` a signal after an epoch, and who is left."""
    lines = []
    for line in job.stdout:
        lines.append(line)
        if "tiny epoch 1/" in line:
            break
    assert lines[-1].startswith("  train: tiny epoch 1/"), "".join(lines[-20:])
    concerned = descendants() - others
    _, second = ranks(concerned)
    assert len(guardians(concerned)) == 2
    second.send_signal(sent)
    at = time.monotonic()
    too_late = threading.Timer(2 * SECONDS, job.kill)
    too_late.start()
    lines += job.stdout.read().splitlines(keepends=True)
    code = job.wait()
    too_late.cancel()
    _, left = psutil.wait_procs(concerned, max(0, SECONDS - (time.monotonic() - at)))
    return code, [line for line in lines if line.startswith("salus: ")], time.monotonic() - at, left


def check(code, said, seconds, left):
    print(f"ended {seconds:.1f} s after the signal")
    assert code == 4
    (line,) = said
    assert "Received the end of a training rank before its work was done" in line
    assert "did nothing for 40 s" in line
    assert "--resume" in line
    assert left == []
    assert seconds < SECONDS
    return seconds


def test_a_rank_that_is_killed_ends_the_job(training):
    assert check(*fallen(*training("local[2,4]"), signal.SIGKILL)) < SECONDS / 2


@pytest.mark.slow
def test_a_rank_that_hangs_ends_the_job(training):
    check(*fallen(*training("local[2,4]"), signal.SIGSTOP))


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSTOP])
def test_a_rank_that_is_killed_or_hangs_ends_the_job_on_a_cluster(training, cluster, sent):
    check(*fallen(*training(cluster.url), sent))
