"""Units: every code's numbers in one unit, by conf/codesets/units.csv: value x slope + offset."""

import csv
from collections import defaultdict
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from salus.errors import Refused
from salus.settings import conf_dir

CONVERSIONS = "code string, _slopes map<string, struct<unit: string, slope: double, offset: double>>"
COLUMNS = ["code", "unit", "canonical_unit", "slope", "offset"]


def units_path() -> Path:
    """The table of units of this installation."""
    return conf_dir() / "codesets" / "units.csv"


def read_units(path: Path) -> dict[str, dict[str, tuple[str, float, float]]]:
    """For each code and unit: the canonical unit, slope and offset.

    Raises:
        Refused: a row is incomplete, or a code has two canonical units; the line is named.
    """
    found: dict[str, dict[str, tuple[str, float, float]]] = defaultdict(dict)
    with open(path, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            try:
                code, unit, canonical = (row[column] for column in COLUMNS[:3])
                conversion = (canonical, float(row["slope"]), float(row["offset"]))
            except (KeyError, TypeError, ValueError) as error:
                raise Refused(
                    f"{path}: received a row that is no conversion; expected {', '.join(COLUMNS)}. Mend that row."
                ) from error
            if {canonical} != {known for known, _, _ in found[code].values()} | {canonical}:
                raise Refused(f"{path}: received two canonical units for {code}; expected one. Mend its rows.")
            found[code][unit] = conversion
    return dict(found)


def conversions(spark: SparkSession, units: dict[str, dict[str, tuple[str, float, float]]]) -> DataFrame:
    """One row a code that has a canonical unit: how each unit that it may come in is converted."""
    return spark.createDataFrame(list(units.items()), CONVERSIONS).coalesce(1)
