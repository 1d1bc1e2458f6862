"""Timelines: one row a person, their events and coverage as parallel arrays with both clocks.

Everything that was visible at some time stands in them, each row with the time at which a newer version replaced
it, so that what was known at any past T can be read from the current row.

Sex, race, ethnicity, care site and birth are static, known always: the source that names the person speaks first, then
the newest record.
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from salus.schemas import TIMELINES
from salus.sources.units import units_text
from salus.storage.tables import conform
from salus.timelines.clocks import NEVER, STATIC
from salus.timelines.code_map import code_map, vocabulary_key
from salus.timelines.codes import codes, refuse_collisions, unmapped
from salus.timelines.facts import MEDS_DEATH, clock, cost_code, facts
from salus.timelines.supersession import superseded_versions, with_superseded

EVENTS_A_PERSON = 100_000
"""The newest that are kept of a person's dated events; what is left out is counted in ``events_dropped``."""

READS = ("events", "persons", "coverage", "costs", "identity")


def build(job) -> None:
    """Tables ``timelines`` and ``codes`` out of what came in; nothing is done where nothing new came.

    Everybody's row is made anew: a refresh of changed people only belongs here, in place of ``replace``.
    """
    vocabulary = job.settings.vocabulary
    if not job.needed(
        {}, READS, events_a_person=EVENTS_A_PERSON, vocabulary=vocabulary_key(vocabulary), units=units_text()
    ):
        return
    tables = job.tables
    events, persons, coverage, costs, identity = (tables.read(name) for name in READS)
    if vocabulary is not None:
        tables.replace("code_map", code_map(events.select("code").distinct(), vocabulary))
    carried = events.select("code").unionByName(costs.select(cost_code().alias("code")))
    tables.replace("codes", codes(carried, tables.read("code_map")))
    refuse_collisions(tables.read("codes"))
    # Few versions are ever replaced: kept and counted, Spark knows it and need not shuffle the events to join them.
    superseded = superseded_versions(facts(events, persons, coverage, costs)).persist()
    try:
        job.count(versions_superseded=superseded.count())
        built = timelines(events, persons, coverage, costs, identity, superseded=superseded)
        tables.replace("timelines", built)
    finally:
        superseded.unpersist()
    figures = (
        tables.read("timelines")
        .agg(
            F.count("*").alias("people"),
            F.sum(F.size("time").cast("long")).alias("events"),
            F.sum(F.col("events_dropped").cast("long")).alias("events_dropped"),
        )
        .head()
    )
    job.count(**{name: number or 0 for name, number in figures.asDict().items()})
    if vocabulary is not None:
        job.count(**unmapped(tables.read("codes"), tables.read("code_map")))


def timelines(
    events: DataFrame,
    persons: DataFrame,
    coverage: DataFrame,
    costs: DataFrame,
    identity: DataFrame,
    limit: int = EVENTS_A_PERSON,
    superseded: DataFrame | None = None,
) -> DataFrame:
    """One ``TIMELINES`` row for everybody whom an event, a person record or a coverage span names.

    Args:
        events, persons, coverage, costs: the tables of what came in, all versions.
        identity: the table that says which source subjects are one person; its current rows count.
        limit: the dated events kept of a person, newest first; static ones are all kept.
        superseded: ``superseded_versions`` of the facts, where the caller has them already.
    """
    every = facts(events, persons, coverage, costs)
    versioned = with_superseded(every, superseded_versions(every) if superseded is None else superseded)
    return conform(_parallel(_newest(_people(_of_subject(versioned, identity)), limit)), TIMELINES)


def _of_subject(rows, identity):
    """``rows`` with the person's ``subject_id``; what another source said is known no earlier than the link is."""
    others = identity.where(F.col("known_until").isNull() & (F.col("subject_id") != F.col("source_subject_id"))).select(
        "source_subject_id", "subject_id", clock("known_from", STATIC).alias("linked")
    )
    return (
        rows.join(others, "source_subject_id", "left")
        .withColumn("available", F.greatest("available", F.coalesce("linked", F.lit(STATIC))))
        .withColumn("is_secondary", F.col("subject_id").isNotNull())
        .withColumn("subject_id", F.coalesce("subject_id", "source_subject_id"))
        .where(F.col("available") < F.col("superseded"))
    )


def _people(rows):
    """One row a person, with sorted arrays of structs: collecting first and sorting then is deterministic."""
    is_current = F.col("superseded") == NEVER
    is_death = is_current & (F.col("event.code") == F.xxhash64(F.lit(MEDS_DEATH)))
    # Supersession comes last: what becomes of a fact later must not settle which of two that are alike is the last.
    event = F.struct("event.time", "available", "event.code", "event.value", "superseded")
    span = F.struct("span.start", "span.end", "available", "span.payer", "superseded")
    return rows.groupBy("subject_id").agg(
        F.sort_array(F.collect_list(F.when(F.col("event").isNotNull(), event))).alias("events"),
        F.sort_array(F.collect_list(F.when(F.col("span").isNotNull(), span))).alias("spans"),
        *(_first_stated(name).alias(name) for name in ("sex", "race", "ethnicity", "care_site", "birth")),
        F.count_if(is_current & F.col("lacks_unit")).cast("int").alias("values_without_unit"),
        F.min(F.when(is_death, F.col("event.time"))).alias("death"),
        F.min(F.when(is_death, F.col("available"))).alias("death_available"),
    )


def _first_stated(name: str) -> Column:
    """Aggregate: what the most trusted current person record says of ``name``, where any does."""
    value = F.col(f"person.{name}")
    trust = F.struct("is_secondary", "source_subject_id", -F.col("version"), "record_id", value)
    return F.min_by(value, F.when((F.col("superseded") == NEVER) & value.isNotNull(), trust))


def _newest(people, limit):
    """All static events, and the newest ``limit`` of those with a date."""

    def is_static(event):
        return event["time"] == F.lit(STATIC)

    static = F.filter("events", is_static)
    dated = F.filter("events", lambda event: ~is_static(event))
    excess = F.when(F.size("events") > limit, F.greatest(F.size(dated) - limit, F.lit(0))).otherwise(F.lit(0))
    return people.withColumn("events_dropped", excess.cast("int")).withColumn(
        "events",
        F.when(F.col("events_dropped") == 0, F.col("events")).otherwise(
            F.concat(static, F.slice(dated, -limit, limit))
        ),
    )


def _parallel(people):
    return people.select(
        "*",
        *(F.col(f"events.{name}").alias(name) for name in ("time", "available", "superseded", "code", "value")),
        *(
            F.col(f"spans.{name}").alias(f"coverage_{name}")
            for name in ("start", "end", "available", "superseded", "payer")
        ),
    )
