"""Checks of people, and of who is who."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from salus.quality import declaration as declared
from salus.quality.findings import EVERYTHING, EXAMPLES, Finding, Measure, measured
from salus.quality.standing import subjects
from salus.storage.tables import Tables


def person_findings(tables: Tables, checks: dict[str, declared.Check], people: DataFrame) -> list[Finding]:
    """The findings of those of ``checks`` that look at people; the denominator is everybody with a person record.

    Args:
        people: what ``salus.quality.standing.people`` gives.
    """
    everybody, everything = F.lit(True), F.lit(EVERYTHING)
    measures = []
    for name, check in checks.items():
        match check:
            case declared.BirthYear():
                is_early = F.col("birth_year") < check.earliest
                is_late = F.col("birth_year") > F.year(F.current_timestamp())
                measures.append(Measure(name, everything, F.col("birth_year").isNotNull(), is_early | is_late))
            case declared.PersonCheck(kind="missing_birth"):
                measures.append(Measure(name, everything, everybody, F.col("birth_year").isNull()))
            case declared.PersonCheck(kind="missing_sex"):
                measures.append(Measure(name, everything, everybody, F.col("sex").isNull()))
            case declared.PersonCheck(kind="death_before_birth"):
                has_both = F.col("born").isNotNull() & F.col("died").isNotNull()
                measures.append(Measure(name, everything, has_both, F.col("died") < F.col("born")))
            case declared.PersonCheck(kind="no_events"):
                measures.append(Measure(name, everything, everybody, F.col("has_event").isNull()))
    seen = subjects(tables.read("events").where("time IS NOT NULL").select("source_subject_id").distinct(), tables)
    rows = people.join(seen.select("subject_id", F.lit(True).alias("has_event")).distinct(), "subject_id", "left")
    conflicts = [
        _conflicts(name, tables)
        for name, check in checks.items()
        if isinstance(check, declared.PersonCheck) and check.kind == "identity_conflict"
    ]
    return measured(rows, measures) + conflicts


def _conflicts(name: str, tables: Tables) -> Finding:
    """Source subjects that share an identifier, which a match is not, with somebody who cannot be the same person."""
    shared = tables.read("identity_conflicts").where("reason NOT LIKE 'match%'")
    listed = shared.select("source_subject_ids", "subjects").collect()
    known = tables.read("identity").where("known_until IS NULL").select("source_subject_id").distinct().count()
    concerned = sorted({subject for row in listed for subject in row["source_subject_ids"]})
    return Finding(name, EVERYTHING, sum(row["subjects"] for row in listed), known, tuple(concerned[:EXAMPLES]))
