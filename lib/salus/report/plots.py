"""Plots: one look for all of them: the Okabe-Ito colours, thin grids, no ornament.

The colours stay apart for every common colour blindness (Okabe & Ito 2008); no plot tells two things
apart by colour alone: dashes, markers or a text say it too.
"""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from salus.report.page import label

BLUE, ORANGE, GREEN, VERMILLION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE, INK, GREY, PALE = "#56B4E9", "#CC79A7", "#1f2933", "#7b8794", "#e4e7eb"

MODEL_COLOURS = {"model": BLUE, "baseline": ORANGE, "attainable": GREEN, "oracle": INK}
MODEL_DASHES = {"model": "solid", "baseline": "dash", "attainable": "dashdot", "oracle": "dot"}
MODEL_MARKERS = {"model": "circle", "baseline": "square", "attainable": "diamond", "oracle": "x"}

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', 'DejaVu Sans', sans-serif"
CURVE_POINTS = 400


def plain(height: int, x: str = "", y: str = "", legend: bool = False, left: int = 64) -> go.Figure:
    """An empty figure in the house look; ``x`` and ``y`` name the axes."""
    figure = go.Figure()
    figure.update_layout(
        template=go.layout.Template(),
        height=height,
        font={"family": FONT, "size": 13, "color": INK},
        paper_bgcolor="white",
        plot_bgcolor="white",
        showlegend=legend,
        hovermode="closest",
        margin={"l": left, "r": 24, "t": 16, "b": 52 + (36 if legend else 0)},
        legend={
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "y": -58 / (height - 100),
            "yanchor": "top",
            "itemclick": False,
            "itemdoubleclick": False,
        },
        bargap=0.35,
    )
    dressed(figure)
    figure.update_xaxes(title_text=x)
    figure.update_yaxes(title_text=y)
    return figure


def dressed(figure: go.Figure) -> None:
    """Give every axis of ``figure`` the house look."""
    axis = {
        "gridcolor": PALE,
        "zeroline": False,
        "linecolor": GREY,
        "ticks": "outside",
        "tickcolor": PALE,
        "automargin": True,
        "fixedrange": True,
        "title": {"standoff": 8, "font": {"size": 13}},
    }
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)


def bars(names: Sequence[str], values: Sequence[float], texts: Sequence[str], x: str, colour: str = BLUE) -> go.Figure:
    """Lying bars, the first on top, each with its figure written at its end."""
    figure = plain(height_of(len(names)), x=x)
    figure.add_bar(
        orientation="h",
        y=[wrapped(name) for name in names],
        x=values,
        text=texts,
        textposition="outside",
        cliponaxis=False,
        marker_color=colour,
        hovertemplate="%{y}: %{text}<extra></extra>",
    )
    figure.update_yaxes(autorange="reversed", ticks="", gridcolor="rgba(0,0,0,0)")
    figure.update_xaxes(rangemode="tozero", range=[0, 1.15 * max(values, default=1) or 1])
    return figure


def height_of(bars_shown: int) -> int:
    """Pixels for so many lying bars."""
    return 90 + 30 * max(2, bars_shown)


def wrapped(text: str, width: int = 34) -> str:
    """``text`` over as many lines as it needs, safe for plotly."""
    return "<br>".join(label(line) for line in textwrap.wrap(text, width) or [""])


def thinned(values: Sequence[float], points: int = CURVE_POINTS) -> list[float]:
    """At most ``points`` of ``values``, evenly by position, with both ends."""
    if len(values) <= points:
        return list(values)
    last = len(values) - 1
    return [values[round(place * last / (points - 1))] for place in range(points)]


def diagonal(figure: go.Figure, low: float, high: float) -> None:
    """The dotted line from ``low`` to ``high`` on which what was told is what was."""
    figure.add_scatter(
        x=[low, high],
        y=[low, high],
        mode="lines",
        name="perfect",
        hoverinfo="skip",
        legendrank=99,
        line={"color": GREY, "width": 1.2, "dash": "dot"},
    )


def error_bars(measured: Mapping[tuple[str, str], Any], name: str, metrics: Sequence[str]) -> dict[str, Any] | None:
    """plotly's error bars of the curve of model ``name``, or None where its bounds were not measured.

    Args:
        measured: by model and metric.
        name: of the model.
        metrics: the curve, its lower and its upper bounds.
    """
    curve, low, high = (measured.get((name, metric)) for metric in metrics)
    if curve is None or low is None or high is None or not len(low.y) == len(high.y) == len(curve.y):
        return None
    return {
        "type": "data",
        "symmetric": False,
        "thickness": 1.5,
        "width": 4,
        "array": [max(0.0, above - value) for above, value in zip(high.y, curve.y)],
        "arrayminus": [max(0.0, value - below) for value, below in zip(curve.y, low.y)],
    }
