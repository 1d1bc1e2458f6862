"""Card: what a user of the scores may ask of the model, as the 31 source attributes of HTI-1.

The certification rule of ONC (45 CFR 170.315(b)(11)(iv)(B), for predictive decision support interventions; 89 FR 1192
of 2024) names what must be told. What is measured comes from the tables; what only people can state comes from
``card`` in the task, and is said to be not provided where it is blank.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any

from pyspark.sql import Row

from salus.cohorts.task import Task
from salus.evaluation.subgroups import MATERIAL
from salus.report import words
from salus.report.attrition import Step
from salus.report.measured import Measure, Measures
from salus.report.night import Night
from salus.report.page import Page, Section, Table
from salus.report.stability import Months, off_months
from salus.report.subgroups import material_gaps
from salus.report.told import told_of
from salus.training import encoders
from salus.training.sample_size import sentence

RULE = "45 CFR 170.315(b)(11)(iv)(B)"
CRITERIA = "(4)(i)"
NOT_PROVIDED = "not provided"
NOT_MEASURED = "not yet available: run {}"

GROUPS = (
    "Details and output",
    "Purpose",
    "Cautioned out-of-scope use",
    "Development and input features",
    "Fairness in development",
    "External validation",
    "Quantitative measures of performance",
    "Maintenance",
    "Updates, and continued validation or fairness assessment",
)

ATTRIBUTES: Sequence[tuple[str, str, str]] = (
    ("(1)(i)", "Developer's name and contact", "developer"),
    ("(1)(ii)", "Funding source of the technical implementation", "funding"),
    ("(1)(iii)", "Value that is produced as output", ""),
    ("(1)(iv)", "Type of output", ""),
    ("(2)(i)", "Intended use", "intended_use"),
    ("(2)(ii)", "Intended patient population", "intended_population"),
    ("(2)(iii)", "Intended users", "intended_users"),
    ("(2)(iv)", "Intended decision-making role", "decision_role"),
    ("(3)(i)", "Tasks, situations or populations to be cautious in", "out_of_scope"),
    ("(3)(ii)", "Known risks, inappropriate settings and uses, limitations", "cautions"),
    ("(4)(i)", "Exclusion and inclusion criteria of the training data", ""),
    ("(4)(ii)", "Demographic and social variables among the input features", ""),
    ("(4)(iii)", "Demographic representativeness", ""),
    ("(4)(iv)", "Relevance of the training data to the deployed setting", "training_relevance"),
    ("(5)(i)", "Approach to fair output", "fairness_approach"),
    ("(5)(ii)", "Approaches to manage, reduce or eliminate bias", "bias_management"),
    ("(6)(i)", "External data source, setting or environment", "external_data"),
    ("(6)(ii)", "Party that tested externally", "external_party"),
    ("(6)(iii)", "Demographic representativeness of external data", "external_people"),
    ("(6)(iv)", "External validation process", "external_process"),
    ("(7)(i)", "Validity in test data of the training data's source", ""),
    ("(7)(ii)", "Fairness in test data of the training data's source", ""),
    ("(7)(iii)", "Validity in external data", "external_validity"),
    ("(7)(iv)", "Fairness in external data", "external_fairness"),
    ("(7)(v)", "Evaluations of use on outcomes", "outcome_evaluations"),
    ("(8)(i)", "Process and frequency of monitoring validity", "validity_monitoring"),
    ("(8)(ii)", "Validity in local data", ""),
    ("(8)(iii)", "Process and frequency of monitoring fairness", "fairness_monitoring"),
    ("(8)(iv)", "Fairness in local data", ""),
    ("(9)(i)", "Process and frequency of updates", "update_process"),
    ("(9)(ii)", "How often performance is corrected", "correction_frequency"),
)
"""Number in the rule, short name, and the key of ``card`` that states it; no key = it comes from the tables."""


@dataclass(frozen=True)
class Attribute:
    """One source attribute; ``origin`` is ``task``, ``tables``, or empty where nobody has said anything."""

    number: str
    group: str
    name: str
    text: str
    origin: str


@dataclass(frozen=True)
class Found:
    """What is known of a task's model: from the tables, and ``trained`` from its package.

    ``model`` is the row of ``models`` of the one that ``scoring`` used.
    """

    model: Row | None
    scoring: Night | None
    steps: Sequence[Step]
    measured: Measures
    people: Mapping[str, Mapping[str, Measure]]
    months: Months
    trained: Mapping[str, Any] = field(default_factory=dict)
    arms: Mapping[str, Mapping[str, Measure]] = field(default_factory=dict)


def attributes(task: Task, found: Found) -> list[Attribute]:
    """The 31 source attributes in the rule's order."""
    stated, measured = task.card.stated, _from_tables(task, found)
    listed = []
    for number, name, key in ATTRIBUTES:
        text, origin = (stated.get(key), "task") if key else (measured[number], "tables")
        if not text:
            missing = NOT_MEASURED.format("cohort" if number == CRITERIA else "evaluate")
            text, origin = NOT_PROVIDED if key else missing, ""
        listed.append(Attribute(number, GROUPS[int(number[1]) - 1], name, text, origin))
    return listed


