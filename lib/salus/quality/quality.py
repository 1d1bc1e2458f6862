"""Quality: every declared check over what stands in the warehouse, and its result."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from itertools import chain

from pyspark.sql import DataFrame

from salus.job import Job
from salus.quality import declaration as declared
from salus.quality.declaration import Checks, load_checks
from salus.quality.deliveries import delivery_findings
from salus.quality.events import event_findings
from salus.quality.findings import Finding
from salus.quality.people import person_findings
from salus.quality.results import Result, judged, results
from salus.quality.spans import coverage_findings, visit_findings
from salus.quality.standing import people, replaced_versions
from salus.quality.volume import Volume, volume_findings, volumes
from salus.sources.units import units_text
from salus.storage.at_once import at_once
from salus.storage.tables import Tables

READS = ("events", "persons", "coverage", "records", "identity", "identity_conflicts", "ingested_files")


def quality(job: Job) -> list[Result]:
    """Fill the tables ``quality`` and ``daily_volumes``, and publish them; nothing is done where nothing new came.

    They are published before anything is held for what they say.

    Returns:
        The results, what falls short first.

    Raises:
        Refused: conf/quality is not as it must be; the line is named.
    """
    checks = load_checks()
    if job.needed({}, READS, checks=checks.hash, units=units_text()):
        findings, by_day = found(job.tables, checks)
        rows = [one.row for one in judged(findings, checks)]
        job.tables.replace("quality", job.tables.frame("quality", rows))
        job.tables.replace("daily_volumes", job.tables.frame("daily_volumes", [asdict(one) for one in by_day]))
        job.publish()
    newest = results(job.tables)
    job.count(
        checks=len({one.check for one in newest}),
        results=len(newest),
        short=sum(one.falls_short for one in newest),
    )
    return newest


def found(tables: Tables, declared_checks: Checks) -> tuple[list[Finding], list[Volume]]:
    """Every finding of ``declared_checks``, and the daily volumes of every source."""
    checks = declared_checks.checks
    replaced = _counted(replaced_versions(tables.read("records")))
    everybody = _counted(people(tables, replaced))
    drops = {name: check for name, check in checks.items() if isinstance(check, declared.VolumeDrop)}
    counted: Sequence[Callable[[], list]] = [
        partial(volumes, tables, next(iter(drops.values()), None)),
        partial(event_findings, tables, checks, everybody, replaced),
        partial(person_findings, tables, checks, everybody),
        partial(coverage_findings, tables, checks, replaced),
        partial(visit_findings, tables, checks, replaced),
        partial(delivery_findings, tables, checks),
    ]
    try:
        by_day, *findings = at_once(tables.spark, counted)
    finally:
        everybody.unpersist()
        replaced.unpersist()
    findings += [volume_findings(name, by_day) for name in drops]
    return list(chain.from_iterable(findings)), by_day


def _counted(rows: DataFrame) -> DataFrame:
    """``rows`` in memory: where Spark knows that they are few, it need not shuffle all events to join them."""
    kept = rows.persist()
    kept.count()
    return kept
