"""Formats that need code: each module here turns the files of one format into records, without Spark.

A module ``<name>`` serves the sources that declare ``format: <name>``. It holds

- ``SCHEMAS: dict[str, pyarrow.Schema]``: for each record type, the fields that its YAML may name. Two record types
  that share a field's name share its type;
- ``read(path: str) -> Iterator[Record]``: the records of a file in their order; a record's place is its number from 0.
  A file that cannot be read at all is one broken record, never an exception: the other files go on;
- where it can be told from the bytes alone, ``count(path: str) -> int``: how many records that are; ``read`` must
  later agree. Without it the records are counted by reading them once before.

The rules that a module breaks records under are explained in ``salus.sources.verdicts.REASONS``.
"""

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol, cast

import pyarrow as pa

from salus.errors import EnvironmentFault

EXTRAS = {"wfdb": "signals", "edf": "signals", "dicom": "images", "compounds": "compounds", "hl7v2": "messages"}
"""The extra of setup.py that brings the library of a format which has one."""


class Record(NamedTuple):
    """One record of a file.

    Attributes:
        kind: its record type, "" where that cannot be told.
        broken: the rule that it breaks by being no such record at all; None = it is one.
        fields: values by the names of its type's schema; what is missing is null.
    """

    kind: str
    broken: str | None
    fields: dict[str, Any]


class Format(Protocol):
    """What a module of this package offers."""

    SCHEMAS: dict[str, pa.Schema]

    def read(self, path: str) -> Iterator[Record]:
        """The records of the file ``path``, in their order."""
        ...


def names() -> list[str]:
    """The formats that there is code for."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def format_named(name: str) -> Format:
    """The module of the format ``name``, imported when it is first needed: some bring large libraries.

    Raises:
        EnvironmentFault: its library is not installed.
    """
    try:
        return cast(Format, importlib.import_module(f"{__name__}.{name}"))
    except ModuleNotFoundError as error:
        if name not in EXTRAS:
            raise
        raise EnvironmentFault(
            f"Received files of the format {name} without the library {error.name}; expected it to be installed, on "
            f"every node. Install Salus with its extra: pip install 'salus[{EXTRAS[name]}]'."
        ) from error


def count(name: str, path: str) -> int:
    """How many records the file ``path`` of the format ``name`` holds."""
    module = format_named(name)
    counted = getattr(module, "count", None)
    return counted(path) if counted else sum(1 for _ in module.read(path))


def fields(name: str) -> pa.Schema:
    """Every field of the format's record types, each once.

    Raises:
        TypeError: two record types give a field of one name two types.
    """
    found: dict[str, pa.Field] = {}
    for schema in format_named(name).SCHEMAS.values():
        for field in schema:
            if found.setdefault(field.name, field).type != field.type:
                raise TypeError(
                    f"Received {name}'s field {field.name} as {found[field.name].type} and as {field.type}; expected "
                    "one type under a name. Rename one of them."
                )
    return pa.schema([field.with_nullable(True) for field in found.values()])
