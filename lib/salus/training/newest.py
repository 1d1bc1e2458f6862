"""The newest of the trained models that are what is asked for, as table ``models`` has it."""

from pyspark.sql import Column, Row
from pyspark.sql import functions as F

from salus.storage.tables import Tables


def newest_model(tables: Tables, asked: Column) -> Row | None:
    """The row of ``models`` that was trained last of those that fulfil ``asked``; None where there is none."""
    return tables.read("models").where(asked).orderBy(F.desc("trained_at")).limit(1).head()
