"""Who is who: source subjects that share an identifier are one person, for as long as they do.

The rows that came in never move; this derivation does. A link stands from when it was known until a newer version of
its record says otherwise, so it is known of every past night who was who in it, in whatever order the sources came.

An identifier that joins more than 20 people (a clinic's telephone, ``999-99-9999``) joins nobody from the moment of the
21st on, nor does one that is carried by people of two birth dates or two sexes; whoever would be born twice, or be of
two sexes, through other people stays apart. Both are reported. A person is named after the member whose system comes
first, then the least id.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from salus.schemas import IDENTITY, IDENTITY_CONFLICTS
from salus.schemas.fields import LONG, LONGS, STRING, field
from salus.sources.histories import ALWAYS, MOST_JOINED, NEVER, Span, histories
from salus.sources.identity_of_few import SHOWN, Carried, spans_by_component
from salus.sources.matching import moment
from salus.storage.small import small_frame

OWN = ("source_subject_id", "other_subject_id", "known_from IS NULL", "known_from", "known_until")
"""What names a match: a hash passes nulls over, so that one says which of the clocks there is."""

LOWEST = 2**31 - 1
"""The rank of a match: a person is named after none."""

FEW = 200_000
"""Spans that the driver derives by itself, in seconds and 200 MB: the two dozen jobs of the tasks would take longer."""

KNOWN_SEXES = (8507, 8532)
FOUND = StructType(
    [
        field("source_subject_id", LONG, "a person as one source knows them; null in a conflict"),
        field("subject_id", LONG, "the person"),
        field("known_from", LONG, "clock"),
        field("known_until", LONG, "clock"),
        field("reason", STRING, "why people stay apart; null in a row of ``identity``"),
        field("source_subject_ids", LONGS, "who"),
    ]
)


@dataclass(frozen=True)
class Identities:
    """``IDENTITY`` of some subjects, and ``IDENTITY_CONFLICTS`` among them; what is ``kept`` in memory for both."""

    rows: DataFrame
    conflicts: DataFrame
    kept: tuple[DataFrame, ...]


def few_spans(links: DataFrame) -> list[Carried] | None:
    """``carried`` of all ``links`` (``LINKS``), or None where they are not few."""
    found = carried(links).limit(FEW + 1).toArrow()
    if found.num_rows > FEW:
        return None
    return list(map(Carried, *(found[name].to_pylist() for name in Carried._fields)))


def as_of(identity: DataFrame, at: datetime) -> DataFrame:
    """``source_subject_id, subject_id``: who was who, as was known at ``at``, UTC."""
    moment = F.lit(at).cast("timestamp_ntz")
    begun = F.col("known_from").isNull() | (F.col("known_from") <= moment)
    going_on = F.col("known_until").isNull() | (F.col("known_until") > moment)
    return identity.where(begun & going_on).select("source_subject_id", "subject_id")


def with_matches(links: DataFrame, matches: DataFrame, datasets: DataFrame) -> DataFrame:
    """``links`` (``LINKS``) and those of ``matches`` (``MATCHES``) that link: ``LINKS`` with ``weight``, ``dataset``.

    A match is a link of a kind of its own: one subject carries the other's own id, and the weight of the evidence. It
    is told by a record of its own, whose second version ends it.

    Args:
        links: what records say.
        matches: what the linkage model says.
        datasets: ``source_subject_id``, ``dataset``: within a dataset nobody has two ids.
    """
    joined = matches.where("is_link").withColumns(
        {
            "record_id": F.expr(f"-1 - (xxhash64({', '.join(OWN)}) & {NEVER})"),  # below 0, where no record is
            "weight": F.col("match_weight"),
        }
    )
    told = joined.selectExpr("*", "other_subject_id AS identifier_id", "1L AS version").unionByName(
        joined.where("known_until IS NOT NULL")
        .drop("known_from")
        .selectExpr("*", "known_until AS known_from", "source_subject_id AS identifier_id", "2L AS version"),
    )
    rows = told.selectExpr(
        "source_subject_id",
        "identifier_id",
        f"{LOWEST} AS system_priority",
        "record_id",
        "version",
        "known_from",
        "0L AS file_id",
        "0L AS record",
        "CASE WHEN version = 1 THEN weight END AS weight",
    )
    both = links.withColumn("weight", F.lit(None).cast("double")).unionByName(rows)
    return both.join(datasets, "source_subject_id", "left")


def carried(links: DataFrame) -> DataFrame:
    """``Carried``: what each subject carried, and for how long.

    A version replaces all of its record's links. A thousand records that say the same are one row.

    Args:
        links: ``LINKS``, or what ``with_matches`` gives.
    """
    absent = {name: kind for name, kind in (("weight", "double"), ("dataset", "string")) if name not in links.columns}
    links = links.withColumns({name: F.lit(None).cast(kind) for name, kind in absent.items()})
    newer = Window.partitionBy("record_id").orderBy(F.desc("version")).rangeBetween(Window.unboundedPreceding, -1)
    since = F.coalesce(F.unix_micros(F.col("known_from").cast("timestamp")), F.lit(ALWAYS))
    told = links.withColumn("since", since).withColumn("until", F.coalesce(F.min("since").over(newer), F.lit(NEVER)))
    return (
        told.where("since < until")
        .groupBy("source_subject_id", "identifier_id", "until", "weight", "dataset")
        .agg(F.min("since").alias("since"), F.min("system_priority").alias("priority"))
        .select(*Carried._fields)
    )


def standing(links: DataFrame) -> DataFrame:
    """``carried`` of ``links`` (``LINKS``) with ``crowded_at``: an identifier joins nobody from its 21st person on."""
    spans = carried(links)
    return spans.join(F.broadcast(crowded(spans)), "identifier_id", "left").select(
        *spans.columns, F.coalesce("crowded_at", F.lit(NEVER)).alias("crowded_at")
    )


def crowded(spans: DataFrame) -> DataFrame:
    """``identifier_id``, ``crowded_at``, ``subjects`` of the identifiers that join too many people."""
    first = (
        spans.where("weight IS NULL").groupBy("identifier_id", "source_subject_id").agg(F.min("since").alias("first"))
    )
    per_identifier = first.groupBy("identifier_id").agg(
        F.count("*").alias("subjects"), F.sort_array(F.collect_list("first")).alias("firsts")
    )
    return per_identifier.where(F.col("subjects") > MOST_JOINED).select(
        "identifier_id", F.col("firsts")[MOST_JOINED].alias("crowded_at"), "subjects"
    )


def identities(links: DataFrame, persons: DataFrame, only: DataFrame | None = None) -> Identities:
    """Who is who among all subjects of ``links``, or among those of ``only``.

    Args:
        links: ``LINKS``, all versions; each carries at least its subject's own id.
        persons: ``PERSONS``, whose birth dates and sexes tell people apart.
        only: ``source_subject_id``; whoever shares an identifier with one of them must be among them.
    """
    spans = standing(links)
    if only is not None:
        spans = spans.join(only, "source_subject_id", "left_semi")
    spans = spans.persist()
    cut = spans.withColumn("until", F.least("until", "crowded_at")).where("since < until").drop("crowded_at")
    joining = cut.groupBy("identifier_id").agg(F.count_distinct("source_subject_id").alias("subjects"))
    shared = cut.join(joining.where("subjects > 1").select("identifier_id"), "identifier_id").persist()
    subjects = spans.groupBy("source_subject_id").agg(
        F.min("since").alias("since"), F.min("priority").alias("priority"), F.min("dataset").alias("dataset")
    )
    involved = shared.select("source_subject_id").distinct()
    alone = subjects.join(involved, "source_subject_id", "left_anti").select(
        "source_subject_id",
        F.col("source_subject_id").alias("subject_id"),
        moment("since").alias("known_from"),
        F.lit(None).cast("timestamp_ntz").alias("known_until"),
    )
    found = _found(links.sparkSession, shared, subjects, persons).persist()
    rows = found.where("reason IS NULL").select(
        "source_subject_id",
        "subject_id",
        moment("known_from").alias("known_from"),
        moment("known_until").alias("known_until"),
    )
    apart = found.where("reason IS NOT NULL").select(
        "reason",
        F.lit(None).cast("long").alias("identifier_id"),
        F.slice("source_subject_ids", 1, SHOWN).alias("source_subject_ids"),
        F.size("source_subject_ids").cast("long").alias("subjects"),
    )
    return Identities(
        alone.unionByName(rows).select(*IDENTITY.names), apart.select(*IDENTITY_CONFLICTS.names), (spans, shared, found)
    )


def _found(spark, shared, subjects, persons) -> DataFrame:
    """``FOUND`` of the subjects who share identifiers: by the driver where they are few, else in tasks."""
    own = subjects.join(shared.select("source_subject_id").distinct(), "source_subject_id").select(
        "source_subject_id",
        F.col("source_subject_id").alias("identifier_id"),
        "since",
        F.lit(NEVER).alias("until"),
        "priority",
        F.lit(None).cast("double").alias("weight"),
        "dataset",
    )
    every = shared.drop("priority", "dataset").join(
        subjects.select("source_subject_id", "priority", "dataset"), "source_subject_id"
    )
    spans = every.select(own.columns).unionByName(own)
    told_of = about(persons)
    few = spans.limit(FEW + 1).collect()
    if not few:
        return small_frame(spark, [], FOUND)
    if len(few) <= FEW:
        involved = small_frame(spark, [(row["source_subject_id"],) for row in few], "source_subject_id long")
        told = told_of.join(F.broadcast(involved.distinct()), "source_subject_id").collect()
        known = {row["source_subject_id"]: row[1:] for row in told}
        rows = []
        for row in few:
            birth, sex = known.get(row["source_subject_id"], (None, None))
            rows.append(Span(**row.asDict(), birth=birth, sex=sex))
        found = [one for members in spans_by_component(rows) for one in _rows_of(members)]
        return small_frame(spark, found, FOUND).coalesce(1)
    labels = labelled(shared.select("source_subject_id", "identifier_id"))
    named = spans.join(told_of, "source_subject_id", "left").join(labels, "source_subject_id")
    grouped = named.groupBy("component").agg(F.collect_list(F.struct(*Span._fields)).alias("spans"))
    return grouped.select("spans").mapInArrow(_histories_of, FOUND)


def _rows_of(spans) -> list[tuple]:
    rows, conflicts = histories(spans)
    return [(*row, None, None) for row in rows] + [
        (None, None, None, None, one.reason, list(one.members)) for one in conflicts
    ]


def _histories_of(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    schema = pa.schema(
        [(name, pa.int64()) for name in FOUND.names[:4]]
        + [("reason", pa.string()), ("source_subject_ids", pa.list_(pa.int64()))]
    )
    for batch in batches:
        rows = [row for spans in batch["spans"].to_pylist() for row in _rows_of([Span(**span) for span in spans])]
        columns = list(zip(*rows, strict=True)) or [()] * len(schema)
        yield pa.RecordBatch.from_arrays(
            [pa.array(values, kind.type) for values, kind in zip(columns, schema)], schema=schema
        )


def about(persons: DataFrame) -> DataFrame:
    """What is known of each subject that tells people apart: the newest person record's whole birth date, and sex."""
    birth = F.when(F.col("day_of_birth").isNotNull(), F.make_date("year_of_birth", "month_of_birth", "day_of_birth"))
    sex = F.when(F.col("gender_concept_id").isin(*KNOWN_SEXES), F.col("gender_concept_id"))
    newest = F.max_by(F.struct(birth.alias("birth"), sex.alias("sex")), F.struct("version", "record_id"))
    return persons.groupBy("source_subject_id").agg(newest.alias("about")).select("source_subject_id", "about.*")


