"""Checks of events: what each says of itself, of its person's life, and of the delivery that brought it."""

from collections.abc import Iterator

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from salus.quality import declaration as declared
from salus.quality.findings import Finding, Measure, measured
from salus.quality.standing import standing, subjects
from salus.sources.units import read_units, units_path
from salus.storage.small import small_frame
from salus.storage.tables import Tables

BY = ("code", "vocabulary", "source")


def event_findings(
    tables: Tables, checks: dict[str, declared.Check], people: DataFrame, replaced: DataFrame
) -> list[Finding]:
    """The findings of those of ``checks`` that look at events, in one pass over them.

    Args:
        people: what ``salus.quality.standing.people`` gives.
        replaced: what ``salus.quality.standing.replaced_versions`` gives.
    """
    measures = [measure for name, check in checks.items() for measure in _measures(name, check)]
    ranges = [check for check in checks.values() if isinstance(check, declared.ValueRanges)]
    events = subjects(standing(tables.read("events"), replaced), tables)
    delivered = (
        tables.read("ingested_files")
        .groupBy("file_id")
        .agg(F.min("source").alias("source"), F.max("delivered_at").alias("delivered_at"))
    )
    rows = (
        events.join(F.broadcast(delivered), "file_id", "left")
        .join(people.withColumn("is_known", F.lit(True)), "subject_id", "left")
        .join(F.broadcast(_by_code(tables, ranges)), "code", "left")
        .withColumn("source", F.coalesce("source", F.lit("")))
        .withColumn("vocabulary", F.substring_index("code", "/", 1))
    )
    return measured(rows, measures, BY)


def _by_code(tables: Tables, checks: list[declared.ValueRanges]) -> DataFrame:
    """``code, low, high, low_unit, has_unit``: what is declared of a code's numbers."""
    ranges = {code: one for check in checks for code, one in check.ranges.items()}
    units = read_units(units_path())
    rows = [
        (code, ranges[code].low, ranges[code].high, ranges[code].unit, code in units)
        if code in ranges
        else (code, None, None, None, True)
        for code in sorted({*ranges, *units})
    ]
    return small_frame(
        tables.spark, rows, "code string, low double, high double, low_unit string, has_unit boolean"
    ).coalesce(1)


def _measures(name: str, check: declared.Check) -> Iterator[Measure]:
    """How ``check`` is counted over events; nothing where it looks at another table."""
    code, value, time = F.col("code"), F.col("numeric_value"), F.col("time")
    source, vocabulary = F.col("source"), F.col("vocabulary")
    match check:
        case declared.ValueRanges():
            comparable = F.col("unit").isNull() | F.col("unit").eqNullSafe(F.col("low_unit"))
            concerned = value.isNotNull() & F.col("low").isNotNull() & comparable
            yield Measure(name, code, concerned, (value < F.col("low")) | (value > F.col("high")))
        case declared.CodeFormat():
            for known, pattern in check.patterns.items():
                bare = F.substring(code, len(known) + 2, 1000)
                yield Measure(name, vocabulary, vocabulary == known, ~bare.rlike(f"^(?:{pattern})$"))
        case declared.MissingUnit():
            yield Measure(name, source, value.isNotNull() & F.col("has_unit"), F.col("unit").isNull())
        case declared.MissingValue():
            nothing = value.isNull() & (F.coalesce(F.trim("text_value"), F.lit("")) == "")
            yield Measure(name, source, _begins(code, check.code_prefixes), nothing)
        case declared.AssumedLag():
            yield Measure(name, source, F.col("available_time").isNotNull(), F.col("is_lag_assumed"))
        case declared.UnmappedCode():
            is_known = vocabulary.isin(check.vocabularies) & ~code.isin(check.unknown)
            yield Measure(name, source, F.lit(True), ~is_known)
        case declared.NoPerson():
            yield Measure(name, source, F.lit(True), F.col("is_known").isNull())
        case declared.AfterDeath():
            has_both = F.col("died").isNotNull() & time.isNotNull()
            yield Measure(name, source, has_both, F.datediff(time, F.col("died")) > check.days)
        case declared.BeforeBirth():
            has_both = F.col("born").isNotNull() & time.isNotNull()
            yield Measure(name, source, has_both, F.datediff(F.col("born"), time) > check.days)
        case declared.InFuture():
            has_both = time.isNotNull() & F.col("delivered_at").isNotNull()
            yield Measure(name, source, has_both, F.datediff(time, F.col("delivered_at")) > check.days)
        case declared.SexSpecific():
            for sex, prefixes in (("female", check.female), ("male", check.male)):
                concerned = _begins(code, prefixes) & F.col("sex").isNotNull()
                yield Measure(name, F.lit(sex), concerned, F.col("sex") != sex)


def _begins(code: Column, prefixes: list[str]) -> Column:
    found = F.lit(False)
    for prefix in prefixes:
        found = found | code.startswith(prefix)
    return found