def card_page(task: Task, as_of: date, written_at: datetime, listed: Sequence[Attribute], report: str) -> Page:
    """The card as a page, with a link back to the file ``report``."""
    columns = ("Attribute", "Number", "What is known", "Stated by")
    sections = []
    for place, group in enumerate(GROUPS, 1):
        rows = [(each.name, each.number, each.text, each.origin) for each in listed if each.group == group]
        question = f"{RULE}({place})"
        sections.append(Section(f"attributes-{place}", group, question, [Table(group, columns, rows)]))
    return Page(f"Model card: {task.title}", task.id, as_of, written_at, sections, (("the report", report),))


def card_json(task: Task, as_of: date, written_at: datetime, listed: Sequence[Attribute], found: Found) -> str:
    """The card as JSON: what it speaks of, the attributes, and the model's figures with their intervals."""
    named = ("model_name", "model_version", "architecture", "package_hash", "dataset_hash", "feature_spec_hash")
    return json.dumps(
        {
            "rule": RULE,
            "task_id": task.id,
            "title": task.title,
            "as_of": str(as_of),
            "written_at": written_at.isoformat(),
            "model": {name: found.model[name] for name in named} if found.model else None,
            "calibration": {
                "method": task.calibration.method,
                "version": found.scoring.calibration_version if found.scoring else None,
            },
            "sample_size": found.trained.get("sample_size"),
            "tuned": found.trained.get("tuned"),
            "pretrained": found.trained.get("pretrained"),
            "attributes": [asdict(each) for each in listed],
            "figures": {
                metric: _figure(each)
                for (name, metric), each in found.measured.items()
                if name == "model" and each.value is not None
            },
            "subgroups": {
                name: {metric: _figure(each) for metric, each in measures.items()}
                for name, measures in {**found.people, **found.months}.items()
            },
        },
        indent=2,
        ensure_ascii=False,
    )


def _figure(measure):
    return {name: getattr(measure, name) for name in ("value", "low", "high", "people", "rows")}


def _from_tables(task, found):
    valid, fair = _validity(found), _fairness(found, told_of(task.label).of_subgroups)
    local = "Trained and tested on this warehouse's own data: as {}."
    return {
        "(1)(iii)": (
            f"{_output(task)}, with its 95 % interval, of: {task.title}. Horizon {task.label.horizon_days} days; "
            f"tiers {', '.join(tier.name for tier in task.tiers)}; calibrated by: {task.calibration.method}."
        ),
        "(1)(iv)": "Prediction",
        CRITERIA: " ".join(
            filter(None, (_criteria(found.steps), _sample_size(found.trained), _pretrained(found.trained)))
        ),
        "(4)(ii)": (
            "Age (from the date of birth) and sex are inputs. Race, ethnicity, language, sexual orientation and gender "
            "identity are no inputs of their own; social determinants and health status assessments are inputs only "
            f"where the codeset {', '.join(task.features.codesets)} groups their codes."
        ),
        "(4)(iii)": _representation(found),
        "(7)(i)": valid,
        "(7)(ii)": fair,
        "(8)(ii)": valid and f"{local.format('(7)(i)')} {_over_time(found.months)}".strip(),
        "(8)(iv)": fair and local.format("(7)(ii)"),
    }


