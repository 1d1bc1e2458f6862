"""Reliability: whether ten in a hundred of those told 10 % have the event, and what leakage would have promised."""

import math

from salus.report import plots, words
from salus.report.leakage import leakage
from salus.report.measured import MEANING, MODELS, Measures, cell
from salus.report.page import Missing, Plot, Section, Table, Text

TITLE = "Do the probabilities hold?"
CURVE, LOWER, UPPER = "calibration_curve", "calibration_curve_low", "calibration_curve_high"
SMOOTH = "calibration_smooth"
LOGARITHMIC_TICKS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
COMPARED = ("model", "baseline")
FIGURES = (
    ("calibration_slope", "Slope (1 = right)", 2),
    ("calibration_intercept", "Intercept (0 = right)", 2),
    ("ici", "Mean error (ICI)", 4),
    ("e50", "Median error (E50)", 4),
    ("e90", "90 % err at most (E90)", 4),
    ("brier", "Brier score (0 = best)", 4),
    ("scaled_brier", "Scaled Brier (1 = best)", 3),
)


def reliability_section(measured: Measures) -> Section:
    """Calibration's curve and figures, and leakage's price."""
    question = "Calibration on people held out: of those told 10 %, about ten in a hundred should have the event."
    shown = [name for name in MODELS if any((name, metric) in measured for metric, _, _ in FIGURES)]
    if not shown:
        return Section("calibration", TITLE, question, [Missing("Calibration", "evaluate")])
    return Section(
        "calibration",
        TITLE,
        question,
        [
            *_in_words(measured),
            *_curve(measured),
            _table(measured, shown),
            *_intervals(measured),
            leakage(measured, "AUROC", "auroc"),
        ],
    )


def _in_words(measured):
    slope = measured.get(("model", "calibration_slope"))
    if slope is None or slope.low is None or slope.high is None:
        return []
    figure = words.interval(slope.value, slope.low, slope.high, 2)
    if slope.low <= 1 <= slope.high:
        return [
            Text(
                f"The calibration slope is {figure}: its interval contains 1, so the probabilities are spread "
                "neither too widely nor too narrowly.",
                "note",
            )
        ]
    said = "too extreme" if slope.high < 1 else "too timid"
    return [
        Text(f"The calibration slope is {figure}: its interval lies off 1, so the probabilities are {said}.", "warning")
    ]


def _intervals(measured):
    """What the interval beside each probability is worth, where the true probability is known."""
    coverage, width = (measured.get(("model", f"interval_{name}")) for name in ("coverage", "width"))
    if coverage is None or width is None or coverage.value is None or width.value is None:
        return []
    return [
        Text(
            f"The interval told beside each probability, on average {words.percent(width.value)} wide, holds the true "
            f"probability of {words.percent(coverage.value)} of these predictions. It covers what it is made of "
            "(docs/tasks.md) and no more: what no record holds moves the truth beyond it.",
            "note",
        )
    ]


def _curve(measured):
    found = [name for name in COMPARED if (name, CURVE) in measured and measured[(name, CURVE)].x]
    if not found:
        return [Missing("The calibration curve", "evaluate")]
    bounds = (
        ", with 95 % intervals"
        if any(plots.error_bars(measured, name, (CURVE, LOWER, UPPER)) for name in found)
        else ""
    )
    is_smooth = any((name, SMOOTH) in measured for name in found)
    smooth = "; the thin line is a smooth curve (lowess) through everybody" if is_smooth else ""
    return [
        Plot(
            _level(measured, found),
            "Calibration curve: groups of about equal size by predicted probability"
            f"{bounds}{smooth}. On the dotted line, what was told is what happened.",
            half=True,
        ),
        Plot(
            _logarithmic(measured, found),
            "The same on logarithmic axes, where most people are. A group in which "
            "nobody had the event has no place here.",
            half=True,
        ),
    ]


def _level(measured, found):
    figure = _groups(measured, found)
    end = min(1.0, 1.05 * _highest(measured, found)) or 1.0
    plots.diagonal(figure, 0, end)
    for update in (figure.update_xaxes, figure.update_yaxes):
        update(range=[0, end], tickformat=".0%")
    return figure


def _logarithmic(measured, found):
    figure = _groups(measured, found)
    seen = [value for name in found for value in (*measured[(name, CURVE)].x, *measured[(name, CURVE)].y) if value > 0]
    low, high = 0.7 * min(seen, default=0.01), min(1.0, 1.4 * max(seen, default=1.0))
    plots.diagonal(figure, low, high)
    ticks = [tick for tick in LOGARITHMIC_TICKS if low <= tick <= high]
    for update in (figure.update_xaxes, figure.update_yaxes):
        update(
            type="log",
            range=[math.log10(low), math.log10(high)],
            tickvals=ticks,
            ticktext=[f"{100 * tick:g}%" for tick in ticks],
        )
    return figure


def _groups(measured, found):
    figure = plots.plain(440, x="predicted probability", y="observed share with the event", legend=True)
    for name in reversed(found):
        curve = measured[(name, CURVE)]
        _smooth(figure, measured, name)
        figure.add_scatter(
            x=list(curve.x),
            y=list(curve.y),
            mode="lines+markers",
            name=name,
            legendrank=MODELS.index(name),
            error_y=plots.error_bars(measured, name, (CURVE, LOWER, UPPER)),
            line={"color": plots.MODEL_COLOURS[name], "dash": plots.MODEL_DASHES[name], "width": 2},
            marker={"symbol": plots.MODEL_MARKERS[name], "size": 8},
            hovertemplate="told %{x:.1%}, happened %{y:.1%}<extra>%{fullData.name}</extra>",
        )
    return figure


def _smooth(figure, measured, name):
    smooth = measured.get((name, SMOOTH))
    if smooth is not None:
        figure.add_scatter(
            x=list(smooth.x),
            y=list(smooth.y),
            mode="lines",
            name=f"{name}, smooth",
            showlegend=False,
            line={"color": plots.MODEL_COLOURS[name], "dash": plots.MODEL_DASHES[name], "width": 1},
            hovertemplate="told %{x:.1%}, happened %{y:.1%}<extra>%{fullData.name}</extra>",
        )


def _highest(measured, found):
    return max(
        value
        for name in found
        for metric in (CURVE, UPPER)
        if (name, metric) in measured
        for value in (*measured[(name, metric)].x, *measured[(name, metric)].y)
    )


def _table(measured, shown):
    columns = ("", *(f"{title}" for _, title, _ in FIGURES))
    rows = [[MEANING[name], *(cell(measured, name, metric, digits) for metric, _, digits in FIGURES)] for name in shown]
    return Table("Calibration on people held out (95 % intervals)", columns, rows, numeric=columns[1:])
