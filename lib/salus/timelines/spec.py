"""What a model sees: which numbers are made of a timeline, in which order, and how they are scaled.

A spec is fitted on the training split, travels as JSON with the data set, the model and every score, and its hash
says whether two of them fit together. Features come in blocks, in this order: static, recency, enrolment, one flag
a source, windowed counts of code groups, windowed aggregates of numeric groups, windowed sums of amounts. Beside them
may stand the last events as a sequence and a daily matrix (``blocks``).

Raw features are in readable units and NaN where missing. Standardised inputs are finite: log1p of counts and of
days, missing values at the training mean with a flag beside them, training mean 0 and standard deviation 1,
clipped at 5.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from pydantic import Field

from salus.settings import Strict
from salus.timelines.blocks import Block, DailyMatrix, EventSequence, blocks_of
from salus.timelines.reference_ranges import ReferenceRange
from salus.timelines.vocabulary import Vocabulary

WINDOWED_NUMERICS = ("mean", "min", "max", "slope", "out_of_range", "count")
ANY_EVENT = "any_event"
OUT_OF_RANGE = "out_of_range"
"""The statistic of those groups alone whose reference range is known."""

CountStatistic = Literal["count", "exists", "distinct_days", "days_since_last"]
NumericStatistic = Literal["last", "days_since_last", "mean", "min", "max", "slope", "out_of_range", "count"]


class CodeGroup(Strict):
    """Codes that count as one: a condition, a drug class, a lab.

    ``reference`` is there where ``out_of_range`` is asked for and known; specs without it keep the hash that they had.
    """

    name: str
    label: str
    kind: Literal["count", "numeric", "amount", "source"]
    unit: str | None = None
    codes: tuple[str, ...]
    code_hashes: tuple[int, ...]
    reference: ReferenceRange | None = Field(default=None, exclude_if=lambda known: known is None)


class Statistics(Strict):
    """Mean and standard deviation of every feature over the training samples where it was known, after log1p."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Feature:
    """One raw number of a model's inputs.

    ``absence`` names the reason for which it can be missing; features that are always missing together share it
    and share a missing flag. None = never missing.
    """

    name: str
    label: str
    statistic: str
    unit: str
    code: str
    group: str | None = None
    window_days: int | None = None
    absence: str | None = None
    is_log: bool = False


