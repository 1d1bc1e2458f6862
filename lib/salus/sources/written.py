"""A source's YAML as it is written: in one file, or as what it does otherwise than the source that it ``extends``.

FHIR STU3 is FHIR R4 with other fields here and there. Such a source names the other one and says only what differs:
key by key, a list or an expression in place of the other's, ``null`` for what it has not. Its ``schema`` adds columns
to those of the other's record type, or gives them other types. What is wrong is named where it stands, in either file.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml.comments import CommentedMap

from salus.errors import Refused
from salus.settings import load_yaml, plain

SCHEMA = ("schema", "optional")
"""Keys of a record type that are merged column by column."""


class Place(NamedTuple):
    """A line of a file; in a message ``file:line``."""

    path: Path
    line: int

    def __str__(self) -> str:
        """As editors and compilers write it."""
        return f"{self.path}:{self.line}"


class Written(NamedTuple):
    """What a source's file says, with what it takes over.

    Attributes:
        content: all of it, merged.
        files: each file and what stands in it; the source's own first.
    """

    content: dict[str, Any]
    files: list[tuple[Path, CommentedMap]]

    def place(self, where: tuple) -> Place:
        """Where ``where`` stands; in the source's own file, the deepest part of it that is there, where none holds it.

        Args:
            where: the keys, and numbers in lists, that lead to it.
        """
        for path, content in self.files:
            line, is_whole = line_of(content, where)
            if is_whole:
                return Place(path, line)
        path, content = self.files[0]
        return Place(path, line_of(content, where)[0])

    def order(self, where: tuple) -> tuple[int, int]:
        """The rank of ``place``: the own file's lines come first."""
        place = self.place(where)
        return [path for path, _ in self.files].index(place.path), place.line


def line_of(content: Any, where: tuple) -> tuple[int, bool]:
    """The line of ``content``, a YAML's, on which ``where`` stands, or the deepest part of it; whether all is there."""
    line = 1
    for part in where:
        holds = isinstance(part, int) and isinstance(content, list) and part < len(content)
        if not holds and not (isinstance(content, dict) and part in content):
            return line, False
        line = (content.lc.item(part) if holds else content.lc.key(part))[0] + 1
        content = content[part]
    return line, True


def written(path: Path, columns: Callable[[str, str], dict[str, str]]) -> Written:
    """What ``path`` declares.

    Args:
        path: a source's YAML; what it extends lies in the same folder.
        columns: the columns, each with its type, that a schema names, by the source's format.

    Raises:
        Refused: it extends what is no source, or one that extends another, or takes away what that has not.
    """
    own = load_yaml(path)
    if "extends" not in own:
        return Written(plain(own), [(path, own)])
    other = path.parent / f"{own['extends']}.yml"
    at = Place(path, line_of(own, ("extends",))[0])
    if not str(own["extends"]).replace("_", "").isalnum() or other == path or not other.is_file():
        known = ", ".join(sorted(file.stem for file in path.parent.glob("*.yml") if file != path)) or "none"
        raise Refused(f"{at}: received `extends: {own['extends']}`; expected one of {known}. Name one of them.")
    base = load_yaml(other)
    if "extends" in base:
        raise Refused(
            f"{at}: received `extends: {own['extends']}`, which extends {base['extends']}; expected a source that "
            "stands by itself. Extend that one."
        )
    found = Written({}, [(path, own), (other, base)])
    changes, taken = plain(own), plain(base)
    taken.pop("name", None)

    def put(into: dict[str, Any], said: dict[str, Any], where: tuple) -> dict[str, Any]:
        for key, value in said.items():
            before = into.get(key)
            if value is None and key not in into:
                raise Refused(
                    f"{found.place((*where, key))}: received `{'.'.join(map(str, (*where, key)))}: null`, which takes "
                    f"away what {own['extends']} has not; expected a key of that source. Mend or delete that line."
                )
            if value is None:
                del into[key]
            elif isinstance(before, dict) and isinstance(value, dict):
                put(before, value, (*where, key))
            elif len(where) == 2 and key in SCHEMA and isinstance(before, str) and isinstance(value, str):
                form = str(changes.get("format", taken.get("format")))
                both = columns(form, before) | columns(form, value)
                into[key] = ", ".join(both if form == "csv" else [f"`{name}` {kind}" for name, kind in both.items()])
            else:
                into[key] = value
        return into

    return found._replace(content=put(taken, changes, ()))
