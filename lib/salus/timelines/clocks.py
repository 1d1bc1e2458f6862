"""The two clocks as int64: microseconds since the epoch, UTC, with one value for *always* and one for *never*.

A fact is visible to a prediction at T iff ``available <= T < superseded``. Static facts happened, and were known,
before every T; what is current is superseded after every T.
"""

from datetime import UTC, date, datetime

import numpy as np

MICROSECONDS_PER_DAY = 86_400_000_000
DAYS_PER_YEAR = 365.25

STATIC = int(np.iinfo(np.int64).min)
"""``time`` and ``available`` of a static fact: before every prediction."""

NEVER = int(np.iinfo(np.int64).max)
"""``superseded`` of a current version, and the end of a coverage span that is open: after every prediction."""

_EPOCH = datetime(1970, 1, 1)


def micros(moment: datetime | date) -> int:
    """Microseconds since the epoch of a datetime (without a zone it is UTC), or of a date's 00:00 UTC."""
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day)
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    elapsed = moment - _EPOCH
    return (elapsed.days * 86_400 + elapsed.seconds) * 1_000_000 + elapsed.microseconds


def moment(microseconds: int) -> datetime | None:
    """The UTC datetime, without a zone, of a clock's value; None for ``STATIC`` and ``NEVER``."""
    if microseconds in (STATIC, NEVER):
        return None
    return np.datetime64(int(microseconds), "us").astype(datetime)
