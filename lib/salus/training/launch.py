"""Horovod under Spark: as many ranks as asked for, their progress on the terminal, and one clear error where one dies.

Horovod's control sockets listen on every interface and, up to 0.28.1, its rendezvous port answers without
authentication: run it in a private network only (docs/operations.md). With a local master all traffic stays on the
loopback interface.
"""

import io
import json
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

import salus
from salus import memory
from salus.datasets.folder import Folder
from salus.errors import EnvironmentFault, Held, Refused
from salus.training.driver import is_debugged, launching, stopped_by_signals
from salus.training.plan import TrainingPlan
from salus.training.rank import EPOCHS, TOLD

START_SECONDS = 300
RANK_ENVIRONMENT = memory.ENVIRONMENT | {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "OMP_NUM_THREADS": "1",
    "KERAS_BACKEND": "tensorflow",
    "PYTHONUNBUFFERED": "1",
    "PYTHONWARNINGS": "ignore",
    # Horovod's thread looks for gradients of all ranks every so many milliseconds, also while there are none: at its
    # own 1 ms that is a tenth of a core each rank.
    "HOROVOD_CYCLE_TIME": "2.5",
}
LINES_KEPT = 40
SECONDS_BETWEEN_LOOKS = 0.5
METRICS = {
    "tuning_auroc": "AUROC",
    "tuning_macro_auroc": "mean AUROC",
    "tuning_d2": "deviance explained",
    "tuning_d2_pinball": "pinball loss explained",
    "tuning_accuracy": "codes right",
}


class Listener(io.TextIOBase):
    """Where the ranks' output goes: what they tell the driver is heard, the last of the rest is kept.

    Horovod forwards output in blocks of 64 kB, so most of it comes when the ranks have ended.
    """

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[dict[str, Any]] = []
        self.last = deque[str](maxlen=LINES_KEPT)
        self._line, self._lock = "", threading.Lock()

    def write(self, text: str) -> int:
        """Take a piece of output, of any length."""
        with self._lock:
            *lines, self._line = (self._line + text).split("\n")
            for line in lines:
                _, told, content = line.partition(TOLD)
                if told:
                    self.heard.append(json.loads(content))
                elif line.strip():
                    self.last.append(line)
        return len(text)


def run_ranks(
    spark: SparkSession,
    plan: TrainingPlan,
    ranks: int,
    progress: Callable[[str], None],
    restarts: int = 0,
    stop: threading.Event | None = None,
) -> list[dict[str, Any]]:
    """Train by ``plan`` on ``ranks`` ranks, each in a Spark task; returns what each ended with, in rank order.

    Where a rank dies or hangs, all begin again from the last checkpoint, ``restarts`` times at most. In a thread other
    than the main one ``stop`` is given: once it is set, the ranks are ended; without it, signals are what ends them.

    Raises:
        Refused: there are fewer task slots than ranks, or the ranks refused their input.
        EnvironmentFault: a rank died or hung, once too often, or was stopped.
    """
    _has_room(spark, ranks)
    with stopped_by_signals() if stop is None else nullcontext(stop) as stopped:
        for left in range(restarts, 0, -1):
            try:
                return _run_once(spark, plan, ranks, progress, stopped)
            except EnvironmentFault as fault:
                if stopped.is_set():
                    raise
                progress(f"{fault} Now all ranks begin again from the last checkpoint; restarts left: {left - 1}.")
                plan = replace(plan, resume=True)
        return _run_once(spark, plan, ranks, progress, stopped)


def _run_once(spark, plan, ranks, progress, stop):
    listener = Listener()
    try:
        with launching(stop), _epochs_told(plan, progress):
            return _run(spark, plan, ranks, listener)
    except Exception as error:
        if is_debugged():
            print("\n".join(listener.last), file=sys.stderr)
        started, refusals = ([told for told in listener.heard if key in told] for key in ("started", "refused"))
        if refusals:
            kind = {Refused.exit_code: Refused, Held.exit_code: Held}.get(refusals[0]["exit_code"], EnvironmentFault)
            raise kind(refusals[0]["refused"]) from error
        if len(started) < ranks:
            raise EnvironmentFault(
                f"Received {len(started)} of {ranks} training ranks; expected all to start. Look whether the workers' "
                "Python has Salus and Horovod (PYSPARK_PYTHON), and whether there is a task slot a rank; SALUS_DEBUG=1 "
                "shows the ranks' last lines."
            ) from error
        raise EnvironmentFault(
            f"Received the end of a training rank before its work was done (it died, was killed, or did nothing for "
            f"{plan.hang_seconds:g} s); expected {ranks} ranks to finish. Look at the memory of the ranks' hosts, then "
            "train again with --resume; SALUS_DEBUG=1 shows the ranks' last lines."
        ) from error


def metric_of(epoch: Mapping[str, Any]) -> str:
    """The one of ``METRICS`` that an epoch was measured by."""
    return next(name for name in METRICS if name in epoch)


def progress_line(told: dict[str, Any]) -> str:
    """An epoch in one line."""
    left = (told["epochs"] - told["epoch"]) * told["seconds"]
    metric = metric_of(told)
    return (
        f"{told['network']} epoch {told['epoch']}/{told['epochs']}: loss {told['loss']:.4f}, tuning loss "
        f"{told['tuning_loss']:.4f}, {METRICS[metric]} {told[metric]:.3f}, {told['samples_a_second']:,.0f} samples/s, "
        f"at most {left:.0f} s left"
    )


def _run(spark, plan, ranks, listener):
    import horovod.spark

    root, plan_json = str(Path(salus.__file__).parents[1]), plan.to_json()

    def enter():
        # Sent by value: a node that has Salus on a shared disk only must be told where before anything is imported.
        import sys

        if root not in sys.path:
            sys.path.append(root)
        from salus.training.rank import train_rank

        return train_rank(plan_json)

    is_local = spark.sparkContext.master.startswith("local")
    return horovod.spark.run(
        enter,
        num_proc=ranks,
        use_gloo=True,
        env=rank_environment(),
        stdout=listener,
        stderr=listener,
        verbose=0,
        nics=["lo"] if is_local else None,
        start_timeout=START_SECONDS,
    )


def rank_environment() -> dict[str, str]:
    """What a rank's process is told; how Horovod is to work (``HOROVOD_...``), the driver's own environment may say."""
    return RANK_ENVIRONMENT | {name: value for name, value in os.environ.items() if name.startswith("HOROVOD_")}


def _has_room(spark, ranks):
    slots = spark.sparkContext.defaultParallelism
    if spark.sparkContext.master.startswith("local") and slots < ranks:
        raise Refused(
            f"Received {ranks} ranks for {slots} task slots of the master {spark.sparkContext.master}; expected at "
            f"most one rank a slot, since all must run at once. Use --ranks {slots}, or --master 'local[{ranks},4]'."
        )


@contextmanager
def _epochs_told(plan: TrainingPlan, progress: Callable[[str], None]) -> Iterator[None]:
    """Tell each epoch while it is news: rank 0 leaves them beside its checkpoints, a thread looks there."""
    folder, ended, told = Folder(plan.checkpoints), threading.Event(), 0
    folder.delete(EPOCHS)

    def look():
        nonlocal told
        if folder.has(EPOCHS):
            epochs = folder.read_json(EPOCHS)
            for epoch in epochs[told:]:
                told += 1
                progress(progress_line(epoch))

    def keep_looking():
        while not ended.wait(SECONDS_BETWEEN_LOOKS):
            look()

    thread = threading.Thread(target=keep_looking, name="salus-epochs", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        look()
