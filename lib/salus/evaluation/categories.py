"""Race and ethnicity in one set of categories, however the sources of one warehouse spell them.

The categories are OMB's minimum ones (Statistical Policy Directive 15 of 1997, 62 FR 58782), which US Core, CMS and
OMOP code each in a way of their own; conf/codesets/race_and_ethnicity.csv says which spelling is which.
"""

import csv
from functools import lru_cache
from pathlib import Path

from salus.errors import Refused
from salus.settings import conf_dir

COLUMNS = ["attribute", "spelling", "category"]
ATTRIBUTES = ("race", "ethnicity")


def categories_path() -> Path:
    """The table of spellings of this installation."""
    return conf_dir() / "codesets" / "race_and_ethnicity.csv"


def category(attribute: str, value: str) -> str:
    """What ``value`` of ``attribute`` means: a category, nothing (an unknown race), or itself where it is not listed.

    Args:
        attribute: what is told of a person; only ``race`` and ``ethnicity`` have categories.
        value: as a source spells it.
    """
    return read_categories(categories_path()).get((attribute, squeezed(value)), value)


def squeezed(spelling: str) -> str:
    """A spelling as it is compared: in lower case, with single blanks."""
    return " ".join(spelling.lower().split())


@lru_cache(maxsize=2)
def read_categories(path: Path) -> dict[tuple[str, str], str]:
    """For each attribute and spelling the category; empty = the source says that it does not know.

    Raises:
        Refused: a row is incomplete, names another attribute, or comes twice; the line is named.
    """
    found: dict[tuple[str, str], str] = {}
    with open(path, newline="", encoding="utf-8") as file:
        for line, row in enumerate(csv.DictReader(file), start=2):
            attribute, spelling, meant = (row.get(name) for name in COLUMNS)
            if (
                attribute not in ATTRIBUTES
                or not spelling
                or meant is None
                or spelling != squeezed(spelling)
                or (attribute, spelling) in found
            ):
                raise Refused(
                    f"{path}:{line}: received a row that is no new spelling; expected {', '.join(COLUMNS)}: race or "
                    "ethnicity, the spelling in lower case, once, and its category. Mend that row."
                )
            found[attribute, spelling] = meant
    return found
