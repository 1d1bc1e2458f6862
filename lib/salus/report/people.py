"""People: the twenty with the highest risk, by pseudonym, and what their scores are associated with."""

from collections.abc import Sequence
from datetime import date

from pyspark.sql import Row
from pyspark.sql import functions as F

from salus.report import plots, words
from salus.report.night import scores_of
from salus.report.page import Figure, Missing, People, Person, Plot, Reason, Section, Text
from salus.report.told import PROBABILITY, Told
from salus.scoring.flags import MEANING
from salus.scoring.outcome import TOLD
from salus.storage.tables import Tables

TITLE = "The people at highest risk"
TITLE_OF_NUMBERS = "The people of whom most is expected"
SHOWN = 20
COLUMNS = (
    "subject_id",
    *(f"{name}{which}" for name in TOLD for which in ("", "_low", "_high")),
    "relative_risk",
    "percentile",
    "tier",
    "previous_probability",
    "days_since_last_event",
    "data_quality_flags",
    "reasons",
    "reason_method",
)


def highest(tables: Tables, task_id: str, as_of: date, told: Told = PROBABILITY) -> list[Row]:
    """The rows of ``scores`` that were told most, at most ``SHOWN``; ties by pseudonym."""
    return (
        scores_of(tables, task_id, as_of)
        .where(F.col(told.column).isNotNull())
        .orderBy(F.desc(told.column), "subject_id")
        .select(*COLUMNS)
        .limit(SHOWN)
        .collect()
    )


def people_section(rows: Sequence[Row], as_of: date, told: Told = PROBABILITY) -> Section:
    """The plot and the list of ``rows`` (mappings with ``COLUMNS``)."""
    question = (
        "By pseudonym only. What stands beside a person is associated with the score in this model; "
        "it is not a cause, and changing it need not change the risk."
    )
    title = TITLE if told.unit is None else TITLE_OF_NUMBERS
    if not rows:
        return Section("people", title, question, [Missing("Scores", "score")])
    method = rows[0]["reason_method"]
    return Section(
        "people",
        title,
        question,
        [
            _plot(rows, told),
            Text(
                f"Contributions are on {told.scale} before calibration"
                + (f", by {method.replace('_', ' ')}." if method else ".")
            ),
            People([_person(rank, row, as_of, told) for rank, row in enumerate(rows, 1)]),
        ],
    )


def _plot(rows, told):
    names = [f"{rank}. {row['subject_id']}" for rank, row in enumerate(rows, 1)]
    values, low, high = zip(*(_bounded(row, told) for row in rows))
    figure = plots.plain(90 + 22 * len(rows), x=told.axis)
    figure.add_scatter(
        mode="markers",
        x=values,
        y=names,
        marker={"color": plots.BLUE, "size": 9},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": _gaps(high, values),
            "arrayminus": _gaps(values, low),
            "color": plots.GREY,
            "thickness": 1.5,
            "width": 4,
        },
        customdata=[words.interval(*bounds) for bounds in zip(values, low, high)],
        hovertemplate="%{y}: %{customdata}<extra></extra>",
    )
    end = 1.08 * max(high)
    figure.update_xaxes(
        tickformat=told.tick_format, rangemode="tozero", range=[0, min(1.0, end) if told.unit is None else end]
    )
    figure.update_yaxes(autorange="reversed", type="category", tickfont={"size": 11}, ticks="")
    return Plot(
        figure,
        f"{told.column.capitalize()} with its 95 % interval. The interval covers the calibration's uncertainty alone: "
        "not the network's, nor what no record holds.",
    )


def _gaps(upper, lower):
    return [max(0.0, above - below) for above, below in zip(upper, lower)]


def _bounded(row, told):
    """What a person was told, and its bounds; itself where there are none."""
    value = row[told.column]
    low, high = (value if bound is None else bound for bound in (row[f"{told.column}_low"], row[f"{told.column}_high"]))
    return value, low, high


def _person(rank, row, as_of, told):
    bounded = (row[f"{told.column}{which}"] for which in ("", "_low", "_high"))
    figures = [
        Figure(f"{told.column.capitalize()} (95 % interval)", told.with_bounds(*bounded)),
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
