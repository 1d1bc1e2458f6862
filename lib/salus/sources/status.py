"""How a warehouse stands: what each source delivered, what is late, and what ran last.

It is read without a lock, through the newest snapshot, so it can be asked at any time, also while a job works.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from pyspark.sql import functions as F

from salus.settings import conf_dir
from salus.sources.declaration import Expected
from salus.sources.expected import timing
from salus.sources.loading import load_source
from salus.storage.tables import Tables

RUNS_SHOWN = 5
TITLES = {
    "source": "source",
    "site": "site",
    "last_delivery": "last delivery",
    "files": "files",
    "records": "records",
    "refused": "refused",
    "next_expected": "next expected",
    "state": "state",
}


@dataclass(frozen=True)
class SourceStatus:
    """What one source delivered to one site, and when more is due; ``site`` is None where nothing ever came."""

    source: str
    site: str | None
    last_delivery: datetime | None
    files: int
    records: int
    refused: int
    next_expected: date | None
    state: str
    days_late: int


@dataclass(frozen=True)
class Status:
    """A warehouse as it stands: its sources, its newest snapshot, and its last runs, newest first."""

    warehouse: str
    sources: Sequence[SourceStatus]
    snapshot: dict[str, Any] | None
    runs: Sequence[dict[str, Any]]

    def as_dict(self) -> dict[str, Any]:
        """Everything, as JSON can hold it once times are written as texts."""
        return asdict(self)

    def as_text(self) -> str:
        """A page for a terminal."""
        return "\n".join([*_sources_text(self.sources), "", _snapshot_text(self.snapshot), "", *_runs_text(self.runs)])


def status(tables: Tables, today: date) -> Status:
    """How the warehouse of ``tables`` stands on ``today``, UTC."""
    delivered = (
        tables.read("ingested_files")
        .groupBy("source", "site")
        .agg(
            F.max("delivered_at").alias("last_delivery"),
            F.count_distinct("file_id").alias("files"),
            F.sum("rows_read").alias("records"),
            F.sum("rows_quarantined").alias("refused"),
        )
        .collect()
    )
    declared = {path.stem: load_source(path.stem).expected for path in sorted((conf_dir() / "sources").glob("*.yml"))}
    sources = sources_status([row.asDict() for row in delivered], declared, today)
    return Status(tables.warehouse, sources, _newest_snapshot(tables), _last_runs(tables))


def sources_status(
    delivered: Sequence[dict[str, Any]], declared: dict[str, Expected | None], today: date
) -> list[SourceStatus]:
    """A line for each source and site that delivered, and for each that is expected to and never did.

    Args:
        delivered: ``source, site, last_delivery, files, records, refused``, one a source and site.
        declared: every source of conf/sources, with what it says of its deliveries.
        today: UTC.
    """
    lines = []
    for row in sorted(delivered, key=lambda row: (row["source"], row["site"])):
        due = timing(declared.get(row["source"]), row["last_delivery"], today)
        lines.append(SourceStatus(**row, next_expected=due.next_expected, state=due.state, days_late=due.days_late))
    heard = {row["source"] for row in delivered}
    silent = [name for name, expected in declared.items() if expected and name not in heard]
    lines += [SourceStatus(name, None, None, 0, 0, 0, None, "never", 0) for name in sorted(silent)]
    return lines


def _newest_snapshot(tables) -> dict[str, Any] | None:
    if tables.version("snapshots") is None:
        return None
    rows = tables.read("snapshots").orderBy(F.desc("published_at")).limit(1).collect()
    return next(({**row.asDict(), "versions": dict(row["versions"])} for row in rows), None)


def _last_runs(tables) -> list[dict[str, Any]]:
    """The newest row of each of the last runs: a run without an end is ``started`` still, or died."""
    if tables.version("runs") is None:
        return []
    newest = (
        tables.read("runs")
        .groupBy("run_id", "job")
        .agg(F.max("at").alias("at"), F.max_by("status", "at").alias("status"), F.max("seconds").alias("seconds"))
        .orderBy(F.desc("at"))
        .limit(RUNS_SHOWN)
    )
    return [row.asDict() for row in newest.collect()]


def _sources_text(sources):
    if not sources:
        return ["Nothing was delivered yet, and no source is expected to."]
    lines = [list(TITLES.values())]
    for one in sources:
        state = f"{one.state}, {one.days_late} days" if one.state == "late" else one.state
        cells = asdict(one) | {"state": state}
        lines.append([_cell(cells[name]) for name in TITLES])
    widths = [max(len(line[column]) for line in lines) for column in range(len(TITLES))]
    right = {list(TITLES).index(name) for name in ("files", "records", "refused")}
    return [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def _snapshot_text(snapshot):
    if snapshot is None:
        return "Nothing is published yet."
    tables = len(snapshot["versions"])
    return f"newest snapshot: {_cell(snapshot['published_at'])} by {snapshot['run_id']}, {tables} tables"


def _runs_text(runs):
    if not runs:
        return ["No job ran yet."]
    return ["last runs:", *(f"  {_cell(run['at'])}  {run['status']:<9}  {run['run_id']}" for run in runs)]


def _cell(value):
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return f"{value:,}" if isinstance(value, int) else str(value)
