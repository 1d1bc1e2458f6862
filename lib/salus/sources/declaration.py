"""What a source's YAML may say, and the one place where it is read.

Values are Spark SQL expressions over the record's own columns (docs/sources.md). A key that is not known, or an
expression with a misused macro, is refused with the file's line.
"""

import codecs
import hashlib
import json
import re
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from salus.errors import Refused
from salus.settings import Strict, conf_dir, validated
from salus.sources import formats
from salus.sources.linkage_model import read_model
from salus.sources.macros import MacroError, Macros, names_in
from salus.sources.written import Written, written

LINES = ("ndjson", "csv")
"""Formats whose files are lines of text, each file of one record type; those with code tell each record's type."""

NUMBER = re.compile(r"\d{1,3}(?!\d)")

TABLES = ("parquet", "delta", "jdbc")
"""Formats whose files are tables, each of one record type."""


PAYLOADS = ("person", "coverage", "cost", "note", "recording", "image", "compound", "definition")
"""What a record gives beside events."""


def _known_encoding(named: str | None) -> str | None:
    if named is not None:
        try:
            codecs.lookup(named)
        except LookupError as error:
            raise ValueError(
                f"received the encoding `{named}`; expected one that Python knows, e.g. gb18030"
            ) from error
    return named


class TimeFormat(Strict):
    """One way in which a source writes times; the first whose ``matches`` fits reads the text."""

    matches: str = Field(description="regular expression that the whole text must fit")
    reads: str = Field(description="expression over `text`: a date or a timestamp; null where there is no such day")
    lasts: Literal["instant", "day", "month", "year"] = Field("instant", description="how exact the text is")


class Event(Strict):
    """One kind of event that a record gives; a null code gives none."""

    code: str = Field(description="vocabulary/code; null = this record has no such event")
    time: str | None = Field(None, description="text of the time; default: the record's")
    at: Literal["start", "end"] = Field("start", description="which end of what `time` names, e.g. a day's end")
    known: Literal["in time", "always"] = Field("in time", description="always: available as soon as it happens")
    static: bool = Field(False, description="has no time at all, such as sex")
    available_time: str | None = Field(None, description="text of the time; default: the record's")
    numeric_value: str | None = Field(None, description="text of the number")
    text_value: str | None = None
    unit: str | None = Field(None, description="unit as the source writes it")
    each: str | None = Field(None, description="array; the event is given for each `item` of it")
    code_of: dict[str, str] = Field(
        default_factory=dict,
        description="record type: id of a record that defines the code, where `code` is null",
    )


class Person(Strict):
    """Columns of ``persons``."""

    when: str = Field("true", description="false: this record says nothing of the person")
    birth: str | None = Field(None, description="text of the date, may be partial")
    sex: str | None = Field(None, description="female, male or another word")
    death: str | None = Field(None, description="text of the time")
    race: str | None = None
    ethnicity: str | None = None
    care_site: str | None = None


class Coverage(Strict):
    """Columns of ``coverage``."""

    start: str = Field(description="text of the first day; null = this record has no such row")
    end: str | None = None
    payer: str | None = None
    plan: str | None = None
    kind: str | None = None


class Cost(Strict):
    """Columns of ``costs``; money is text, read as a decimal to the cent."""

    domain: str = Field(description="OMOP domain: Visit, Procedure, Drug")
    incurred: str | None = Field(
        None,
        description="text of the day of service; null = no such row; not given: the day of the `subject_of` record",
    )
    paid: str | None = None
    currency: str = "'USD'"
    total_charge: str | None = None
    total_paid: str | None = None
    amount_allowed: str | None = None
    paid_by_payer: str | None = None
    paid_by_patient: str | None = None
    paid_patient_copay: str | None = None
    paid_patient_coinsurance: str | None = None
    paid_patient_deductible: str | None = None
    revenue_code: str | None = None
    drg: str | None = None


class Note(Strict):
    """Columns of ``notes``."""

    text: str
    time: str | None = Field(None, description="text of the time; default: the record's")
    kind: str | None = None
    language: str = "'en'"
    names: str | None = Field(None, description="array of the person's names, where the record carries them: scrubbed")