class FeatureSpec(Strict):
    """The features of one task, with the codes, windows and training statistics that they were fitted with."""

    windows_days: tuple[int, ...]
    numeric_windows_days: tuple[int, ...]
    count_statistics: tuple[CountStatistic, ...]
    numeric_statistics: tuple[NumericStatistic, ...]
    enrolment_days: tuple[int, ...] = ()
    groups: tuple[CodeGroup, ...]
    sequence: EventSequence | None = None
    daily: DailyMatrix | None = None
    statistics: Statistics | None = None

    @cached_property
    def features(self) -> list[Feature]:
        """Every feature, in the order of the columns of ``model_inputs``."""
        return [
            *_static(),
            *_enrolment(self.enrolment_days),
            *_sources(self.of_kind("source")),
            *_counts(self),
            *_numerics(self),
            *_amounts(self),
        ]

    @cached_property
    def names(self) -> list[str]:
        """Names of the raw features, one a column of ``model_inputs``."""
        return [feature.name for feature in self.features]

    @cached_property
    def labels(self) -> list[str]:
        """The same, as a clinician would read them."""
        return [feature.label for feature in self.features]

    @cached_property
    def absences(self) -> list[str]:
        """The missing flags, one a column of the standardised inputs after the features."""
        return list(dict.fromkeys(feature.absence for feature in self.features if feature.absence))

    @cached_property
    def feature_of_input(self) -> np.ndarray:
        """int64 (width,): the raw feature that a standardised column speaks of; a flag speaks of its first feature."""
        first: dict[str, int] = {}
        for index, feature in enumerate(self.features):
            if feature.absence:
                first.setdefault(feature.absence, index)
        return np.array([*range(len(self.features)), *(first[absence] for absence in self.absences)], dtype=np.int64)

    @property
    def width(self) -> int:
        """Columns of the standardised inputs: features, then missing flags."""
        return len(self.features) + len(self.absences)

    @cached_property
    def blocks(self) -> dict[str, Block]:
        """The named arrays of the standardised inputs, with their shapes."""
        return blocks_of(self.width, self.sequence, self.daily)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the spec's canonical JSON."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The codes of the groups of each kind, of all groups, of the sequence and of the daily channels."""
        kinds = {kind: self.of_kind(kind) for kind in ("count", "numeric", "amount", "source")} | {"any": self.groups}
        hashes = {kind: [group.code_hashes for group in groups] for kind, groups in kinds.items()}
        if self.sequence is not None:
            hashes["sequence"] = [(code_hash,) for code_hash in self.sequence.code_hashes]
        if self.daily is not None:
            hashes["daily"] = [channel.code_hashes for channel in self.daily.channels]
        return Vocabulary(hashes)

    def of_kind(self, kind: str) -> list[CodeGroup]:
        """The groups of one kind, in order."""
        return [group for group in self.groups if group.kind == kind]

    @property
    def with_reference(self) -> list[CodeGroup]:
        """The numeric groups whose reference range is known, in order."""
        return [group for group in self.of_kind("numeric") if group.reference is not None]

    def code_of(self, feature: str) -> str:
        """The code behind a feature, or the name of its group where that has several."""
        return self.features[self.names.index(feature)].code

    def to_json(self) -> str:
        """Canonical JSON: equal specs give equal text."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "FeatureSpec":
        """The spec that ``to_json`` wrote."""
        return cls.model_validate_json(text)


def _static():
    return [
        Feature("age", "Age", "age", "years", "MEDS_BIRTH", absence="age"),
        Feature("is_female", "Female sex", "is_female", "", "SEX/female", absence="sex"),
        Feature(
            f"{ANY_EVENT}.days_since_last",
            "Days since the last event of any kind",
            "days_since_last",
            "d",
            ANY_EVENT,
            absence=ANY_EVENT,
            is_log=True,
        ),
    ]


def _enrolment(windows):
    return [
        Feature(
            f"enrolled_days.{days}d",
            f"Days insured within the last {days} days",
            "enrolled_days",
            "d",
            "coverage",
            window_days=days,
        )
        for days in windows
    ]


def _sources(groups):
    return [
        Feature(f"{group.name}.known", f"{group.label}: known", "known", "", _code(group), group.name)
        for group in groups
    ]


def _counts(spec):
    groups = spec.of_kind("count")
    for statistic in spec.count_statistics:
        if statistic == "days_since_last":
            for group in groups:
                yield Feature(
                    f"{group.name}.days_since_last",
                    f"{group.label}: days since the last",
                    statistic,
                    "d",
                    _code(group),
                    group.name,
                    absence=f"{group.name}.ever",
                    is_log=True,
                )
            continue
        wording = {"count": "number", "exists": "any", "distinct_days": "days with one"}[statistic]
        for days in spec.windows_days:
            for group in groups:
                yield Feature(
                    f"{group.name}.{statistic}.{days}d",
                    f"{group.label}: {wording} in the last {days} days",
                    statistic,
                    "d" if statistic == "distinct_days" else "",
                    _code(group),
                    group.name,
                    days,
                    is_log=statistic != "exists",
                )


def _numerics(spec):
    groups = spec.of_kind("numeric")
    for statistic in spec.numeric_statistics:
        if statistic in ("last", "days_since_last"):
            is_last = statistic == "last"
            for group in groups:
                label = f"{group.label}: {'last value' if is_last else 'days since the last value'}"
                yield Feature(
                    f"{group.name}.{statistic}",
                    label,
                    statistic,
                    (group.unit or "") if is_last else "d",
                    _code(group),
                    group.name,
                    absence=f"{group.name}.ever",
                    is_log=not is_last,
                )
            continue
        for days in spec.numeric_windows_days:
            for group in groups if statistic != OUT_OF_RANGE else spec.with_reference:
                yield _windowed_numeric(group, statistic, days)


def _amounts(spec):
    for days in spec.windows_days:
        for group in spec.of_kind("amount"):
            yield Feature(
                f"{group.name}.sum.{days}d",
                f"{group.label}: in all in the last {days} days",
                "sum",
                group.unit or "",
                _code(group),
                group.name,
                days,
                is_log=True,
            )


def _windowed_numeric(group, statistic, days):
    wording = {
        "mean": "mean",
        "min": "lowest",
        "max": "highest",
        "slope": "trend",
        "out_of_range": "share of values outside the reference range",
        "count": "number of values",
    }
    absence = {"count": None, "slope": f"{group.name}.slope.{days}d"}.get(statistic, f"{group.name}.{days}d")
    unit = {"count": "", "out_of_range": "", "slope": f"{group.unit or ''} per 30 d".strip()}.get(
        statistic, group.unit or ""
    )
    return Feature(
        f"{group.name}.{statistic}.{days}d",
        f"{group.label}: {wording[statistic]} in the last {days} days",
        statistic,
        unit,
        _code(group),
        group.name,
        days,
        absence,
        is_log=statistic == "count",
    )


def _code(group):
    return group.codes[0] if len(group.codes) == 1 else group.name
