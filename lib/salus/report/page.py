"""Page: sections of text, tables and plots, rendered to one HTML file that needs no network.

plotly's JavaScript is embedded once; the page's own policy forbids every fetch. Jinja escapes whatever comes
out of a table, and ``label`` does the same for plotly, which reads a small HTML in its texts.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

PLOT_SETTINGS = {"displayModeBar": False, "responsive": True}


@dataclass(frozen=True)
class Text:
    """A paragraph; ``tone`` is plain, note or warning."""

    text: str
    tone: str = "plain"
    kind: str = field(default="text", init=False)


@dataclass(frozen=True)
class Figure:
    """One figure of the summary strip."""

    name: str
    value: str
    detail: str = ""


@dataclass(frozen=True)
class Strip:
    """The summary strip."""

    figures: Sequence[Figure]
    kind: str = field(default="strip", init=False)


@dataclass(frozen=True)
class Table:
    """A table whose columns named in ``numeric`` are aligned to the right; ``half`` of a line where asked for.

    ``bars`` are shares, 0 to 1, one a row, drawn in the last column.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: Sequence[str] = ()
    total: Sequence[str] = ()
    half: bool = False
    bars: Sequence[float] = ()
    kind: str = field(default="table", init=False)


@dataclass(frozen=True)
class Plot:
    """A plotly figure, the sentence that stands under it, and whether it shares its line with the next one."""

    figure: go.Figure
    caption: str
    half: bool = False
    kind: str = field(default="plot", init=False)


@dataclass(frozen=True)
class Reason:
    """One association behind a score, in words; ``share`` is its size beside the largest shown, 0 to 1."""

    feature: str
    code: str
    value: str
    when: str
    direction: str
    contribution: str
    share: float


@dataclass(frozen=True)
class Person:
    """One person of the list, by pseudonym only."""

    rank: int
    subject_id: str
    figures: Sequence[Figure]
    reasons: Sequence[Reason]
    cautions: Sequence[str] = ()


@dataclass(frozen=True)
class People:
    """The people with the highest risk."""

    people: Sequence[Person]
    kind: str = field(default="people", init=False)


@dataclass(frozen=True)
class Missing:
    """What can't be shown yet, and the job that makes it."""

    what: str
    job: str
    kind: str = field(default="missing", init=False)


Block = Text | Strip | Table | Plot | People | Missing


@dataclass(frozen=True)
class Section:
    """A heading, the question that it answers, and what answers it."""

    id: str
    title: str
    question: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page:
    """A whole report; ``links`` are names and relative addresses of the pages beside it."""

    title: str
    task_id: str
    as_of: date
    written_at: datetime
    sections: Sequence[Section]
    links: Sequence[tuple[str, str]] = ()


def render(page: Page) -> str:
    """``page`` as one HTML document."""
    environment = Environment(
        loader=PackageLoader("salus.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plot"] = _plot
    template = environment.get_template("page.html.j2")
    has_plots = any(block.kind == "plot" for section in page.sections for block in section.blocks)
    return template.render(page=page, plotlyjs=Markup(get_plotlyjs()) if has_plots else "")


def label(text: str) -> str:
    """``text`` for a plotly title, tick or legend, where its tags must not be read as markup."""
    return html.escape(text, quote=False)


def _plot(plot: Plot, name: str) -> Markup:
    return Markup(
        plot.figure.to_html(
            full_html=False,
            include_plotlyjs=False,
            include_mathjax=False,
            div_id=name,
            config=PLOT_SETTINGS,
            default_height=f"{plot.figure.layout.height}px",
        )
    )
