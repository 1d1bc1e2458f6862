"""Quality: which checks of the data fall short, what every check found, and how much came in each day."""

from collections.abc import Sequence
from dataclasses import dataclass

from salus.quality.results import Result, results
from salus.quality.volume import Volume
from salus.report import plots, words
from salus.report.page import Missing, Plot, Section, Table, Text
from salus.storage.tables import Tables

TITLE = "Data quality"


@dataclass(frozen=True)
class Checked:
    """What the newest check of the data found, and the daily volume of every source."""

    results: Sequence[Result]
    volumes: Sequence[Volume]


def checked(tables: Tables) -> Checked | None:
    """What the warehouse's data were found to be; None where they were never checked."""
    found = results(tables)
    if not found:
        return None
    rows = tables.read("daily_volumes").orderBy("source", "day").collect()
    return Checked(found, [Volume(**row.asDict()) for row in rows])


def quality_section(found: Checked | None) -> Section:
    """The checks of conf/quality: what falls short first."""
    question = (
        "Is what came in as declared, complete and plausible? The categories are those of Kahn et al. 2016; each check "
        "counts failures in what stands today, beside the share that is borne."
    )
    if found is None:
        return Section("quality", TITLE, question, [Missing("What the data are like", "quality")])
    return Section(
        "quality",
        TITLE,
        question,
        [_statement(found.results), *_short(found.results), _table(found.results), *_volume_plot(found.volumes)],
    )


def _statement(found):
    short = sorted({one.check for one in found if one.falls_short})
    checks = len({one.check for one in found})
    unjudged = sum(one.status == "too few" for one in found)
    sentence = f"{words.count(checks)} checks gave {words.count(len(found))} results"
    sentence += f", {words.count(unjudged)} of them of too few to be judged." if unjudged else "."
    if not short:
        return Text(f"{sentence} None falls short.", "note")
    return Text(f"{sentence} {words.count(len(short))} checks fall short: {', '.join(short)}.", "warning")


def _short(found):
    short = [one for one in found if one.falls_short]
    if not short:
        return []
    return [
        Table(
            "What falls short, and up to 20 of the people concerned, by pseudonym",
            ("Check", "Of", "Failed", "Out of", "Share", "At most", "People"),
            [
                (
                    one.check,
                    one.object or words.ABSENT,
                    words.count(one.failed),
                    words.count(one.of),
                    words.percent(one.share, 2),
                    words.percent(one.share_at_most, 2),
                    " ".join(map(str, one.examples)) or words.ABSENT,
                )
                for one in short
            ],
            numeric=("Failed", "Out of", "Share", "At most"),
        )
    ]


def _table(found):
    """A row a check, over all its objects; the bar says how much of what is borne is used up at the worst of them."""
    by_check: dict[str, list[Result]] = {}
    for one in found:
        by_check.setdefault(one.check, []).append(one)
    rows, bars = [], []
    for name, those in by_check.items():
        judged = [one for one in those if one.status != "too few"]
        worst = max(judged, key=_used, default=None)
        rows.append(
            (
                name,
                those[0].category,
                those[0].means,
                "falls short" if any(one.falls_short for one in those) else "met" if judged else "too few",
                words.count(sum(one.failed for one in those)),
                words.count(sum(one.of for one in those)),
                f"{words.percent(worst.share, 2)} {worst.object}".strip() if worst else words.ABSENT,
                words.percent(those[0].share_at_most, 2),
            )
        )
        bars.append(min(1.0, _used(worst)) if worst else 0.0)
    return Table(
        "Every check; the bar is the share that fails, where it is worst, beside the share that is borne",
        ("Check", "Category", "A failure", "", "Failed", "Out of", "Worst", "At most"),
        rows,
        numeric=("Failed", "Out of", "Worst", "At most"),
        bars=bars,
    )


def _used(one):
    """How much of what is borne is used up: 1 at the threshold."""
    if one.share_at_most:
        return one.share / one.share_at_most
    return float(one.failed > 0)


def _volume_plot(found):
    sources = sorted({one.source for one in found})
    if not sources:
        return []
    figure = plots.plain(70 + 120 * len(sources))
    figure.set_subplots(
        rows=len(sources),
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.32 / len(sources),
        subplot_titles=[plots.wrapped(source, 60) for source in sources],
    )
    for row, source in enumerate(sources, 1):
        days = [one for one in found if one.source == source]
        drops = [one for one in days if one.is_drop]
        figure.add_scatter(
            x=[one.day for one in days],
            y=[one.events for one in days],
            mode="lines",
            line={"color": plots.BLUE, "width": 1.2},
            hovertemplate="%{x|%-d %b %Y}: %{y:,} events<extra></extra>",
            row=row,
            col=1,
        )
        figure.add_scatter(
            x=[one.day for one in drops],
            y=[one.events for one in drops],
            mode="markers",
            marker={"color": plots.VERMILLION, "symbol": "x", "size": 9},
            hovertemplate="%{x|%-d %b %Y}: only %{y:,} events<extra></extra>",
            row=row,
            col=1,
        )
    plots.dressed(figure)
    figure.update_layout(margin={"t": 32})
    figure.update_yaxes(rangemode="tozero", title_text="events", nticks=4)
    figure.update_annotations(font={"size": 13})
    return [
        Plot(
            figure,
            "Events that became available on each day, by source; a cross is a day on which far fewer came than on the "
            "same weekday of the weeks before.",
        )
    ]
