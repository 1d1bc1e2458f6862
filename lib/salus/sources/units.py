"""Units: every code's numbers in one UCUM unit, by conf/codesets/units.csv: value x slope + offset.

Real files write UCUM in every case and spelling (``MG/DL``, ``K/uL``, ``mcg/dl``). What UCUM itself knows is read as
UCUM first, case and all; else in lower case and without blanks, by conf/codesets/unit_spellings.csv. Only the units
that are listed for the code are looked among, so that no spelling is ever guessed across kinds of quantity.
"""

import csv
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from salus.errors import Refused
from salus.settings import conf_dir
from salus.storage.query import literal
from salus.storage.small import small_frame

CONVERSIONS = "code string, _slopes map<string, struct<unit: string, slope: double, offset: double>>"
COLUMNS = ["code", "unit", "canonical_unit", "slope", "offset"]

Conversion = tuple[str, float, float]
"""Canonical unit, slope and offset."""


def units_path() -> Path:
    """The table of units of this installation."""
    return conf_dir() / "codesets" / "units.csv"


def spellings_path() -> Path:
    """The table of spellings of this installation."""
    return conf_dir() / "codesets" / "unit_spellings.csv"


def units_text() -> str:
    """All that decides how units are read, as text: when it changes, files are read anew."""
    return "\n".join(path.read_text(encoding="utf-8") for path in (units_path(), spellings_path()))


def squeezed(unit: str) -> str:
    """A unit as spellings are compared: in lower case, without blanks."""
    return "".join(unit.lower().split())


def read_units(path: Path) -> dict[str, dict[str, Conversion]]:
    """For each code and unit: the canonical unit, slope and offset.

    Raises:
        Refused: a row is incomplete, or a code has two canonical units; the line is named.
    """
    found: dict[str, dict[str, Conversion]] = defaultdict(dict)
    for line, row in _rows(path):
        try:
            code, unit, canonical = (row[column] for column in COLUMNS[:3])
            conversion = (canonical, float(row["slope"]), float(row["offset"]))
        except (KeyError, TypeError, ValueError) as error:
            raise Refused(
                f"{path}:{line}: received a row that is no conversion; expected {', '.join(COLUMNS)}. Mend that row."
            ) from error
        if {canonical} != {known for known, _, _ in found[code].values()} | {canonical}:
            raise Refused(f"{path}:{line}: received two canonical units for {code}; expected one. Mend its rows.")
        found[code][unit] = conversion
    return dict(found)


def read_spellings(path: Path) -> dict[str, str]:
    """For each spelling, in lower case and without blanks, the UCUM unit that is meant.

    Raises:
        Refused: a spelling is not in lower case, holds a blank, or comes twice; the line is named.
    """
    found: dict[str, str] = {}
    for line, row in _rows(path):
        spelling, unit = row.get("spelling"), row.get("unit")
        if not spelling or not unit or spelling != squeezed(spelling) or spelling in found:
            raise Refused(
                f"{path}:{line}: received a row that is no new spelling; expected spelling, unit, the spelling in "
                "lower case, without blanks, once. Mend that row."
            )
        found[spelling] = unit
    return found


def written(units: dict[str, Conversion], spellings: dict[str, str]) -> dict[str, Conversion]:
    """Every way in which the ``units`` of one code may be written, with its conversion.

    Raises:
        Refused: one way of writing would be two units.
    """
    ways = dict(units)
    listed = [(squeezed(unit), conversion) for unit, conversion in units.items()]
    listed += [(spelling, units[unit]) for spelling, unit in spellings.items() if unit in units]
    for spelling, conversion in listed:
        if spelling in ways and ways[spelling] != conversion and spelling not in units:
            raise Refused(
                f"Received the spelling {spelling}, which is two units of one code; expected one. "
                "Mend conf/codesets/unit_spellings.csv."
            )
        ways.setdefault(spelling, conversion)
    return ways


def conversions(spark: SparkSession, units: dict[str, dict[str, Conversion]], spellings: dict[str, str]) -> DataFrame:
    """One row a code that has a canonical unit: how each way of writing its units is converted."""
    rows = [(code, written(known, spellings)) for code, known in units.items()]
    return small_frame(spark, rows, CONVERSIONS).coalesce(1)


def conversion_of(unit: str) -> str:
    """The conversion of ``unit`` among ``_slopes``: as it is written, else by its squeezed spelling; null = unknown."""
    spelling = f"lower(regexp_replace({unit}, {literal(chr(92) + 's')}, ''))"
    return f"coalesce(try_element_at(_slopes, {unit}), try_element_at(_slopes, {spelling}))"


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    with open(path, encoding="utf-8", newline="") as file:
        yield from enumerate(csv.DictReader(file), start=2)
