"""Distribution: how what the night told lies, how many people each tier holds, and who has no score."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from pyspark.sql import functions as F

from salus.report import plots, words
from salus.report.night import scores_of
from salus.report.page import Missing, Plot, Section, Table, Text
from salus.report.told import PROBABILITY, Told
from salus.storage.tables import Tables

TITLE = "How the scores lie"
WIDTHS = (0.002, 0.005, 0.01, 0.02, 0.025, 0.05)
"""Of a bar, in probability."""

BARS = 45
TIER_COLOURS = (plots.VERMILLION, plots.ORANGE, plots.SKY, plots.BLUE, plots.GREEN, plots.PURPLE, plots.GREY)
TIER_PATTERNS = ("", "/", "", ".", "", "x", "")


@dataclass(frozen=True)
class TierOfNight:
    """One tier: how many people, between which figures, and what to expect of them in all."""

    name: str
    people: int
    lowest: float
    highest: float
    expected: float


@dataclass(frozen=True)
class Distribution:
    """What the night told, counted by Spark.

    Attributes:
        width: of a bar, in what is told.
        bars: (tier, place) -> people; a bar spans [place * width, (place + 1) * width).
        tiers: highest first.
        reasons: why people were not scored -> people.
        prior: mean label in training: of an event, the share of positives.
    """

    width: float
    bars: dict[tuple[str, int], int]
    tiers: Sequence[TierOfNight]
    reasons: dict[str, int]
    prior: float | None


def distribution(tables: Tables, task_id: str, as_of: date, told: Told = PROBABILITY) -> Distribution | None:
    """How the scores of ``task_id`` as of ``as_of`` lie; None where there is none."""
    scores = scores_of(tables, task_id, as_of).select(
        F.col(told.column).alias("told"),
        F.coalesce("prior_probability", F.try_divide(told.column, "relative_risk")).alias("prior"),
        "not_scored_reason",
        F.coalesce("tier", F.lit("no tier")).alias("tier"),
    )
    groups = (
        scores.groupBy("tier", "not_scored_reason")
        .agg(
            F.count(F.lit(1)).alias("people"),
            F.min("told").alias("lowest"),
            F.max("told").alias("highest"),
            F.sum("told").alias("expected"),
            F.max("prior").alias("prior"),
        )
        .orderBy(F.desc_nulls_last("highest"), F.desc("lowest"), F.desc("people"), "not_scored_reason")
        .limit(200)
        .collect()
    )
    if not groups:
        return None
    tiers = [
        TierOfNight(row["tier"], row["people"], row["lowest"], row["highest"], row["expected"])
        for row in groups
        if row["highest"] is not None
    ]
    highest = tiers[0].highest if tiers else 0.0
    width = bar_width(highest, WIDTHS if told.unit is None else None)
    last = math.ceil(1 / width) - 1 if told.unit is None else BARS
    place = F.least(F.floor(F.col("told") / width), F.lit(last)).cast("int")
    bars = (
        scores.where(F.col("told").isNotNull())
        .groupBy("tier", place.alias("place"))
        .agg(F.count(F.lit(1)).alias("people"))
        .collect()
    )
    return Distribution(
        width,
        {(row["tier"], row["place"]): row["people"] for row in bars},
        tiers,
        {row["not_scored_reason"]: row["people"] for row in groups if row["not_scored_reason"] is not None},
        max((row["prior"] for row in groups if row["prior"] is not None), default=None),
    )


def bar_width(highest: float, widths: Sequence[float] | None = WIDTHS) -> float:
    """The smallest of ``widths``, or of 1, 2 and 5 times powers of ten, with which ``highest`` fits into ``BARS``."""
    if widths is None:
        power = 10.0 ** math.floor(math.log10(max(highest, 1e-9) / BARS))
        widths = [power * digit for digit in (1, 2, 5, 10)]
    return next((width for width in widths if highest / width <= BARS), widths[-1])


def distribution_section(found: Distribution | None, told: Told = PROBABILITY) -> Section:
    """Histogram, tiers and who was not scored."""
    question = f"The calibrated {told.column} of everybody scored that night, and the tiers that they fall into."
    if found is None:
        return Section("distribution", TITLE, question, [Missing("Scores", "score")])
    return Section("distribution", TITLE, question, [_histogram(found, told), _tiers(found, told), *_not_scored(found)])


def _histogram(found, told):
    figure = plots.plain(380, x=told.axis, y="people", legend=True)
    last = max((place for _, place in found.bars), default=0)
    middles = [(place + 0.5) * found.width for place in range(last + 1)]
    for rank, tier in reversed(list(enumerate(found.tiers))):
        style = min(rank, len(TIER_COLOURS) - 1)
        figure.add_bar(
            name=plots.label(tier.name),
            x=middles,
            width=found.width * 0.94,
            legendrank=rank,
            y=[found.bars.get((tier.name, place), 0) for place in range(last + 1)],
            marker={
                "color": TIER_COLOURS[style],
                "pattern": {
                    "shape": TIER_PATTERNS[style],
                    "fgcolor": "white",
                    "size": 5,
                    "solidity": 0.2,
                    "fillmode": "overlay",
                },
            },
            customdata=[
                [told.said(place * found.width), told.said((place + 1) * found.width)] for place in range(last + 1)
            ],
            hovertemplate="%{customdata[0]} to %{customdata[1]}: %{y:,} people<extra>%{fullData.name}</extra>",
        )
    if found.prior is not None:
        figure.add_vline(
            x=found.prior,
            line={"color": plots.INK, "width": 1.5, "dash": "dot"},
            annotation_text=f"{told.usual}, {told.said(found.prior)}",
            annotation_position="top right",
            annotation_font_size=12,
        )
    figure.update_layout(barmode="stack", bargap=0.04)
    figure.update_xaxes(
        tickformat=".1%" if told.unit is None and (last + 1) * found.width <= 0.05 else told.tick_format,
        rangemode="tozero",
        range=[0, (last + 1) * found.width],
    )
    figure.update_yaxes(tickformat=",")
    return Plot(figure, f"People by {told.column}, in steps of {told.said(found.width)}, coloured by tier.")


def _tiers(found, told):
    scored = sum(tier.people for tier in found.tiers)
    expected = sum(tier.expected for tier in found.tiers)
    columns = ("Tier", "People", "Share", "Lowest", "Mean", "Highest", told.expected, "Share of it")
    return Table(
        f"Tiers, highest first, with what they were told ({told.column})",
        columns,
        [
            (
                tier.name,
                words.count(tier.people),
                words.percent(tier.people / scored),
                told.said(tier.lowest),
                told.said(tier.expected / tier.people),
                told.said(tier.highest),
                told.in_all(tier.expected),
                words.percent(tier.expected / expected if expected else None),
            )
            for tier in found.tiers
        ],
        numeric=columns[1:],
        total=(
            "All",
            words.count(scored),
            words.percent(1.0),
            "",
            told.said(expected / scored if scored else None),
            "",
            told.in_all(expected),
            words.percent(1.0),
        ),
    )


def _not_scored(found):
    if not found.reasons:
        return [Text("Everybody who was eligible was scored.")]
    return [
        Table(
            "Eligible people without a score",
            ("Why", "People"),
            [(reason.replace("_", " "), words.count(people)) for reason, people in found.reasons.items()],
            numeric=("People",),
            total=("All", words.count(sum(found.reasons.values()))),
        )
    ]
