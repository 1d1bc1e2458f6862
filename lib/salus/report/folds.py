"""Folds: whether the network is worth more than trees, and how far its figures move with the people."""

from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import functions as F

from salus.evaluation.folds import DIFFERENCE, METRICS, MODELS
from salus.report import plots, words
from salus.report.page import Plot, Section, Table, Text
from salus.storage.tables import Tables

TITLE = "Is the network worth more than trees?"
HEADINGS = {"auroc": "AUROC", "auprc": "AUPRC", "brier": "Brier", "calibration_slope": "Calibration slope"}
NAMES = {name: name.replace("_", " ").capitalize().replace("svm", "SVM") for name in MODELS}
Row = Mapping[str, Any]


def cross_validated(tables: Tables, task_id: str) -> list[Row]:
    """The rows of table ``folds`` about ``task_id``; none where it was never cross-validated."""
    if tables.version("folds") is None:
        return []
    return [row.asDict() for row in tables.read("folds").where(F.col("task_id") == task_id).collect()]


def folds_section(rows: Sequence[Row]) -> list[Section]:
    """One section with every model's AUROC by fold and its means; none where there are no rows."""
    if not rows:
        return []
    over_all = {(row["model_name"], row["metric"]): row for row in rows if row["fold"] is None}
    folds = len({row["fold"] for row in rows} - {None})
    question = (
        f"Every model, fitted anew on all but one of {folds} folds of people and measured on the one left out "
        f"({words.count(over_all['model', 'auroc']['people'])} people in all)."
    )
    return [Section("folds", TITLE, question, [_in_words(over_all), _plot(rows), _table(over_all)])]


def _in_words(over_all):
    row = over_all["model", f"{DIFFERENCE}boosted_trees"]
    gained = f"{words.signed(row['value'], 3)} ({words.signed(row['low'], 3)} to {words.signed(row['high'], 3)})"
    verdict = "above" if row["low"] > 0 else "below" if row["high"] < 0 else "not to be told from"
    kind = "warning" if row["high"] < 0 else "note"
    return Text(f"The model's AUROC is {verdict} that of boosted trees; difference {gained}.", kind)


def _plot(rows):
    figure = plots.plain(plots.height_of(len(MODELS)), x="AUROC")
    measured = [row for row in rows if row["metric"] == "auroc" and row["fold"] is not None]
    figure.add_scatter(
        x=[row["value"] for row in measured],
        y=[NAMES[row["model_name"]] for row in measured],
        mode="markers",
        marker={"color": plots.BLUE, "size": 9, "opacity": 0.6},
        hovertemplate="%{y}: %{x:.3f}<extra></extra>",
        showlegend=False,
    )
    figure.update_yaxes(categoryorder="array", categoryarray=[NAMES[name] for name in reversed(MODELS)])
    return Plot(figure, "AUROC of each model, a dot a fold.")


def _table(over_all):
    columns = ("Model", *(HEADINGS[metric] for metric in METRICS))
    rows = []
    for model in MODELS:
        cells = [over_all.get((model, metric)) for metric in METRICS]
        shown = ["" if cell is None else f"{cell['value']:.3f} ± {cell['spread']:.3f}" for cell in cells]
        rows.append((NAMES[model], *shown))
    return Table("Mean and standard deviation over the folds", columns, rows, numeric=columns[1:])
