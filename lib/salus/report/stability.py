"""Stability: whether the model held from month to month."""

from collections.abc import Mapping
from datetime import date, timedelta

from plotly.subplots import make_subplots

from salus.report import plots, words
from salus.report.measured import Measure
from salus.report.page import Missing, Plot, Section, Table, Text
from salus.report.told import PROBABILITY, Told

TITLE = "Does it hold over time?"
HALF = timedelta(days=15)
TOO_FEW = "too few events"
RATIOS = {"observed_over_expected": "Observed over expected", "predictive_ratio": "Predicted over observed"}
"""Metric, of which a month has one, to its title; 1 = right."""

Months = Mapping[str, Mapping[str, Measure]]
"""Month, such as ``2026-03``, to metric to its measure; ascending."""


def stability_section(months: Months, told: Told = PROBABILITY) -> Section:
    """What was told and what happened by month of prediction, and the ranking, as a plot and as a table."""
    question = "People held out, by calendar month of the prediction: what was told, what happened, and the ranking."
    if not months:
        return Section("stability", TITLE, question, [Missing("Figures by month", "evaluate")])
    return Section("stability", TITLE, question, [_in_words(months), _plot(months, told), _table(months, told)])


def _in_words(months):
    off = off_months(months)
    if not off:
        return Text(f"In each of {len(months)} months what happened is what was to be expected.", "note")
    return Text(
        f"In {len(off)} of {len(months)} months the interval of {_ratio(months)[1].lower()} lies off 1: "
        f"{', '.join(off)}. "
        "By chance, about one in twenty would.",
        "warning" if len(off) > max(1, len(months) / 10) else "note",
    )


def off_months(months: Months) -> list[str]:
    """The months in which the interval of observed over expected, or of its inverse, does not hold 1."""
    metric, _ = _ratio(months)
    return [month for month, found in months.items() if _is_off(found[metric])]


def _ratio(months):
    """The metric that is 1 where a month was told right, and its title."""
    metric = next((name for name in RATIOS if any(name in found for found in months.values())), next(iter(RATIOS)))
    return metric, RATIOS[metric]


def _observed(found):
    """The mean of what happened: a share, or a number."""
    return found.get("observed") or found["mean_observed"]


def _is_off(ratio):
    return ratio.low is not None and ratio.high is not None and not ratio.low <= 1 <= ratio.high


def _plot(months, told):
    is_ranked = told.unit is None  # an AUROC is of events
    figure = make_subplots(rows=1 + is_ranked, cols=1, shared_xaxes=True, vertical_spacing=0.09)
    figure.update_layout(plots.plain(520 if is_ranked else 340, legend=True).layout)
    _line(figure, months, "mean_predicted", "told", 1, plots.ORANGE, "dash", "square")
    seen = {month: {"observed": _observed(found)} for month, found in months.items()}
    _line(figure, seen, "observed", "happened", 1, plots.BLUE, "solid", "circle", bounded=True)
    ranked = {month: found for month, found in months.items() if "auroc" in found}
    if ranked:  # plotly draws the error bars of nothing at no place, and complains
        _line(figure, ranked, "auroc", "AUROC", 2, plots.GREEN, "solid", "diamond", bounded=True)
    plots.dressed(figure)
    title, ticks = ("share with the event", ".1%") if is_ranked else (told.axis, told.tick_format)
    figure.update_yaxes(title_text=title, tickformat=ticks, rangemode="tozero", row=1)
    if is_ranked:
        figure.update_yaxes(title_text="AUROC", row=2)
    figure.update_xaxes(type="date", range=_around(months))
    below = " Below: AUROC, where a month has events enough." if is_ranked else ""
    return Plot(figure, f"The mean {told.column} that was told, and what happened.{below} Bars are 95 % intervals.")


def _line(figure, months, metric, name, row, colour, dash, marker, bounded=False):
    found = [measures[metric] for measures in months.values()]
    figure.add_scatter(
        x=[f"{month}-01" for month in months],
        y=[each.value for each in found],
        mode="lines+markers",
        name=name,
        line={"color": colour, "dash": dash, "width": 2},
        marker={"symbol": marker, "size": 7},
        error_y=_bars(found) if bounded else None,
        hovertemplate="%{x|%B %Y}: %{y:.3f}<extra>%{fullData.name}</extra>",
        row=row,
        col=1,
    )


def _bars(found):
    return {
        "type": "data",
        "symmetric": False,
        "thickness": 1.2,
        "width": 3,
        "array": [0 if each.high is None else max(0.0, each.high - each.value) for each in found],
        "arrayminus": [0 if each.low is None else max(0.0, each.value - each.low) for each in found],
    }


def _around(months):
    """From half a month before the first to half a month after the last, so that no bar is cut."""
    first, last = (date.fromisoformat(f"{month}-01") for month in (min(months), max(months)))
    return [str(first - HALF), str(last + HALF)]


def _table(months, told):
    metric, title = _ratio(months)
    columns = ("Month", "People", "Events", "Told", "Happened", title, *(["AUROC"] if told.unit is None else []))
    rows = []
    for month, found in months.items():
        observed, ratio, auroc = _observed(found), found[metric], found.get("auroc")
        rows.append(
            (
                month,
                words.count(observed.people),
                words.count(int(found["events"].value or 0)),
                told.said(found["mean_predicted"].value),
                told.said(observed.value),
                words.interval(ratio.value, ratio.low, ratio.high, 2) + (" ▲" if _is_off(ratio) else ""),
                *([_auroc(auroc)] if told.unit is None else []),
            )
        )
    return Table("By month of prediction (95 % intervals; ▲ = off 1)", columns, rows, numeric=columns[1:])


def _auroc(auroc):
    return TOO_FEW if auroc is None else words.interval(auroc.value, auroc.low, auroc.high)
