"""Usefulness: what a programme for the people at the highest risk would find, and whether it would be worth it."""

from salus.evaluation.tiers import tier_metric
from salus.report import plots, words
from salus.report.measured import MEANING, MODELS, Measures, cell
from salus.report.page import Missing, Plot, Section, Table, Text

TITLE = "What would acting on it find?"
PERCENTS = (1, 5, 10)
COMPARED = ("model", "baseline")
AT_TIERS = (
    ("share", "Share of predictions", 3),
    ("sensitivity", "Events found (sensitivity)", 3),
    ("ppv", "Come true (PPV)", 3),
    ("lift", "Times the prevalence (lift)", 1),
    ("alerts_a_day", "Alerts a day", 2),
)
SHARE = tier_metric("share", "")
BENEFIT, OF_ALL = "net_benefit", "net_benefit_of_all"


def usefulness_section(measured: Measures) -> Section:
    """The events found among the highest 1, 5 and 10 % and at the task's tiers, and the decision curve."""
    question = "If there is room for the people at the highest risk only: how many of the events are theirs?"
    shown = [name for name in COMPARED if (name, f"ppv_top_{PERCENTS[0]}") in measured]
    if not shown:
        return Section("usefulness", TITLE, question, [Missing("Usefulness", "evaluate")])
    return Section(
        "usefulness",
        TITLE,
        question,
        [*_in_words(measured), *_decisions(measured), _table(measured, shown), *_at_tiers(measured, shown)],
    )


def _in_words(measured):
    found = [measured.get(("model", f"{figure}_top_5")) for figure in ("sensitivity", "ppv")]
    if any(each is None or each.value is None for each in found):
        return []
    sensitivity, ppv = (words.percent(each.value, 0) for each in found)
    return [
        Text(
            f"Among the 5 % of predictions with the highest risk are {sensitivity} of all events; {ppv} of those "
            "predictions come true.",
            "note",
        )
    ]


def _decisions(measured):
    found = [name for name in MODELS if (name, BENEFIT) in measured and measured[(name, BENEFIT)].x]
    if not found:
        return [Missing("The decision curve", "evaluate")]
    figure = plots.plain(440, x="risk from which one would act", y="net benefit, events a 1,000 people", legend=True)
    everybody = measured.get(("model", OF_ALL))
    lowest = min(min(measured[(name, BENEFIT)].y) for name in found)
    if everybody is not None:
        _line(figure, everybody, "everybody", plots.GREY, "dot", 98)
    for name in reversed(found):
        _line(
            figure,
            measured[(name, BENEFIT)],
            name,
            plots.MODEL_COLOURS[name],
            plots.MODEL_DASHES[name],
            MODELS.index(name),
        )
    highest = max(max(measured[(name, BENEFIT)].y) for name in found)
    figure.add_hline(y=0, line={"color": plots.INK, "width": 1}, annotation_text="nobody", annotation_font_size=11)
    figure.update_xaxes(tickformat=".0%")
    figure.update_yaxes(range=[1000 * min(lowest, -0.1 * highest), 1050 * highest])
    return [
        Plot(
            figure,
            "Decision curve: whoever would act from a given risk on gains by following the highest line there. "
            "False alarms are weighed by that risk's odds.",
        )
    ]


def _line(figure, curve, name, colour, dash, rank):
    figure.add_scatter(
        x=list(curve.x),
        y=[1000 * value for value in curve.y],
        mode="lines",
        name=name,
        legendrank=rank,
        line={"color": colour, "dash": dash, "width": 2},
        hovertemplate="from %{x:.1%}: %{y:.1f}<extra>%{fullData.name}</extra>",
    )


def _table(measured, shown):
    columns = ("", "Acted on", "Events found (sensitivity)", "Come true (PPV)", "Times the prevalence (lift)")
    figures = (("sensitivity", 3), ("ppv", 3), ("lift", 1))
    rows = [
        [
            MEANING[name],
            f"highest {percent} %",
            *(cell(measured, name, f"{figure}_top_{percent}", digits) for figure, digits in figures),
        ]
        for name in shown
        for percent in PERCENTS
    ]
    return Table("The predictions with the highest risk (95 % intervals)", columns, rows, numeric=columns[2:])


def _at_tiers(measured, shown):
    """The task's tiers, the highest first, as the evaluation knows them by name."""
    shares = {metric.removeprefix(SHARE): found.value for (_, metric), found in measured.items() if SHARE in metric}
    if not shares:
        return []
    rows = [
        [
            MEANING[name],
            f"{tier} and above",
            *(cell(measured, name, tier_metric(figure, tier), digits) for figure, _, digits in AT_TIERS),
        ]
        for name in shown
        for tier in sorted(shares, key=lambda each: shares[each] or 0)
    ]
    people = words.count(next(found.people for (_, metric), found in measured.items() if SHARE in metric))
    columns = ("", "Acted on", *(title for _, title, _ in AT_TIERS))
    said = (
        f"Alerts a day are people newly at or above the tier, of a population of the {people} held out: on a calendar, "
        "those who were not on its date before, over the days from the first date to the last; from an event, every "
        "prediction, over the days from the first to the last of them."
    )
    return [Table("At the tiers of the task (95 % intervals)", columns, rows, numeric=columns[2:]), Text(said, "note")]
