"""Who is who where the links are few: what salus.sources.identity derives in tasks, derived by the driver at once.

A small delivery's two dozen Spark jobs would take longer than all else in it. Both give the same rows, which a test
compares.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple

from salus.sources.histories import ALWAYS, MOST_JOINED, NEVER, Span, components, histories

SHOWN = 20
EPOCH = datetime(1970, 1, 1)


class Carried(NamedTuple):
    """A subject carried an identifier, as was known from ``since`` until ``until``."""

    source_subject_id: int
    identifier_id: int
    since: int
    until: int
    priority: int
    weight: float | None = None
    dataset: str | None = None


class Stood(NamedTuple):
    """A link stood from ``since`` until ``until``; its identifier joins nobody from ``crowded_at`` on."""

    source_subject_id: int
    identifier_id: int
    since: int
    until: int
    priority: int
    weight: float | None
    dataset: str | None
    crowded_at: int


About = Mapping[int, tuple[date | None, int | None]]
"""Birth date and sex of subjects, where they are known."""


@dataclass(frozen=True)
class People:
    """Rows of ``IDENTITY`` and of ``IDENTITY_CONFLICTS``."""

    rows: list[tuple]
    conflicts: list[tuple]


def standing_of(spans: Sequence[Carried]) -> list[Stood]:
    """``spans`` with the clock from which on each one's identifier joins too many people."""
    crowded = _crowded(spans)
    return [Stood(*span, crowded.get(span.identifier_id, NEVER)) for span in spans]


def _crowded(spans) -> dict[int, int]:
    """From when on each identifier that joins too many people does."""
    first: dict[int, dict[int, int]] = {}
    for span in spans:
        if span.weight is None:
            of_identifier = first.setdefault(span.identifier_id, {})
            subject = span.source_subject_id
            of_identifier[subject] = min(span.since, of_identifier.get(subject, NEVER))
    return {
        identifier: sorted(subjects.values())[MOST_JOINED]
        for identifier, subjects in first.items()
        if len(subjects) > MOST_JOINED
    }


def sharing(spans: Sequence[Stood]) -> list[Stood]:
    """The spans of identifiers that join two subjects or more, each ending where its identifier joins nobody."""
    cut = [span._replace(until=min(span.until, span.crowded_at)) for span in spans if span.since < span.crowded_at]
    subjects: dict[int, set[int]] = {}
    for span in cut:
        subjects.setdefault(span.identifier_id, set()).add(span.source_subject_id)
    return [span for span in cut if len(subjects[span.identifier_id]) > 1]


def people_of(spans: Sequence[Stood], shared: Sequence[Stood], about: About) -> People:
    """Who is who among the subjects of ``spans``.

    Args:
        spans: ``standing_of`` all that was carried.
        shared: ``sharing`` of them.
        about: what tells people apart of those who share.
    """
    since: dict[int, int] = {}
    priority: dict[int, int] = {}
    datasets = {span.source_subject_id: span.dataset for span in spans if span.dataset is not None}
    for span in spans:
        subject = span.source_subject_id
        since[subject] = min(span.since, since.get(subject, NEVER))
        priority[subject] = min(span.priority, priority.get(subject, span.priority))
    involved = {span.source_subject_id for span in shared}
    joining = [
        Span(
            span.source_subject_id,
            span.identifier_id,
            span.since,
            span.until,
            priority[span.source_subject_id],
            *about.get(span.source_subject_id, (None, None)),
            span.weight,
            datasets.get(span.source_subject_id),
        )
        for span in shared
    ]
    joining += [
        Span(
            subject,
            subject,
            since[subject],
            NEVER,
            priority[subject],
            *about.get(subject, (None, None)),
            None,
            datasets.get(subject),
        )
        for subject in involved
    ]
    rows: list[tuple] = [
        (subject, subject, moment(first), None) for subject, first in since.items() if subject not in involved
    ]
    conflicts: list[tuple] = []
    for members in spans_by_component(joining):
        were, apart = histories(members)
        rows += [(row.source_subject_id, row.subject_id, *map(moment, row[2:])) for row in were]
        conflicts += [(one.reason, None, list(one.members[:SHOWN]), len(one.members)) for one in apart]
    return People(rows, conflicts + _too_many(spans))


def spans_by_component(spans: Sequence[Span]) -> list[list[Span]]:
    """``spans`` in groups of subjects who shared an identifier, directly or through others, at whatever time."""
    of_subject: dict[int, list[Span]] = {}
    for span in spans:
        of_subject.setdefault(span.source_subject_id, []).append(span)
    return [
        [span for member in sorted(members) for span in of_subject[member]]
        for members in components((span.source_subject_id, span.identifier_id) for span in spans)
    ]


def _too_many(spans) -> list[tuple]:
    everybody: dict[int, set[int]] = {}
    for span in spans:
        if span.crowded_at != NEVER and span.weight is None:
            everybody.setdefault(span.identifier_id, set()).add(span.source_subject_id)
    return [
        ("identifier_joins_too_many", identifier, sorted(subjects)[:SHOWN], len(subjects))
        for identifier, subjects in everybody.items()
    ]


def moment(clock: int) -> datetime | None:
    """The time of ``clock``; None where it is no bound."""
    return None if clock in (ALWAYS, NEVER) else EPOCH + timedelta(microseconds=clock)
