"""Attrition: how the cohort came about, step by step, in person and prediction-time pairs."""

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
from pyspark.sql import functions as F

from salus.report import plots, words
from salus.report.page import Missing, Plot, Section, Table
from salus.storage.tables import Tables

TITLE = "Who is in the cohort"


@dataclass(frozen=True)
class Step:
    """One criterion, and what it left; ``events_left`` is None where labels are not known yet."""

    criterion: str
    before: int
    lost: int
    people_left: int
    events_left: int | None

    @property
    def left(self) -> int:
        """Pairs left after the step."""
        return self.before - self.lost


def attrition(tables: Tables, task_id: str) -> list[Step]:
    """The steps of ``task_id``'s cohort in their order; empty where it was not made yet."""
    rows = tables.read("attrition").where(F.col("task_id") == task_id).orderBy("step").limit(200).collect()
    return [
        Step(row["criterion"], row["rows_before"], row["rows_lost"], row["people_left"], row["events_left"])
        for row in rows
    ]


def attrition_section(steps: Sequence[Step]) -> Section:
    """The table and the funnel of ``steps``."""
    question = (
        "One row is one person at one prediction time. Who is eligible follows from what was available at that "
        "time; whether there is a label, from what is known today."
    )
    if not steps:
        return Section("attrition", TITLE, question, [Missing("The cohort", "cohort")])
    return Section("attrition", TITLE, question, [_funnel(steps), _table(steps)])


def _funnel(steps):
    names, left = [step.criterion for step in steps], [step.left for step in steps]
    if steps[0].lost:
        names, left = ["everybody at every prediction time", *names], [steps[0].before, *left]
    names = [plots.wrapped(name, 62) for name in names]
    lines = max(name.count("<br>") + 1 for name in names)
    figure = plots.plain(48 + len(names) * (12 + 17 * lines))
    figure.add_trace(
        go.Funnel(
            y=names,
            x=left,
            textinfo="text",
            text=[f"{words.count(rows)} ({words.percent(rows / left[0] if left[0] else None, 0)})" for rows in left],
            marker={"color": plots.BLUE},
            textposition="auto",
            connector={"fillcolor": plots.PALE, "line": {"width": 0}},
            hovertemplate="%{y}: %{x:,}<extra></extra>",
        )
    )
    figure.update_layout(margin={"b": 16}, funnelgap=0.25)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(ticks="", gridcolor="rgba(0,0,0,0)")
    return Plot(
        figure, "Pairs of a person and a prediction time that are left after each criterion, and their share of all."
    )


def _table(steps):
    columns = ("Criterion", "Rows before", "Lost", "Rows left", "People left", "Events left", "Events per 100 rows")
    return Table(
        "Attrition",
        columns,
        [
            (
                step.criterion,
                words.count(step.before),
                words.count(step.lost),
                words.count(step.left),
                words.count(step.people_left),
                words.count(step.events_left),
                _rate(step),
            )
            for step in steps
        ],
        numeric=columns[1:],
    )


def _rate(step):
    if step.events_left is None or not step.left:
        return words.ABSENT
    return words.number(100 * step.events_left / step.left, 1)
