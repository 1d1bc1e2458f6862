"""Refits: how much of a person's score is chance."""

from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import functions as F

from salus.evaluation.contest import contest_by
from salus.report import plots, words
from salus.report.page import Plot, Section, Table, Text
from salus.report.told import Told
from salus.storage.tables import Tables

TITLE = "How much of a score is chance?"
FIGURES = (
    ("mape", "{} moves by, on average", 4),
    ("spread_p50", "Half of the people: standard deviation at most", 4),
    ("spread_p90", "90 % of the people: at most", 4),
    ("spread_p99", "99 % of the people: at most", 4),
    ("tier_changed", "Share of people in another tier", 3),
    ("top_tier_kept", "Share of the highest tier who stay in it", 3),
)
Row = Mapping[str, Any]


def refitted(tables: Tables, task_id: str, model_version: str | None) -> list[Row]:
    """The rows of table ``refits`` about that model of ``task_id``; none where it was never refitted."""
    if tables.version("refits") is None:
        return []
    of_model = (F.col("task_id") == task_id) & (F.col("model_version") == model_version)
    return [row.asDict() for row in tables.read("refits").where(of_model).collect()]


def refits_section(rows: Sequence[Row], told: Told) -> list[Section]:
    """One section with what changes when only the seed does; none where there are no rows."""
    if not rows:
        return []
    found = {row["metric"]: row for row in rows if row["band"] is None}
    question = (
        f"The same model, trained anew {rows[0]['refits']} times on the same people with other seeds, and "
        f"{words.count(found['mape']['people'])} people held out, each by their last prediction."
    )
    return [Section("refits", TITLE, question, [_in_words(found), _plot(rows, told), _table(rows, found, told)])]


def _in_words(found):
    changed, kept = found["tier_changed"], found.get("top_tier_kept")
    said = f"With another seed, {words.percent(changed['value'])} of the people would be in another tier"
    stay = f"; of the highest tier, {words.percent(kept['value'])} stay in it" if kept else ""
    return Text(f"{said}{stay}. Who is near a tier's bound is there by chance.", "note")


def _plot(rows, told):
    bands = {(row["metric"], row["band"]): row["value"] for row in rows if row["band"] is not None}
    numbers = sorted({band for _, band in bands})
    told_in, moves_in = (told.tick_format, told.tick_format) if told.unit else (".1%", ".2%")
    figure = plots.plain(360, x=f"mean {told.axis}, of a tenth of the people", y="standard deviation", legend=True)
    for metric, name, colour in (
        ("spread_p90", "90 % at most", plots.GREY),
        ("spread_p50", "half at most", plots.BLUE),
    ):
        figure.add_scatter(
            x=[bands["told", number] for number in numbers],
            y=[bands[metric, number] for number in numbers],
            mode="lines+markers",
            name=name,
            line={"color": colour},
            hovertemplate=f"told %{{x:{told_in}}}: moves by %{{y:{moves_in}}}<extra></extra>",
        )
    figure.update_xaxes(tickformat=told.tick_format, rangemode="tozero")
    figure.update_yaxes(tickformat=told.tick_format if told.unit else ".1%", rangemode="tozero")
    return Plot(figure, f"How far a person's {told.column} moves between refits, by how high it is.")


def _table(rows, found, told):
    columns = ("Over the refits", "Mean", "Lowest", "Highest")
    name = told.column.capitalize() + (f" ({told.unit})" if told.unit else "")
    figures = [(metric, title.format(name), digits) for metric, title, digits in FIGURES]
    figures += [(metric, heading, 3) for metric, heading in contest_by(rows).metrics.items()]
    lines = [
        (title, *(words.number(found[metric][name], digits) for name in ("value", "lowest", "highest")))
        for metric, title, digits in figures
        if metric in found
    ]
    return Table("What another seed changes", columns, lines, numeric=columns[1:])
