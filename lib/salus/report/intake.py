"""Intake: what came in and what was refused, a line each source and record type."""

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import functions as F

from salus.report import plots, words
from salus.report.page import Missing, Plot, Section, Table, Text
from salus.storage.tables import Tables

TITLE = "What came in, and what was refused"
ONE_TYPE, ALL_TYPES = 0b00, 0b11
"""Spark's grouping_id of a rollup's finest and coarsest rows; a file of several record types counts once in all."""


@dataclass(frozen=True)
class Delivered:
    """What the files of one source and record type held, in records."""

    source: str
    record_type: str
    files: int
    read: int
    accepted: int
    quarantined: int
    unchanged: int
    events: int


@dataclass(frozen=True)
class Refusal:
    """How many records of a source broke one rule first."""

    source: str
    record_type: str
    rule: str
    reason: str
    records: int


@dataclass(frozen=True)
class Intake:
    """Everything that was delivered, and why some of it was refused."""

    files: int
    delivered: Sequence[Delivered]
    refusals: Sequence[Refusal]

    def total(self, name: str) -> int:
        """The sum of a figure of ``Delivered`` over all sources."""
        return sum(getattr(row, name) for row in self.delivered)

    @property
    def refused(self) -> int:
        """Quarantine rows, which must equal the files' own count."""
        return sum(row.records for row in self.refusals)


def intake(tables: Tables) -> Intake | None:
    """What the warehouse took in; None where nothing was ever ingested."""
    rows = (
        tables.read("ingested_files")
        .rollup("source", "record_type")
        .agg(
            F.grouping_id().alias("over"),
            F.countDistinct("file_id").alias("files"),
            *(
                F.sum(column).alias(column)
                for column in ("rows_read", "rows_accepted", "rows_quarantined", "rows_unchanged", "events_written")
            ),
        )
        .orderBy("source", "record_type")
        .limit(500)
        .collect()
    )
    by_type = [row for row in rows if row["over"] == ONE_TYPE]
    if not by_type:
        return None
    by_rule = (
        tables.read("quarantine")
        .groupBy("source", "record_type", "rule")
        .agg(F.first("reason").alias("reason"), F.count(F.lit(1)).alias("records"))
        .orderBy(F.desc("records"), "source", "record_type", "rule")
        .limit(500)
        .collect()
    )
    return Intake(
        next(row["files"] for row in rows if row["over"] == ALL_TYPES),
        [
            Delivered(
                row["source"],
                row["record_type"],
                row["files"],
                row["rows_read"],
                row["rows_accepted"],
                row["rows_quarantined"],
                row["rows_unchanged"],
                row["events_written"],
            )
            for row in by_type
        ],
        [
            Refusal(row["source"], row["record_type"], row["rule"], row["reason"] or "", row["records"])
            for row in by_rule
        ],
    )


def intake_section(found: Intake | None) -> Section:
    """What came in and what was refused."""
    question = "Every record of every file ends in one of two places: accepted, or in quarantine under a named rule."
    if found is None:
        return Section("intake", TITLE, question, [Missing("What came in", "ingest")])
    return Section(
        "intake",
        TITLE,
        question,
        [
            _statement(found),
            _plot(found),
            _table(found),
            *_rules(found),
        ],
    )


def _statement(found):
    read, accepted, quarantined = found.total("read"), found.total("accepted"), found.total("quarantined")
    sentence = (
        f"{words.count(read)} records read = {words.count(accepted)} accepted + "
        f"{words.count(quarantined)} quarantined ({words.percent(quarantined / read if read else 0, 2)})."
    )
    if read != accepted + quarantined:
        return Text(
            f"{sentence} The two sides differ: {words.count(read - accepted - quarantined)} records are "
            "unaccounted for. Do not use this run.",
            "warning",
        )
    if found.refused != quarantined:
        return Text(
            f"{sentence} But quarantine holds {words.count(found.refused)} rows. Do not use this run.", "warning"
        )
    return Text(f"{sentence} Quarantine holds a row for each of them, under the first rule that it broke.", "note")


def _plot(found):
    names = [plots.wrapped(f"{row.source} · {row.record_type}") for row in found.delivered]
    figure = plots.plain(plots.height_of(len(names)) + 56, legend=True)
    figure.set_subplots(rows=1, cols=2, shared_yaxes=True, column_widths=[0.6, 0.4], horizontal_spacing=0.06)
    figure.add_bar(
        orientation="h",
        name="accepted",
        y=names,
        x=[row.accepted for row in found.delivered],
        marker_color=plots.BLUE,
        text=[words.count(row.accepted) for row in found.delivered],
        textposition="auto",
        hovertemplate="%{y}: %{x:,} accepted<extra></extra>",
        row=1,
        col=1,
    )
    figure.add_bar(
        orientation="h",
        name="quarantined",
        y=names,
        x=[row.quarantined for row in found.delivered],
        marker={
            "color": plots.VERMILLION,
            "pattern": {"shape": "/", "fgcolor": "white", "size": 5, "fillmode": "overlay"},
        },
        text=[words.count(row.quarantined) for row in found.delivered],
        textposition="auto",
        hovertemplate="%{y}: %{x:,} quarantined<extra></extra>",
        row=1,
        col=2,
    )
    plots.dressed(figure)
    figure.update_layout(barmode="overlay")
    figure.update_yaxes(autorange="reversed", gridcolor="rgba(0,0,0,0)", ticks="")
    figure.update_xaxes(title_text="records accepted", row=1, col=1)
    figure.update_xaxes(title_text="records quarantined (another scale)", row=1, col=2)
    return Plot(
        figure,
        "Records accepted and quarantined, by source and record type. "
        "The right half has a scale of its own, since refusals are few.",
    )


def _table(found):
    columns = ("Source", "Record type", "Files", "Read", "Accepted", "Quarantined", "Unchanged", "Events")
    return Table(
        "Records by source and record type",
        columns,
        [
            (
                row.source,
                row.record_type,
                *map(words.count, (row.files, row.read, row.accepted, row.quarantined, row.unchanged, row.events)),
            )
            for row in found.delivered
        ],
        numeric=columns[2:],
        total=(
            "All",
            "",
            words.count(found.files),
            *(words.count(found.total(name)) for name in ("read", "accepted", "quarantined", "unchanged", "events")),
        ),
    )


def _rules(found):
    if not found.refusals:
        return [Text("No record was refused.")]
    return [
        Table(
            "Refused records by the first rule that they broke",
            ("Rule", "Source", "Record type", "Records", "What it asks"),
            [(row.rule, row.source, row.record_type, words.count(row.records), row.reason) for row in found.refusals],
            numeric=("Records",),
            total=("All", "", "", words.count(found.refused), ""),
        )
    ]
