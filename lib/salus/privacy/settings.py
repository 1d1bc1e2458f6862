"""What may pass into the tables: conf/privacy/default.yml, and a file a source beside it.

An allow-list, not a list of what to remove: a column that nobody decided about lands empty, and a mapping that would
land a field which says who somebody is does not load.
"""

import hashlib
from collections.abc import Iterable
from functools import cached_property
from typing import Literal

from pydantic import Field

from salus.settings import Strict, conf_dir, load_yaml, validated

FreeText = Literal["keep", "scrub", "drop"]


class SourcePolicy(Strict):
    """What one source does otherwise than conf/privacy/default.yml says."""

    notes: FreeText | None = Field(None, description="the text of notes")
    text_values: FreeText | None = Field(None, description="the texts of events")
    keeps_refused: bool = Field(False, description="the quarantine keeps the raw record of what is refused")
    withholds: dict[str, list[str]] = Field(default_factory=dict, description="table: columns that land empty")
    lands: dict[str, list[str]] = Field(
        default_factory=dict, description="record type: identifying fields that its mapping may land all the same"
    )


class Policy(Strict):
    """What may pass into the tables, of one source or of all."""

    passes: dict[str, list[str]] = Field(description="table: columns that a mapping may fill")
    notes: FreeText = Field(description="the text of notes")
    text_values: FreeText = Field(description="the texts of events")
    keeps_refused: bool = Field(False, description="the quarantine keeps the raw record of what is refused")
    identifying: list[list[str]] = Field(description="fields that say who somebody is")
    lands: dict[str, list[str]] = Field(
        default_factory=dict, description="record type: identifying fields that its mapping may land all the same"
    )

    @property
    def hash(self) -> str:
        """SHA-256 of all that decides what passes."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    @cached_property
    def _identifying(self) -> set[str]:
        return {plain(field) for group in self.identifying for field in group}

    def landed_by(self, kind: str, fields: Iterable[str], hashed: Iterable[str]) -> list[str]:
        """Those of ``fields``, which a mapping of record type ``kind`` lands, that must not land.

        Args:
            kind: the record type.
            fields: names of the fields that its mapping lands.
            hashed: names of the fields that make its subject and its identifiers: identifying, whatever their name.
        """
        known = self._identifying | {plain(field) for field in hashed}
        allowed = {plain(field) for field in self.lands.get(kind, [])}
        return sorted({field for field in fields if plain(field) in known - allowed})


def plain(field: str) -> str:
    """``field`` without case and underscores: FIRST_NAME, firstName and first_name are one."""
    return field.replace("_", "").lower()


def policy_of(source: str) -> Policy:
    """The policy that holds for ``source``.

    Raises:
        Refused: a file in conf/privacy is not as declared; its line is named.
    """
    folder = conf_dir() / "privacy"
    path = folder / "default.yml"
    policy = validated(Policy, load_yaml(path), path)
    own = folder / f"{source}.yml"
    if not own.is_file():
        return policy
    asked = validated(SourcePolicy, load_yaml(own), own)
    passes = {
        table: [column for column in columns if column not in asked.withholds.get(table, [])]
        for table, columns in policy.passes.items()
    }
    return policy.model_copy(
        update={
            "passes": passes,
            "notes": asked.notes or policy.notes,
            "text_values": asked.text_values or policy.text_values,
            "keeps_refused": asked.keeps_refused,
            "lands": asked.lands,
        }
    )
