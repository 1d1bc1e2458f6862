"""Overview: the few figures that a reader takes away, and one sentence on how to read them."""

from collections.abc import Mapping

from salus.report import words
from salus.report.measured import Measures
from salus.report.night import Night
from salus.report.page import Block, Figure, Missing, Section, Strip, Text

TITLE = "Summary"
BESIDE = ("attainable", "oracle")


def overview_section(scoring: Night | None, measured: Measures, card: Mapping[str, str]) -> Section:
    """The summary strip, how to read it, and what the task's ``card`` states of its use."""
    question = "Who was scored, how well the model ranks people whom it has never seen, and from which data."
    figures = []
    if scoring is not None:
        figures += [
            Figure("People", words.count(scoring.population), "with a timeline"),
            Figure("Eligible", words.count(scoring.eligible), "by what was known on the day"),
            Figure("Scored", words.count(scoring.scored), _share(scoring)),
            Figure("Not scored", words.count(scoring.not_scored), "each with a reason"),
        ]
    figures += _auroc(measured)
    if scoring is not None:
        figures += [
            Figure(
                "Data through",
                f"{scoring.data_through:%-d %B %Y}" if scoring.data_through else words.ABSENT,
                "newest fact that could be seen",
            ),
            Figure("Model", f"version {scoring.model_version}", scoring.model_name),
        ]
    blocks: list[Block] = [Strip(figures)] if figures else []
    if scoring is None:
        blocks.append(Missing("Scores", "score"))
    if not measured:
        blocks.append(Missing("The evaluation", "evaluate"))
    return Section(
        "summary",
        TITLE,
        question,
        [
            *blocks,
            Text(
                "How to read it: a probability of 10 % means that of a hundred people with records like these, "
                "about ten are expected to have the event within the window; a tier ranks people for attention, "
                "and nobody's figure is a diagnosis.",
                "note",
            ),
            *_stated(card),
        ],
    )


def _stated(card):
    return [Text(f"{name.replace('_', ' ').capitalize()}: {said}") for name, said in card.items()]


def _share(scoring):
    if scoring.eligible != scoring.scored + scoring.not_scored:
        return "eligible is NOT scored + not scored"
    return f"{words.percent(scoring.scored / scoring.eligible if scoring.eligible else None)} of eligible"


def _auroc(measured):
    model = measured.get(("model", "auroc"))
    if model is None:
        return []
    interval = (
        ""
        if model.low is None or model.high is None
        else f"held out, 95 % {words.number(model.low)} to {words.number(model.high)}"
    )
    beside = [f"{name} {words.number(found.value)}" for name in BESIDE if (found := measured.get((name, "auroc")))]
    baseline = measured.get(("baseline", "auroc"))
    return [
        Figure("AUROC, model", words.number(model.value), interval),
        Figure("AUROC, baseline", words.number(baseline.value) if baseline else words.ABSENT, " · ".join(beside)),
    ]
