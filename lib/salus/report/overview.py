"""Overview: the few figures that a reader takes away, and one sentence on how to read them."""

from collections.abc import Mapping

from salus.report import words
from salus.report.measured import Measures
from salus.report.night import Night
from salus.report.page import Block, Figure, Missing, Section, Strip, Text
from salus.report.told import PROBABILITY, Told

TITLE = "Summary"
BESIDE = ("attainable", "oracle")


def overview_section(
    scoring: Night | None, measured: Measures, card: Mapping[str, str], told: Told = PROBABILITY
) -> Section:
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
    figures += [*_c_index(measured), *_auroc(measured), *_r_squared(measured)]
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
                f"How to read it: {told.reading}",
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
    beside = [f"{name} {words.number(found.value)}" for name in BESIDE if (found := measured.get((name, "auroc")))]
    baseline = measured.get(("baseline", "auroc"))
    return [
        Figure("AUROC, model", words.number(model.value), _interval(model)),
        Figure("AUROC, baseline", words.number(baseline.value) if baseline else words.ABSENT, " · ".join(beside)),
    ]


def _c_index(measured):
    model, baseline = (measured.get((name, "c_index")) for name in ("model", "baseline"))
    if model is None:
        return []
    beside = f"baseline {words.number(baseline.value)}" if baseline else ""
    return [Figure("C-index, model", words.number(model.value), " · ".join(filter(None, [_interval(model), beside])))]


def _r_squared(measured):
    model, baseline, ratio = (
        measured.get(key) for key in (("model", "r_squared"), ("baseline", "r_squared"), ("model", "predictive_ratio"))
    )
    if model is None or ratio is None:
        return []
    beside = f"baseline {words.number(baseline.value)}" if baseline else ""
    return [
        Figure("R², model", words.number(model.value), " · ".join(filter(None, [_interval(model), beside]))),
        Figure("Predictive ratio", words.number(ratio.value, 2), _interval(ratio)),
    ]


def _interval(measure):
    if measure.low is None or measure.high is None:
        return ""
    return f"held out, 95 % {words.number(measure.low)} to {words.number(measure.high)}"
