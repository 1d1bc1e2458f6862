"""Quantiles: whether as many people lie below each of them as it says, and what knowing them is worth."""

from collections.abc import Sequence

from salus.report import plots, words
from salus.report.estimates import COMPARED
from salus.report.leakage import leakage
from salus.report.measured import Measures, cell
from salus.report.page import Missing, Plot, Section, Table, Text
from salus.report.told import Told

TITLE = "Do the quantiles hold?"
FIGURES = (
    ("d2_pinball", "Pinball loss explained", 3),
    ("pinball_loss", "Pinball loss", 2),
    ("d2_absolute_error", "Absolute error explained, by the median", 3),
    ("mae", "Mean absolute error of the median", 2),
    ("coverage", "Share between the outer quantiles", 3),
    ("width", "Mean width between them", 2),
)


def quantiles_section(measured: Measures, told: Told, levels: Sequence[float]) -> Section:
    """The figures of model and baseline, and the share of people who have at most each quantile."""
    question = (
        f"Quantiles ({told.unit}) on people held out, with 95 % intervals from a bootstrap that draws people, not "
        "rows: how much less they lose than telling everybody the same, and how many people lie below each."
    )
    shown = [name for name in COMPARED if (name, "d2_pinball") in measured]
    if not shown:
        return Section("quantiles", TITLE, question, [Missing("Measured quantiles", "evaluate")])
    blocks = [_in_words(measured, levels), _plot(measured, levels, shown), _table(measured, told, shown)]
    return Section("quantiles", TITLE, question, [*blocks, leakage(measured, "the absolute error explained", "d2")])


def _in_words(measured, levels):
    found, meant = measured["model", "coverage"], levels[-1] - levels[0]
    figure = words.interval(found.value, found.low, found.high, 3)
    is_short = found.high is not None and found.high < meant
    said = "which is less than the model says" if is_short else "which is not less than the model says"
    text = f"{figure} of the labels lie between the outer quantiles, where {meant:g} are meant to: {said}."
    return Text(text, "warning" if is_short else "note")


def _plot(measured, levels, shown):
    figure = plots.plain(360, x="level", y="share who have at most the quantile", legend=True)
    for name in shown:
        found = [measured[name, f"share_at_most: {level:g}"] for level in levels]
        figure.add_scatter(
            x=list(levels),
            y=[each.value for each in found],
            mode="lines+markers",
            name=name,
            line={"color": plots.MODEL_COLOURS[name], "dash": plots.MODEL_DASHES[name], "width": 2},
            marker={"symbol": plots.MODEL_MARKERS[name], "size": 8},
            hovertemplate="meant %{x}, was %{y:.3f}<extra>%{fullData.name}</extra>",
        )
    plots.diagonal(figure, 0, 1)
    return Plot(
        figure, "On the dotted line, as many have at most the quantile as it says; above it, where many are tied."
    )


def _table(measured, told, shown):
    columns = ("", *(name.capitalize() for name in shown))
    rows = [(title, *(cell(measured, name, metric, digits) for name in shown)) for metric, title, digits in FIGURES]
    gained = measured.get(("model", "d2_pinball_over_baseline"))
    if gained is not None:
        more = words.interval(gained.value, gained.low, gained.high)
        rows.append(("Pinball loss explained, model less baseline", more, *[""] * (len(shown) - 1)))
    return Table(f"Quantiles on people held out ({told.unit}; 95 % intervals)", columns, rows, numeric=columns[1:])
