"""Kills a rank that hangs: nothing in Horovod does, because its driver waits for the rank for ever.

A process of its own session, so that what stops the rank (SIGSTOP, a dead-locked allreduce) does not stop it. It
runs as ``python -S -E guardian.py PID FILE START_SECONDS HANG_SECONDS``: standard library only, so that it starts in
a few milliseconds. The rank touches FILE at every step; it ends with the rank.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_BETWEEN_BEATS = 0.5


class Heartbeat:
    """The rank's side: starts the guardian, and tells it that the rank goes on.

    Args:
        start_seconds: time until the first ``beat``.
        hang_seconds: time allowed between beats, from the first one on.
    """

    def __init__(self, start_seconds: float, hang_seconds: float):
        handle, self.path = tempfile.mkstemp(prefix="salus-heartbeat-")
        os.close(handle)
        self._last = 0.0
        self._guardian = subprocess.Popen(
            [sys.executable, "-S", "-E", __file__, str(os.getpid()), self.path, str(start_seconds), str(hang_seconds)],
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def beat(self) -> None:
        """The rank goes on."""
        if (now := time.monotonic()) - self._last >= SECONDS_BETWEEN_BEATS:
            Path(self.path).write_bytes(b"1")
            self._last = now

    def __enter__(self) -> "Heartbeat":
        return self

    def __exit__(self, *error) -> None:
        self._guardian.terminate()
        self._guardian.wait()
        Path(self.path).unlink(missing_ok=True)


def watch(pid: int, path: str, start_seconds: float, hang_seconds: float) -> None:
    """Kill ``pid`` when ``path`` was not touched for too long; return when either is gone."""
    seen = os.stat(path).st_mtime_ns
    changed = time.monotonic()
    while os.getppid() == pid:
        try:
            stat = os.stat(path)
        except FileNotFoundError:
            return
        if stat.st_mtime_ns != seen:
            seen, changed = stat.st_mtime_ns, time.monotonic()
        limit = hang_seconds if stat.st_size else start_seconds
        if time.monotonic() - changed > limit:
            os.kill(pid, signal.SIGKILL)
            return
        time.sleep(SECONDS_BETWEEN_LOOKS)


if __name__ == "__main__":
    watch(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), float(sys.argv[4]))
