"""The people whom a site names by their own identifiers: each pseudonym under which a row of theirs may stand.

An identifier is a source's own id of a person (``system`` as the source's YAML declares it), or one that people share
between systems (``system`` as the records write it). Both are tried: which one it is, the warehouse knows.
"""

from collections.abc import Iterable
from typing import NamedTuple

from salus.errors import Refused
from salus.privacy.pseudonyms import pseudonym

SHARED = "identifier"
"""The scope of the pseudonyms of identifiers that systems share: they hold for every site."""


class Candidates(NamedTuple):
    """The pseudonyms of one identifier: as a source's own id, and as a shared one (``links.identifier_id``)."""

    own: int
    shared: int


def candidates(key: bytes, site: str, system: str, value: str) -> Candidates:
    """The pseudonyms under which (``system``, ``value``) may stand."""
    value = value.strip()
    return Candidates(pseudonym(key, site, system, value), pseudonym(key, "", SHARED, f"{len(system)}:{system}{value}"))


def named(lines: Iterable[str], key: bytes, site: str) -> list[int]:
    """The pseudonyms that ``lines`` name: each a ``system|value``, or a subject_id in figures; blank ones are none.

    Raises:
        Refused: a line is neither; its number is named, never what it holds.
    """
    found: list[int] = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        system, bar, value = text.partition("|")
        if bar and system.strip() and value.strip():
            found += candidates(key, site, system.strip(), value)
        elif text.isascii() and text.isdigit() and int(text) < 2**63:
            found.append(int(text))
        elif text:
            raise Refused(
                f"Received line {number}, which names nobody; expected system|value, or a subject_id in figures. "
                "Mend that line; nothing was changed."
            )
    return found
