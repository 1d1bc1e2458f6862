"""Timelines: one row a person, their events and coverage as parallel arrays with both clocks.

Everything that was visible at some time stands in them, each row with the time at which a newer version replaced
it, so that what was known at any past T can be read from the current row.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from salus.schemas import TIMELINES, VOID_CODE
from salus.storage.tables import conform
from salus.timelines.clocks import NEVER, STATIC
from salus.timelines.codes import codes, refuse_collisions
from salus.timelines.persons import current_persons, first_stated
from salus.timelines.supersession import clock, superseded_versions, with_superseded

EVENTS_A_PERSON = 100_000
"""The newest that are kept of a person's dated events; what is left out is counted in ``events_dropped``."""

_EVENT = "struct<time: bigint, available: bigint, code: bigint, superseded: bigint, value: float>"
_SPAN = "struct<start: bigint, end: bigint, available: bigint, superseded: bigint>"
_RANK = "struct<is_secondary: boolean, source_subject_id: bigint, newest_first: bigint, record_id: bigint, ordinal: int>"


def build(job) -> None:
    """Tables ``timelines`` and ``codes`` out of what came in; nothing is done where nothing new came.

    Everybody's row is made anew. Refreshing changed people only takes this function's place of ``replace``.
    """
    reads = ("events", "persons", "coverage", "identity")
    if not job.needed({}, reads, events_a_person=EVENTS_A_PERSON):
        return
    tables = job.tables
    landed = {name: tables.read(name) for name in reads}
    tables.replace("codes", codes(landed["events"]))
    refuse_collisions(tables.read("codes"))
    tables.replace("timelines", timelines(**landed))
    figures = tables.read("timelines").agg(
        F.count("*").alias("people"), F.sum(F.size("time")).alias("events"),
        F.sum(F.col("events_dropped").cast("long")).alias("events_dropped"),
    ).head()
    job.count(**{name: number or 0 for name, number in figures.asDict().items()})


def timelines(
    events: DataFrame, persons: DataFrame, coverage: DataFrame, identity: DataFrame, limit: int = EVENTS_A_PERSON,
) -> DataFrame:
    """One ``TIMELINES`` row for everybody whom an event, a person record or a coverage span names.

    Args:
        events, persons, coverage: the tables of what came in, all versions.
        identity: the table that says which source subjects are one person; its current rows count.
        limit: the dated events kept of a person, newest first.
    """
    subjects = _other_subjects(identity)
    happened, spans = _events(events, persons), _spans(coverage)
    stated = _versions(persons)
    superseded = superseded_versions(happened, spans, stated)
    facts = [
        _of_subject(with_superseded(happened.where(~F.col("is_void")), superseded), subjects).select(
            "subject_id", F.struct("time", "available", F.xxhash64("code").alias("code"), "superseded", "value")
            .cast(_EVENT).alias("event")),
        _of_subject(with_superseded(spans, superseded), subjects).select(
            "subject_id", F.struct("start", "end", "available", "superseded").cast(_SPAN).alias("span")),
        current_persons(persons, superseded, subjects.select("source_subject_id", "subject_id")).select(
            "subject_id", F.col("rank").cast(_RANK).alias("rank"), "sex", "race", "birth"),
    ]
    every = facts[0].unionByName(facts[1], True).unionByName(facts[2], True)
    is_death = (F.col("event.code") == F.xxhash64(F.lit("MEDS_DEATH"))) & (F.col("event.superseded") == NEVER)
    people = every.groupBy("subject_id").agg(
        F.sort_array(F.collect_list("event")).alias("events"),
        F.sort_array(F.collect_list("span")).alias("spans"),
        first_stated("sex").alias("sex"), first_stated("race").alias("race"), first_stated("birth").alias("birth"),
        F.min(F.when(is_death, F.col("event.time"))).alias("death"),
        F.min(F.when(is_death, F.col("event.available"))).alias("death_available"),
    )
    return conform(_parallel(_newest(people, limit)), TIMELINES)


def _events(events, persons):
    """Events of all versions, voids marked, with the deaths that person records state."""
    deaths = persons.where(F.col("death_datetime").isNotNull()).select(
        "source_subject_id", "record_id", "version", "available_time", F.col("death_datetime").alias("time"),
        F.lit("MEDS_DEATH").alias("code"), F.lit(None).cast("float").alias("numeric_value"))
    columns = deaths.columns
    return events.select(*columns).unionByName(deaths).select(
        "source_subject_id", "record_id", "version", "code",
        clock("time", STATIC).alias("time"),
        F.greatest(clock("time", STATIC), clock("available_time", STATIC)).alias("available"),
        F.coalesce("numeric_value", F.lit(float("nan"))).cast("float").alias("value"),
        (F.col("code") == VOID_CODE).alias("is_void"),
    )


def _spans(coverage):
    """Coverage spans of all versions: [start of the first day, end of the last day)."""
    start = F.expr("unix_micros(CAST(payer_plan_period_start_date AS TIMESTAMP))")
    end = F.expr("unix_micros(CAST(date_add(payer_plan_period_end_date, 1) AS TIMESTAMP))")
    return coverage.select(
        "source_subject_id", "record_id", "version", start.alias("start"),
        F.coalesce(end, F.lit(NEVER)).alias("end"), clock("available_time", STATIC).alias("available"))


def _versions(persons):
    return persons.select("record_id", "version", clock("available_time", STATIC).alias("available"))


def _other_subjects(identity):
    """Who bears another subject's name now, and since when that is known."""
    current = identity.where(F.col("known_until").isNull() & (F.col("subject_id") != F.col("source_subject_id")))
    return current.select("source_subject_id", "subject_id", clock("known_from", STATIC).alias("linked"))


def _of_subject(rows, subjects):
    """``rows`` with the person's ``subject_id``; what another source said is known no earlier than the link is."""
    linked = rows.join(subjects, "source_subject_id", "left")
    return (
        linked.withColumn("available", F.greatest("available", F.coalesce("linked", F.lit(STATIC))))
        .withColumn("subject_id", F.coalesce("subject_id", "source_subject_id"))
        .where(F.col("available") < F.col("superseded"))
    )


def _newest(people, limit):
    """All static events, and the newest ``limit`` of those with a date."""
    def is_static(event):
        return event["time"] == F.lit(STATIC)

    static = F.filter("events", is_static)
    dated = F.filter("events", lambda event: ~is_static(event))
    excess = F.when(F.size("events") > limit, F.greatest(F.size(dated) - limit, F.lit(0))).otherwise(F.lit(0))
    return (
        people.withColumn("events_dropped", excess.cast("int"))
        .withColumn("events", F.when(F.col("events_dropped") == 0, F.col("events"))
                    .otherwise(F.concat(static, F.slice(dated, -limit, limit))))
    )


def _parallel(people):
    return people.select(
        "*",
        *(F.col(f"events.{name}").alias(name) for name in ("time", "available", "superseded", "code", "value")),
        *(F.col(f"spans.{name}").alias(f"coverage_{name}") for name in ("start", "end", "available", "superseded")),
    )
