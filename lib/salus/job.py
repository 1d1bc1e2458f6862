"""What every job shares: its command line, its session, lock and ledger, and how it ends."""

import argparse
import ctypes
import json
import os
import signal
import sys
import time
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from salus.errors import SalusError
from salus.session import spark_session
from salus.settings import Settings, load_settings
from salus.storage.ledger import Done, code_version, last_done, published_by, work_key, write_run
from salus.storage.lock import warehouse_lock
from salus.storage.tables import Tables

PR_SET_PDEATHSIG = 1
"""Of Linux's prctl(2)."""

RUN_STATUS = {2: "refused", 3: "held", 4: "failed"}


def parser(description: str, task: bool = False, as_of: bool | date = False) -> argparse.ArgumentParser:
    """The command line that every job has, with ``--task`` and ``--as-of`` where asked for; a date is its default."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--warehouse", help="folder or URL of the tables (SALUS_WAREHOUSE; default: conf/base.yml)")
    made.add_argument("--master", help="Spark master, where spark-submit names none (SALUS_MASTER)")
    if task:
        made.add_argument("--task", default="admission_90d", help="task in conf/tasks (default: %(default)s)")
    if as_of:
        default = {"required": True} if as_of is True else {"default": as_of}
        told = "" if as_of is True else " (default: %(default)s)"
        made.add_argument(
            "--as-of",
            type=date.fromisoformat,
            metavar="YYYY-MM-DD",
            help=f"predict at 00:00 UTC of this day{told}",
            **default,
        )
    return made


def of_ranks(made: argparse.ArgumentParser) -> None:
    """Add what every job that trains for long is told of its ranks."""
    made.add_argument("--ranks", type=int, help="Horovod ranks, each in a Spark task of its own (SALUS_RANKS)")
    made.add_argument("--resume", action="store_true", help="go on from the last checkpoint of a run that did not end")
    made.add_argument(
        "--max-restarts",
        type=int,
        default=0,
        help="how often all ranks begin again from the last checkpoint where one died or hung (default: %(default)s)",
    )


def of_side_by_side(made: argparse.ArgumentParser) -> None:
    """Add what every job that trains the same several times is told of doing so at once."""
    made.add_argument(
        "--side-by-side",
        type=_at_least_one,
        metavar="N",
        help="trainings at once, 1 = one after another (default: as many as have a task slot for each rank)",
    )


def _at_least_one(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"received {number}; expected 1 or more")
    return number


@dataclass(frozen=True)
class Alike:
    """An earlier run of the same work: the version of every table when it had ended, and what it counted."""

    versions: dict[str, int]
    figures: dict[str, Any]


class Job:
    """A run of a job: its tables, its settings, and what it tells the ledger and the terminal."""

    def __init__(self, name: str, spark: SparkSession, settings: Settings, arguments: dict[str, Any]):
        self.name, self.spark, self.settings, self.arguments = name, spark, settings, arguments
        self.run_id = f"{name}-{uuid.uuid4().hex[:12]}"
        self.tables = Tables(spark, settings.warehouse)
        self.figures: dict[str, Any] = {}
        self.key: str | None = None
        self.skipped = False
        self._started = time.monotonic()
        self._asked: tuple[dict[str, Any], Sequence[str], dict[str, Any]] = ({}, (), {})
        self._last: Done | None = None

    def needed(self, slot: dict[str, Any], reads: Sequence[str], **work: Any) -> bool:
        """Whether the work is yet to be done: False where the slot's last success did exactly this work.

        Args:
            slot: names the place in the warehouse that the work fills, such as the task and the date.
            reads: the tables that the work depends on; their versions are part of it.
            work: what else it depends on, such as a task's hash.
        """
        self._asked = slot, reads, work
        self.key = self._key(self.tables.versions(reads))
        self._last = last_done(self.tables, self.key)
        if self._last is None or self._last.work_key != self.key:
            return True
        self.skipped, self.figures = True, self._last.figures
        return False

    def last_alike(self) -> Alike | None:
        """The slot's last success, where only the versions of what it read differ from this run's work: it can be built
        upon. None where more does, where there was none, or where no snapshot tells. ``needed`` comes first."""
        versions = None if self._last is None else published_by(self.tables, self._last.run_id)
        if self._last is None or versions is None:
            return None
        read = {name: versions[name] for name in self._asked[1] if name in versions}
        return Alike(versions, self._last.figures) if self._key(read) == self._last.work_key else None

    def count(self, **figures: Any) -> None:
        """Keep figures for the ledger, the job's last line and the report."""
        self.figures |= figures

    def progress(self, text: str) -> None:
        """One line to the terminal while the job works."""
        print(f"  {self.name}: {text}", file=sys.stderr, flush=True)

    def publish(self) -> None:
        """Make everything that the run wrote visible, at once."""
        self.tables.publish(self.run_id)

    def _key(self, versions: Mapping[str, int]) -> str:
        slot, _, work = self._asked
        return work_key({"job": self.name, **slot}, {"versions": versions, "code": code_version(), **work})

    def _record(self, status):
        write_run(
            self.tables,
            {
                "run_id": self.run_id,
                "job": self.name,
                "status": status,
                "seconds": time.monotonic() - self._started,
                "work_key": self.key,
                "arguments": json.dumps(self.arguments, default=str, sort_keys=True),
                "figures": json.dumps(self.figures, default=str),
            },
        )

    def _last_line(self):
        done = " · ".join(f"{_readable(value)} {name.replace('_', ' ')}" for name, value in self.figures.items())
        nothing_new = "nothing new; " if self.skipped else ""
        print(f"{self.name:<10} {time.monotonic() - self._started:7.1f} s   {nothing_new}{done}", flush=True)


