"""Importances: what the model goes by over everybody, and how what it tells moves with what matters most."""

from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import functions as F

from salus.report import plots, words
from salus.report.page import Block, Missing, Plot, Section, Table, Text
from salus.report.told import PROBABILITY, Told
from salus.storage.tables import Tables

TITLE = "What does it go by?"
SHOWN, IN_PLOT = 25, 12
Row = Mapping[str, Any]


def explained(tables: Tables, task_id: str, model_version: str | None) -> list[Row]:
    """The first ``SHOWN`` rows of table ``importances`` about that model; none where it was not explained."""
    if tables.version("importances") is None:
        return []
    of_model = (F.col("task_id") == task_id) & (F.col("model_version") == model_version)
    found = tables.read("importances").where(of_model & (F.col("rank") <= SHOWN)).orderBy("rank")
    return [row.asDict() for row in found.collect()]


def importances_section(rows: Sequence[Row], told: Told = PROBABILITY) -> Section:
    """The list of what contributes most, and a plot of each feature whose dependence was looked at."""
    question = (
        "Over people held out, by the contributions that are each person's reasons. Of features that tell the same, "
        "each has a part. What a score goes by is no cause: to change it need not change the risk."
    )
    if not rows:
        return Section("importances", TITLE, question, [Missing("Importances", "explain")])
    return Section("importances", TITLE, question, [_sizes(rows, told), *_dependences(rows, told), _table(rows)])


def _sizes(rows: Sequence[Row], told: Told) -> Block:
    shown = rows[:IN_PLOT]
    names, sizes = [row["feature"] for row in shown], [row["contribution"] for row in shown]
    figure = plots.bars(names, sizes, [words.number(size, 3) for size in sizes], f"mean size on {told.scale}")
    return Plot(
        figure,
        f"What contributes most, of {words.count(shown[0]['rows'])} predictions of "
        f"{words.count(shown[0]['people'])} people.",
    )


def _dependences(rows: Sequence[Row], told: Told) -> list[Block]:
    curves = [row for row in rows if row["dependence_x"]]
    if not curves:
        return []
    said = Text(
        f"How the {told.column} moves: what it would be on average if everybody of whom the feature is known had its "
        "value and all else stayed as it is. The band holds the middle four fifths of predictions."
    )
    return [said, *(Plot(_dependence(row, told), row["feature"], half=True) for row in curves)]


def _dependence(row: Row, told: Told):
    figure = plots.plain(260, x=row["unit"] or "", y=told.axis)
    values = row["dependence_x"]
    for side, fill in (("low", None), ("high", "tonexty")):
        figure.add_scatter(
            x=values,
            y=row[f"dependence_{side}"],
            mode="lines",
            line={"width": 0, "color": plots.SKY},
            fill=fill,
            fillcolor="rgba(86, 180, 233, 0.25)",
            hoverinfo="skip",
        )
    figure.add_scatter(
        x=values,
        y=row["dependence_y"],
        mode="lines+markers",
        line={"color": plots.BLUE},
        hovertemplate="%{x:.4~g}: %{y:" + told.tick_format + "}<extra></extra>",
    )
    figure.update_yaxes(tickformat=told.tick_format, rangemode="tozero")
    return figure


def _table(rows: Sequence[Row]) -> Table:
    columns = ("Feature", "Code", "Mean size (95 % interval)", "Raises the score", "Among the reasons")
    cells = [
        (
            row["feature"],
            row["code"],
            words.interval(row["contribution"], row["low"], row["high"]),
            words.percent(row["raises"], 0),
            words.percent(row["among_reasons"], 0),
        )
        for row in rows
    ]
    return Table(
        "Where it raises the score, of the predictions that it moves; how often it is one of a person's reasons",
        columns,
        cells,
        numeric=columns[2:],
    )
