"""What is recorded of whom: labs by subgroups, darker where records show less, or more, than of others."""

from collections.abc import Mapping

from salus.evaluation.completeness import RECORDED, RECORDED_GAP, is_material
from salus.report import plots, words
from salus.report.measured import Measure
from salus.report.page import Plot, Text

WIDEST = 0.3
"""A gap beyond which no colour is darker."""

SAID_AT_MOST = 6
AGE = "age: "
ROW, LABELS = 26, 170
"""Pixels of a subgroup, and of the labs' names below."""


def completeness(found: Mapping[str, Mapping[str, Measure]]) -> list[Text | Plot]:
    """In words whose records lack what, and a map of all subgroups and labs; nothing where it was not measured."""
    metrics = {metric for of in found.values() for metric in of}
    labs = sorted(metric.removeprefix(RECORDED) for metric in metrics if metric.startswith(RECORDED))
    groups = [name for name, of in found.items() if any(metric.startswith(RECORDED) for metric in of)]
    if not labs:
        return []
    return [_in_words(found, groups, labs), _map(found, groups, labs)]


def _in_words(found, groups, labs):
    less = []
    for group in groups:
        for lab in labs if not group.startswith(AGE) else ():
            share, gap = found[group].get(f"{RECORDED}{lab}"), found[group].get(f"{RECORDED_GAP}{lab}")
            if share and gap and is_material(gap.value, gap.low, gap.high) and gap.value < 0:
                less.append((gap.value, f"{lab} of {group} ({words.percent(share.value)}, gap {_points(gap.value)})"))
    if not less:
        return Text("Of no subgroup is a lab recorded materially less than of everybody else.", "note")
    told = [text for _, text in sorted(less)[:SAID_AT_MOST]]
    others = f", and {len(less) - len(told)} more" if len(less) > len(told) else ""
    return Text(
        f"Recorded materially less than of everybody else: {'; '.join(told)}{others}. A model knows less of these "
        "people, whether or not its figures show it. Ages are not said, since care follows them.",
        "warning",
    )


def _map(found, groups, labs):
    gaps = [[_value(found[group].get(f"{RECORDED_GAP}{lab}")) for lab in labs] for group in groups]
    shares = [[_value(found[group].get(f"{RECORDED}{lab}")) for lab in labs] for group in groups]
    figure = plots.plain(ROW * len(groups) + LABELS)
    figure.add_heatmap(
        x=[plots.wrapped(lab, 24) for lab in labs],
        y=[plots.wrapped(group) for group in groups],
        z=gaps,
        text=[["" if share is None else f"{100 * share:.0f}" for share in row] for row in shares],
        texttemplate="%{text}",
        zmin=-WIDEST,
        zmax=WIDEST,
        colorscale=[(0, plots.VERMILLION), (0.5, "white"), (1, plots.SKY)],
        colorbar={"title": {"text": "Gap"}, "tickformat": ".0%", "thickness": 12},
        hovertemplate="%{y}: %{x}: %{text} %, gap %{z:.1%}<extra></extra>",
    )
    figure.update_xaxes(tickangle=-40, showgrid=False)
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return Plot(
        figure,
        "Of how many predictions in 100 records showed a value in the longest window; colour: the gap to all others.",
    )


def _value(measure):
    return None if measure is None else measure.value


def _points(gap):
    return f"{words.signed(100 * gap, 0)} points"
