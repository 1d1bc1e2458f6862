"""Delivery: a task's scores under the site's own identifiers, in a protected file outside the warehouse.

Pseudonyms can't be acted on. The site hands in its own list, which is hashed here and looked up; no identifier goes
through Spark, into a table or a log. Who asked is written down before the file is.
"""

import csv
import os
import pwd
import stat
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from salus.errors import EnvironmentFault, Refused
from salus.job import Job
from salus.privacy.people import candidates
from salus.storage.ledger import now
from salus.storage.lock import local_folder
from salus.storage.small import small_frame

NEEDED = ("system", "identifier")
SCORE = (
    "probability",
    "probability_low",
    "probability_high",
    "estimate",
    "estimate_unit",
    "percentile",
    "tier",
    "not_scored_reason",
    "model_name",
    "model_version",
)
UNKNOWN, AMBIGUOUS, NOT_ELIGIBLE = "not in the warehouse", "several people carry it", "not eligible"
"""Why a patient on the list has no row of the night."""


def deliver(job: Job, patients: Path, out: Path, task_id: str, as_of: date, key: bytes, site: str) -> Path:
    """Write the worklist of ``patients`` for a night; returns its file.

    Args:
        job: the run.
        patients: CSV with the columns system and identifier; further ones are carried through.
        out: folder of the worklist, made where there is none: outside the warehouse, its owner's alone.
        task_id: a task.
        as_of: a night that was scored.
        key: the site's key.
        site: the site whose identifiers they are.

    Raises:
        Refused: the list or the folder is not as it should be, or the night was not scored.
        EnvironmentFault: the file cannot be written.
    """
    folder = protected(out, job.tables.warehouse)
    columns, rows = read_list(patients)
    night = job.tables.read("scores").where((F.col("task_id") == task_id) & (F.col("as_of") == F.lit(as_of)))
    if night.isEmpty():
        raise Refused(
            f"Received the task {task_id} as of {as_of}, which has no scores; expected a night that was scored. "
            "Score it first, or name another."
        )
    found = looked_up(job, rows, night, key, site)
    scored = sum(1 for row in found.values() if row.get("probability") is not None or row.get("estimate") is not None)
    log = {
        "run_id": job.run_id,
        "at": now(),
        "user_name": user_name(),
        "task_id": task_id,
        "as_of": as_of,
        "rows_asked": len(rows),
        "rows_scored": scored,
    }
    job.tables.append("disclosures", job.tables.frame("disclosures", [log]))
    job.publish()
    path = folder / f"{task_id}-{as_of}.csv"
    write(path, columns, rows, found)
    job.count(patients=len(rows), scored=scored)
    return path


def protected(out: Path, warehouse: str) -> Path:
    """``out`` as a folder that its owner alone may enter.

    Raises:
        Refused: it lies in the warehouse, or others may enter it.
        EnvironmentFault: it cannot be made.
    """
    inside = local_folder(warehouse)
    folder = out.resolve()
    if inside is not None and (folder == inside.resolve() or inside.resolve() in folder.parents):
        raise Refused(
            f"Received the folder {out}, which lies in the warehouse; expected one outside it, because what is written "
            "there names people. Name another folder."
        )
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    except OSError as error:
        raise EnvironmentFault(
            f"Received the folder {out}, which cannot be made ({error.strerror}); expected one that can. Name another."
        ) from error
    if stat.S_IMODE(found.st_mode) & 0o077 or found.st_uid != os.getuid():
        raise Refused(
            f"Received the folder {out}, which others than you may enter; expected one of yours with mode 0700. "
            "Take their rights away (chmod 700), or name a folder that is not there yet."
        )
    return folder


