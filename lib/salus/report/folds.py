"""Folds: whether the network is worth more than trees, and how far its figures move with the people."""

from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import functions as F

from salus.evaluation.contest import Contest, contest_by
from salus.evaluation.folds import suspected_of
from salus.report import plots, words
from salus.report.page import Block, Plot, Section, Table, Text
from salus.storage.tables import Tables

TITLE = "Is the network worth more than trees?"
Row = Mapping[str, Any]


def cross_validated(tables: Tables, task_id: str) -> list[Row]:
    """The rows of table ``folds`` about ``task_id``; none where it was never cross-validated."""
    if tables.version("folds") is None:
        return []
    return [row.asDict() for row in tables.read("folds").where(F.col("task_id") == task_id).collect()]


def folds_section(rows: Sequence[Row]) -> list[Section]:
    """One section with how every model ranks by fold and its means; none where there are no rows."""
    if not rows:
        return []
    contest = contest_by(rows)
    over_all = {(row["model_name"], row["metric"]): row for row in rows if row["fold"] is None}
    folds = len({row["fold"] for row in rows} - {None})
    question = (
        f"Every model, fitted anew on all but one of {folds} folds of people and measured on the one left out "
        f"({words.count(over_all['model', contest.ranked_by]['people'])} people in all)."
    )
    suspected = suspected_of(rows)
    shown: list[Block] = [_in_words(contest, over_all), _plot(contest, rows), _table(contest, over_all)]
    if suspected:
        shown.insert(0, Text(f"{suspected[0].upper()}{suspected[1:]}.", "warning"))
    return [Section("folds", TITLE, question, shown)]


def _name(model: str) -> str:
    return model.replace("_", " ").capitalize().replace("svm", "SVM")


def _in_words(contest: Contest, over_all: Mapping[tuple[str, str], Row]) -> Text:
    row, heading = over_all["model", contest.over("boosted_trees")], contest.metrics[contest.ranked_by]
    gained = f"{words.signed(row['value'], 3)} ({words.signed(row['low'], 3)} to {words.signed(row['high'], 3)})"
    verdict = "above" if row["low"] > 0 else "below" if row["high"] < 0 else "not to be told from"
    kind = "warning" if row["high"] < 0 else "note"
    return Text(f"{heading}: the model's is {verdict} that of boosted trees; difference {gained}.", kind)


def _plot(contest: Contest, rows: Sequence[Row]) -> Plot:
    heading = contest.metrics[contest.ranked_by]
    figure = plots.plain(plots.height_of(len(contest.models)), x=heading)
    measured = [row for row in rows if row["metric"] == contest.ranked_by and row["fold"] is not None]
    figure.add_scatter(
        x=[row["value"] for row in measured],
        y=[_name(row["model_name"]) for row in measured],
        mode="markers",
        marker={"color": plots.BLUE, "size": 9, "opacity": 0.6},
        hovertemplate="%{y}: %{x:.3f}<extra></extra>",
        showlegend=False,
    )
    figure.update_yaxes(categoryorder="array", categoryarray=[_name(each) for each in reversed(contest.models)])
    return Plot(figure, f"{heading} of each model, a dot a fold.")


def _table(contest: Contest, over_all: Mapping[tuple[str, str], Row]) -> Table:
    columns = ("Model", *contest.metrics.values())
    rows = []
    for model in contest.models:
        cells = [over_all.get((model, metric)) for metric in contest.metrics]
        shown = ["" if cell is None else f"{cell['value']:.3f} ± {cell['spread']:.3f}" for cell in cells]
        rows.append((_name(model), *shown))
    return Table("Mean and standard deviation over the folds", columns, rows, numeric=columns[1:])
