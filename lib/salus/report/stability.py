"""Stability: whether the model held from month to month."""

from collections.abc import Mapping
from datetime import date, timedelta

from plotly.subplots import make_subplots

from salus.evaluation.months import MONTH
from salus.report import plots, words
from salus.report.measured import Measure
from salus.report.page import Missing, Plot, Section, Table, Text

TITLE = "Does it hold over time?"
HALF = timedelta(days=15)
TOO_FEW = "too few events"

Months = Mapping[str, Mapping[str, Measure]]
"""Month, such as ``2026-03``, to metric to its measure; ascending."""


def apart(subgroups: Mapping[str, Mapping[str, Measure]]) -> tuple[dict[str, Mapping[str, Measure]], Months]:
    """The subgroups of people, and the months of prediction, which the evaluation keeps among them."""
    people = {name: found for name, found in subgroups.items() if not name.startswith(MONTH)}
    months = {name.removeprefix(MONTH): subgroups[name] for name in sorted(subgroups) if name not in people}
    return people, months


def stability_section(months: Months) -> Section:
    """Predicted and observed shares and AUROC by month of prediction, as a plot and as a table."""
    question = "People held out, by calendar month of the prediction: what was told, what happened, and the ranking."
    if not months:
        return Section("stability", TITLE, question, [Missing("Figures by month", "evaluate")])
    return Section("stability", TITLE, question, [_in_words(months), _plot(months), _table(months)])


def _in_words(months):
    off = off_months(months)
    if not off:
        return Text(f"In each of {len(months)} months the number of events is one that was to be expected.", "note")
    return Text(
        f"In {len(off)} of {len(months)} months the interval of observed over expected lies off 1: {', '.join(off)}. "
        "By chance, about one in twenty would.",
        "warning" if len(off) > max(1, len(months) / 10) else "note",
    )


def off_months(months: Months) -> list[str]:
    """The months in which the interval of observed over expected does not hold 1."""
    return [month for month, found in months.items() if _is_off(found["observed_over_expected"])]


def _is_off(ratio):
    return ratio.low is not None and ratio.high is not None and not ratio.low <= 1 <= ratio.high


def _plot(months):
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.09)
    figure.update_layout(plots.plain(520, legend=True).layout)
    _line(figure, months, "mean_predicted", "told", 1, plots.ORANGE, "dash", "square")
    _line(figure, months, "observed", "happened", 1, plots.BLUE, "solid", "circle", bounded=True)
    ranked = {month: found for month, found in months.items() if "auroc" in found}
    if ranked:  # plotly draws the error bars of nothing at no place, and complains
        _line(figure, ranked, "auroc", "AUROC", 2, plots.GREEN, "solid", "diamond", bounded=True)
    plots.dressed(figure)
    figure.update_yaxes(title_text="share with the event", tickformat=".1%", rangemode="tozero", row=1)
    figure.update_yaxes(title_text="AUROC", row=2)
    figure.update_xaxes(type="date", range=_around(months))
    return Plot(
        figure,
        "Above: the mean probability that was told, and the share that had the event. Below: AUROC, where a month has "
        "events enough. Bars are 95 % intervals.",
    )


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


def _table(months):
    columns = ("Month", "People", "Events", "Told", "Happened", "Observed over expected", "AUROC")
    rows = []
    for month, found in months.items():
        observed, ratio, auroc = found["observed"], found["observed_over_expected"], found.get("auroc")
        rows.append(
            (
                month,
                words.count(observed.people),
                words.count(int(found["events"].value or 0)),
                words.percent(found["mean_predicted"].value),
                words.percent(observed.value),
                words.interval(ratio.value, ratio.low, ratio.high, 2) + (" ▲" if _is_off(ratio) else ""),
                TOO_FEW if auroc is None else words.interval(auroc.value, auroc.low, auroc.high),
            )
        )
    return Table("By month of prediction (95 % intervals; ▲ = off 1)", columns, rows, numeric=columns[1:])
