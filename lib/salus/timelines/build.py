"""Timelines: one row a person, their events and coverage as parallel arrays with both clocks.

Everything that was visible at some time stands in them, each row with the time at which a newer version replaced
it, so that what was known at any past T can be read from the current row.

Sex, race, ethnicity, care site and birth are static, known always: the source that names the person speaks first, then
the newest record.
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from salus.schemas import TIMELINES
from salus.settings import EVENTS_A_PERSON
from salus.sources.units import units_text
from salus.storage.few import few
from salus.storage.tables import conform
from salus.timelines.admissions import ccs_key, told_by_codes
from salus.timelines.changed import Changed, changed_since
from salus.timelines.clocks import NEVER, STATIC
from salus.timelines.code_map import code_map, vocabulary_key
from salus.timelines.codes import counted, described, refuse_collisions, unmapped
from salus.timelines.facts import MEDS_DEATH, Landed, cost_code, facts
from salus.timelines.linked import linked, subjects_of
from salus.timelines.supersession import superseded_versions, with_superseded

READS = (*Landed._fields, "identity")
WRITES = ("timelines", "codes", "code_map")

EVENTS_AT_LEAST = 1_000_000
"""With fewer in all timelines everybody's row is made anew: to find out who changed would take longer."""

CHANGED_AT_MOST = 0.2
"""Where a larger share of people changed, everybody's row is made anew: it takes no longer, and lays files afresh."""


def build(job) -> None:
    """Tables ``timelines`` and ``codes`` out of what came in; nothing is done where nothing new came.

    Only the rows of changed people are made anew, where the last build can be built upon
    (docs/adr/0024-timelines-of-changed-people.md); the tables end as if everybody's had been.
    """
    settings = job.settings
    work = {"events_a_person": settings.events_a_person, "units": units_text()}
    if not job.needed({}, READS, vocabulary=vocabulary_key(settings.vocabulary), ccs=ccs_key(settings.ccs), **work):
        return
    last = job.last_alike()
    changed = None if last is None else _changed_since(job.tables, last)
    if last is None or changed is None:
        _build_everybody(job)
    else:
        _build_changed(job, changed, last.figures["versions_superseded"])


def _changed_since(tables, last) -> Changed | None:
    """Who changed since the build ``last``; None where it was small, its tables are not as left, or many did."""
    if last.figures["events"] < EVENTS_AT_LEAST:
        return None
    if any(tables.version(name) != last.versions.get(name) for name in WRITES):
        return None
    if tables.read("timelines").schema.simpleString() != TIMELINES.simpleString():
        return None
    changed = changed_since(tables, last.versions)
    is_few = changed is not None and changed.how_many <= CHANGED_AT_MOST * last.figures["people"]
    return changed if is_few else None


def _build_everybody(job) -> None:
    landed, identity = _landed(job.tables), job.tables.read("identity")
    told = _told(job, landed)
    _replace_codes(job, counted(_carried(told)), has_new=True)
    # Few versions are ever replaced: kept and counted, Spark knows it and need not shuffle the events to join them.
    superseded = superseded_versions(facts(*landed)).persist()
    try:
        job.count(versions_superseded=superseded.count())
        job.tables.replace("timelines", timelines(*told, identity, job.settings.events_a_person, superseded))
    finally:
        superseded.unpersist()
    figures = _figures(job)
    job.count(**figures, people_rebuilt=figures["people"])


def _build_changed(job, changed: Changed, superseded_before: int) -> None:
    """What ``_build_everybody`` does, of ``changed`` people; the rows of the others are copied."""
    tables = job.tables
    landed, identity, old = _landed(tables), tables.read("identity"), tables.read("timelines")
    before, new = tables.read("codes").select("code", "events"), counted(_carried(_told(job, changed.added)))
    has_new = not new.join(before, "code", "left_anti").isEmpty()
    _replace_codes(job, before.unionByName(new).groupBy("code").agg(F.sum("events").alias("events")), has_new)
    subjects = few(subjects_of(changed.people, linked(identity)))
    own = _told(job, Landed(*(rows.join(subjects, "source_subject_id", "left_semi") for rows in landed)))
    # Another subject may hold the newer version of a record that one of these holds an older version of.
    records = few(facts(*own).select("record_id").distinct())
    superseded = few(superseded_versions(facts(*landed).join(records, "record_id", "left_semi")))
    made = timelines(*own, identity, job.settings.events_a_person, superseded)
    kept = old.join(changed.people, "subject_id", "left_anti")
    tables.replace("timelines", kept.unionByName(made).coalesce(_files(old)))
    made = tables.read("timelines").join(changed.people, "subject_id", "left_semi")
    job.count(
        versions_superseded=superseded_before + changed.versions_superseded,
        **_figures(job),
        people_rebuilt=made.count(),
    )


def _landed(tables) -> Landed:
    return Landed(*map(tables.read, Landed._fields))


def _told(job, landed: Landed) -> Landed:
    """``landed`` with admissions as their codes tell them, where the settings say how."""
    return landed._replace(events=told_by_codes(landed.events, job.settings.ccs))


def _files(table) -> int:
    """As many files as there were at most, or cores, so that nights do not cut a table to pieces."""
    return max(len(table.inputFiles()), table.sparkSession.sparkContext.defaultParallelism)


def _carried(landed: Landed) -> DataFrame:
    """``code`` of each event, and of what each record cost."""
    return landed.events.select("code").unionByName(landed.costs.select(cost_code().alias("code")))


def _replace_codes(job, counts, has_new) -> None:
    """Tables ``code_map`` (where there is a vocabulary, and a code that it was not asked of) and ``codes``."""
    tables, vocabulary = job.tables, job.settings.vocabulary
    if vocabulary is not None and has_new:
        tables.replace("code_map", code_map(counts.select("code"), vocabulary))
    tables.replace("codes", described(counts, tables.read("code_map")))
    refuse_collisions(tables.read("codes"))


def _figures(job) -> dict[str, int]:
    """What stands in the tables."""
    row = (
        job.tables.read("timelines")
        .agg(
            F.count("*").alias("people"),
            F.sum(F.size("time").cast("long")).alias("events"),
            F.sum(F.col("events_dropped").cast("long")).alias("events_dropped"),
        )
        .head()
    )
    figures = {name: number or 0 for name, number in row.asDict().items()}
    if job.settings.vocabulary is None:
        return figures
    return figures | unmapped(job.tables.read("codes"), job.tables.read("code_map"))


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
    return (
        rows.join(linked(identity), "source_subject_id", "left")
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
