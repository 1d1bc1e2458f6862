"""What conf/quality/*.yml may ask of the data, and the one place where it is read.

A file is a category of Kahn et al. 2016 (doi:10.13063/2327-9214.1244): conformance, completeness, plausibility. A
check counts how many of a denominator fail, and falls short where their share is larger than it may be. The kinds are
those of OHDSI's DataQualityDashboard that make sense for events with two clocks; docs/quality.md lists them.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator, model_validator

from salus.errors import Refused
from salus.settings import Strict, conf_dir, load_yaml, validated

Category = Literal["conformance", "completeness", "plausibility"]
CATEGORIES: tuple[Category, ...] = get_args(Category)

ONCE = ("value_range", "volume_drop")
"""Kinds of which a second check would only hide the first: a code has one range, a day one expectation."""


class Threshold(Strict):
    """What every check states."""

    means: str = Field(description="what a failure is, in one sentence for the report")
    share_at_most: float = Field(ge=0, le=1, description="share of failures that is borne")
    judged_from: int = Field(1, ge=1, description="smallest denominator that is judged at all")


class ValueRange(Strict):
    """The values of a code that a living person can have, in its canonical unit."""

    unit: str | None = Field(None, description="the unit that `low` and `high` are in; none: a pure number")
    low: float
    high: float

    @model_validator(mode="after")
    def _is_a_range(self):
        if not self.low < self.high:
            raise ValueError("expected low < high")
        return self


class ValueRanges(Threshold):
    """Numbers outside their code's range; one result a code."""

    kind: Literal["value_range"]
    ranges: dict[str, ValueRange] = Field(min_length=1)


class CodeFormat(Threshold):
    """Codes that their vocabulary cannot hold; one result a vocabulary."""

    kind: Literal["code_format"]
    patterns: dict[str, str] = Field(min_length=1, description="vocabulary: regular expression of a whole code")

    @field_validator("patterns")
    @classmethod
    def _compile(cls, patterns):
        for vocabulary, pattern in patterns.items():
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"the pattern of {vocabulary} is no regular expression: {error}") from error
        return patterns


class MissingUnit(Threshold):
    """Numbers of a code with a canonical unit that came without one; one result a source."""

    kind: Literal["missing_unit"]


class MissingValue(Threshold):
    """Results without a number and without a text; one result a source."""

    kind: Literal["missing_value"]
    code_prefixes: list[str] = Field(min_length=1)


class AssumedLag(Threshold):
    """Events whose ``available_time`` was reckoned, because nothing told it; one result a source."""

    kind: Literal["assumed_lag"]


class UnmappedCode(Threshold):
    """Events whose code is of no known vocabulary, or says that it is unknown; one result a source."""

    kind: Literal["unmapped_code"]
    vocabularies: list[str] = Field(min_length=1, description="what stands before a code's first stroke")
    unknown: list[str] = Field(default_factory=list, description="codes that stand for no code")


class NoPerson(Threshold):
    """Events of somebody without a person record; one result a source."""

    kind: Literal["no_person"]


class AfterDeath(Threshold):
    """Events later than a person's death; one result a source."""

    kind: Literal["after_death"]
    days: int = Field(ge=0, description="days after death that are borne: autopsies, last claims")


class BeforeBirth(Threshold):
    """Events earlier than a person's birth; one result a source."""

    kind: Literal["before_birth"]
    days: int = Field(ge=0, description="days before birth that are borne: prenatal records on the child")


class InFuture(Threshold):
    """Events later than the delivery that brought them; one result a source."""

    kind: Literal["in_future"]
    days: int = Field(ge=0)


class SexSpecific(Threshold):
    """Codes of one sex on a person of the other; one result a sex."""

    kind: Literal["sex_specific"]
    female: list[str] = Field(min_length=1, description="code prefixes")
    male: list[str] = Field(min_length=1, description="code prefixes")


class PersonCheck(Threshold):
    """People whose record lacks or contradicts something; a single result."""

    kind: Literal["missing_birth", "missing_sex", "death_before_birth", "no_events", "identity_conflict"]


class BirthYear(Threshold):
    """People born in a year in which nobody alive was; a single result."""

    kind: Literal["birth_year"]
    earliest: int


class SpanCheck(Threshold):
    """Coverage spans that end before they start, or that overlap another of the same payer and plan."""

    kind: Literal["negative_coverage", "overlapping_coverage"]


class NegativeVisit(Threshold):
    """Records whose end event lies before their start event; one result a source."""

    kind: Literal["negative_visit"]
    ends: dict[str, str] = Field(min_length=1, description="vocabulary of an end: vocabulary of its start")


class RefusedRecords(Threshold):
    """Records in quarantine; one result a source."""

    kind: Literal["refused_records"]


class RepeatedVersion(Threshold):
    """Record versions that stand twice; a single result."""

    kind: Literal["repeated_version"]


class VolumeDrop(Threshold):
    """Days on which much less became available than on the same weekday before; one result a source."""

    kind: Literal["volume_drop"]
    days: int = Field(ge=1, description="days before the source's last one that are judged")
    weeks: int = Field(ge=1, description="weeks before a day whose median is expected of it")
    falls_by: float = Field(gt=0, le=1, description="share of the median that has to be missing")
    events_at_least: int = Field(ge=1, description="smallest median that is judged")


Check = Annotated[
    ValueRanges
    | CodeFormat
    | MissingUnit
    | MissingValue
    | AssumedLag
    | UnmappedCode
    | NoPerson
    | AfterDeath
    | BeforeBirth
    | InFuture
    | SexSpecific
    | PersonCheck
    | BirthYear
    | SpanCheck
    | NegativeVisit
    | RefusedRecords
    | RepeatedVersion
    | VolumeDrop,
    Field(discriminator="kind"),
]


class CheckFile(Strict):
    """One file of conf/quality."""

    checks: dict[str, Check] = Field(min_length=1)


class Checks(Strict):
    """Every declared check, by name, with its category."""

    categories: dict[str, Category]
    checks: dict[str, Check]

    @property
    def hash(self) -> str:
        """SHA-256 of what is declared."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()


def load_checks(folder: Path | None = None) -> Checks:
    """The checks of ``folder`` (default: conf/quality).

    Raises:
        Refused: a file is no category, a key is wrong, or a name or a kind of ``ONCE`` comes twice; the line is named.
    """
    folder = folder or conf_dir() / "quality"
    categories: dict[str, Category] = {}
    checks: dict[str, Check] = {}
    for path in sorted(folder.glob("*.yml")):
        category = next((known for known in CATEGORIES if known == path.stem), None)
        if category is None:
            raise Refused(f"Received {path}; expected {', '.join(f'{name}.yml' for name in CATEGORIES)}. Rename it.")
        content = load_yaml(path)
        declared = validated(CheckFile, content, path).checks
        for name, check in declared.items():
            if name in checks:
                line = content["checks"].lc.key(name)[0] + 1
                raise Refused(f"{path}:{line}: received a second check {name}; expected each name once. Rename one.")
            if check.kind in ONCE and any(check.kind == other.kind for other in checks.values()):
                line = content["checks"].lc.key(name)[0] + 1
                raise Refused(f"{path}:{line}: received a second check of kind {check.kind}; expected one. Join them.")
            categories[name], checks[name] = category, check
    return Checks(categories=categories, checks=checks)
