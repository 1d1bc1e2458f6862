"""Classes: whether each of several outcomes was told apart from the rest, held what was told, and was most probable."""

from salus.cohorts.classes import Outcomes
from salus.evaluation.classes import CONFUSION
from salus.report import plots, words
from salus.report.measured import Measures, cell
from salus.report.page import Missing, Plot, Section, Table, Text, label

TITLE = "Which of them is it?"
NAMES = {"model": "Model", "baseline": "Baseline (logistic regression)"}
COLOURS = (plots.BLUE, plots.VERMILLION, plots.GREEN, plots.ORANGE, plots.PURPLE, plots.SKY, plots.GREY)
MARKERS = ("circle", "square", "diamond", "x", "triangle-up", "cross", "star")
CURVE = "calibration_curve"
OF_EACH = (
    ("model", "auroc", "AUROC", 3),
    ("baseline", "auroc", "AUROC, baseline", 3),
    ("model", "auprc", "AUPRC", 3),
    ("model", "brier", "Brier (0 = best)", 4),
    ("model", "calibration_slope", "Slope (1 = right)", 2),
)
TOGETHER = (
    ("macro_auroc", "Mean AUROC", 3),
    ("log_loss", "Log loss (0 = best)", 4),
    ("scaled_log_loss", "Scaled (1 = best)", 3),
)


def classes_section(measured: Measures, outcomes: Outcomes) -> Section:
    """Figures and curves of each class, of all together, and of exclusive ones the confusion at the most probable."""
    said = (
        "Each person has one of these classes; what is told of all of them adds up to 100 %."
        if outcomes.is_exclusive
        else "Each class comes by itself, and one person may have several."
    )
    question = (
        f"{said} Each against everybody else held out, with 95 % intervals from a bootstrap that draws people. Other "
        f"sections of this page, tiers and reasons are of one of them, {_said(outcomes.focus)}."
    )
    shown = [name for name in outcomes.told if ("model", f"auroc: {name}") in measured]
    if not shown:
        return Section("classes", TITLE, question, [Missing("Figures of each class", "evaluate")])
    blocks = [*_in_words(measured), _of_each(measured, shown), _together(measured), _curves(measured, shown)]
    return Section("classes", TITLE, question, [*blocks, *_confusion(measured, outcomes)])


def _said(name):
    return name.replace("_", " ")


def _in_words(measured):
    gained = measured.get(("model", "log_loss_over_baseline"))
    if gained is None or gained.low is None or gained.high is None:
        return []
    figure = words.interval(gained.value, gained.low, gained.high, 4)
    if gained.low <= 0 <= gained.high:
        return [Text(f"The model's log loss less the baseline's is {figure}: its interval contains 0.", "note")]
    said = "better" if gained.high < 0 else "worse"
    return [
        Text(
            f"The model's log loss less the baseline's is {figure}: the model is {said}.",
            "note" if said == "better" else "warning",
        )
    ]


def _of_each(measured, shown):
    columns = ("Class", *(title for *_, title, _ in OF_EACH))
    rows = [
        (_said(name), *(cell(measured, model, f"{metric}: {name}", digits) for model, metric, _, digits in OF_EACH))
        for name in shown
    ]
    return Table("Each class against the rest (95 % intervals)", columns, rows, numeric=columns[1:])


def _together(measured):
    columns = ("", *(title for _, title, _ in TOGETHER))
    rows = [
        (title, *(cell(measured, name, metric, digits) for metric, _, digits in TOGETHER))
        for name, title in NAMES.items()
        if (name, "log_loss") in measured
    ]
    over = [cell(measured, "model", f"{metric}_over_baseline", digits) for metric, _, digits in TOGETHER[:2]]
    if ("model", "log_loss_over_baseline") in measured:
        rows.append(("Model less baseline", *over, ""))
    return Table("All classes together (95 % intervals)", columns, rows, numeric=columns[1:], half=True)


def _curves(measured, shown):
    figure = plots.plain(440, x="predicted probability", y="observed share", legend=True)
    ends = []
    for rank, name in enumerate(shown):
        curve, style = measured["model", f"{CURVE}: {name}"], rank % len(COLOURS)
        ends += [*curve.x, *curve.y]
        figure.add_scatter(
            x=list(curve.x),
            y=list(curve.y),
            mode="lines+markers",
            name=label(_said(name)),
            line={"color": COLOURS[style], "width": 2},
            marker={"symbol": MARKERS[style], "size": 7},
            hovertemplate="told %{x:.1%}, was %{y:.1%}<extra>%{fullData.name}</extra>",
        )
    plots.diagonal(figure, 0, min(1.0, max(ends)))
    for update in (figure.update_xaxes, figure.update_yaxes):
        update(tickformat=".0%", rangemode="tozero")
    return Plot(
        figure, "Calibration of each class, in ten groups of about equal size by what was told of it.", half=True
    )


def _confusion(measured, outcomes):
    held = [name for name in outcomes.told if ("model", f"{CONFUSION}: {name}") in measured]
    if not held:
        return []
    columns = ("Was", *(f"told {_said(name)}" for name in outcomes.told))
    rows = [(_said(name), *map(words.percent, measured["model", f"{CONFUSION}: {name}"].y)) for name in held]
    title = "Of those who had each class, what share had which as the most probable (a rare one seldom is anybody's)"
    return [Table(title, columns, rows, numeric=columns[1:])]
