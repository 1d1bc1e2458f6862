"""New links join people, and part them: who is who is derived anew for those whom they concern, and for nobody else."""

from collections.abc import Sequence
from functools import partial

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from salus.sources.identity import about, few_spans, identities, reached, too_many, with_matches
from salus.sources.identity_of_few import Carried, people_of, sharing, standing_of
from salus.sources.linkage_model import read_model
from salus.sources.matching import datasets, matches
from salus.storage.at_once import at_once
from salus.storage.small import small_frame
from salus.storage.tables import Tables

ENDS = ("source_subject_id", "other_subject_id")


def join_people(tables: Tables, before: DataFrame, new: DataFrame, is_anew: bool, is_compared: bool = False) -> None:
    """Bring ``identity`` and ``identity_conflicts`` up to what ``links`` says now.

    Args:
        tables: the warehouse, with the batch's ``persons`` and ``links``.
        before: ``links`` without the batch.
        new: the batch's ``LINKS`` rows.
        is_anew: links were taken back too, so that everybody is concerned.
        is_compared: the batch's people are compared with all others by the linkage model.
    """
    links, touched = tables.read("links"), new.select("source_subject_id")
    if tables.version("linkage") is not None:
        links, before, rematched = _compared(tables, links, before, is_anew or is_compared)
        touched = touched.unionByName(rematched)
    few = few_spans(links)
    if few is not None:
        _derive_few(tables, few)
    elif is_anew or tables.version("identity") is None:
        _derive(tables, links, None)
    else:
        _derive(tables, links, reached(links, before, touched))


def _compared(tables, links, before, is_anew) -> tuple[DataFrame, DataFrame, DataFrame]:
    """``links`` and ``before`` with the matches of now and of before, and the subjects whose matches changed."""
    linkage, old, model = tables.read("linkage"), tables.read("matches"), read_model()
    known_to = datasets(linkage).where(F.lit(model.link_type == "link_only"))
    if is_anew:
        found = matches(linkage, model)
        if _differ(found, old):
            tables.replace("matches", found)
    now = tables.read("matches")
    changed = now.exceptAll(old).unionByName(old.exceptAll(now))
    ends = [changed.select(F.col(name).alias("source_subject_id")) for name in ENDS]
    return with_matches(links, now, known_to), with_matches(before, old, known_to), ends[0].unionByName(ends[1])


def _derive_few(tables, carried: Sequence[Carried]):
    """Derive everybody, without Spark, and write what is otherwise than before."""
    spans = standing_of(carried)
    shared = sharing(spans)
    found = people_of(spans, shared, _about(tables, {span.source_subject_id for span in shared}))
    changes = {"identity": found.rows, "identity_conflicts": found.conflicts}
    at_once(tables.spark, [partial(_replace_few, tables, name, rows) for name, rows in changes.items()])


def _about(tables, subjects):
    if not subjects:
        return {}
    of_them = small_frame(tables.spark, [(subject,) for subject in subjects], "source_subject_id long")
    told = about(tables.read("persons").join(F.broadcast(of_them), "source_subject_id")).collect()
    return {row["source_subject_id"]: (row["birth"], row["sex"]) for row in told}


def _replace_few(tables, name, rows: list[tuple]):
    before = [] if tables.version(name) is None else [tuple(row) for row in tables.read(name).collect()]
    if sorted(map(str, rows)) != sorted(map(str, before)):
        columns = tables.read(name).columns
        tables.replace(name, tables.frame(name, [dict(zip(columns, row)) for row in rows]))


def _derive(tables, links, only):
    """Derive the people of ``only``, or all, and write them where they are others than before."""
    before = tables.read("identity")
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
