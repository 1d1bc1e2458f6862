"""Who was who, and when: people by the identifiers that they shared at each moment, and the matches that held.

Pure Python over the few subjects of one component; salus.sources.identity finds them, and says what a link is.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import NamedTuple

from salus.sources.pairing import Match, Traits, paired

MOST_JOINED = 20
"""Source subjects that one identifier joins, or matches make one person of, at most."""

ALWAYS, NEVER = -(2**63), 2**63 - 1
"""Clocks of what was known before everything, and of what ends after everything; the rest is microseconds, UTC."""


class Span(NamedTuple):
    """A source subject carried an identifier, as was known from ``since`` until ``until``.

    A match is such a span with a ``weight``: its identifier is the other subject's own id.
    """

    source_subject_id: int
    identifier_id: int
    since: int
    until: int
    priority: int
    birth: date | None
    sex: int | None
    weight: float | None = None
    dataset: str | None = None


class Was(NamedTuple):
    """A source subject was a person, as was known from ``known_from`` until ``known_until``."""

    source_subject_id: int
    subject_id: int
    known_from: int
    known_until: int


class Apart(NamedTuple):
    """People who share an identifier and cannot be one."""

    reason: str
    members: tuple[int, ...]


def histories(spans: Sequence[Span]) -> tuple[list[Was], list[Apart]]:
    """Who was who when among the subjects of ``spans``, and who of them stays apart now.

    Between two of its moments nothing changes, so each stretch is derived by itself, by connected components.
    """
    moments = sorted({moment for span in spans for moment in (span.since, span.until)} - {NEVER})
    known: dict[int, int] = {}
    for span in spans:
        known[span.source_subject_id] = min(span.since, known.get(span.source_subject_id, NEVER))
    rows: dict[int, list[Was]] = {subject: [] for subject in known}
    conflicts: list[Apart] = []
    for moment in moments:
        now = [span for span in spans if span.since <= moment < span.until]
        named, conflicts = _people(now)
        for subject, since in known.items():
            if since > moment:
                continue
            person, before = named.get(subject, subject), rows[subject]
            if before and before[-1].subject_id == person:
                continue
            if before:
                before[-1] = before[-1]._replace(known_until=moment)
            before.append(Was(subject, person, moment, NEVER))
    return [row for of_subject in rows.values() for row in of_subject], conflicts


def _people(spans) -> tuple[dict[int, int], list[Apart]]:
    """The person of each subject, by what they share now; and who is kept apart."""
    about = {span.source_subject_id: span for span in spans}
    traits = {member: Traits(span.birth, span.sex, span.dataset) for member, span in about.items()}
    named: dict[int, int] = {}
    groups: list[set[int]] = []
    links, conflicts = _trusted((span for span in spans if span.weight is None), traits)
    for members in components(links):
        contradicting = _contradicting(members, traits)
        conflicts += contradicting
        if contradicting:
            named |= {member: member for member in members}
        else:
            groups.append(members)
    matches = [
        Match(span.source_subject_id, span.identifier_id, span.weight) for span in spans if span.weight is not None
    ]
    people, aside = paired(groups, matches, traits, MOST_JOINED) if matches else (groups, [])
    conflicts += [Apart(*one) for one in aside]
    for members in people:
        first = min(members, key=lambda member: (about[member].priority, member))
        named |= dict.fromkeys(members, first)
    return named, sorted(set(conflicts))


def _trusted(spans, traits) -> tuple[list[tuple[int, int]], list[Apart]]:
    """Subject and identifier of ``spans``, without the identifiers that contradicting people carry; and who those are.

    Such an identifier has two holders, or one's traits are wrong: it tells nothing of who is who, and no more keeps
    its carriers from whoever they share another one with.
    """
    carriers: dict[int, set[int]] = {}
    for span in spans:
        carriers.setdefault(span.identifier_id, set()).add(span.source_subject_id)
    found = {identifier: _contradicting(members, traits) for identifier, members in carriers.items()}
    links = [
        (member, identifier)
        for identifier, members in carriers.items()
        # Everybody goes on carrying their own id, also where others who carry it too contest it.
        for member in (members if not found[identifier] else members & {identifier})
    ]
    return links, [apart for aparts in found.values() for apart in aparts]


def _contradicting(members, traits) -> list[Apart]:
    """Why ``members`` cannot be one person; empty where they can."""
    told = {
        "two_birth_dates": {traits[member].birth for member in members},
        "two_sexes": {traits[member].sex for member in members},
    }
    return [Apart(reason, tuple(sorted(members))) for reason, values in told.items() if len(values - {None}) > 1]


def components(pairs: Iterable[tuple[int, int]]) -> list[set[int]]:
    """The subjects of ``pairs`` (subject, identifier) in sets that share identifiers, directly or through others."""
    parents: dict[tuple[str, int], tuple[str, int]] = {}

    def root(node):
        parents.setdefault(node, node)
        while parents[node] != node:
            parents[node] = parents[parents[node]]
            node = parents[node]
        return node

    for subject, identifier in pairs:
        parents[root(("subject", subject))] = root(("identifier", identifier))
    found: dict[tuple[str, int], set[int]] = {}
    for kind, number in list(parents):
        if kind == "subject":
            found.setdefault(root((kind, number)), set()).add(number)
    return list(found.values())
