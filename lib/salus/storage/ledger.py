"""The ledger: each run's start and end, what it counted, and whether equal work was already done."""

import hashlib
import json
import subprocess
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from pyspark.sql import functions as F

import salus
from salus.storage.tables import Tables


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


def done_before(tables: Tables, key: str) -> dict | None:
    """The figures of the last success in ``key``'s slot, where it did exactly the same work; else None."""
    if tables.version("runs") is None:
        return None
    slot = key.partition(":")[0]
    succeeded = tables.read("runs").where(F.col("status") == "succeeded")
    [[last]] = (
        succeeded.where(F.col("work_key").startswith(f"{slot}:"))
        .agg(F.max_by(F.struct("work_key", "figures"), "at"))
        .collect()
    )
    return json.loads(last["figures"] or "{}") if last is not None and last["work_key"] == key else None


def write_run(tables: Tables, run: dict) -> None:
    """Append one row of ``run`` (a mapping of columns) to the ledger."""
    tables.append("runs", tables.frame("runs", [run | {"at": now(), "code_version": code_version()}]))


def now() -> datetime:
    """Now in UTC, without a zone, as every table holds it."""
    return datetime.now(UTC).replace(tzinfo=None)


def _hash(content: dict) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:32]
