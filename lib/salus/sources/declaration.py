"""What a source's YAML may say of the source itself, and how its record types agree with one another."""

import hashlib
import json
from functools import cached_property
from typing import Literal

from pydantic import Field, field_validator, model_validator

from salus.settings import Strict
from salus.sources import formats
from salus.sources.macros import MacroError, Macros
from salus.sources.record_type import Record, known_encoding

LINES = ("ndjson", "csv")
"""Formats whose files are lines of text, each file of one record type; those with code tell each record's type."""

TABLES = ("parquet", "delta", "jdbc")
"""Formats whose files are tables, each of one record type."""

NOT_MAPPING = ("extends", "refuse_above", "missing_above", "settle_seconds", "expected")
"""What a source says of its deliveries and its file, and not of what a record becomes."""


class TimeFormat(Strict):
    """One way in which a source writes times; the first whose ``matches`` fits reads the text."""

    matches: str = Field(description="regular expression that the whole text must fit")
    reads: str = Field(description="expression over `text`: a date or a timestamp; null where there is no such day")
    lasts: Literal["instant", "day", "month", "year"] = Field("instant", description="how exact the text is")


class Expected(Strict):
    """How often a source delivers."""

    every: Literal["day", "week", "month"]
    grace_days: int = Field(0, ge=0, description="days by which a delivery may be late")


class Source(Strict):
    """A source of records: where they come from and what they become."""

    name: str
    extends: str | None = Field(None, description="the source of which this file says only what is otherwise")
    format: str = Field(description="ndjson, csv, parquet, delta, jdbc, or a module of salus.sources.formats")
    type_field: str | None = Field(None, description="NDJSON: the field that names the record type")
    delimiter: str = Field(",", min_length=1, description="CSV: what stands between columns; may be several characters")
    quote: Literal['"', "'", ""] = Field('"', description="CSV: what encloses a column; empty: nothing does")
    encoding: str = Field("utf-8", description="of its text, by Python's name, e.g. gb18030")
    bundles: list[str] = Field(default_factory=list, description="NDJSON: name patterns of files that are FHIR Bundles")
    system: str = Field(description="the system whose ids the subjects are; hashed into every pseudonym")
    system_priority: int = Field(ge=0, description="the person is named after the system of lowest rank")
    delivery: Literal["delta", "snapshot"] = Field(
        "delta", description="snapshot: each delivery holds everything; a record that it lacks is withdrawn"
    )
    missing_above: float = Field(
        0.5, ge=0, le=1, description="snapshot: share of a record type's records whose absence holds a batch"
    )
    settle_seconds: int = Field(0, ge=0, description="a file that was changed since is left for the next run")
    expected: Expected | None = Field(None, description="when the next delivery is due")
    clock: Literal["backfill", "live"] = "backfill"
    link: Literal["splink"] | None = Field(
        None, description="also link people who share no identifier, by the fields under `linkage`"
    )
    link_above: float = Field(0.999, gt=0.5, lt=1, description="match probability from which on two are linked")
    refuse_above: float = Field(0.05, ge=0, le=1, description="share of refused records that holds a batch")
    times: list[TimeFormat] = Field(min_length=1)
    macros: dict[str, str] = Field(default_factory=dict)
    ignored: list[str] = Field(default_factory=list, description="record types that are counted and give nothing")
    ignored_files: list[str] = Field(default_factory=list, description="name patterns of files likewise")
    records: dict[str, Record] = Field(min_length=1)

    @field_validator("format")
    @classmethod
    def _format_is_known(cls, named):
        known = [*LINES, *TABLES, *formats.names()]
        if named not in known:
            raise ValueError(f"received the format `{named}`; expected one of {', '.join(known)}")
        return named

    @field_validator("encoding")
    @classmethod
    def _encoding_is_known(cls, named):
        return known_encoding(named)

    @model_validator(mode="after")
    def _links_by_something(self):
        if self.link and not any(record.linkage for record in self.records.values()):
            raise ValueError("`link` needs a record type with `linkage`: the fields by which people are compared")
        return self

    @model_validator(mode="after")
    def _owners_are_declared(self):
        for kind, record in self.records.items():
            if unknown := [owner for owner in record.subject_of if owner not in self.records]:
                raise ValueError(
                    f"`subject_of` of {kind} names {', '.join(unknown)}; expected a record type of this file"
                )
            if record.counted_from and record.counted_from.record not in self.records:
                raise ValueError(
                    f"`counted_from` of {kind} names {record.counted_from.record}; expected a record type of this file"
                )
            defined = [other for other, _ in record.codes_of]
            if unknown := [one for one in defined if one not in self.records or not self.records[one].definition]:
                raise ValueError(
                    f"`code_of` of {kind} names {', '.join(unknown)}; expected a record type of this file with "
                    "`definition`"
                )
        return self

    @field_validator("macros")
    @classmethod
    def _macros_are_sound(cls, declared):
        try:
            Macros(declared)
        except MacroError as error:
            raise ValueError(str(error)) from error
        return declared

    @model_validator(mode="after")
    def _rows_have_an_order(self):
        for kind, record in self.records.items():
            if self.format == "jdbc" and not record.ordered_by:
                raise ValueError(f"record type `{kind}` needs ordered_by: a row is known by its place")
        return self

    def encoding_of(self, kind: str | None) -> str:
        """The encoding of the files of record type ``kind``."""
        return (self.records[kind].encoding if kind else None) or self.encoding

    @model_validator(mode="after")
    def _a_snapshot_is_its_own_version(self):
        versioned = [kind for kind, record in self.records.items() if record.version]
        if self.delivery == "snapshot" and versioned:
            raise ValueError(
                f"records.{versioned[0]}.version is given in a source of snapshots; expected none: what a snapshot "
                "holds is true as of its delivery"
            )
        return self

    @model_validator(mode="after")
    def _columns_can_be_lacking(self):
        for kind, record in self.records.items():
            if record.optional and self.format not in ("csv", *TABLES):
                raise ValueError(
                    f"`optional` is given in {kind}; expected it in CSV and tables only: in `{self.format}` a field "
                    "may be absent as it is"
                )
        return self

    @cached_property
    def macro(self) -> Macros:
        """The macros that the source's expressions may call."""
        return Macros(self.macros)

    def mapping_hash(self, site: str, *rules: str) -> str:
        """SHA-256 of all that decides what a record of ``site`` becomes; ``rules``: the units, the privacy policy."""
        content = json.dumps([self.model_dump(mode="json", exclude=set(NOT_MAPPING)), site, *rules], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()
