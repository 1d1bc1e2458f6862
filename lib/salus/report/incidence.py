"""Incidence: when the event came in each tier beside what was told, and whether who has it first was told more."""

from salus.cohorts.task import Task
from salus.evaluation.survival import OBSERVED, OBSERVED_HIGH, OBSERVED_LOW, TOLD
from salus.report import plots, words
from salus.report.measured import Measures, cell
from salus.report.page import Missing, Plot, Section, Table, Text, label

TITLE = "When does it happen?"
COLOURS = (plots.VERMILLION, plots.ORANGE, plots.BLUE, plots.GREEN, plots.PURPLE, plots.SKY, plots.GREY)
MARKERS = ("circle", "square", "diamond", "x", "triangle-up", "cross", "star")
NAMES = {"model": "Model", "baseline": "Baseline (logistic hazards)"}
FIGURES = (
    ("c_index", "C-index (0.5 = chance)", 3),
    ("integrated_brier", "Integrated Brier (0 = best)", 4),
    ("scaled_integrated_brier", "Scaled (1 = best)", 3),
)


def incidence_section(measured: Measures, task: Task) -> Section:
    """Curves by tier, observed beside told, with their ends in figures; and the C-index beside the baseline's."""
    competing = (
        " Whoever dies before it can no longer have it, and counts so." if task.label.death == "competing" else ""
    )
    question = (
        f"How many people held out had the event by each day of the {task.label.horizon_days} that the prediction is "
        f"about (Aalen-Johansen, with 95 % intervals from a bootstrap that draws people).{competing}"
    )
    shown = [name for name in NAMES if (name, "c_index") in measured]
    if not shown:
        return Section("incidence", TITLE, question, [Missing("Incidence over time", "evaluate")])
    tiers = [tier.name for tier in task.tiers if ("model", f"{OBSERVED}: {tier.name}") in measured]
    blocks = [*_in_words(measured), _curves(measured, tiers), _tiers(measured, tiers), _table(measured, shown)]
    return Section("incidence", TITLE, question, blocks)


def _in_words(measured):
    found = measured.get(("model", OBSERVED))
    if found is None:
        return []
    share = _share(found.value, found.low, found.high)
    return [
        Text(
            f"Of all predictions held out, {share} had the event by the horizon. Whoever left the insurer counts until "
            "then; other figures on this page that are of the horizon are of those who are known there, weighted for "
            "those who left."
        )
    ]


def _curves(measured, tiers):
    figure = plots.plain(440, x="days after the prediction", y="share that had the event", legend=True)
    for rank, tier in enumerate(tiers):
        style = min(rank, len(COLOURS) - 1)
        observed, low, high, told = (
            measured["model", f"{each}: {tier}"] for each in (OBSERVED, OBSERVED_LOW, OBSERVED_HIGH, TOLD)
        )
        colour, name = COLOURS[style], label(tier)
        figure.add_scatter(
            x=[*high.x, *reversed(low.x)],
            y=[*high.y, *reversed(low.y)],
            fill="toself",
            fillcolor=colour,
            opacity=0.15,
            line={"width": 0},
            mode="lines",
            hoverinfo="skip",
            showlegend=False,
        )
        figure.add_scatter(
            x=list(observed.x),
            y=list(observed.y),
            mode="lines",
            line={"color": colour, "width": 2, "shape": "hv"},
            name=f"{name}, observed",
            legendrank=rank,
            hovertemplate="by day %{x}: %{y:.1%}<extra>%{fullData.name}</extra>",
        )
        figure.add_scatter(
            x=list(told.x),
            y=list(told.y),
            mode="lines+markers",
            line={"color": colour, "width": 1.5, "dash": "dash"},
            marker={"symbol": MARKERS[style], "size": 7},
            name=f"{name}, told",
            legendrank=rank,
            hovertemplate="told by day %{x}: %{y:.1%}<extra>%{fullData.name}</extra>",
        )
    figure.update_yaxes(tickformat=".0%", rangemode="tozero")
    figure.update_xaxes(rangemode="tozero")
    return Plot(figure, "Cumulative incidence by tier: solid as it was, with its interval; dashed as it was told.")


def _tiers(measured, tiers):
    columns = ("Tier", "Observed by the horizon", "Told, on average")
    rows = []
    for tier in tiers:
        observed, low, high, told = (
            measured["model", f"{each}: {tier}"].y[-1] for each in (OBSERVED, OBSERVED_LOW, OBSERVED_HIGH, TOLD)
        )
        rows.append((tier, _share(observed, low, high), words.percent(told)))
    return Table("Tiers among people held out (95 % intervals)", columns, rows, numeric=columns[1:], half=True)


def _table(measured, shown):
    columns = ("", *(title for _, title, _ in FIGURES))
    rows = [[NAMES[name], *(cell(measured, name, metric, digits) for metric, _, digits in FIGURES)] for name in shown]
    if gained := measured.get(("model", "c_index_over_baseline")):
        rows.append(["Model less baseline", words.interval(gained.value, gained.low, gained.high), "", ""])
    title = "Whoever has it sooner is told more: people held out (95 % intervals)"
    return Table(title, columns, rows, numeric=columns[1:], half=True)


def _share(value, low, high):
    if low is None or high is None:
        return words.percent(value)
    return f"{words.percent(value)} ({words.number(100 * low, 1)} to {words.number(100 * high, 1)})"
