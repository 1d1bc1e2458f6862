"""Treatment: what acting on the scores hides, told by the people whom chance left untreated."""

from collections.abc import Mapping

from salus.evaluation.treatment import ARMS, EARLIER, GIVEN, NONE, OFFERED, WITHHELD
from salus.report import plots, words
from salus.report.measured import Measure
from salus.report.page import Missing, Plot, Section, Table, Text

TITLE = "What does treatment hide?"
IN_WORDS = {
    GIVEN: "Treated after the prediction",
    WITHHELD: "Left untreated at random",
    EARLIER: "Decided before the prediction",
    NONE: "Not offered treatment",
}
COMPARED = {GIVEN, WITHHELD, OFFERED}

Arms = Mapping[str, Mapping[str, Measure]]
"""What followed the predictions of the highest tier, such as ``given``, to metric to its measure."""


def treatment_section(arms: Arms) -> Section:
    """What was told and what happened in the highest tier, by what followed the prediction: a plot and a table."""
    question = (
        "People held out in the highest tier: what was told of them, and what happened to those who were then treated "
        "and to those whom chance left untreated."
    )
    if not arms:
        return Section("treatment", TITLE, question, [Missing("What treatment hides", "evaluate")])
    return Section("treatment", TITLE, question, [_in_words(arms), _plot(arms), _table(arms)])


def _in_words(arms):
    if not set(arms) >= COMPARED:
        return Text(
            "In the highest tier nobody was treated after the prediction, or nobody was left untreated at random: how "
            "much treatment hides can't be told. Who is treated for other reasons differs in risk too.",
            "warning",
        )
    treated, untreated, both = (arms[name] for name in (GIVEN, WITHHELD, OFFERED))
    told, happened, difference = treated["mean_predicted"], treated["observed"], both["risk_difference"]
    without = untreated["observed"]
    sentences = [
        f"Those who were treated had been told a risk of {words.percent(told.value)}, and "
        f"{words.percent(happened.value)} of their predictions came true.",
        f"Without treatment it would have been {_share(without)}, as the {words.count(without.rows)} predictions tell "
        "that chance left untreated.",
    ]
    if difference.high is not None and difference.high < 0:
        hidden, least, most = (
            words.count(round(-each * happened.rows)) for each in (difference.value, difference.high, difference.low)
        )
        sentences.append(
            f"So treatment hides about {hidden} events ({least} to {most}) behind {words.count(happened.rows)} "
            "predictions: judge the model by the untreated, and let no other learn from the treated as if nothing had "
            "been done."
        )
    else:
        sentences.append("The difference is not certain: more people left untreated, or more time, would tell.")
    return Text(" ".join(sentences), "note")


def _share(measure):
    value, low, high = (words.percent(each) for each in (measure.value, measure.low, measure.high))
    return f"{value} ({low} to {high})"


def _shown(arms):
    return [arm for arm in ARMS if arm in arms]


def _plot(arms):
    shown = _shown(arms)
    names = [plots.wrapped(IN_WORDS[arm]) for arm in shown]
    figure = plots.plain(plots.height_of(len(shown)) + 36, x="share with the event", legend=True)
    told, happened = ([arms[arm][metric] for arm in shown] for metric in ("mean_predicted", "observed"))
    figure.add_scatter(
        x=[each.value for each in told],
        y=names,
        mode="markers",
        name="told",
        marker={"color": plots.ORANGE, "symbol": "square", "size": 9},
        hovertemplate="%{y}: %{x:.1%}<extra>told</extra>",
    )
    figure.add_scatter(
        x=[each.value for each in happened],
        y=names,
        mode="markers",
        name="happened",
        marker={"color": plots.BLUE, "symbol": "circle", "size": 9},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [each.high - each.value for each in happened],
            "arrayminus": [each.value - each.low for each in happened],
        },
        hovertemplate="%{y}: %{x:.1%}<extra>happened</extra>",
    )
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(tickformat=".0%", rangemode="tozero")
    return Plot(
        figure,
        "The mean probability that was told and the share that had the event, with its 95 % interval. Only the treated "
        "and those left untreated at random are the same people but for chance.",
    )


def _table(arms):
    columns = ("After the prediction", "People", "Predictions", "Events", "Told", "Happened", "Observed over expected")
    rows = []
    for arm in _shown(arms):
        found = arms[arm]
        happened, ratio = found["observed"], found["observed_over_expected"]
        rows.append(
            (
                IN_WORDS[arm],
                words.count(happened.people),
                words.count(happened.rows),
                words.count(int(found["events"].value or 0)),
                words.percent(found["mean_predicted"].value),
                _share(happened),
                words.interval(ratio.value, ratio.low, ratio.high, 2),
            )
        )
    caption = "The highest tier by what followed (95 % intervals)"
    if set(arms) >= COMPARED:
        both = arms[OFFERED]
        difference, ratio = both["risk_difference"], both["risk_ratio"]
        points = [words.signed(100 * each, 1) for each in (difference.value, difference.low, difference.high)]
        caption += (
            f": treated against left untreated {points[0]} points ({points[1]} to {points[2]}), risk ratio "
            f"{words.interval(ratio.value, ratio.low, ratio.high, 2)}"
        )
    return Table(caption, columns, rows, numeric=columns[1:])
