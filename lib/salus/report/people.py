"""People: the twenty with the highest risk, by pseudonym, and what their scores are associated with."""

from collections.abc import Sequence
from datetime import date

from pyspark.sql import Row
from pyspark.sql import functions as F

from salus.report import plots, words
from salus.report.night import scores_of
from salus.report.page import Figure, Missing, People, Person, Plot, Reason, Section, Text
from salus.scoring.flags import MEANING
from salus.storage.tables import Tables

TITLE = "The people at highest risk"
SHOWN = 20
COLUMNS = (
    "subject_id",
    "probability",
    "probability_low",
    "probability_high",
    "relative_risk",
    "percentile",
    "tier",
    "previous_probability",
    "days_since_last_event",
    "data_quality_flags",
    "reasons",
    "reason_method",
)


def highest(tables: Tables, task_id: str, as_of: date) -> list[Row]:
    """The rows of ``scores`` with the highest probabilities, at most ``SHOWN``; ties by pseudonym."""
    return (
        scores_of(tables, task_id, as_of)
        .where(F.col("probability").isNotNull())
        .orderBy(F.desc("probability"), "subject_id")
        .select(*COLUMNS)
        .limit(SHOWN)
        .collect()
    )


def people_section(rows: Sequence[Row], as_of: date) -> Section:
    """The plot and the list of ``rows`` (mappings with ``COLUMNS``)."""
    question = (
        "By pseudonym only. What stands beside a person is associated with the score in this model; "
        "it is not a cause, and changing it need not change the risk."
    )
    if not rows:
        return Section("people", TITLE, question, [Missing("Scores", "score")])
    method = rows[0]["reason_method"]
    return Section(
        "people",
        TITLE,
        question,
        [
            _plot(rows),
            Text(
                "Contributions are on the logit before calibration"
                + (f", by {method.replace('_', ' ')}." if method else ".")
            ),
            People([_person(rank, row, as_of) for rank, row in enumerate(rows, 1)]),
        ],
    )


def _plot(rows):
    names = [f"{rank}. {row['subject_id']}" for rank, row in enumerate(rows, 1)]
    probability = [row["probability"] for row in rows]
    low = [value if (value := row["probability_low"]) is not None else row["probability"] for row in rows]
    high = [value if (value := row["probability_high"]) is not None else row["probability"] for row in rows]
    figure = plots.plain(90 + 22 * len(rows), x="probability")
    figure.add_scatter(
        mode="markers",
        x=probability,
        y=names,
        marker={"color": plots.BLUE, "size": 9},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": _gaps(high, probability),
            "arrayminus": _gaps(probability, low),
            "color": plots.GREY,
            "thickness": 1.5,
            "width": 4,
        },
        customdata=[words.interval(*bounds) for bounds in zip(probability, low, high)],
        hovertemplate="%{y}: %{customdata}<extra></extra>",
    )
    figure.update_xaxes(tickformat=".0%", rangemode="tozero", range=[0, min(1.0, 1.08 * max(high))])
    figure.update_yaxes(autorange="reversed", type="category", tickfont={"size": 11}, ticks="")
    return Plot(
        figure,
        "Probability with its 95 % interval. The interval covers the calibration's uncertainty alone: "
        "not the network's, nor what no record holds.",
    )


def _gaps(upper, lower):
    return [max(0.0, above - below) for above, below in zip(upper, lower)]


def _person(rank, row, as_of):
    figures = [
        Figure("Probability (95 % interval)", _probability(row)),
        Figure("Tier", row["tier"] or words.ABSENT),
        Figure("Percentile", words.percentile(row["percentile"])),
        Figure("Last event", _days(row["days_since_last_event"])),
    ]
    if row["previous_probability"] is not None:
        figures.insert(1, Figure("Before", words.percent(row["previous_probability"])))
    reasons = sorted(row["reasons"] or [], key=lambda reason: reason["rank"])
    largest = max((abs(reason["contribution"] or 0.0) for reason in reasons), default=0.0) or 1.0
    return Person(
        rank,
        str(row["subject_id"]),
        figures,
        [_reason(reason, largest, as_of) for reason in reasons],
        [MEANING.get(flag, flag.replace("_", " ")) for flag in row["data_quality_flags"] or ()],
    )


def _probability(row):
    if row["probability_low"] is None or row["probability_high"] is None:
        return words.percent(row["probability"])
    low, high = words.number(100 * row["probability_low"], 1), words.number(100 * row["probability_high"], 1)
    return f"{words.percent(row['probability'])} ({low} to {high})"


def _reason(reason, largest, as_of):
    contribution = reason["contribution"] or 0.0
    return Reason(
        feature=reason["feature"] or words.ABSENT,
        code=reason["code"] or "",
        value=words.quantity(reason["value"], reason["unit"]),
        when=words.span_before(reason["time"], as_of),
        direction=reason["direction"] or ("raises" if contribution > 0 else "lowers"),
        contribution=words.signed(contribution),
        share=abs(contribution) / largest,
    )


def _days(days):
    if days is None:
        return words.ABSENT
    whole = round(days)
    return f"{whole} day{'s' if whole != 1 else ''} ago"