def _output(task):
    told, outcomes = told_of(task.label), task.label.outcomes
    if outcomes is not None:
        return f"Probability of each of {', '.join(outcomes.told)}, 0 to 1; tiers and reasons of {outcomes.focus}"
    if task.label.kind.quantiles:
        levels = ", ".join(f"{level:g}" for level in task.label.kind.quantiles)
        return f"Estimates of quantiles ({levels}), in {told.unit}; tiers and reasons of the median"
    return "Probability, 0 to 1" if told.unit is None else f"Estimate of a mean, in {told.unit}"


def _criteria(steps):
    if not steps:
        return ""
    lost = "; ".join(f"{step.criterion} ({words.count(step.lost)} lost)" for step in steps)
    last = steps[-1]
    return (
        f"In turn, of {words.count(steps[0].before)} pairs of a person and a prediction time: {lost}. "
        f"Left: {words.count(last.left)} pairs of {words.count(last.people_left)} people, "
        f"{words.count(last.events_left)} with the event."
    )


def _sample_size(trained):
    told = trained.get("sample_size")
    return f"Labelled rows to train on, by Riley et al. 2020: {sentence(told)}." if told else ""


def _pretrained(trained):
    told = trained.get("pretrained")
    return f"{encoders.sentence(told)}." if told else ""


def _representation(found):
    counted = {name: measures["events"].people for name, measures in found.people.items() if "events" in measures}
    if not counted:
        return ""
    figures = (found.measured.get(("model", metric)) for metric in ("auroc", "r_squared", "d2_pinball"))
    of = next((each for each in figures if each is not None), None)
    everybody = of.people if of is not None and of.people else None
    said = [
        f"{name}: {words.count(people)}" + (f" ({words.percent(people / everybody, 0)})" if everybody else "")
        for name, people in counted.items()
    ]
    return (
        f"People held out, by hash of the same cohort as those in training ({words.count(everybody)} in all): "
        f"{'; '.join(said)}. Whoever changes band is counted in both; no other variable of the rule is measured."
    )


def _validity(found):
    asked = (
        ("c_index", "C-index", 3),
        ("scaled_integrated_brier", "scaled integrated Brier score", 3),
        ("auroc", "AUROC", 3),
        ("auprc", "AUPRC", 3),
        ("calibration_slope", "calibration slope", 2),
        ("calibration_intercept", "calibration in the large", 2),
        ("ici", "ICI", 4),
        ("brier", "Brier score", 4),
        ("sensitivity_top_5", "sensitivity in the highest 5 %", 3),
        ("ppv_top_5", "PPV in the highest 5 %", 3),
        ("r_squared", "R squared", 3),
        ("d2", "deviance explained", 3),
        ("d2_pinball", "pinball loss explained", 3),
        ("coverage", "share between the outer quantiles", 3),
        ("mae", "mean absolute error", 2),
        ("predictive_ratio", "predictive ratio", 3),
        ("capture_top_1", "capture of the costliest 1 %", 3),
    )
    said = [
        f"{title} {words.interval(each.value, each.low, each.high, digits)}"
        for metric, title, digits in asked
        if (each := found.measured.get(("model", metric))) is not None and each.value is not None
    ]
    return f"On people held out (95 % intervals): {'; '.join(said)}." if said else ""


def _fairness(found, figures):
    if not found.people:
        return ""
    metric, title, digits = next(each for each in figures if each[0] in MATERIAL)
    told = [
        f"{name}: {title} {words.interval(each.value, each.low, each.high, digits)}"
        for name, measures in found.people.items()
        if (each := measures.get(metric)) is not None
    ]
    gaps = material_gaps(found.people, figures)
    mark = f"Material gaps to everybody else: {', '.join(gaps)}." if gaps else "No gap to everybody else is material."
    return f"{'; '.join(told)}. {mark}" if told else mark


def _over_time(months):
    if not months:
        return ""
    off = off_months(months)
    return (
        f"By month of prediction ({len(months)} of them), what happened over what was expected lies off 1 in "
        f"{len(off)}{': ' + ', '.join(off) if off else ''}."
    )
