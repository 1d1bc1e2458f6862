"""Estimates: whether counts or costs that were told came true, in all, group by group and among the costliest."""

from salus.report import plots, words
from salus.report.leakage import leakage
from salus.report.measured import MODELS, Measures, cell
from salus.report.page import Missing, Plot, Section, Table, Text
from salus.report.told import Told

TITLE = "Do the estimates hold?"
CURVE, LOWER, UPPER = "calibration_curve", "calibration_curve_low", "calibration_curve_high"
COMPARED = ("model", "baseline")
NAMES = {"model": "Model", "baseline": "Baseline (generalised linear model)"}
PERCENTS = (1, 5, 10)
FIGURES = (
    ("r_squared", "R²", 3),
    ("d2", "Deviance explained", 3),
    ("mae", "Mean absolute error", 2),
    ("mean_observed", "Observed mean", 2),
    ("mean_predicted", "Predicted mean", 2),
    ("predictive_ratio", "Predictive ratio (1 = right)", 3),
)


def estimates_section(measured: Measures, told: Told) -> Section:
    """The figures of model and baseline, the observed means by predicted decile, and capture."""
    question = (
        f"Estimates ({told.unit}) on people held out, with 95 % intervals from a bootstrap that draws people, not "
        "rows: how much of the spread they explain, and whether they are right in all and in every tenth of people."
    )
    shown = [name for name in COMPARED if (name, "r_squared") in measured]
    if not shown:
        return Section("estimates", TITLE, question, [Missing("Measured estimates", "evaluate")])
    blocks = [*_in_words(measured), *_curve(measured, told), _table(measured, shown, told), *_deciles(measured, told)]
    return Section(
        "estimates",
        TITLE,
        question,
        [*blocks, _capture(measured, shown), leakage(measured, "the deviance explained", "d2")],
    )


def _in_words(measured):
    ratio = measured.get(("model", "predictive_ratio"))
    if ratio is None or ratio.low is None or ratio.high is None:
        return []
    figure = words.interval(ratio.value, ratio.low, ratio.high, 2)
    if ratio.low <= 1 <= ratio.high:
        return [Text(f"Predicted over observed is {figure}: its interval contains 1, so the level is right.", "note")]
    said = "too high" if ratio.low > 1 else "too low"
    return [Text(f"Predicted over observed is {figure}: its interval lies off 1, so the level is {said}.", "warning")]


def _curve(measured, told):
    found = [name for name in COMPARED if (name, CURVE) in measured and measured[name, CURVE].x]
    if not found:
        return [Missing("The curve by predicted decile", "evaluate")]
    figure = plots.plain(440, x=f"predicted mean, {told.unit}", y=f"observed mean, {told.unit}", legend=True)
    ends = [value for name in found for value in (*measured[name, CURVE].x, *measured[name, CURVE].y)]
    for name in reversed(found):
        curve = measured[name, CURVE]
        figure.add_scatter(
            x=list(curve.x),
            y=list(curve.y),
            mode="lines+markers",
            name=name,
            legendrank=MODELS.index(name),
            error_y=plots.error_bars(measured, name, (CURVE, LOWER, UPPER)),
            line={"color": plots.MODEL_COLOURS[name], "dash": plots.MODEL_DASHES[name], "width": 2},
            marker={"symbol": plots.MODEL_MARKERS[name], "size": 8},
            hovertemplate="told %{x:,.4~g}, was %{y:,.4~g}<extra>%{fullData.name}</extra>",
        )
    plots.diagonal(figure, 0, max(ends))
    return [Plot(figure, "Ten groups of about equal size by what was told. On the dotted line, it is what was.")]


def _table(measured, shown, told):
    columns = ("", *(title for _, title, _ in FIGURES))
    rows = [[NAMES[name], *(cell(measured, name, metric, digits) for metric, _, digits in FIGURES)] for name in shown]
    gained = [measured.get(("model", f"{metric}_over_baseline")) for metric in ("r_squared", "d2")]
    if all(each is not None for each in gained):
        more = [words.interval(each.value, each.low, each.high) for each in gained]
        rows.append(["Model less baseline", *more, *[""] * (len(columns) - 3)])
    return Table(f"Estimates on people held out ({told.unit}; 95 % intervals)", columns, rows, numeric=columns[1:])


def _deciles(measured, told):
    curve, low, high = (measured.get(("model", metric)) for metric in (CURVE, LOWER, UPPER))
    if curve is None or low is None or high is None:
        return []
    columns = ("Told", f"Predicted mean, {told.unit}", f"Observed mean, {told.unit}", "Predictive ratio")
    rows = [
        (
            f"group {place} of {len(curve.x)}",
            words.number(predicted, 2),
            words.interval(observed, below, above, 2),
            words.interval(_over(predicted, observed), _over(predicted, above), _over(predicted, below), 2),
        )
        for place, (predicted, observed, below, above) in enumerate(zip(curve.x, curve.y, low.y, high.y), 1)
    ]
    return [Table("The model by what was told, from the least (95 % intervals)", columns, rows, numeric=columns[1:])]


def _over(predicted, observed):
    return predicted / observed if observed else None


def _capture(measured, shown):
    columns = ("", *(f"highest {percent} %" for percent in PERCENTS))
    rows = [
        [NAMES[name], *(cell(measured, name, f"capture_top_{percent}", 3) for percent in PERCENTS)] for name in shown
    ]
    title = "Capture: what those told most had, over what those had who had most (95 % intervals; 1 = all of it)"
    return Table(title, columns, rows, numeric=columns[1:])
