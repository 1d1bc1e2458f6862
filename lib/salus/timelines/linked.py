"""Whose facts a person's timeline is made of: source subjects by person, and people by source subject.

Whom no link names is a person of their own, so only those who were joined to somebody else need a row.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from salus.timelines.clocks import STATIC
from salus.timelines.facts import clock


def linked(identity: DataFrame) -> DataFrame:
    """``source_subject_id, subject_id, linked`` (int64 clock) of those who are part of somebody else today."""
    return identity.where(F.col("known_until").isNull() & (F.col("subject_id") != F.col("source_subject_id"))).select(
        "source_subject_id", "subject_id", clock("known_from", STATIC).alias("linked")
    )


def people_of(subjects: DataFrame, links: DataFrame) -> DataFrame:
    """``subject_id`` of the people that ``source_subject_id`` of ``subjects`` are, by ``linked``."""
    return subjects.join(links, "source_subject_id", "left").select(
        F.coalesce("subject_id", "source_subject_id").alias("subject_id")
    )


def subjects_of(people: DataFrame, links: DataFrame) -> DataFrame:
    """``source_subject_id`` of everybody who is one of ``subject_id`` of ``people``, by ``linked``."""
    joined = links.join(people, "subject_id", "left_semi").select("source_subject_id")
    themselves = people.select(F.col("subject_id").alias("source_subject_id"))
    return joined.unionByName(themselves.join(links, "source_subject_id", "left_anti"))
