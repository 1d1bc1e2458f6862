"""Texts as times and numbers: the format is matched first, and what does not fit is refused, never null.

``try_cast`` alone takes ``T10:11`` for today, ``2011-5-7`` for a day and ``12f`` for 12. Expressions are Spark SQL.
"""

import re

from salus.sources.declaration import TimeFormat
from salus.storage.query import literal

TEXT = re.compile(r"\btext\b")
NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
MONEY = r"^[+-]?(\d+\.?\d*|\.\d+)$"
LARGEST_FLOAT = "3.4028234663852886E38D"
WHEN_KNOWN = "when known"
"""The text of a time that nobody states: it was when it became known (``when_known()``)."""

NOT_YET = "TIMESTAMP_NTZ '9999-12-31 23:59:59.999999'"
"""Stands for such a time, until the delivery says when that was."""

LASTS = {"instant": "INTERVAL 0 DAY", "day": "INTERVAL 1 DAY", "month": "INTERVAL 1 MONTH", "year": "INTERVAL 1 YEAR"}


class Times:
    """A source's ways of writing times, tried in their order."""

    def __init__(self, formats: list[TimeFormat]):
        self.formats = formats

    def format_of(self, text: str) -> str:
        """Which format ``text`` fits, from 0; null where it fits none."""
        patterns = [literal(f"^(?:{written.matches})$") for written in self.formats]
        fits = [f"WHEN {text} RLIKE {pattern} THEN {number}" for number, pattern in enumerate(patterns)]
        return f"CASE {' '.join(fits)} END"

    def start(self, text: str, chosen: str) -> str:
        """The first instant, UTC, that the column ``text`` names; null where there is no such day."""
        expressions = [TEXT.sub(text, written.reads) for written in self.formats]
        reads = [f"WHEN {number} THEN CAST({read} AS TIMESTAMP_NTZ)" for number, read in enumerate(expressions)]
        return f"CASE {chosen} {' '.join(reads)} END"

    def end(self, start: str, chosen: str) -> str:
        """The first instant after what the text names: an instant itself, a date's next midnight."""
        lasting = [
            f"WHEN {number} THEN {start} + {LASTS[written.lasts]}"
            for number, written in enumerate(self.formats)
            if written.lasts != "instant"
        ]
        return f"CASE {chosen} {' '.join(lasting)} ELSE {start} END" if lasting else start


def or_when_known(text: str, start: str) -> str:
    """``start``, what ``text`` was read as; of one that is known from now on, when the record was released."""
    return f"CASE WHEN {text} = {literal(WHEN_KNOWN)} THEN coalesce(e_available, {NOT_YET}) ELSE {start} END"


def number(text: str) -> str:
    """``text`` as a finite double within a float's range; null where it is none."""
    value = f"CASE WHEN {text} RLIKE {literal(NUMBER)} THEN try_cast({text} AS DOUBLE) END"
    return f"CASE WHEN abs({value}) <= {LARGEST_FLOAT} THEN {value} END"


def money(text: str) -> str:
    """``text`` as a decimal of four places (parts of a cent add up), halves rounded up; null where it is none."""
    return f"CASE WHEN {text} RLIKE {literal(MONEY)} THEN try_cast({text} AS DECIMAL(18, 4)) END"
