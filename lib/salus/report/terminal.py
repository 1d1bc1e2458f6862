"""Terminal: the table that a demo or a night ends with, read from the tables and the ledger alone."""

import json
from datetime import date

from pyspark.sql import functions as F

from salus.cohorts.label import KINDS
from salus.report.intake import intake
from salus.report.measured import MODELS, measures
from salus.report.night import night
from salus.report.phases import phases
from salus.report.words import ABSENT, count, interval, number
from salus.storage.tables import Tables

LABEL = 16
HAS_LABEL = " OR ".join(f"{kind.column} IS NOT NULL" for kind in KINDS.values())


def summary(tables: Tables, task_id: str, as_of: date) -> str:
    """The end table of ``task_id`` as of ``as_of``: lines of text, without a last newline."""
    came_in, scoring = intake(tables), night(tables, task_id, as_of)
    measured, _ = measures(tables, task_id, scoring.model_version if scoring else None)
    lines = [_line("files", count(came_in.files if came_in else None))]
    lines += [
        _line(label, count(came_in.total(figure) if came_in else None))
        for label, figure in (("records read", "read"), ("accepted", "accepted"), ("quarantined", "quarantined"))
    ]
    lines += [
        _line("people", count(_rows(tables, "timelines"))),
        _line("events", count(_rows(tables, "events"))),
        _line("training rows", count(training_rows(tables, task_id))),
    ]
    of_kinds = {"r_squared": "R²", "c_index": "C-index"}
    metric = next((each for each in of_kinds if ("model", each) in measured), "auroc")
    title = of_kinds.get(metric, "AUROC")
    for name in MODELS[:2] if metric in of_kinds else MODELS:
        found = measured.get((name, metric))
        over_truth = measured.get((name, "auroc_over_truth"))
        lines.append(
            _line(
                f"{title} {name}",
                (interval(found.value, found.low, found.high) if found else ABSENT)
                + (f"   {number(over_truth.value)} over the true probabilities" if over_truth else ""),
            )
        )
    lines += [
        _line(label, count(getattr(scoring, figure) if scoring else None))
        for label, figure in (("eligible", "eligible"), ("scored", "scored"), ("not scored", "not_scored"))
    ]
    took = phases(tables, task_id, as_of)
    lines.append(_line("seconds", " · ".join(f"{phase.name} {phase.latest_seconds:.1f}" for phase in took) or ABSENT))
    lines.append(_line("report", report_path(tables, task_id, as_of) or ABSENT))
    return "\n".join(lines)


def training_rows(tables: Tables, task_id: str) -> int | None:
    """Labelled rows of the training split; None where there is no cohort yet."""
    if tables.version(f"cohorts/{task_id}") is None:
        return None
    cohort = tables.read(f"cohorts/{task_id}")
    return cohort.where((F.col("split") == "train") & F.expr(HAS_LABEL)).count()


def report_path(tables: Tables, task_id: str, as_of: date) -> str | None:
    """Where the newest report of ``task_id`` as of ``as_of`` was written, by the ledger."""
    newest = (
        tables.read("runs")
        .where((F.col("job") == "report") & (F.col("status") == "succeeded"))
        .where(
            (F.get_json_object("arguments", "$.task") == task_id)
            & (F.get_json_object("arguments", "$.as_of") == str(as_of))
        )
        .orderBy(F.desc("at"))
        .limit(1)
        .head()
    )
    return json.loads(newest["figures"]).get("report") if newest else None


def _rows(tables, name):
    return None if tables.version(name) is None else tables.read(name).count()


def _line(label, figure):
    return f"  {label:<{LABEL}} {figure}"