@contextmanager
def spark_alone(args: argparse.Namespace) -> Iterator[tuple[SparkSession, Settings]]:
    """A session and the settings, for work that touches no table: without lock and ledger."""
    settings = load_settings(**{key: getattr(args, key, None) for key in Settings.model_fields})
    outer = SparkSession.getActiveSession()
    spark = spark_session(settings)
    try:
        yield spark, settings
    finally:
        if outer is None:
            spark.stop()


@contextmanager
def spark_job(name: str, args: argparse.Namespace, quiet: bool = False) -> Iterator[Job]:
    """Session, lock and ledger around a job's work; what it wrote is published at the end, all or nothing.

    A job inside another job of the same process shares the session and the lock.
    """
    overrides = {key: getattr(args, key, None) for key in Settings.model_fields}
    settings = load_settings(**overrides)
    outer = SparkSession.getActiveSession()
    spark = spark_session(settings)
    assert spark._jvm is not None
    jvm_pid = spark._jvm.java.lang.ProcessHandle.current().pid()
    try:
        with warehouse_lock(settings.warehouse, name, jvm_pid):
            job = Job(name, spark, settings, vars(args))
            if undone := job.tables.undo_unpublished() if outer is None else []:
                job.progress(f"undid what an earlier run had left half done in {', '.join(undone)}")
            job._record("started")
            try:
                yield job
                job.publish()
            except BaseException as error:
                job._record(RUN_STATUS.get(getattr(error, "exit_code", 4), "failed"))
                raise
            job._record("skipped" if job.skipped else "succeeded")
            if not quiet:
                job._last_line()
    finally:
        if outer is None:
            spark.stop()


@contextmanager
def published_tables(args: argparse.Namespace) -> Iterator[Tables]:
    """The tables as they are published, for a job that only reads: it takes no lock and leaves no row in the ledger."""
    settings = load_settings(**{key: getattr(args, key, None) for key in Settings.model_fields})
    outer = SparkSession.getActiveSession()
    spark = spark_session(settings)
    try:
        yield Tables(spark, settings.warehouse)
    finally:
        if outer is None:
            spark.stop()


def run(main: Callable[[], int | None]) -> int:
    """Call a job's ``main``; every end becomes an exit code and, where it is not 0, one line on stderr.

    The message of an unforeseen error may quote a record, so only its kind is printed; SALUS_DEBUG=1 prints
    the whole of it, for a developer on data that may be seen.
    """
    _end_with_spark_submit()
    try:
        return main() or 0
    except SalusError as error:
        print(f"salus: {error}", file=sys.stderr)
        return error.exit_code
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 (the end of the process: it becomes an exit code)
        if os.environ.get("SALUS_DEBUG"):
            traceback.print_exc()
        kind = type(error).__name__
        if isinstance(error, PySparkException) and (condition := error.getCondition()):
            kind = f"{kind} {condition}"
        elif isinstance(error, Py4JError):
            kind = f"{kind} of Spark's JVM"
        where = traceback.extract_tb(error.__traceback__)[-1]
        print(
            f"salus: received an unforeseen {kind} at {os.path.basename(where.filename)}:{where.lineno}; "
            "expected the job to end well. Nothing half done is visible; set SALUS_DEBUG=1 to see all of it "
            "(it may quote patients' data).",
            file=sys.stderr,
        )
        return 4


def _end_with_spark_submit():
    """Have the kernel end this process when ``spark-submit``'s JVM, its parent, is killed: it could do no more work,
    but would hold the warehouse's lock."""
    if os.environ.get("PYSPARK_GATEWAY_PORT"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _readable(value):
    if isinstance(value, float):
        return f"{value:,.3f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
