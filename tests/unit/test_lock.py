"""The lock: one writer a warehouse, and a killed writer's JVM is waited for."""

import json
import multiprocessing
import os
import subprocess
import threading
from contextlib import ExitStack

import pytest

from salus.errors import EnvironmentFault
from salus.storage import lock
from salus.storage.lock import LOCK_FILE, local_folder, started, warehouse_lock

FORK = multiprocessing.get_context("fork")


class Holder:
    """Another process that holds ``warehouse``'s lock from when it is made until it is killed or let go."""

    def __init__(self, warehouse, jvm):
        self._ours, self._theirs = FORK.Pipe()
        self.process = FORK.Process(target=self._hold, args=(str(warehouse), jvm))
        self.process.start()
        assert self._ours.recv() == "held"

    def _hold(self, warehouse, jvm):
        with warehouse_lock(warehouse, "score", jvm):
            self._theirs.send("held")
            self._theirs.recv()

    def let_go(self):
        self._ours.send("let go")
        self.process.join()

    def kill(self):
        self.process.kill()
        self.process.join()


@pytest.fixture
def holder(tmp_path):
    """``holder(jvm)``: another process that holds ``tmp_path``'s lock."""
    with ExitStack() as ending:

        def hold(jvm=None):
            holding = Holder(tmp_path, jvm)
            ending.callback(holding.kill)
            return holding

        yield hold


@pytest.fixture
def alive():
    """A process that lives until the test ends, in a JVM's place."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def test_a_second_run_is_refused_and_told_who_holds_the_warehouse(tmp_path, holder):
    pid = holder().process.pid
    with pytest.raises(EnvironmentFault, match=rf"job score, process {pid}\)"), warehouse_lock(str(tmp_path), "ingest"):
        pass


def test_the_warehouse_is_free_again_when_its_holder_ends(tmp_path, holder):
    holder().let_go()
    with warehouse_lock(str(tmp_path), "ingest"):
        assert json.loads((tmp_path / LOCK_FILE).read_text())["job"] == "ingest"


def test_a_job_within_a_job_shares_the_lock(tmp_path):
    with warehouse_lock(str(tmp_path), "demo"):
        with warehouse_lock(f"{tmp_path}/", "ingest"):
            pass
        assert json.loads((tmp_path / LOCK_FILE).read_text())["job"] == "demo"


def test_a_killed_holders_jvm_is_waited_for(tmp_path, holder, alive):
    holder(alive.pid).kill()
    taken = threading.Event()

    def take():
        with warehouse_lock(str(tmp_path), "ingest"):
            taken.set()

    taker = threading.Thread(target=take)
    taker.start()
    assert not taken.wait(0.5), "the lock was taken while the dead run's JVM could still commit"
    alive.kill()
    alive.wait()
    taker.join(10)
    assert taken.is_set()


def test_a_jvm_that_never_ends_is_named(tmp_path, holder, alive, monkeypatch):
    monkeypatch.setattr(lock, "SECONDS_FOR_A_DYING_JVM", 0.2)
    holder(alive.pid).kill()
    with pytest.raises(EnvironmentFault, match=rf"process {alive.pid}\)"), warehouse_lock(str(tmp_path), "ingest"):
        pass


def test_a_reused_process_number_is_not_taken_for_the_jvm(tmp_path, alive):
    (tmp_path / LOCK_FILE).write_text(json.dumps({"jvm": alive.pid, "jvm_started": started(alive.pid) - 1}))
    with warehouse_lock(str(tmp_path), "ingest"):
        assert json.loads((tmp_path / LOCK_FILE).read_text())["pid"] == os.getpid()


@pytest.mark.parametrize(
    ("warehouse", "folder"),
    [
        ("/data/w", "/data/w"),
        ("file:/data/w", "/data/w"),
        ("file:///data/w", "/data/w"),
        ("s3a://bucket/w", None),
        ("hdfs://name/w", None),
        ("abfss://c@a.dfs.core.windows.net/w", None),
    ],
)
def test_only_a_local_folder_can_be_locked(warehouse, folder):
    assert local_folder(warehouse) == (folder and type(local_folder("/"))(folder))