def labelled(pairs: DataFrame) -> DataFrame:
    """``source_subject_id``, ``component``: the least subject that each is connected to, by minima that spread.

    Args:
        pairs: ``source_subject_id, identifier_id``.
    """
    edges = pairs.distinct().localCheckpoint()
    labels = edges.select("source_subject_id").distinct().withColumn("component", F.col("source_subject_id"))
    while True:
        carried = edges.join(labels, "source_subject_id")
        offered = carried.groupBy("identifier_id").agg(F.min("component").alias("offered"))
        spread = (
            carried.join(offered, "identifier_id")
            .groupBy("source_subject_id")
            .agg(F.min("offered").alias("reached"), F.first("component").alias("component"))
            .localCheckpoint()
        )
        labels = spread.select("source_subject_id", F.col("reached").alias("component"))
        if spread.where("reached != component").isEmpty():
            return labels


def reached(links: DataFrame, before: DataFrame, touched: DataFrame) -> DataFrame:
    """``source_subject_id`` of everybody whose person may change where the links of ``touched`` did.

    Args:
        links: ``LINKS`` with what is new.
        before: ``LINKS`` without it: whom an identifier joined before it joined too many must be told apart now.
        touched: ``source_subject_id``.
    """
    close = _joined(links).unionByName(_joined(before)).distinct().persist()
    found, subjects = touched.distinct(), -1
    while True:
        grown = found.join(close, "source_subject_id").select("identifier_id").distinct()
        found = (
            close.join(grown, "identifier_id")
            .select("source_subject_id")
            .unionByName(found)
            .distinct()
            .localCheckpoint()
        )
        if (now := found.count()) == subjects:
            close.unpersist()
            return found
        subjects = now


def too_many(links: DataFrame) -> DataFrame:
    """``IDENTITY_CONFLICTS`` of the identifiers of ``links`` that join too many people."""
    concerned = (
        standing(links)
        .where((F.col("crowded_at") != NEVER) & F.col("weight").isNull())
        .groupBy("identifier_id")
        .agg(F.sort_array(F.collect_set("source_subject_id")).alias("everybody"))
    )
    return concerned.select(
        F.lit("identifier_joins_too_many").alias("reason"),
        "identifier_id",
        F.slice("everybody", 1, SHOWN).alias("source_subject_ids"),
        F.size("everybody").cast("long").alias("subjects"),
    ).select(*IDENTITY_CONFLICTS.names)


def _joined(links) -> DataFrame:
    """``source_subject_id, identifier_id`` of whom an identifier joins, or did before it joined too many."""
    spans = standing(links)
    return spans.where("since < crowded_at").select("source_subject_id", "identifier_id")
