"""New links join people, and part them: who is who is derived anew for those whom they concern, and for nobody else."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from salus.sources.identity import identities, reached, too_many
from salus.storage.tables import Tables


def join_people(tables: Tables, new: DataFrame, is_anew: bool) -> None:
    """Append the links ``new``, and bring ``identity`` and ``identity_conflicts`` up to them.

    Args:
        tables: the warehouse, with the batch's ``persons``.
        new: ``LINKS`` rows.
        is_anew: links were taken back too, so that everybody is concerned.
    """
    new = new.persist()
    if is_anew or not new.isEmpty():
        before = tables.read("links")
        tables.append("links", new)
        is_whole = is_anew or tables.version("identity") is None
        touched = new.select("source_subject_id")
        _derive(tables, None if is_whole else reached(tables.read("links"), before, touched))
    new.unpersist()


def _derive(tables, only):
    """Derive the people of ``only``, or all, and write them where they are others than before."""
    links, before = tables.read("links"), tables.read("identity")
    found = identities(links, tables.read("persons"), only)
    rows = found.rows.localCheckpoint()
    old = before if only is None else before.join(only, "source_subject_id", "left_semi")
    if _differ(rows, old):
        kept = rows if only is None else rows.unionByName(before.join(only, "source_subject_id", "left_anti"))
        tables.replace("identity", kept)
    reported = tables.read("identity_conflicts")
    conflicts = found.conflicts.unionByName(too_many(links))
    if only is not None:
        apart = reported.where("identifier_id IS NULL")
        first = F.col("source_subject_ids")[0].alias("source_subject_id")
        untouched = apart.withColumn("source_subject_id", first).join(only, "source_subject_id", "left_anti")
        conflicts = conflicts.unionByName(untouched.drop("source_subject_id"))
    conflicts = conflicts.localCheckpoint()
    if _differ(conflicts, reported):
        tables.replace("identity_conflicts", conflicts)
    for frame in found.kept:
        frame.unpersist()


def _differ(rows, others) -> bool:
    """Whether two frames of one schema hold different rows; neither holds a row twice."""
    one, other = rows.withColumn("_side", F.lit(1)), others.withColumn("_side", F.lit(2))
    both = one.unionByName(other).groupBy(*rows.columns).agg(F.count("*").alias("_sides"))
    return not both.where("_sides != 2").isEmpty()
