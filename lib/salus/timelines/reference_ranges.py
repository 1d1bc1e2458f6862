"""Reference ranges: between which values of a code most healthy adults lie, by conf/codesets/reference_ranges.csv.

A line is ``code, sex, low, high, unit, source``: both limits are usual themselves, an empty one is none, and an empty
sex means both. The range of a numeric group is that of its codes; a code of the group without a line counts by it too.
"""

import csv
import math
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from salus.errors import Refused
from salus.settings import Strict, conf_dir

SEXES = ("female", "male")

Limits = tuple[float | None, float | None]
"""Lowest and highest usual value; None = there is no such limit."""


class ReferenceRange(Strict):
    """The usual values of a numeric group, in its unit."""

    female: Limits
    male: Limits

    @property
    def either(self) -> Limits:
        """The widest: what lies outside it is unusual whatever the sex."""
        (low, high), (other_low, other_high) = self.female, self.male
        return (
            None if low is None or other_low is None else min(low, other_low),
            None if high is None or other_high is None else max(high, other_high),
        )


class Line(NamedTuple):
    """A line of the table; ``place`` is its file and number."""

    code: str
    sexes: tuple[str, ...]
    limits: Limits
    unit: str
    place: str


def ranges_path() -> Path:
    """The table of reference ranges of this installation."""
    return conf_dir() / "codesets" / "reference_ranges.csv"


def read_ranges(path: Path) -> list[Line]:
    """The lines of the table.

    Raises:
        Refused: there is no such table, or a line is no range; it is named.
    """
    if not path.is_file():
        raise Refused(f"Received no table of reference ranges {path}; expected one for out_of_range. Put it there.")
    found = []
    with path.open(encoding="utf-8", newline="") as lines:
        for number, row in enumerate(csv.DictReader(lines), start=2):
            try:
                low, high = (float(row[name]) if row[name] else None for name in ("low", "high"))
                line = Line(row["code"], (row["sex"],) if row["sex"] else SEXES, (low, high), row["unit"], "")
                is_whole = all((line.code, line.unit, row["source"])) and set(line.sexes) <= set(SEXES)
            except (KeyError, TypeError, ValueError):
                is_whole = False
            if not is_whole or not _is_range(low, high):
                raise Refused(
                    f"{path}:{number}: received a line that is no reference range; expected code, sex (female, male or "
                    "nothing for both), low, high (one of them at least, low below high), unit, source. Mend that line."
                )
            found.append(line._replace(place=f"{path}:{number}"))
    return found


def range_of(group: str, unit: str | None, lines: Iterable[Line]) -> ReferenceRange | None:
    """The range of a numeric group by the ``lines`` of its codes; None = there are none.

    Raises:
        Refused: a line is in another unit than the group, contradicts another, or speaks of one sex alone.
    """
    limits: dict[str, Limits] = {}
    line = None
    for line in lines:
        if line.unit != unit:
            raise Refused(
                f"{line.place}: received the range of {line.code} in {line.unit}; expected {unit or 'no unit'}, as "
                f"the group {group} has. Mend the line or the codeset."
            )
        for sex in line.sexes:
            if limits.setdefault(sex, line.limits) != line.limits:
                raise Refused(
                    f"{line.place}: received another range of {line.code} than the group {group} has by a line above; "
                    "expected one for each sex. Mend the line, or part the codes into two groups."
                )
    if line is None:
        return None
    if set(limits) != set(SEXES):
        raise Refused(
            f"{line.place}: received a range of the group {group} for one sex alone; expected both. Add the other line."
        )
    return ReferenceRange(**limits)


def _is_range(low, high):
    known = [limit for limit in (low, high) if limit is not None]
    return bool(known) and all(map(math.isfinite, known)) and known == sorted(set(known))
