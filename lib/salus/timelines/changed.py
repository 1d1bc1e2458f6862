"""Whose timeline can have changed since tables were last read: the row of everybody else stays as it is.

A row is made of the facts of a person's source subjects, of when newer versions replaced their records, and of who is
one person. So whoever is named by any version of a record that something was added to has changed, and so has whoever
was joined to somebody or parted from them: the person that they were, and the one that they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from salus.storage.at_once import at_once
from salus.storage.earlier import earlier, grown
from salus.storage.few import few
from salus.storage.small import small_frame
from salus.storage.tables import Tables
from salus.timelines.facts import KEYS, Landed, facts
from salus.timelines.linked import linked, people_of


@dataclass(frozen=True)
class Changed:
    """What changed since the versions asked about.

    Attributes:
        people: ``subject_id``, each once, of today's people and of earlier ones.
        how_many: of them.
        added: the rows that came.
        versions_superseded: how many versions more than before are replaced by a newer one.
    """

    people: DataFrame
    how_many: int
    added: Landed
    versions_superseded: int


def changed_since(tables: Tables, versions: Mapping[str, int]) -> Changed | None:
    """Who changed since the tables were in ``versions``; None where that cannot be told, so that everybody may have."""
    told = at_once(tables.spark, [partial(grown, tables, name, versions.get(name)) for name in Landed._fields])
    parts = [part for part in told if part is not None]
    moved = _moved(tables, versions.get("identity"))
    if len(parts) < len(told) or moved is None:
        return None
    added = Landed(*(part.added for part in parts))
    came = facts(*added).select(*KEYS)
    held = facts(*(part.before for part in parts)).select(*KEYS)
    again = held.join(few(came.select("record_id").distinct()), "record_id", "left_semi")
    rows = came.withColumn("is_new", F.lit(True)).unionByName(again.withColumn("is_new", F.lit(False)))
    rows = rows.distinct().localCheckpoint()
    named = people_of(rows.select("source_subject_id").distinct(), linked(tables.read("identity")))
    people = few(named.unionByName(moved).distinct())
    return Changed(people, people.count(), added, _more_superseded(rows))


def _moved(tables, since) -> DataFrame | None:
    """``subject_id``, old and new, of everybody who is linked otherwise than in version ``since`` of ``identity``."""
    if tables.version("identity") == since:
        return small_frame(tables.spark, [], "subject_id long")
    before, links = earlier(tables, "identity", since), linked(tables.read("identity"))
    if before is None:
        return None
    sides = linked(before).unionByName(links).groupBy(*links.columns).count().where("count = 1")
    return sides.select(F.explode(F.array("source_subject_id", "subject_id")).alias("subject_id"))


def _more_superseded(rows) -> int:
    """Of a record's versions all but the newest are superseded: how many more they are with what is new."""
    versions = rows.groupBy("record_id").agg(
        F.count_distinct("version").alias("now"),
        F.count_distinct(F.when(~F.col("is_new"), F.col("version"))).alias("before"),
    )
    [[more]] = versions.agg(F.sum(F.col("now") - F.greatest("before", F.lit(1)))).collect()
    return more or 0
