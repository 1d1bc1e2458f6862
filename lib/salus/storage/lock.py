"""One writer a warehouse: ``flock`` on a file of it, which names the holder.

Delta on a local folder can lose a commit of two JVMs, so a second run is refused while the first holds the
lock. A driver that is killed leaves its JVM alive for a moment, and that JVM could still commit: whoever
takes the lock next waits until the JVM that the file names is gone. Object stores have no ``flock``; there
Delta's own log store must coordinate the writers (docs/operations.md).
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from salus.errors import EnvironmentFault

LOCK_FILE = "_salus.lock"
SECONDS_FOR_A_DYING_JVM = 30

_held: dict[str, int] = {}


def local_folder(warehouse: str) -> Path | None:
    """The warehouse as a local folder, or None where it is on another file system."""
    if warehouse.startswith("file:"):
        return Path("/" + warehouse.removeprefix("file:").lstrip("/"))
    return None if "://" in warehouse else Path(warehouse)


@contextmanager
def warehouse_lock(warehouse: str, job: str, jvm_pid: int | None = None) -> Iterator[None]:
    """Hold ``warehouse`` for ``job``; a job inside a job of the same process shares the lock.

    Raises:
        EnvironmentFault: another run holds it; its job and process are named.
    """
    folder = local_folder(warehouse)
    if folder is None:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    key = str(folder.resolve())
    if key in _held:
        _held[key] += 1
        try:
            yield
        finally:
            _held[key] -= 1
        return
    with open(folder / LOCK_FILE, "a+", encoding="utf-8") as file:
        _take(file, key)
        _write(
            file,
            {
                "job": job,
                "pid": os.getpid(),
                "pid_started": started(os.getpid()),
                "jvm": jvm_pid,
                "jvm_started": started(jvm_pid),
            },
        )
        _held[key] = 1
        try:
            yield
        finally:
            del _held[key]
            _write(file, {})


def started(pid: int | None) -> int | None:
    """When ``pid`` started, in the kernel's ticks, so that a reused number is not taken for it; None = gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else int(fields[19])


def _take(file, key):
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = _read(file)
        raise EnvironmentFault(
            f"Received the warehouse {key}, which another run holds "
            f"(job {holder.get('job', '?')}, process {holder.get('pid', '?')}); expected a free one. "
            "Wait until that run ends, or name another warehouse."
        ) from error
    before = _read(file)
    patience = time.monotonic() + SECONDS_FOR_A_DYING_JVM
    while before.get("jvm_started") and started(before["jvm"]) == before["jvm_started"] and before["jvm"] != _own_jvm():
        if time.monotonic() > patience:
            raise EnvironmentFault(
                f"Received the warehouse {key}, whose last run died and left its JVM (process {before['jvm']}) alive; "
                "expected it to end. Stop that process."
            )
        time.sleep(0.1)


def _own_jvm():
    """The JVM that started this process, where spark-submit did."""
    return os.getppid()


def _read(file) -> dict:
    file.seek(0)
    try:
        return json.loads(file.read() or "{}")
    except json.JSONDecodeError:
        return {}


def _write(file, holder):
    file.seek(0)
    file.truncate()
    file.write(json.dumps(holder))
    file.flush()
