"""Reliability: whether ten in a hundred of those told 10 % have the event, and what leakage would have promised."""

from salus.report import plots, words
from salus.report.measured import MEANING, MODELS, Measures
from salus.report.page import Missing, Plot, Section, Table, Text

TITLE = "Do the probabilities hold?"
CURVE = "calibration_curve"
COMPARED = ("model", "baseline")
FIGURES = (
    ("calibration_slope", "Slope (1 = right)", 2),
    ("calibration_intercept", "Intercept (0 = right)", 2),
    ("brier", "Brier score (0 = best)", 4),
)
PRICE = "leakage_price"


def reliability_section(measured: Measures) -> Section:
    """Calibration's curve and figures, and leakage's price."""
    question = "Calibration on people held out: of those told 10 %, about ten in a hundred should have the event."
    shown = [name for name in MODELS if any((name, metric) in measured for metric, _, _ in FIGURES)]
    if not shown:
        return Section("calibration", TITLE, question, [Missing("Calibration", "evaluate")])
    return Section("calibration", TITLE, question, [
        *_in_words(measured), *_curve(measured), _table(measured, shown), *_leakage(measured)])


def _in_words(measured):
    slope = measured.get(("model", "calibration_slope"))
    if slope is None or slope.low is None or slope.high is None:
        return []
    figure = words.interval(slope.value, slope.low, slope.high, 2)
    if slope.low <= 1 <= slope.high:
        return [Text(f"The calibration slope is {figure}: its interval contains 1, so the probabilities are spread "
                     "neither too widely nor too narrowly.", "note")]
    said = "too extreme" if slope.high < 1 else "too timid"
    return [Text(f"The calibration slope is {figure}: its interval lies off 1, so the probabilities are {said}.",
                 "warning")]


def _curve(measured):
    found = [name for name in COMPARED if (name, CURVE) in measured and measured[(name, CURVE)].x]
    if not found:
        return [Missing("The calibration curve", "evaluate")]
    figure = plots.plain(460, x="predicted probability (mean of the group)", y="observed share with the event",
                         legend=True)
    top = 0.0
    for name in reversed(found):
        curve = measured[(name, CURVE)]
        low, high = (measured.get((name, f"{CURVE}_{side}")) for side in ("low", "high"))
        bounds = None
        if low and high and len(low.y) == len(high.y) == len(curve.y):
            bounds = {"type": "data", "symmetric": False, "thickness": 1.5, "width": 4,
                      "array": [max(0.0, above - value) for above, value in zip(high.y, curve.y)],
                      "arrayminus": [max(0.0, value - below) for value, below in zip(curve.y, low.y)]}
            top = max(top, *high.y)
        top = max(top, *curve.x, *curve.y)
        figure.add_scatter(
            x=list(curve.x), y=list(curve.y), mode="lines+markers", name=name, legendrank=MODELS.index(name),
            error_y=bounds,
            line={"color": plots.MODEL_COLOURS[name], "dash": plots.MODEL_DASHES[name], "width": 2},
            marker={"symbol": plots.MODEL_MARKERS[name], "size": 8},
            hovertemplate="told %{x:.1%}, happened %{y:.1%}<extra>%{fullData.name}</extra>")
    end = min(1.0, 1.06 * top) or 1.0
    figure.add_scatter(x=[0, end], y=[0, end], mode="lines", name="perfect", hoverinfo="skip", legendrank=99,
                       line={"color": plots.GREY, "width": 1.2, "dash": "dot"})
    for update in (figure.update_xaxes, figure.update_yaxes):
        update(range=[0, end], tickformat=".0%")
    return [Plot(figure, "Calibration curve: groups of about equal size by predicted probability, with 95 % intervals. "
                         "On the dotted line, what was told is what happened.")]


def _table(measured, shown):
    columns = ("", *(f"{title}" for _, title, _ in FIGURES))
    rows = []
    for name in shown:
        cells = [MEANING[name]]
        for metric, _, digits in FIGURES:
            found = measured.get((name, metric))
            cells.append(words.interval(found.value, found.low, found.high, digits) if found else words.ABSENT)
        rows.append(cells)
    return Table("Calibration on people held out (95 % intervals)", columns, rows, numeric=columns[1:])


def _leakage(measured):
    price = measured.get(("model", PRICE))
    if price is None:
        return [Missing("Leakage's price", "evaluate")]
    said = (f"Leakage's price: {words.interval(price.value, price.low, price.high)} of AUROC. So much more would have "
            "been promised, and never kept, had the features been taken by the time at which things happened instead "
            "of the time at which they could be known.")
    return [Text(said, "note")]
