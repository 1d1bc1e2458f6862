"""The sources of conf/sources, each read from its YAML.

A key that is not known, or an expression with a misused macro, is refused with the file's line.
"""

from pathlib import Path

from salus.errors import Refused
from salus.settings import conf_dir, validated
from salus.sources.columns import columns_in, columns_of
from salus.sources.declaration import Source
from salus.sources.expressions import expressions
from salus.sources.linkage_model import read_model
from salus.sources.macros import MacroError
from salus.sources.written import Written, written


def source_path(name: str) -> Path:
    """Where source ``name`` is declared."""
    return conf_dir() / "sources" / f"{name}.yml"


def load_source(name: str) -> Source:
    """The source that conf/sources/``name``.yml declares.

    Raises:
        Refused: there is no such source, or its YAML is wrong; the line is named.
    """
    folder, path = conf_dir() / "sources", source_path(name)
    if not name.replace("_", "").isalnum() or not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.yml"))) or "none"
        raise Refused(f"Received the source `{name}`; expected one of {folder}: {known}. Name one of them.")
    return read_source(path)


def read_source(path: Path) -> Source:
    """The source that the file ``path`` declares; it is named after the file.

    Raises:
        Refused: its YAML is wrong; the line is named.
    """
    found = written_source(path)
    content = {"name": path.stem} | found.content
    if content.get("extends"):
        read_source(path.parent / f"{content['extends']}.yml")  # what is wrong in it is told of it, and not of this one
    source = validated(Source, content, path, found.place)
    _refuse_unknown_fields(source, found)
    _refuse_shared_columns(source, found)
    for where, text in expressions(source):
        try:
            source.macro.expand(text)
        except MacroError as error:
            raise Refused(
                f"{found.place(where)}: received `{'.'.join(map(str, where))}`: {error}. Mend that expression."
            ) from error
    return source


def _refuse_unknown_fields(source: Source, found: Written) -> None:
    """Refuse a field under `linkage` that the model of linkage does not know, where the source links by it."""
    known = read_model().fields if source.link else []
    for kind, record in source.records.items():
        for name in record.linkage:
            if source.link and name not in known:
                raise Refused(
                    f"{found.place(('records', kind, 'linkage', name))}: received the field `{name}`; expected one "
                    f"that conf/linkage/splink.json compares: {', '.join(known)}. Mend that key."
                )


def _refuse_shared_columns(source: Source, found: Written) -> None:
    """Refuse what is named under `shared` like a column that the record has: nobody could tell which is meant."""
    for kind, record in source.records.items():
        for name in record.shared.keys() & columns_in(source, f"{record.columns}, {record.optional}").keys():
            raise Refused(
                f"{found.place(('records', kind, 'shared', name))}: received `{name}`, which names a column too; "
                "expected a name of its own. Mend that key."
            )


def written_source(path: Path) -> Written:
    """What the source's file ``path`` says, with what it extends."""
    return written(path, columns_of)
