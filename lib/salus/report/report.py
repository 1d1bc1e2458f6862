"""Report: everything that a reader of the scores should know of them, as one HTML file, and the model card."""

from datetime import date, datetime
from pathlib import Path

from salus.cohorts.task import Task
from salus.errors import Refused
from salus.report.attrition import attrition, attrition_section
from salus.report.card import Found, attributes, card_json, card_page
from salus.report.classes import classes_section
from salus.report.discrimination import discrimination_section
from salus.report.distribution import distribution, distribution_section
from salus.report.estimates import estimates_section
from salus.report.folds import cross_validated, folds_section
from salus.report.importances import explained, importances_section
from salus.report.incidence import incidence_section
from salus.report.intake import intake, intake_section
from salus.report.measured import Measures, apart, measures
from salus.report.night import night
from salus.report.overview import overview_section
from salus.report.page import Page, Section, render
from salus.report.people import highest, people_section
from salus.report.phases import phases
from salus.report.provenance import identity, model_row, newest_snapshot, provenance_section
from salus.report.quality import checked, quality_section
from salus.report.quantiles import quantiles_section
from salus.report.refits import refits_section, refitted
from salus.report.reliability import reliability_section
from salus.report.stability import stability_section
from salus.report.subgroups import subgroups_section
from salus.report.told import Told, told_of
from salus.report.treatment import treatment_section
from salus.report.usefulness import usefulness_section
from salus.storage.ledger import now
from salus.storage.lock import local_folder
from salus.storage.tables import Tables
from salus.training.environment import packages
from salus.training.package import package_info


def report(tables: Tables, task: Task, as_of: date, out: Path, written_at: datetime | None = None) -> Path:
    """Write the report of ``task`` as of ``as_of`` to the file ``out``, and the model card, HTML and JSON, beside it.

    A table that is not there yet is said so. The files of the card are ``card_paths`` of ``out``.
    """
    at = written_at or now()
    html, data = card_paths(out)
    found = _found(tables, task, as_of)
    listed = attributes(task, found)
    out.parent.mkdir(parents=True, exist_ok=True)
    _write(html, render(card_page(task, as_of, at, listed, out.name)))
    _write(data, card_json(task, as_of, at, listed, found))
    links = (("model card", html.name), ("model card as JSON", data.name))
    _write(out, render(Page(task.title, task.id, as_of, at, _sections(tables, task, as_of, found), links)))
    return out


def card_paths(out: Path) -> tuple[Path, Path]:
    """The files of the model card, HTML and JSON, beside the report ``out``."""
    return out.with_name(f"{out.stem}.model_card.html"), out.with_name(f"{out.stem}.model_card.json")


def _write(out: Path, text: str) -> None:
    """A reader sees the file as it was, or whole."""
    unfinished = out.with_name(f".{out.name}.unfinished")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(out)


def _found(tables: Tables, task: Task, as_of: date) -> Found:
    scoring = night(tables, task.id, as_of)
    measured, subgroups = measures(tables, task.id, scoring.model_version if scoring else None)
    people, months, arms = apart(subgroups)
    model = model_row(tables, scoring) if scoring else None
    trained = package_info(tables.path(model["package_path"])) if model else {}
    return Found(model, scoring, attrition(tables, task.id), measured, people, months, trained, arms)


def sections(tables: Tables, task: Task, as_of: date) -> list[Section]:
    """The report's sections in the order in which they are read."""
    return _sections(tables, task, as_of, _found(tables, task, as_of))


def _sections(tables: Tables, task: Task, as_of: date, found: Found) -> list[Section]:
    scoring, measured, told = found.scoring, found.measured, told_of(task.label)
    return [
        overview_section(scoring, measured, task.card.stated, told),
        intake_section(intake(tables)),
        quality_section(checked(tables)),
        attrition_section(found.steps),
        *_measured_sections(measured, task, told),
        subgroups_section(found.people, told.of_subgroups),
        stability_section(found.months, told),
        *([treatment_section(found.arms)] if task.treatment is not None else []),
        *folds_section(cross_validated(tables, task.id)),
        *refits_section(refitted(tables, task.id, scoring.model_version if scoring else None), told),
        importances_section(explained(tables, task.id, scoring.model_version if scoring else None), told),
        distribution_section(distribution(tables, task.id, as_of, told), told),
        people_section(highest(tables, task.id, as_of, told), as_of, told),
        provenance_section(
            phases(tables, task.id, as_of),
            identity(scoring, found.model, newest_snapshot(tables), told, found.trained.get("pretrained")),
            scoring.inputs if scoring else {},
            packages(),
        ),
    ]


def _measured_sections(measured: Measures, task: Task, told: Told) -> list[Section]:
    """How well it did on people held out: estimates are no risks, and are neither ranked by events nor acted on."""
    if task.label.kind.quantiles:
        return [quantiles_section(measured, told, task.label.kind.quantiles)]
    if told.unit is not None:
        return [estimates_section(measured, told)]
    beside = [] if task.label.time_to_event is None else [incidence_section(measured, task)]
    if task.label.outcomes is not None:
        beside = [classes_section(measured, task.label.outcomes)]
    return [discrimination_section(measured), *beside, reliability_section(measured), usefulness_section(measured)]


def default_path(warehouse: str, task_id: str, as_of: date) -> Path:
    """``<warehouse>/_reports/<task>/<as_of>/report.html``.

    Raises:
        Refused: the warehouse is not a local folder, so a file must be named.
    """
    folder = local_folder(warehouse)
    if folder is None:
        raise Refused(
            f"Received the warehouse {warehouse} and no --out; expected a local file for the report. "
            "Name one with --out."
        )
    return folder / "_reports" / task_id / str(as_of) / "report.html"
