"""Rows that are few beside those that they are joined with: worked out once, and sent to every task while they fit.

Spark would take its guess of how many they are, which after a join is all of the table that they came from, and would
shuffle that whole table for them.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

FITTING = 250_000
"""Rows of a few longs each that Spark itself would send, were it to know their number: 10 MB."""


def few(rows: DataFrame) -> DataFrame:
    """``rows`` for a join, without the plan that they came of; more than ``FITTING`` are joined as any others are."""
    rows = rows.localCheckpoint()
    return F.broadcast(rows) if rows.count() <= FITTING else rows
