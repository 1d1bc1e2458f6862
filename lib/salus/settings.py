"""Typed settings: conf/base.yml, then the environment (``SALUS_*``), then the command line.

Every YAML that a person writes goes through ``load_yaml`` and ``validated``, so that an error names the file's line.
"""

import os
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError

from salus.errors import Refused


class Strict(BaseModel):
    """A model that refuses keys it does not know: a misspelt key is an error, not a default."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Model = TypeVar("Model", bound=BaseModel)


def load_yaml(path: Path) -> CommentedMap:
    """The YAML mapping in ``path``, with the line of every key; it is shared by all who ask, and not to be changed.

    Raises:
        Refused: there is no such file, or it is not a YAML mapping; the line is named.
    """
    if not path.is_file():
        raise Refused(f"Received the settings file {path}; expected a file. Name one that exists.")
    try:
        content = _parsed(path.read_text(encoding="utf-8"))
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise Refused(f"{path}:{line}: received text that is not YAML ({error.problem}); mend that line.") from error
    if not isinstance(content, CommentedMap):
        raise Refused(f"{path}:1: received no mapping; expected `key: value` lines.")
    return content


@lru_cache(maxsize=128)
def _parsed(text: str) -> Any:
    """What a YAML text says; a job asks several times."""
    yaml = YAML(typ="safe")
    yaml.Constructor = _Lined
    return yaml.load(text)


class _Lined(SafeConstructor):
    """Makes mappings and sequences that know the line of each of their members.

    What keeps comments and quotes, to write a file again, would know lines too; it takes five times as long to read.
    """

    def mapping(self, node):
        yield (made := CommentedMap())
        made.update(self.construct_mapping(node))
        for key, value in node.value:
            lines = (key.start_mark.line, key.start_mark.column, value.start_mark.line, value.start_mark.column)
            made._yaml_set_kv_line_col(self.construct_object(key), list(lines))

    def sequence(self, node):
        yield (made := CommentedSeq())
        made.extend(self.construct_sequence(node))
        for place, item in enumerate(node.value):
            made._yaml_set_idx_line_col(place, [item.start_mark.line, item.start_mark.column])


_Lined.add_constructor("tag:yaml.org,2002:map", _Lined.mapping)
_Lined.add_constructor("tag:yaml.org,2002:seq", _Lined.sequence)


def validated(
    model: type[Model], content: Mapping[str, Any], path: Path, place: Callable[[tuple], object] | None = None
) -> Model:
    """``content`` as a ``model``.

    Args:
        model: what it should be.
        content: what was written.
        path: the file that it was read from.
        place: the file and line of what is wrong, by its keys, where ``content`` was put together of several files.

    Raises:
        Refused: a key is unknown or missing, or a value is of the wrong kind; file, line and key are named.
    """
    try:
        return model.model_validate(plain(content))
    except ValidationError as error:
        # A misspelt key is an unknown one and, where it is required, a missing one too: name what was written.
        first = min(error.errors(include_url=False), key=lambda one: one["type"] != "extra_forbidden")
        where = first["loc"]
        key = ".".join(str(part) for part in where)
        raise Refused(
            f"{place(where) if place else f'{path}:{_line(content, where)}'}: received `{key}`: {first['msg']}. "
            f"Mend that key ({len(error.errors())} to mend in this file)."
        ) from error


def plain(node: Any) -> Any:
    """``node`` of a YAML as dictionaries and lists, without its lines."""
    if isinstance(node, CommentedMap):
        return {key: plain(value) for key, value in node.items()}
    if isinstance(node, CommentedSeq):
        return [plain(value) for value in node]
    return node


def _line(node: Any, where: tuple) -> int:
    """The line of the deepest part of ``where`` that the file holds, from 1."""
    line = 1
    for part in where:
        if isinstance(node, CommentedMap) and part in node:
            line = node.lc.key(part)[0] + 1
            node = node[part]
        elif isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
            line = node.lc.item(part)[0] + 1
            node = node[part]
    return line


URL = re.compile(r"[A-Za-z][\w+.-]*:")


EVENTS_A_PERSON = 100_000
"""By default the newest that a timeline keeps of a person's dated events."""


class Settings(Strict):
    """Where Salus works, and on what."""

    warehouse: str = Field("warehouse", description="folder, hdfs://, s3a:// or abfss:// of the Delta tables")
    master: str = Field("local[*,4]", description="Spark master")
    jars: str | None = Field(None, description="folder of Delta's jars, for clusters without internet")
    site: str = Field("main", description="the site whose data this is; hashed into every id")
    key_file: str | None = Field(None, description="file with the site's secret key; default <warehouse>.key")
    tracking_uri: str | None = Field(None, description="MLflow tracking; default an SQLite file in the warehouse")
    vocabulary: str | None = Field(None, description="folder of OMOP's vocabulary files, to map codes by")
    ccs: str | None = Field(None, description="folder of AHRQ's CCS files, to tell planned admissions by")
    events_a_person: int = Field(
        EVENTS_A_PERSON, ge=1, description="newest dated events that a timeline keeps of a person"
    )
    ranks: int = Field(2, ge=1, description="Horovod ranks")
    driver_memory: str = Field("6g", description="Spark driver memory")
    spark: dict[str, str] = Field(default_factory=dict, description="further Spark settings")

    @field_validator("warehouse")
    @classmethod
    def _warehouse_is_whole(cls, named):
        """A folder's whole path: Delta takes a part of one for the name of a table in a catalog."""
        return named if URL.match(named) else os.path.abspath(named)

    @property
    def key_path(self) -> Path:
        """Where the site's key lies: beside the warehouse, never in it."""
        return Path(self.key_file) if self.key_file else Path(f"{self.warehouse.rstrip('/')}.key")


def conf_dir() -> Path:
    """The folder of settings: ``SALUS_CONF``, else ``conf`` of the checkout or of the installed package."""
    if named := os.environ.get("SALUS_CONF"):
        return Path(named)
    for root in Path(__file__).resolve().parents:
        if (root / "conf" / "base.yml").is_file():
            return root / "conf"
    return Path("conf")


def load_settings(**overrides: Any) -> Settings:
    """conf/base.yml, then ``SALUS_<KEY>`` from the environment, then ``overrides`` that are not None.

    Raises:
        Refused: one of them is not as declared; the file's line, or the variable, is named.
    """
    path = conf_dir() / "base.yml"
    written = validated(Settings, load_yaml(path), path).model_dump()
    named = {name: value for name in Settings.model_fields if (value := os.environ.get(f"SALUS_{name.upper()}"))}
    asked = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings.model_validate(written | named | asked)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = str(first["loc"][0])
        origin = f"--{key.replace('_', '-')}" if key in asked else f"SALUS_{key.upper()} in the environment"
        raise Refused(f"Received {origin}: {first['msg']}. Mend it, or leave it out.") from error
