"""What a task asks of its features (``features:`` in conf/tasks/*.yml), and the codesets that it names.

A codeset is conf/codesets/<name>.csv with the columns ``group, label, kind, unit, code_prefix``: every code that
begins with the prefix, or has an ancestor that does (``code_map``), belongs to the group; a prefix that ends with ``$``
is a whole code. Kinds: ``count`` (events are counted), ``numeric`` (their values are
aggregated), ``amount`` (their values are added up: what was spent), ``source`` (is the person known to this kind of
source at all).
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from pydantic import Field, field_validator

from salus.errors import Refused
from salus.settings import Strict, conf_dir
from salus.timelines.reference_ranges import range_of, ranges_path, read_ranges
from salus.timelines.spec import OUT_OF_RANGE, CodeGroup, CountStatistic, NumericStatistic

KINDS = ("count", "numeric", "amount", "source")
LABEL_CODES = "LABEL/"
"""How the codes of labels begin that others made: what is to be predicted is no input, of this time or an earlier."""


class SequenceSettings(Strict):
    """The event sequence that a task asks for."""

    length: int = Field(64, ge=1, le=4096, description="events kept, the newest ones")
    min_people: int = Field(20, ge=1, description="training people whom a code must concern to be in the vocabulary")
    most: int = Field(4000, ge=1, description="codes of the vocabulary, those of most training people")
    without: tuple[str, ...] = Field((), description="beginnings of codes that are left out, such as daily series")


class DailySettings(Strict):
    """The daily matrix that a task asks for."""

    days: int = Field(90, ge=1, le=730, description="days before the prediction")
    channels: tuple[str, ...] = Field(min_length=1, description="numeric groups of the codeset")


class FeatureSettings(Strict):
    """The features that a task asks for."""

    codeset: str | tuple[str, ...] = Field(
        "admission_90d", description="file in conf/codesets, without .csv, or several whose groups stand side by side"
    )
    windows_days: tuple[int, ...] = Field((30, 90, 365), description="windows of counts, days, ascending")
    numeric_windows_days: tuple[int, ...] = Field((90, 365), description="windows of numeric values, days, ascending")
    count_statistics: tuple[CountStatistic, ...] = Field(
        ("count", "days_since_last"), description="of each count group"
    )
    numeric_statistics: tuple[NumericStatistic, ...] = Field(
        ("last", "days_since_last", "mean", "min", "max", "slope"), description="of each numeric group"
    )
    enrolment_days: tuple[int, ...] = Field((365,), description="look-backs of days insured")
    numeric_groups: tuple[str, ...] | Literal["all"] = Field("all", description="the codeset's numeric groups to use")
    most_frequent: int = Field(0, ge=0, description="codes of most training people that become groups of their own")
    min_people: int = Field(20, ge=1, description="training people whom a group must concern to be a feature")
    statistics_people: int = Field(20_000, ge=1, description="training people, by hash, that means and spreads are of")

    sequence: SequenceSettings | None = Field(None, description="the last events, for an architecture that reads them")
    daily: DailySettings | None = Field(None, description="daily series, for an architecture that reads them")

    @property
    def codesets(self) -> tuple[str, ...]:
        """The names of the codesets."""
        return (self.codeset,) if isinstance(self.codeset, str) else self.codeset

    @field_validator("windows_days", "numeric_windows_days", "enrolment_days")
    @classmethod
    def _ascending(cls, days):
        if any(day < 1 for day in days) or list(days) != sorted(set(days)):
            raise ValueError("expected ascending numbers of days, each once, from 1")
        return days


class CodesetGroup(NamedTuple):
    """A group as a codeset declares it."""

    name: str
    label: str
    kind: str
    unit: str | None
    prefixes: tuple[str, ...]

    def holds(self, names: Iterable[str]) -> bool:
        """Whether one of ``names``, a code and its ancestors, belongs to the group."""
        return any(f"{name}$".startswith(self.prefixes) for name in names)


def codeset(name: str) -> list[CodesetGroup]:
    """The groups of conf/codesets/<name>.csv, in the order of their first lines.

    Raises:
        Refused: there is no such file, or a line of it is wrong; the line is named.
    """
    path = conf_dir() / "codesets" / f"{name}.csv"
    if not path.is_file():
        raise Refused(f"Received the codeset {name}; expected a file {path.name} in conf/codesets. Name one of them.")
    groups: dict[str, CodesetGroup] = {}
    with path.open(encoding="utf-8", newline="") as lines:
        for line, row in enumerate(csv.DictReader(lines), start=2):
            try:
                group = CodesetGroup(
                    row["group"], row["label"], row["kind"], row["unit"] or None, (row["code_prefix"],)
                )
            except (KeyError, TypeError) as error:
                raise Refused(f"{path}:{line}: expected the columns group, label, kind, unit, code_prefix.") from error
            first = groups.setdefault(group.name, group)
            if group.kind not in KINDS or not all(group.prefixes) or first[:4] != group[:4]:
                raise Refused(
                    f"{path}:{line}: received a line of {group.name} with another label, kind or unit than its first "
                    f"line, an unknown kind, or no code; expected one of {', '.join(KINDS)}, and a code. Mend it."
                )
            if first is not group:
                groups[group.name] = first._replace(prefixes=first.prefixes + group.prefixes)
    return list(groups.values())


def definitions(settings: FeatureSettings) -> str:
    """All that the configuration says of the settings' groups, as text: when it changes, data sets are made anew."""
    texts = [repr(codeset(name)) for name in settings.codesets]
    if OUT_OF_RANGE in settings.numeric_statistics:
        texts.append(repr([line._replace(place="") for line in read_ranges(ranges_path())]))
    return "\n".join(texts)


