"""What a delivery asks for: which of its files are mapped now, and which are known, repeated or still growing.

A delta adds to what came before, so a file is mapped once, by its content. A snapshot holds everything, so what counts
is the set of its files: a record type whose files are those of the snapshot before says nothing new, and one that
has other files is mapped whole, files that are known among them, because what they lack is withdrawn.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from salus.errors import Refused
from salus.sources.declaration import Source
from salus.sources.files import Found, Landed

IGNORED = "ignored"
"""``record_type`` in ``ingested_files`` of a file that the source declares to ignore."""


class Noted(NamedTuple):
    """What ``ingested_files`` says of a file, as one delivery held it."""

    file_id: int
    file: str
    record_type: str
    mapping_hash: str
    delivered_at: datetime
    batch_id: int
    rows_quarantined: int
    folder: str | None = None


@dataclass(frozen=True)
class Delivery:
    """What there is to do with the files that were found.

    ``repeated`` maps a file's name to the name under which its content is known. ``anew`` are the rows of
    ``ingested_files`` that another mapping wrote and that this delivery replaces. ``next_at`` tells of each record
    type when the snapshot after this one was delivered, where this one comes late.
    """

    files: list[Landed]
    repeated: dict[str, str]
    growing: list[str]
    anew: list[Noted] = field(default_factory=list)
    delivered_at: datetime | None = None
    next_at: dict[str, datetime] = field(default_factory=dict)


Inspect = Callable[[Sequence[Found]], list[Landed]]
"""Reads files to tell what they hold; only those that need it are read."""


def planned(
    source: Source,
    found: Sequence[Found],
    noted: Sequence[Noted],
    mapping_hash: str,
    stated_at: datetime | None,
    inspect: Inspect,
) -> Delivery:
    """What to do with the files ``found``, where ``noted`` are known of this source and site.

    Args:
        source: whose delivery it is.
        found: the files of the delivery, by name.
        noted: the rows of ``ingested_files`` of the source and site, under any mapping.
        mapping_hash: the mapping of today.
        stated_at: when it was delivered, where somebody said so.
        inspect: see ``Inspect``.

    Raises:
        Refused: a snapshot of the same time was taken in with other files.
    """
    if source.delivery == "delta":
        return _delta(found, noted, mapping_hash, stated_at, inspect)
    delivery = _snapshot(found, noted, mapping_hash, stated_at, inspect)
    current = [row for row in noted if row.mapping_hash == mapping_hash]
    _refuse_second(source, current, delivery.files, delivery.delivered_at)
    return delivery


def _delta(found, noted, mapping_hash, stated_at, inspect) -> Delivery:
    settled, growing = _settled(found)
    first = _first_names(settled)
    current = {row.file_id for row in noted if row.mapping_hash == mapping_hash}
    files = inspect([file for file_id, file in first.items() if file_id not in current])
    settled_since, still_growing = _settled(files)
    ids = {file.file_id for file in settled_since}
    return Delivery(
        files=settled_since,
        repeated=_repeated(settled, noted),
        growing=sorted(growing + still_growing),
        anew=[row for row in noted if row.file_id in ids],
        delivered_at=stated_at,
    )


def _snapshot(found, noted, mapping_hash, stated_at, inspect) -> Delivery:
    first = _first_names(found)
    at = stated_at or max(file.modified for file in found)
    current = [row for row in noted if row.mapping_hash == mapping_hash]
    kinds = {row.file_id: row.record_type for row in current}
    known = set(kinds)
    new = inspect([file for file_id, file in first.items() if file_id not in known])
    kinds |= {file.file_id: _kind(file) for file in new}
    held: dict[str, set[int]] = {}
    for file_id in first:
        held.setdefault(kinds[file_id], set()).add(file_id)
    changed = {kind for kind, ids in held.items() if kind != IGNORED and ids != _held_before(current, kind, at)}
    again = inspect([file for file_id, file in first.items() if file_id in known and kinds[file_id] in changed])
    growing = sorted({file.name for file in [*found, *new, *again] if file.is_growing})
    if growing:
        return Delivery([], {}, growing, delivered_at=at)
    return Delivery(
        files=sorted([*new, *again], key=lambda file: file.name),
        repeated=_repeated(found, []),
        growing=[],
        anew=[row for row in noted if row.delivered_at == at and row.record_type in changed],
        delivered_at=at,
        next_at=next_after(noted, dict.fromkeys(changed, at)),
    )


def next_after(noted: Sequence[Noted], at: dict[str, datetime]) -> dict[str, datetime]:
    """When the snapshot after that of ``at`` was delivered, for each record type of which there is a later one."""
    later: dict[str, list[datetime]] = {}
    for row in noted:
        if row.record_type in at and row.delivered_at > at[row.record_type]:
            later.setdefault(row.record_type, []).append(row.delivered_at)
    return {kind: min(times) for kind, times in later.items()}


def _held_before(noted, kind, at) -> set[int]:
    """The files of ``kind`` in the newest snapshot that is not later than ``at``."""
    times = [row.delivered_at for row in noted if row.record_type == kind and row.delivered_at <= at]
    if not times:
        return set()
    return {row.file_id for row in noted if row.record_type == kind and row.delivered_at == max(times)}


def _refuse_second(source, noted, files, at):
    """Refuse another snapshot of a time that one was taken in for: either could be the one that is true."""
    taken = {row.record_type for row in noted if row.delivered_at == at}
    second = next((file for file in files if _kind(file) in taken - {IGNORED}), None)
    if second:
        raise Refused(
            f"Received {second.name} in a snapshot of {source.name} of {at}, of which other files of type "
            f"{_kind(second)} were taken in before; expected one snapshot a time. Name the folder that holds all of "
            "its files, and say by --delivered-at when it was delivered."
        )


def _settled(files):
    return [file for file in files if not file.is_growing], [file.name for file in files if file.is_growing]


def _first_names(files) -> dict:
    """Each content once, under the first of its names."""
    first: dict = {}
    for file in files:
        first.setdefault(file.file_id, file)
    return first


def _repeated(files, noted) -> dict[str, str]:
    """The files whose content is known, or stands in the delivery, under another name."""
    names: dict[int, list[str]] = {}
    for row in noted:
        names.setdefault(row.file_id, []).append(row.file)
    for file in files:
        names.setdefault(file.file_id, []).append(file.name)
    return {file.name: names[file.file_id][0] for file in files if names[file.file_id][0] != file.name}


def _kind(file: Landed) -> str:
    return file.record_type or IGNORED
