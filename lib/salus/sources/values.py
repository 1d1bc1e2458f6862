"""Texts as times and numbers: the format is matched first, and what does not fit is refused, never null.

``try_cast`` alone takes ``T10:11`` for today, ``2011-5-7`` for a day and ``12f`` for 12.
"""

import re

from pyspark.sql import Column
from pyspark.sql import functions as F

from salus.sources.declaration import TimeFormat

TEXT = re.compile(r"\btext\b")
NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
MONEY = r"^[+-]?(\d+\.?\d*|\.\d+)$"
LARGEST_FLOAT = 3.4028234663852886e38
LASTS = {"instant": "INTERVAL 0 DAY", "day": "INTERVAL 1 DAY", "month": "INTERVAL 1 MONTH", "year": "INTERVAL 1 YEAR"}


class Times:
    """A source's ways of writing times, tried in their order."""

    def __init__(self, formats: list[TimeFormat]):
        self.formats = formats

    def format_of(self, text: Column) -> Column:
        """Which format ``text`` fits, from 0; null where it fits none."""
        chosen = F.when(text.rlike(f"^(?:{self.formats[0].matches})$"), 0)
        for number, written in enumerate(self.formats[1:], 1):
            chosen = chosen.when(text.rlike(f"^(?:{written.matches})$"), number)
        return chosen

    def start(self, text: str, chosen: str) -> Column:
        """The first instant, UTC, that the column ``text`` names; null where there is no such day."""
        expressions = [TEXT.sub(text, written.reads) for written in self.formats]
        reads = [f"WHEN {number} THEN CAST({read} AS TIMESTAMP_NTZ)" for number, read in enumerate(expressions)]
        return F.expr(f"CASE {chosen} {' '.join(reads)} END")

    def end(self, start: str, chosen: str) -> Column:
        """The first instant after what the text names: an instant itself, a date's next midnight."""
        lasting = [
            f"WHEN {number} THEN {start} + {LASTS[written.lasts]}"
            for number, written in enumerate(self.formats)
            if written.lasts != "instant"
        ]
        return F.expr(f"CASE {chosen} {' '.join(lasting)} ELSE {start} END") if lasting else F.col(start)


def number(text: Column) -> Column:
    """``text`` as a finite double within a float's range; null where it is none."""
    value = F.when(text.rlike(NUMBER), text.try_cast("double"))
    return F.when(F.abs(value) <= LARGEST_FLOAT, value)


def money(text: Column) -> Column:
    """``text`` as a decimal of four places (parts of a cent add up), halves rounded up; null where it is none."""
    return F.when(text.rlike(MONEY), text.try_cast("decimal(18,4)"))
