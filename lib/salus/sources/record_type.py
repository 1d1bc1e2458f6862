"""One record type of a source, as its YAML says it: how a record is known, whose it is, when, and what it gives."""

import codecs
from typing import Literal

from pydantic import Field, field_validator, model_validator

from salus.settings import Strict
from salus.sources.record_parts import (
    PAYLOADS,
    Compound,
    Cost,
    CountedFrom,
    Coverage,
    Definition,
    Event,
    Identifier,
    Image,
    Note,
    Person,
    Recording,
)

EXPRESSIONS = (
    "id",
    "version",
    "void",
    "replaces",
    "subject",
    "declares_subject",
    "visit",
    "time",
    "available_time",
    "lag_from",
)
"""Keys of a record type whose values are expressions."""


def known_encoding(named: str | None) -> str | None:
    """``named`` as it is; a ``ValueError`` where Python knows no such encoding."""
    if named is not None:
        try:
            codecs.lookup(named)
        except LookupError as error:
            raise ValueError(
                f"received the encoding `{named}`; expected one that Python knows, e.g. gb18030"
            ) from error
    return named


class Record(Strict):
    """One record type of a source."""

    files: list[str] = Field(default_factory=list, description="name patterns of its files")
    encoding: str | None = Field(None, description="of its files; default: the source's")
    columns: str = Field("", alias="schema", description="fields with their types; CSV: columns it must have")
    optional: str = Field("", description="tables, CSV: columns that a file may lack, written like `schema`")
    table: str | None = Field(None, description="JDBC: table, or a query in brackets; default: the record type's name")
    ordered_by: list[str] = Field(default_factory=list, description="JDBC: columns that put its rows in one order")
    shared: dict[str, str] = Field(
        default_factory=dict,
        description="name: value of the columns, worked out once a record; other expressions name it like a column",
    )
    accept: dict[str, str] = Field(default_factory=dict, description="rule: what must be true")
    id: str = Field(description="the record's own id within its type")
    version: str | None = Field(None, description="text of a time, or a whole number; default: the delivery's time")
    void: str = Field("false", description="true: the record withdraws what it said before")
    replaces: str | None = Field(None, description="the id of another record of its type that this one withdraws")
    subject: str | None = Field(None, description="the source's own id of the person; a compound has none")
    subject_of: dict[str, str] = Field(
        default_factory=dict,
        description="record type: id of a record whose person it is, where the record itself does not say",
    )
    declares_subject: bool | str = Field(
        False, description="such a record makes its subject known; an expression: one of which it is true"
    )
    visit: str | None = Field(None, description="the visit's own id")
    visit_type: str | None = Field(None, description="record type of the visit; default: this one")
    time: str | None = Field(None, description="text of the time")
    known: Literal["in time", "always"] = Field(
        "in time", description="always: the version replaces its forerunner for good"
    )
    available_time: str | None = Field(None, description="text of the time at which it was released")
    available_at: Literal["start", "end"] = Field("end", description="which end of what `available_time` names")
    assumed_lag: str | None = Field(None, description="interval from `lag_from` where there is no available_time")
    lag_from: str | None = Field(None, description="text of the time; default: the record's time")
    counted_from: CountedFrom | None = Field(None, description="what `study_day()` in a time counts from")
    events: dict[str, Event] = Field(default_factory=dict)
    person: Person | None = None
    coverage: Coverage | None = None
    cost: Cost | None = None
    note: Note | None = None
    recording: Recording | None = None
    image: Image | None = None
    compound: Compound | None = None
    definition: Definition | None = None
    identifiers: list[Identifier] = Field(default_factory=list)
    linkage: dict[str, str] = Field(
        default_factory=dict, description="field of conf/linkage/splink.json: text, which lands as a keyed hash"
    )

    @field_validator("encoding")
    @classmethod
    def _encoding_is_known(cls, named):
        return known_encoding(named)

    @model_validator(mode="after")
    def _a_way_to_the_person(self):
        of_people = (
            "events",
            "person",
            "coverage",
            "cost",
            "note",
            "recording",
            "image",
            "identifiers",
            "linkage",
            "visit",
        )
        of_nobody = self.compound or self.definition
        if self.is_nobodys and (not of_nobody or any(getattr(self, key) for key in of_people)):
            raise ValueError(
                "a record needs `subject`, or `subject_of` where another record says whose it is; only a compound or "
                "a definition, which is nobody's and gives nothing else, has neither"
            )
        if self.definition and not self.is_nobodys:
            raise ValueError("`definition` has a subject; expected none: what a code means is nobody's")
        if len(self.codes_of) > 1 or any(event.each for event in self.events.values() if event.code_of):
            raise ValueError("`code_of` is given twice, or with `each`; expected one other record for a record's code")
        if self.counted_from and any(getattr(self, part) for part in PAYLOADS):
            raise ValueError(f"`counted_from` is given beside {', '.join(PAYLOADS)}; expected events alone with it")
        if self.cost and not self.cost.incurred and not self.subject_of:
            raise ValueError("`cost` needs `incurred`, unless another record says when it was")
        if self.linkage and not self.declares_subject:
            raise ValueError("`linkage` needs `declares_subject`: whoever is linked must be known")
        if self.declares_subject and not self.subject:
            raise ValueError("`declares_subject` needs `subject`: another record's person is declared by that record")
        return self

    @model_validator(mode="after")
    def _every_time_is_told(self):
        for name, event in self.events.items():
            if event.static and event.time:
                raise ValueError(f"event `{name}` is static and has a time; expected one or the other")
            if not event.static and not (event.time or self.time):
                raise ValueError(f"event `{name}` needs a time, of its own or of its record, or static: true")
        return self

    @property
    def is_nobodys(self) -> bool:
        """Whether such a record is about no person: a compound or a definition is its own subject."""
        return not (self.subject or self.subject_of)

    @property
    def dates_when_known(self) -> bool:
        """Whether something of it may have happened nobody knows when, and is dated by when that became known."""
        died = self.person.death if self.person else None
        return any("when_known()" in (text or "") for text in (died, *(event.time for event in self.events.values())))

    @property
    def codes_of(self) -> list[tuple[str, str]]:
        """The record types whose records define a code of this one, each with the expression of the id."""
        return [one for event in self.events.values() for one in event.code_of.items()]
