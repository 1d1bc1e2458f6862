"""Subgroups: whom the model serves less well than everybody else."""

from collections.abc import Mapping

from salus.evaluation.subgroups import MATERIAL, is_material
from salus.report import plots, words
from salus.report.completeness import completeness
from salus.report.measured import Measure
from salus.report.page import Missing, Plot, Section, Table, Text
from salus.report.told import PROBABILITY, Figures

TITLE = "Does it serve everybody alike?"
FIGURES = PROBABILITY.of_subgroups
TOO_FEW = "too few events"


def subgroups_section(found: Mapping[str, Mapping[str, Measure]], figures: Figures = FIGURES) -> Section:
    """A table of each subgroup's ``figures`` with its gaps to everybody else, and a plot of one of them."""
    question = (
        "People held out, by sex, age, race, ethnicity, care site and payer where they are known. A gap to everybody "
        "else is marked where its 95 % interval excludes none and it is wide enough to matter."
    )
    if not found:
        return Section("subgroups", TITLE, question, [Missing("Subgroups", "evaluate")])
    blocks = [_in_words(found, figures), *_plot(found, figures), *completeness(found), _table(found, figures)]
    return Section("subgroups", TITLE, question, blocks)


def _gaps(measures, figures):
    """Title and gap of each figure in which the subgroup's gap is material."""
    for metric, title, digits in figures:
        gap = measures.get(f"{metric}_gap")
        if metric in MATERIAL and gap is not None and is_material(metric, gap.value, gap.low, gap.high):
            yield title, words.signed(gap.value, digits)


def material_gaps(found: Mapping[str, Mapping[str, Measure]], figures: Figures = FIGURES) -> list[str]:
    """The subgroups that have a material gap to everybody else, each with its gaps in words."""
    return [
        f"{subgroup} ({'; '.join(f'{title}: {gap}' for title, gap in gaps)})"
        for subgroup, measures in found.items()
        if (gaps := list(_gaps(measures, figures)))
    ]


def _in_words(found, figures):
    told = material_gaps(found, figures)
    if told:
        return Text(f"Material gaps to everybody else: {', '.join(told)}. Look at what is recorded of them.", "warning")
    return Text("No gap to everybody else is material.", "note")


def _plot(found, figures):
    metric, title, _ = next(each for each in figures if each[0] in MATERIAL)
    measured = [
        (name, measure)
        for name, measures in found.items()
        if (measure := measures.get(metric)) is not None and measure.value is not None
    ]
    if not measured:
        return []
    figure = plots.plain(plots.height_of(len(measured)), x=title)
    values = [each.value for _, each in measured]
    bounds = [(each.low, each.high) for _, each in measured]
    figure.add_scatter(
        x=values,
        y=[plots.wrapped(name) for name, _ in measured],
        mode="markers",
        marker={"color": plots.BLUE, "size": 9},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [(value if high is None else high) - value for value, (_, high) in zip(values, bounds)],
            "arrayminus": [value - (value if low is None else low) for value, (low, _) in zip(values, bounds)],
        },
        hovertemplate="%{y}: %{x:.3f}<extra></extra>",
        showlegend=False,
    )
    figure.update_yaxes(autorange="reversed")
    return [Plot(figure, f"{title} of each subgroup with its 95 % interval.")]


def _table(found, figures):
    columns = ("Subgroup", "People", "Predictions", "Events", *(title for _, title, _ in figures))
    rows = []
    for name, measures in found.items():
        events = measures["events"]
        marked = {title for title, _ in _gaps(measures, figures)}
        cells = []
        for metric, title, digits in figures:
            each, gap = measures.get(metric), measures.get(f"{metric}_gap")
            if each is None or gap is None:
                cells.append(TOO_FEW)
                continue
            said = words.interval(each.value, each.low, each.high, digits)
            if metric not in MATERIAL:
                cells.append(said)
                continue
            mark = " ▲" if title in marked else ""
            cells.append(f"{said}; gap {words.interval(gap.value, gap.low, gap.high, digits)}{mark}")
        sizes = (events.people, events.rows, int(events.value or 0))
        rows.append((name, *map(words.count, sizes), *cells))
    return Table("The model by subgroup (95 % intervals; ▲ = material gap)", columns, rows, numeric=columns[1:])
