"""The ledger: each run's start and end, what it counted, and whether equal work was already done."""

import hashlib
import json
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from pyspark.sql import functions as F

import salus
from salus.storage.tables import Tables


@dataclass(frozen=True)
class Done:
    """A run that succeeded: its id, the work that it did, and what it counted."""

    run_id: str
    work_key: str
    figures: dict[str, Any]


@cache
def code_version() -> str:
    """Salus's version, and the commit where it runs from a checkout."""
    try:
        commit = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short=12", "HEAD"],
            capture_output=True,
            text=True,
            check=True,
            timeout=5,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return salus.__version__
    return f"{salus.__version__}+{commit}"


def work_key(slot: dict, work: dict) -> str:
    """A name for the place that a run fills (``slot``) and for the work that fills it (``work``)."""
    return f"{_hash(slot)}:{_hash(work)}"


def last_done(tables: Tables, key: str) -> Done | None:
    """The last success in ``key``'s slot, whatever work it did."""
    if tables.version("runs") is None:
        return None
    slot = key.partition(":")[0]
    succeeded = tables.read("runs").where(F.col("status") == "succeeded")
    [[last]] = (
        succeeded.where(F.col("work_key").startswith(f"{slot}:"))
        .agg(F.max_by(F.struct("run_id", "work_key", "figures"), "at"))
        .collect()
    )
    return last and Done(last["run_id"], last["work_key"], json.loads(last["figures"] or "{}"))


def published_by(tables: Tables, run_id: str) -> dict[str, int] | None:
    """The version of each table as run ``run_id`` left the warehouse; None where no snapshot is kept of it."""
    own = tables.read("snapshots").where(F.col("run_id") == run_id)
    [[versions]] = own.agg(F.max_by("versions", "published_at")).collect()
    return versions


def write_run(tables: Tables, run: dict) -> None:
    """Append one row of ``run`` (a mapping of columns) to the ledger."""
    tables.append("runs", tables.frame("runs", [run | {"at": now(), "code_version": code_version()}]))


def now() -> datetime:
    """Now in UTC, without a zone, as every table holds it."""
    return datetime.now(UTC).replace(tzinfo=None)


def _hash(content: dict) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:32]
