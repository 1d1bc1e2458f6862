"""Date shift: a person's dates moved by one number of days of their own, for what leaves the warehouse.

All of a person's dates move alike, so every interval between them is kept; the tables keep true dates. The shift is a
keyed hash of the person: the same in every export, and nobody finds it without the site's key. It hides when in a
year something was; it does not hide an interval that only one person has.
"""

from pyspark.sql import Column
from pyspark.sql import functions as F

from salus.privacy.pseudonyms import pseudonym, pseudonym_of

MOST_DAYS = 365
SCOPE = "date shift"


def shift_days(key: bytes, subject_id: int) -> int:
    """The days by which ``subject_id``'s dates move: -365 to 365, never 0."""
    drawn = pseudonym(key, "", SCOPE, str(subject_id)) % (2 * MOST_DAYS)
    return drawn - MOST_DAYS if drawn < MOST_DAYS else drawn - MOST_DAYS + 1


def shift_days_of(subject_id: str) -> Column:
    """``shift_days`` of the column ``subject_id``, an int, over rows that carry ``salus.privacy.pseudonyms.pads``."""
    drawn = F.pmod(F.expr(pseudonym_of("", SCOPE, f"CAST({subject_id} AS STRING)")), F.lit(2 * MOST_DAYS))
    return (drawn - MOST_DAYS + F.when(drawn < MOST_DAYS, 0).otherwise(1)).cast("int")


def shifted(time: Column, subject_id: str) -> Column:
    """A ``timestamp_ntz`` moved by its person's shift; null where it is null. Rows carry ``pads``."""
    return time + F.make_dt_interval(days=shift_days_of(subject_id))


def shifted_date(day: Column, subject_id: str) -> Column:
    """A date moved by its person's shift; null where it is null. Rows carry ``pads``."""
    return F.date_add(day, shift_days_of(subject_id))
