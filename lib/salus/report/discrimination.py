"""Discrimination: whether those who will have the event are ranked above those who will not."""

from salus.evaluation.suspicion import BOUND, suspicion
from salus.report import plots, words
from salus.report.measured import MEANING, MODELS, Measures
from salus.report.page import Missing, Plot, Section, Table, Text

TITLE = "Does it rank the right people first?"
LEARNT = ("model", "baseline")
CHANCE = 0.5
OVER_TRUTH = "auroc_over_truth"


def discrimination_section(measured: Measures) -> Section:
    """Forest plot, ROC and precision-recall curves, and the table of both areas."""
    question = (
        "Discrimination on people whom neither training nor calibration has seen, with 95 % intervals from a "
        "bootstrap that draws people, not rows."
    )
    shown = [name for name in MODELS if (name, "auroc") in measured]
    if not shown:
        return Section("discrimination", TITLE, question, [Missing("Discrimination", "evaluate")])
    blocks = [_forest(measured, shown), *_curves(measured), _table(measured, shown)]
    said = [*_suspected(measured), Text(_in_words(measured), "note")]
    return Section("discrimination", TITLE, question, [*said, *blocks])


def _suspected(measured):
    """A warning where what was learnt is better than the task says it can be; the truth may be as good as it is."""
    above = measured.get(("model", BOUND))
    learnt = {name: measured[name, "auroc"].value for name in LEARNT if (name, "auroc") in measured}
    said = suspicion(learnt, above.value if above else None)
    return [Text(f"{said[0].upper()}{said[1:]}.", "warning")] if said else []


def _in_words(measured):
    model = measured.get(("model", "auroc"))
    if model is None or model.value is None:
        return "The model itself was not measured."
    said = (
        f"Of two people held out, one with the event and one without, the model gives the one with the event the "
        f"higher risk {words.percent(model.value, 0)} of the time (50 % would be chance)."
    )
    share = measured.get(("model", "share_of_attainable_lift"))
    if share is not None and share.value is not None:
        said += (
            f" That is {words.percent(share.value, 0)} of the lift over chance that the true model, fitted on "
            "what was recorded, attains (taken over the true probabilities)."
        )
    return said


def _forest(measured, shown):
    figure = plots.plain(100 + 46 * len(shown), x="AUROC")
    for name in shown:
        found = measured[(name, "auroc")]
        value = found.value if found.value is not None else float("nan")
        low, high = (value if bound is None else bound for bound in (found.low, found.high))
        figure.add_scatter(
            x=[value],
            y=[plots.wrapped(MEANING[name], 40)],
            mode="markers+text",
            text=[words.interval(found.value, found.low, found.high)],
            textposition="top center",
            marker={"color": plots.MODEL_COLOURS[name], "symbol": plots.MODEL_MARKERS[name], "size": 11},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [high - value],
                "arrayminus": [value - low],
                "thickness": 2,
                "width": 6,
            },
            hovertemplate="%{y}: %{text}<extra></extra>",
            showlegend=False,
        )
    figure.add_vline(
        x=CHANCE,
        line={"color": plots.GREY, "dash": "dot", "width": 1.5},
        annotation_text="chance",
        annotation_position="bottom right",
        annotation_font_size=11,
    )
    figure.update_yaxes(autorange=False, range=[len(shown) - 0.5, -0.75], ticks="", gridcolor="rgba(0,0,0,0)")
    highest = max((measured[(name, "auroc")].high or measured[(name, "auroc")].value or 0) for name in shown)
    figure.update_xaxes(range=[CHANCE - 0.02, min(1.0, highest + 0.06)])
    return Plot(figure, "AUROC with its 95 % interval. Attainable and oracle exist only where the truth is known.")


def _curves(measured):
    roc = plots.plain(420, x="1 − specificity", y="sensitivity", legend=True)
    roc.add_scatter(
        x=[0, 1],
        y=[0, 1],
        mode="lines",
        showlegend=False,
        hoverinfo="skip",
        line={"color": plots.GREY, "width": 1, "dash": "dot"},
    )
    precision = plots.plain(420, x="sensitivity (recall)", y="precision (positive predictive value)", legend=True)
    plotted = [
        Plot(figure, caption, half=True)
        for figure, metric, caption in (
            (roc, "roc_curve", "ROC curve. The dotted diagonal is chance."),
            (precision, "pr_curve", "Precision-recall curve. Chance is level, at the share of events."),
        )
        if _drawn(figure, measured, metric)
    ]
    return plotted or [Missing("Curves", "evaluate")]


def _drawn(figure, measured, metric):
    found = [name for name in MODELS if (name, metric) in measured and measured[(name, metric)].x]
    for name in reversed(found):
        curve = measured[(name, metric)]
        figure.add_scatter(
            x=plots.thinned(curve.x),
            y=plots.thinned(curve.y),
            mode="lines",
            name=name,
            legendrank=MODELS.index(name),
            line={
                "color": plots.MODEL_COLOURS[name],
                "dash": plots.MODEL_DASHES[name],
                "width": 2.6 if name == "model" else 1.8,
            },
            hovertemplate="%{x:.2f}, %{y:.2f}<extra>%{fullData.name}</extra>",
        )
    figure.update_xaxes(range=[0, 1])
    figure.update_yaxes(range=[0, 1.01])
    return bool(found)


def _table(measured, shown):
    metrics = [("auroc", "AUROC (95 % interval)"), ("auprc", "AUPRC (95 % interval)")]
    if any((name, OVER_TRUTH) in measured for name in shown):
        metrics.insert(1, (OVER_TRUTH, "AUROC over the true probabilities"))
    columns = ("", *(title for _, title in metrics), "People", "Rows")
    rows = []
    for name in shown:
        found = [measured.get((name, metric)) for metric, _ in metrics]
        rows.append(
            (
                MEANING[name],
                *(words.interval(each.value, each.low, each.high) if each else words.ABSENT for each in found),
                words.count(found[0].people),
                words.count(found[0].rows),
            )
        )
    return Table("Areas under the curves, on people held out", columns, rows, numeric=columns[1:])
