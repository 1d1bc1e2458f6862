"""The columns that a source's ``schema`` names, and those that its files must have."""

import re

from salus.sources.declaration import Source
from salus.sources.expressions import expressions
from salus.sources.macros import names_in

NUMBER = re.compile(r"\d{1,3}(?!\d)")


def columns_in(source: Source, text: str) -> dict[str, str]:
    """The columns that a ``schema`` of ``source`` names, each with its type; a text where it states none."""
    return columns_of(source.format, text)


def columns_of(form: str, text: str) -> dict[str, str]:
    """The columns that a ``schema`` of a source in the format ``form`` names, each with its type."""
    if form == "csv":
        return {name.strip(): "STRING" for name in text.split(",") if name.strip()}
    parts, depth = [""], 0
    for character in text:
        depth += (character in "<(") - (character in ">)")
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    named = (part.strip().partition(" ") for part in parts if part.strip())
    return {name.strip("`"): type_.strip() or "STRING" for name, _, type_ in named}


def needed_columns(source: Source, kind: str) -> list[str]:
    """The columns that a file or table of record type ``kind`` must have: those declared, and those numbered below.

    Where ``dx_25`` is declared, expressions may name ``dx_1`` to ``dx_24`` too.
    """
    texts = [source.macro.expand(text) for where, text in expressions(source) if where[1] == kind]
    named = {name for text in texts for _, _, name in names_in(text)}
    declared = list(columns_in(source, source.records[kind].columns))
    found = dict.fromkeys(declared)
    for name in declared:
        for last in NUMBER.finditer(name):
            below = (f"{name[: last.start()]}{number}{name[last.end() :]}" for number in range(1, int(last.group())))
            found |= dict.fromkeys(named.intersection(below))
    return [*declared, *sorted(found.keys() - set(declared))]
