"""What one record may give, as a source's YAML says it: events, a person, payloads of eight kinds, identifiers.

Values are Spark SQL expressions over the record's own columns (docs/sources.md).
"""

from typing import Literal

from pydantic import Field

from salus.settings import Strict

PAYLOADS = ("person", "coverage", "cost", "note", "recording", "image", "compound", "definition")
"""What a record gives beside events."""


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


class CountedFrom(Strict):
    """The event that is day 1 of the study days of a record."""

    record: str = Field(description="record type of the record that says which day it was")
    id: str = Field(description="that record's own id")
    code: str = Field(description="code of its event on that day")


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
    time: str | None = Field(None, description="text of the time, null = no such row; not given: the record's")
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
