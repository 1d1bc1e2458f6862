"""Distribution: how the night's probabilities lie, how many people each tier holds, and who has no score."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from pyspark.sql import functions as F

from salus.report import plots, words
from salus.report.night import scores_of
from salus.report.page import Missing, Plot, Section, Table, Text
from salus.storage.tables import Tables

TITLE = "How the scores lie"
WIDTHS = (0.002, 0.005, 0.01, 0.02, 0.025, 0.05)
BARS = 45
TIER_COLOURS = (plots.VERMILLION, plots.ORANGE, plots.SKY, plots.BLUE, plots.GREEN, plots.PURPLE, plots.GREY)
TIER_PATTERNS = ("", "/", "", ".", "", "x", "")


@dataclass(frozen=True)
class TierOfNight:
    """One tier: how many people, between which probabilities, and how many events to expect."""

    name: str
    people: int
    lowest: float
    highest: float
    expected: float


@dataclass(frozen=True)
class Distribution:
    """The night's probabilities, counted by Spark.

    Attributes:
        width: of a bar, in probability.
        bars: (tier, place) -> people; a bar spans [place * width, (place + 1) * width).
        tiers: highest first.
        reasons: why people were not scored -> people.
        prior: share of positive labels in training.
    """

    width: float
    bars: dict[tuple[str, int], int]
    tiers: Sequence[TierOfNight]
    reasons: dict[str, int]
    prior: float | None


def distribution(tables: Tables, task_id: str, as_of: date) -> Distribution | None:
    """How the scores of ``task_id`` as of ``as_of`` lie; None where there is none."""
    scores = scores_of(tables, task_id, as_of).select(
        "probability", "prior_probability", "not_scored_reason", F.coalesce("tier", F.lit("no tier")).alias("tier")
    )
    groups = (
        scores.groupBy("tier", "not_scored_reason")
        .agg(
            F.count(F.lit(1)).alias("people"),
            F.min("probability").alias("lowest"),
            F.max("probability").alias("highest"),
            F.sum("probability").alias("expected"),
            F.max("prior_probability").alias("prior"),
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
    width = bar_width(tiers[0].highest if tiers else 0.0)
    place = F.least(F.floor(F.col("probability") / width), F.lit(math.ceil(1 / width) - 1)).cast("int")
    bars = (
        scores.where(F.col("probability").isNotNull())
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


def bar_width(highest: float) -> float:
    """The smallest round width with which probabilities up to ``highest`` fit into ``BARS`` bars."""
    return next((width for width in WIDTHS if highest / width <= BARS), WIDTHS[-1])


def distribution_section(found: Distribution | None) -> Section:
    """Histogram, tiers and who was not scored."""
    question = "Calibrated probabilities of everybody scored that night, and the tiers that they fall into."
    if found is None:
        return Section("distribution", TITLE, question, [Missing("Scores", "score")])
    return Section("distribution", TITLE, question, [_histogram(found), _tiers(found), *_not_scored(found)])


def _histogram(found):
    figure = plots.plain(380, x="probability", y="people", legend=True)
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
                [words.percent(place * found.width), words.percent((place + 1) * found.width)]
                for place in range(last + 1)
            ],
            hovertemplate="%{customdata[0]} to %{customdata[1]}: %{y:,} people<extra>%{fullData.name}</extra>",
        )
    if found.prior is not None:
        figure.add_vline(
            x=found.prior,
            line={"color": plots.INK, "width": 1.5, "dash": "dot"},
            annotation_text=f"share of events in training, {words.percent(found.prior)}",
            annotation_position="top right",
            annotation_font_size=12,
        )
    figure.update_layout(barmode="stack", bargap=0.04)
    figure.update_xaxes(
        tickformat=".0%" if (last + 1) * found.width > 0.05 else ".1%",
        rangemode="tozero",
        range=[0, (last + 1) * found.width],
    )
    figure.update_yaxes(tickformat=",")
    return Plot(figure, f"People by probability, in steps of {words.percent(found.width)}, coloured by tier.")


def _tiers(found):
    scored = sum(tier.people for tier in found.tiers)
    expected = sum(tier.expected for tier in found.tiers)
    columns = ("Tier", "People", "Share", "Lowest", "Mean", "Highest", "Events expected", "Share of events expected")
    return Table(
        "Tiers, highest first, with their probabilities",
        columns,
        [
            (
                tier.name,
                words.count(tier.people),
                words.percent(tier.people / scored),
                words.percent(tier.lowest),
                words.percent(tier.expected / tier.people),
                words.percent(tier.highest),
                words.number(tier.expected, 1),
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
            words.percent(expected / scored if scored else None),
            "",
            words.number(expected, 1),
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
