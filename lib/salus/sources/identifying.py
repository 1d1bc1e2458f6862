"""A mapping lands no field that says who somebody is: looked up in its expressions, before any record is read.

Ids may be made of such fields, because an id is hashed. What else a mapping makes of one would stand in a table.
"""

from pathlib import Path

from salus.errors import Refused
from salus.privacy.settings import Policy
from salus.sources.declaration import Source
from salus.sources.expressions import expressions
from salus.sources.loading import written_source
from salus.sources.macros import names_in
from salus.sources.record_type import Record

HASHED = ("id", "replaces", "subject", "subject_of", "counted_from", "visit", "identifiers", "linkage")
"""Keys of a record type whose values become pseudonyms."""

ASKED = ("accept", "void", "declares_subject")
"""Keys whose expressions are conditions, which only a yes or no leaves."""

LAMBDA_VARIABLE = "item"
KEYWORDS = {
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "AND",
    "OR",
    "NOT",
    "IN",
    "IS",
    "NULL",
    "LIKE",
    "RLIKE",
    "CAST",
    "AS",
}
"""Words of SQL that stand where a field could."""


def refuse_identifying(source: Source, policy: Policy, path: Path) -> None:
    """Refuse a mapping that lands what ``policy`` calls identifying.

    Args:
        source: the mapping.
        policy: the source's.
        path: its file, for the message.

    Raises:
        Refused: it does; the line, the expression and the fields are named.
    """
    for where, text in expressions(source):
        _, kind, key, *_ = where
        if key in (*HASHED, *ASKED, "shared") or where[-1] in ("names", "when") or "code_of" in where:
            continue
        record = source.records[kind]
        found = policy.landed_by(kind, _fields(source, record, text), _hashed_fields(source, record))
        if found:
            raise Refused(
                f"{written_source(path).place(where)}: received `{'.'.join(map(str, where))}`, which would land "
                f"{', '.join(found)}, fields that say who somebody is; expected them in ids only, which are hashed. "
                f"Leave them out, or list them under `lands: {{{kind}: [...]}}` in conf/privacy/{source.name}.yml."
            )


def _hashed_fields(source: Source, record: Record) -> set[str]:
    """The fields that the subject and the identifiers of ``record`` are made of."""
    found = set(_fields(source, record, record.subject)) if record.subject else set()
    for one in record.identifiers:
        found |= _fields(source, record, one.each or one.value)
    return found


def _fields(source: Source, record: Record, text: str) -> set[str]:
    """Names of the fields in an expression, those in what is ``shared`` among them."""
    found = _names(source, text)
    return found.union(*(_names(source, record.shared[name]) for name in found & record.shared.keys()))


def _names(source: Source, text: str) -> set[str]:
    """Every name in an expression that is no function's."""
    expanded = source.macro.expand(text)
    return {
        name
        for _, end, name in names_in(expanded)
        if not expanded[end:].lstrip().startswith("(") and name != LAMBDA_VARIABLE and name not in KEYWORDS
    }
