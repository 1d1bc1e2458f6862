"""Who is who: source subjects that share an identifier are one person.

The rows that came in never move; this derivation does. An identifier that joins more than 20 people (a clinic's
telephone, ``999-99-9999``) joins nobody, and people who were born twice, or are of two sexes, stay apart; both are
reported. A person is named after the member whose system comes first, then the least id.
"""

from dataclasses import dataclass
from datetime import datetime

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from salus.schemas import IDENTITY, IDENTITY_CONFLICTS

MOST_JOINED = 20
SHOWN = 20
KNOWN_SEXES = (8507, 8532)


@dataclass(frozen=True)
class Identities:
    """The current derivation: ``source_subject_id, subject_id, known_from``, and ``IDENTITY_CONFLICTS``."""

    current: DataFrame
    conflicts: DataFrame


def identities(links: DataFrame, persons: DataFrame) -> Identities:
    """Everybody in ``links``, by connected components over the identifiers that they share.

    Args:
        links: ``LINKS``; each source subject carries at least its own id.
        persons: ``PERSONS``, whose birth dates and sexes tell people apart.
    """
    subjects = links.groupBy("source_subject_id").agg(
        F.min("system_priority").alias("priority"),
        F.when(F.every(F.col("known_from").isNotNull()), F.min("known_from")).alias("known_from"),
    )
    shared = links.select("identifier_id", "source_subject_id").distinct()
    by_identifier = shared.groupBy("identifier_id").count().where("count > 1")
    suspended = by_identifier.where(F.col("count") > MOST_JOINED)
    edges = (
        shared.join(by_identifier.where(F.col("count") <= MOST_JOINED), "identifier_id").drop("count").localCheckpoint()
    )
    if edges.isEmpty():
        alone = subjects.select("source_subject_id", F.col("source_subject_id").alias("subject_id"), "known_from")
        return Identities(alone, _too_many(shared, suspended))
    own = subjects.select("source_subject_id", F.struct("priority", "source_subject_id").alias("least"))
    joined = _components(edges, own)
    grouped = own.join(joined.withColumnRenamed("least", "reached"), "source_subject_id", "left").select(
        "source_subject_id", F.coalesce("reached", "least").alias("least")
    )
    apart = _in_conflict(grouped, persons).localCheckpoint()
    kept = grouped.join(apart.select("least").distinct().withColumn("_apart", F.lit(True)), "least", "left")
    current = kept.join(subjects, "source_subject_id").select(
        "source_subject_id",
        F.when(F.col("_apart"), F.col("source_subject_id"))
        .otherwise(F.col("least.source_subject_id"))
        .alias("subject_id"),
        "known_from",
    )
    return Identities(current, _too_many(shared, suspended).unionByName(_reported(grouped, apart)))


def history(before: DataFrame, current: DataFrame, changed_at: datetime) -> DataFrame:
    """``IDENTITY``: the rows of ``before``, closed where ``current`` says otherwise, and what is new.

    A person who was always known to be another is so from always on, in whatever order the sources came.
    """
    open_rows = before.where("known_until IS NULL")
    differing = open_rows.join(
        current.select("source_subject_id", F.col("subject_id").alias("_now")), "source_subject_id", "left"
    )
    closed = differing.withColumn(
        "known_until", F.when(F.col("_now") != F.col("subject_id"), F.lit(changed_at).cast("timestamp_ntz"))
    ).select(*IDENTITY.names)
    was = open_rows.select("source_subject_id", F.col("subject_id").alias("_was"))
    new = (
        current.join(was, "source_subject_id", "left")
        .where("_was IS NULL OR _was != subject_id")
        .select(
            "source_subject_id",
            "subject_id",
            F.when(F.col("_was").isNull() | F.col("known_from").isNull(), F.col("known_from"))
            .otherwise(F.lit(changed_at).cast("timestamp_ntz"))
            .alias("known_from"),
            F.lit(None).cast("timestamp_ntz").alias("known_until"),
        )
    )
    return before.where("known_until IS NOT NULL").unionByName(closed).unionByName(new).select(*IDENTITY.names)


def _components(edges, own) -> DataFrame:
    """The least member that each subject of ``edges`` is connected to: minima spread until none moves."""
    labels = own
    while True:
        carried = edges.join(labels, "source_subject_id")
        offered = carried.groupBy("identifier_id").agg(F.min("least").alias("offered"))
        spread = (
            carried.join(offered, "identifier_id")
            .groupBy("source_subject_id")
            .agg(F.min("offered").alias("reached"), F.first("least").alias("least"))
            .select("source_subject_id", "reached", (F.col("reached") != F.col("least")).alias("moved"))
            .localCheckpoint()
        )
        labels = spread.select("source_subject_id", F.col("reached").alias("least"))
        if spread.where("moved").isEmpty():
            return labels


def _in_conflict(grouped, persons) -> DataFrame:
    """``least`` and ``reason`` of the components whose members cannot be one person."""
    newest = Window.partitionBy("source_subject_id").orderBy(F.desc("version"), F.desc("record_id"))
    birth = F.when(F.col("day_of_birth").isNotNull(), F.make_date("year_of_birth", "month_of_birth", "day_of_birth"))
    sex = F.when(F.col("gender_concept_id").isin(*KNOWN_SEXES), F.col("gender_concept_id"))
    told = (
        persons.withColumn("_newest", F.row_number().over(newest))
        .where("_newest = 1")
        .select("source_subject_id", birth.alias("birth"), sex.alias("sex"))
    )
    members = grouped.where(F.col("least.source_subject_id") != F.col("source_subject_id")).select("least").distinct()
    found = (
        grouped.join(members, "least")
        .join(told, "source_subject_id")
        .groupBy("least")
        .agg(F.count_distinct("birth").alias("births"), F.count_distinct("sex").alias("sexes"))
    )
    reasons = F.array_compact(
        F.array(F.when(F.col("births") > 1, F.lit("two_birth_dates")), F.when(F.col("sexes") > 1, F.lit("two_sexes")))
    )
    return found.select("least", F.explode(reasons).alias("reason"))


def _too_many(shared, suspended) -> DataFrame:
    concerned = (
        shared.join(suspended.select("identifier_id"), "identifier_id")
        .groupBy("identifier_id")
        .agg(
            F.slice(F.sort_array(F.collect_set("source_subject_id")), 1, SHOWN).alias("source_subject_ids"),
            F.count("*").alias("subjects"),
        )
    )
    return concerned.withColumn("reason", F.lit("identifier_joins_too_many")).select(*IDENTITY_CONFLICTS.names)


def _reported(grouped, apart) -> DataFrame:
    concerned = (
        grouped.join(apart, "least")
        .groupBy("least", "reason")
        .agg(
            F.slice(F.sort_array(F.collect_set("source_subject_id")), 1, SHOWN).alias("source_subject_ids"),
            F.count("*").alias("subjects"),
        )
    )
    return concerned.withColumn("identifier_id", F.lit(None).cast("long")).select(*IDENTITY_CONFLICTS.names)
