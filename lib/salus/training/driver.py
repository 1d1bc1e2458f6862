"""What Horovod's launcher takes of the driver's process, so that several threads of it can launch at once.

It asks whether Gloo was built by importing TensorFlow in a fork, puts handlers of signals in place for good, which only
the main thread may, and lets the whole trace of a fallen Spark job be printed. All of it belongs to the process, so it
is put right by the first thread that launches, and put back by the last.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

_THREAD = threading.local()
_LOCK = threading.Lock()
_PUT_BACK: list[ExitStack] = []
"""One a thread that is launching; below the others' empty ones is the first's, so that whoever is last closes it."""


@contextmanager
def launching(stop: threading.Event) -> Iterator[None]:
    """Where ``horovod.spark.run`` may be called, in any thread: once ``stop`` is set, its ranks are ended."""
    _THREAD.stop = stop
    with _LOCK:
        _PUT_BACK.append(ExitStack() if _PUT_BACK else _put_right())
    try:
        yield
    finally:
        with _LOCK:
            _PUT_BACK.pop().close()


@contextmanager
def stopped_by_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set, as those that Horovod makes are; of the main thread."""
    stop = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def is_debugged() -> bool:
    """Whether a developer asked to see everything, on data that may be seen."""
    return bool(os.environ.get("SALUS_DEBUG"))


def _put_right() -> ExitStack:
    """Ranks say themselves where Gloo was not built: they would wait for 5 seconds while the fork is asked. Horovod
    watches the stop of the thread that launches, and not signals. One line is enough where a rank dies.
    """
    from horovod.runner import gloo_run, launch

    told, put_back = threading.excepthook, ExitStack()

    def say(failed):
        if is_debugged() or "run_spark" not in getattr(failed.thread, "name", ""):
            told(failed)

    for place, name, ours in (
        (launch, "gloo_built", lambda verbose=False: True),
        (gloo_run, "register_shutdown_event", lambda: _THREAD.stop),
        (threading, "excepthook", say),
    ):
        put_back.callback(setattr, place, name, getattr(place, name))
        setattr(place, name, ours)
    return put_back
