"""The coefficient tables of docs/risk_model.md, written from the code: ``python -m salus.simulate.model_page PAGE``."""

import sys
from pathlib import Path

from salus.simulate import cascade, decline, programme
from salus.simulate.appointments import NO_SHOW, NO_SHOW_TERMS
from salus.simulate.attainable import fitted
from salus.simulate.catalogue import CONDITIONS
from salus.simulate.risk import ADMISSION, DEATH, FAST, LAPSE_LOGIT, TERMS, WORSENING_LOGIT

BEGIN, END = "<!-- tables: made by salus.simulate.model_page -->\n", "<!-- end of tables -->\n"


def tables() -> str:
    """All coefficients as Markdown."""
    return "\n".join(
        [_equations(), _fast(), _no_show(), _conditions(), _cascade(), _programme(), _decline(), _fitted()]
    )


def with_tables(page: str) -> str:
    """The page with the text between its two marks replaced by ``tables``."""
    before, _, rest = page.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError(
            f"Received a page without the lines {BEGIN!r} and {END!r}; expected both, in this order. Put them in."
        )
    return before + BEGIN + tables() + END + after


def _equations():
    lines = [
        "### Logits, term by term",
        "",
        "| term | unplanned admission, daily | death, daily | worsening from stable, weekly | lapse, weekly |",
        "|---|---|---|---|---|",
    ]
    for name, meaning in TERMS.items():
        cells = [
            f"{table[name]:g}" if name in table else "" for table in (ADMISSION, DEATH, WORSENING_LOGIT, LAPSE_LOGIT)
        ]
        lines.append(f"| {meaning} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _fast():
    lines = ["### Other weekly transitions", "", "| transition | probability |", "|---|---|"]
    return "\n".join(lines + [f"| {name} | {value:g} |" for name, value in FAST.items()]) + "\n"


def _no_show():
    lines = ["### Missed appointments", "", "| term | logit of a booking, not called off, being missed |", "|---|---|"]
    return "\n".join(lines + [f"| {NO_SHOW_TERMS[name]} | {value:g} |" for name, value in NO_SHOW.items()]) + "\n"


def _conditions():
    lines = [
        "### Conditions",
        "",
        "Share who have it by age a: ceiling / (1 + exp(-(a - midpoint) / spread)); the midpoint comes earlier by the",
        "given years for each standard deviation of the metabolic and the smoking tendency, and for women.",
        "",
        "| condition | ICD-10-CM | SNOMED CT | ceiling | midpoint | spread | metabolic | smoking | women | admission "
        "| death | worsening |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for c in CONDITIONS:
        numbers = (c.ceiling, c.midpoint, c.spread, c.metabolic, c.smoking, c.female, c.admission, c.death, c.burden)
        cells = " | ".join(f"{n:g}" for n in numbers)
        lines.append(f"| {c.name.replace('_', ' ')} | {c.icd10} | {c.snomed} | {cells} |")
    return "\n".join(lines) + "\n"


def _cascade():
    first, second = cascade.BLOCKER, cascade.DIURETIC
    lines = [
        "### The planted effect of order",
        "",
        "Only with `--plant order`.",
        "",
        "| what | value |",
        "|---|---|",
        f"| courses of {first} and {second} | in each of {cascade.PARTS} equal parts of the history, of "
        f"{cascade.BEGINS:.0%} of those of {cascade.ADULT} years or more, at most one |",
        f"| which of the two is added to the other | either, equally often, {cascade.APART[0]} to {cascade.APART[1]} "
        "days later |",
        f"| refills | {cascade.REFILLS} of both on the same days, the first {cascade.TOGETHER} days after the first "
        f"drug, each for {cascade.SUPPLY} days |",
        f"| {second} added to {first}: on the logit of the daily hazard of an unplanned admission, from then to the "
        f"end of the supply, each week's 91 days later | {cascade.EFFECT:g} |",
        f"| {first} added to {second} | 0 |",
    ]
    return "\n".join(lines) + "\n"


def _programme():
    lines = [
        "### The planted treatment",
        "",
        "Only with `--plant treatment`.",
        "",
        "| what | value |",
        "|---|---|",
        f"| lists | on the last {programme.LISTS} firsts of a month |",
        f"| who is on a list | the highest {programme.TOP:.0%} of those of {programme.ADULT} years or more whom the "
        "EHR knows, by the slow part of the logit of an unplanned admission |",
        f"| who is offered a place | whoever on it was not in the last {programme.LASTS} days |",
        f"| left to usual care by chance | {programme.UNTREATED:.0%} of those offered a place |",
        f"| odds ratio of an unplanned admission, each day of the {programme.WEEKS_TREATED} whole weeks that follow an "
        f"enrolment | {programme.ODDS_RATIO:g} |",
        "| records | a Procedure: CPT 99490, or `usual-care` of `urn:salus:programme`, at 10:00 of the day |",
    ]
    return "\n".join(lines) + "\n"


def _decline():
    lines = [
        "### The planted decline",
        "",
        "Only with `--plant decline`.",
        "",
        "| what | value |",
        "|---|---|",
        f"| declines | in each of {decline.PARTS} equal parts of the history, of {decline.BEGINS:.0%} of those of "
        f"{decline.ADULT} years or more, at most one, of {decline.LASTS} days |",
        f"| steps and active minutes of these days, where a device is worn | times {decline.STEPS_FACTOR:g} |",
        f"| on the logit of the daily hazard of an unplanned admission, each week's 91 days later | {decline.EFFECT:g} "
        "|",
    ]
    return "\n".join(lines) + "\n"


def _fitted():
    fit = fitted()
    lines = [
        "### The attainable model",
        "",
        f"Fitted on {fit['people']:,} simulated people ({fit['samples']:,} samples, seed {fit['seed']}): AUROC "
        f"{fit['attainable_auroc']:.4f}, oracle {fit['oracle_auroc']:.4f}, mean probability {fit['prevalence']:.4f}.",
        "",
        "| evidence | coefficient |",
        "|---|---|",
        f"| intercept | {fit['intercept']:g} |",
    ]
    return (
        "\n".join(lines + [f"| {name.replace('_', ' ')} | {value:g} |" for name, value in fit["coefficients"].items()])
        + "\n"
    )


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(with_tables(path.read_text(encoding="utf-8")), encoding="utf-8")