def read_list(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """The columns and rows of the CSV file ``path``.

    Raises:
        Refused: it cannot be read, lacks a column, or has a row of another length; the line is named, no value.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            columns = [name.strip() for name in next(reader, [])]
            missing = [name for name in NEEDED if name not in columns]
            if missing or len(set(columns)) != len(columns):
                raise Refused(
                    f"Received the list {path}, which lacks {' and '.join(missing) or 'one name for each column'}; "
                    "expected a CSV file with the columns system and identifier. Mend its first line."
                )
            rows = list(_rows(reader, columns, path))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Refused(
            f"Received the list {path}, which cannot be read ({type(error).__name__}); expected a CSV file in UTF-8. "
            "Name the right file."
        ) from error
    if not rows:
        raise Refused(f"Received the list {path}, which names nobody; expected at least one row. Name the right file.")
    return columns, rows


def _rows(reader, columns: Sequence[str], path: Path) -> Iterator[dict[str, str]]:
    for values in reader:
        if not values:
            continue
        row = dict(zip(columns, values))
        if len(values) != len(columns) or not (row["system"].strip() and row["identifier"].strip()):
            raise Refused(
                f"Received line {reader.line_num} of the list {path}, which has not {len(columns)} values, or no "
                "system or identifier; expected both on every line. Mend that line; nothing was delivered."
            )
        yield row


def looked_up(job: Job, rows: Sequence[dict[str, str]], night: DataFrame, key: bytes, site: str) -> dict[int, dict]:
    """For each of ``rows``, by number, its score's columns, or ``not_scored_reason`` alone."""
    pseudonyms = [
        (number, one)
        for number, row in enumerate(rows)
        for one in candidates(key, site, row["system"].strip(), row["identifier"])
    ]
    asked = small_frame(job.spark, pseudonyms, "number long, identifier_id long")
    today = job.tables.read("identity").where("known_until IS NULL").select("source_subject_id", "subject_id")
    people = (
        asked.join(job.tables.read("links").select("identifier_id", "source_subject_id"), "identifier_id")
        .join(today, "source_subject_id")
        .groupBy("number")
        .agg(F.min("subject_id").alias("subject_id"), F.count_distinct("subject_id").alias("people"))
    )
    reasons = F.transform(
        "reasons", lambda one: F.struct(*[one[name] for name in ("feature", "value", "unit", "direction")])
    )
    scores = night.select("subject_id", *SCORE, reasons.alias("reasons"))
    found: dict[int, dict] = {number: {"not_scored_reason": UNKNOWN} for number in range(len(rows))}
    for row in people.join(scores.withColumn("is_eligible", F.lit(True)), "subject_id", "left").collect():
        if row["people"] > 1:
            found[row["number"]] = {"not_scored_reason": AMBIGUOUS}
        elif row["is_eligible"]:
            found[row["number"]] = row.asDict(recursive=True)
        else:
            found[row["number"]] = {"not_scored_reason": NOT_ELIGIBLE}
    return found


def write(path: Path, columns: Sequence[str], rows: Sequence[dict[str, str]], found: dict[int, dict[str, Any]]) -> None:
    """Put the worklist at ``path`` at once, the highest percentile first; its owner alone may read it.

    Raises:
        EnvironmentFault: it cannot be written.
    """
    own = [name for name in (*SCORE, "reasons") if name not in columns]
    order = sorted(found, key=lambda number: (-(found[number].get("percentile") or -1), number))
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([*columns, *own])
            for number in order:
                score = found[number] | {"reasons": told(found[number].get("reasons"))}
                writer.writerow([*rows[number].values(), *(_text(score.get(name)) for name in own)])
        os.replace(temporary, path)
    except OSError as error:
        raise EnvironmentFault(
            f"Received {path} for the worklist, which cannot be written ({error.strerror}); expected a disk that can. "
            "The disclosure is logged; deliver again."
        ) from error


def told(reasons: Sequence[dict] | None) -> str:
    """Reasons in one line: what, its value, and whether it raises or lowers."""
    parts = []
    for one in reasons or ():
        value = [] if one["value"] is None else [f"{one['value']:g}", *filter(None, [one["unit"]])]
        parts.append(" ".join([one["feature"], *value, f"({one['direction']})"]))
    return "; ".join(parts)


def user_name() -> str:
    """The operating system's user, by number where it has no name: what the environment says can be anything."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _text(value) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