def code_groups(
    settings: FeatureSettings, codes: Mapping[str, int], ancestors: Mapping[str, Sequence[str]]
) -> list[CodeGroup]:
    """The codeset's groups with the codes that the data hold.

    Args:
        settings: names the codeset and its numeric groups.
        codes: code to hash, of every known code.
        ancestors: of those codes that a vocabulary knows.

    Raises:
        Refused: a numeric group is asked for that the codeset does not declare, or ``out_of_range`` of groups of which
            none has a reference range.
    """
    declared = [group for name in settings.codesets for group in codeset(name)]
    if twice := {group.name for group in declared if [other.name for other in declared].count(group.name) > 1}:
        raise Refused(
            f"Received the groups {', '.join(sorted(twice))} in two of the codesets {', '.join(settings.codesets)}; "
            "expected each once. Rename one, or leave a codeset out of `features.codeset`."
        )
    if settings.numeric_groups != "all":
        numeric = {group.name for group in declared if group.kind == "numeric"}
        if unknown := set(settings.numeric_groups) - numeric:
            raise Refused(
                f"Received the numeric groups {sorted(unknown)}; expected some of {sorted(numeric)} "
                f"of the codeset {', '.join(settings.codesets)}. Mend `features.numeric_groups`."
            )
        declared = [group for group in declared if group.kind != "numeric" or group.name in settings.numeric_groups]
    references = _references(settings, declared)
    found = []
    for group in declared:
        members = sorted(
            code for code in codes if group.holds((code, *ancestors.get(code, ()))) and not code.startswith(LABEL_CODES)
        )
        if members:
            found.append(
                CodeGroup.model_validate(
                    {
                        "name": group.name,
                        "label": group.label,
                        "kind": group.kind,
                        "unit": group.unit,
                        "codes": tuple(members),
                        "code_hashes": tuple(codes[code] for code in members),
                        "reference": references.get(group.name),
                    }
                )
            )
    return found


def _references(settings, declared):
    """The reference ranges of the numeric groups of ``declared`` that have one, where the settings ask for them."""
    numeric = [group for group in declared if group.kind == "numeric"]
    if not numeric or OUT_OF_RANGE not in settings.numeric_statistics:
        return {}
    lines = read_ranges(ranges_path())
    of_groups = {
        group.name: range_of(group.name, group.unit, [line for line in lines if group.holds((line.code,))])
        for group in numeric
    }
    if not any(of_groups.values()):
        raise Refused(
            f"Received the statistic out_of_range for {', '.join(settings.codesets)}, of whose numeric groups none has "
            "a reference range; expected one at least. Add a line to conf/codesets/reference_ranges.csv, or "
            "leave it out of `features.numeric_statistics`."
        )
    return of_groups