class Recording(Strict):
    """Columns of ``recordings``."""

    time: str | None = Field(None, description="text of the time at which it began; default: the record's")
    seconds: str = Field(description="text of the number: how long it lasts")
    modality: str
    location: str
    channels: str = Field(description="array of structs name, unit, rate_hz, samples, scale, offset")


class Image(Strict):
    """Columns of ``images``; numbers are texts."""

    time: str | None = Field(None, description="text of the time of acquisition; default: the record's")
    modality: str
    location: str
    body_part: str | None = None
    transfer_syntax: str | None = None
    is_compressed: str = "NULL"
    photometric_interpretation: str | None = None
    samples_per_pixel: str | None = None
    rows: str | None = None
    columns: str | None = None
    frames: str | None = None
    bits_allocated: str | None = None
    bits_stored: str | None = None
    is_signed: str = "NULL"
    rescale_slope: str | None = None
    rescale_intercept: str | None = None
    rescale_type: str | None = None
    row_spacing: str | None = Field(None, description="mm")
    column_spacing: str | None = Field(None, description="mm")
    burned_in_annotation: str | None = None
    may_identify: str = "NULL"


class Compound(Strict):
    """Columns of ``compounds``."""

    dataset: str
    smiles: str
    inchi_key: str | None = None
    formula: str | None = None
    molecular_weight: str | None = Field(None, description="text of the number, g/mol")
    outcomes: str = Field(description="map from an outcome's name to its number")


class Definition(Strict):
    """Columns of ``definitions``: what other records name by this one's id, with `code_of`."""

    code: str = Field(description="vocabulary/code")


class Identifier(Strict):
    """Identifiers that a person shares with other systems."""

    system: str
    value: str
    each: str | None = Field(None, description="array; one identifier for each `item` of it")


class Record(Strict):
    """One record type of a source."""

    files: list[str] = Field(default_factory=list, description="name patterns of its files")
    encoding: str | None = Field(None, description="of its files; default: the source's")
    columns: str = Field("", alias="schema", description="fields with their types; CSV: columns it must have")
    optional: str = Field("", description="tables, CSV: columns that a file may lack, written like `schema`")
    table: str | None = Field(None, description="JDBC: table, or a query in brackets; default: the record type's name")
    ordered_by: list[str] = Field(default_factory=list, description="JDBC: columns that put its rows in one order")
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
        return _known_encoding(named)

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
    def codes_of(self) -> list[tuple[str, str]]:
        """The record types whose records define a code of this one, each with the expression of the id."""
        return [one for event in self.events.values() for one in event.code_of.items()]


class Expected(Strict):
    """How often a source delivers."""

    every: Literal["day", "week", "month"]
    grace_days: int = Field(0, ge=0, description="days by which a delivery may be late")


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

NOT_MAPPING = ("extends", "refuse_above", "missing_above", "settle_seconds", "expected")
"""What a source says of its deliveries and its file, and not of what a record becomes."""


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
        return _known_encoding(named)

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


def written_source(path: Path) -> Written:
    """What the source's file ``path`` says, with what it extends."""
    return written(path, columns_of)


def expressions(source: Source) -> list[tuple[tuple, str]]:
    """Every expression of ``source`` with where it stands."""
    found: list[tuple[tuple, str]] = []
    for kind, record in source.records.items():
        at: tuple = ("records", kind)
        found += [((*at, "accept", rule), text) for rule, text in record.accept.items()]
        found += [((*at, "subject_of", kind), text) for kind, text in record.subject_of.items()]
        found += [((*at, "linkage", field), text) for field, text in record.linkage.items()]
        for key in EXPRESSIONS:
            found += [((*at, key), text) for text in [getattr(record, key)] if text and isinstance(text, str)]
        parts: dict[tuple, Strict | None] = {("events", name): event for name, event in record.events.items()}
        parts |= {(key,): getattr(record, key) for key in PAYLOADS}
        parts |= {("identifiers", number): one for number, one in enumerate(record.identifiers)}
        for place, part in parts.items():
            if part is not None:
                found += [
                    ((*at, *place, key), text)
                    for key, text in part.model_dump().items()
                    if isinstance(text, str) and key not in ("at", "known")
                ]
                for other, text in getattr(part, "code_of", {}).items():
                    found.append(((*at, *place, "code_of", other), text))
    return found


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
