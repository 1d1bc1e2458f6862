"""What a source would do, before it does it: ``ingest --check`` reads no table and writes none.

Spark analyses every expression against the columns that its record type declares, with no row to read. With a sample,
its first events are shown as they would be written; the people in them are not named.
"""

import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from salus.errors import Refused
from salus.privacy.settings import policy_of
from salus.schemas import DEFINITIONS, EVENTS, RECORDS
from salus.sources import formats
from salus.sources.batch import Batch, placed, staged_rows
from salus.sources.columns import columns_in, needed_columns
from salus.sources.declaration import TABLES, Source
from salus.sources.expressions import expressions
from salus.sources.files import hashed, inspect, listed
from salus.sources.identifying import refuse_identifying
from salus.sources.ingest import refuse_unusable
from salus.sources.loading import load_source, source_path, written_source
from salus.sources.record_type import Record
from salus.sources.study_days import dated
from salus.sources.values import TEXT
from salus.sources.verdicts import coded, counting_in
from salus.storage.query import literal
from salus.storage.small import small_frame

EVENTS_SHOWN = 20
COLUMNS = ["file", "record", "code", "time", "available_time", "numeric_value", "unit", "text_value"]
WIDEST = 40
CONDITIONS = ("accept", "void", "declares_subject")


def check(spark: SparkSession, name: str, given: str | None, site: str) -> str:
    """What the source ``name`` would do, as a text.

    Args:
        spark: the session.
        name: a source in conf/sources.
        given: a file of the source, or a folder of them, whose first events are shown; None = only check.
        site: the site's name.

    Raises:
        Refused: there is no such source, file or folder; an expression is wrong; or a file cannot be used.
    """
    source = load_source(name)
    number = check_source(spark, source, source_path(name))
    refuse_identifying(source, policy_of(name), source_path(name))
    told = f"{name}: {number} expressions of {len(source.records)} record types fit what is declared"
    if given is None:
        return told
    paths, root = ([given], os.path.dirname(given)) if os.path.isfile(given) else (listed(given), given)
    files = [inspect(hashed(path, root), source) for path in paths]
    batch = Batch(source, site, "", files, None, 0)
    refuse_unusable(batch)
    return f"{told}\n\n{sample(spark, batch)}" if batch.mapped else f"{told}\n\nno record that becomes something"


def check_source(spark: SparkSession, source: Source, path: Path) -> int:
    """Analyse every expression of ``source``, which the file ``path`` declares; how many there are.

    Raises:
        Refused: Spark cannot make sense of some; each is named with its line, the first in full.
    """
    wrong = [*_wrong_times(spark, source)]
    for kind, record in source.records.items():
        wrong += _wrong_columns(spark, source, kind, record)
    if wrong:
        found = written_source(path)
        where, why = min(wrong, key=lambda one: found.order(one[0]))
        first = found.place(where)
        places = {found.order(one): found.place(one) for one, _ in wrong}
        others = [
            str(place.line) if place.path == first.path else f"{place.path.name}:{place.line}"
            for _, place in sorted(places.items())
            if place != first
        ]
        also = f"; so are those in the lines {', '.join(others)}" if others else ""
        raise Refused(f"{first}: received `{'.'.join(map(str, where))}`: {why}. Mend it{also}.")
    return len(expressions(source)) + len(source.times)


def _wrong_times(spark, source) -> Iterator[tuple[tuple, str]]:
    texts = spark.createDataFrame([], "text string")
    for number, written in enumerate(source.times):
        if why := _fault(texts, f"CAST({TEXT.sub('text', written.reads)} AS TIMESTAMP_NTZ)"):
            yield ("times", number, "reads"), why
        if why := _fault(texts, f"CASE WHEN text RLIKE {literal(written.matches)} THEN 1 END"):
            yield ("times", number, "matches"), why


def _wrong_columns(spark, source, kind, record) -> Iterator[tuple[tuple, str]]:
    """The expressions of one record type that Spark refuses, and why."""
    try:
        rows = _declared(spark, source, kind, record).withColumns({"_path": F.lit(""), "_line_id": F.lit(0)})
    except ParseException as error:
        yield ("records", kind, "schema"), _told(error)
        return
    shared = {name: source.macro.expand(text) for name, text in record.shared.items()}
    wrong = {name: why for name, text in shared.items() if (why := _fault(rows, text))}
    yield from ((("records", kind, "shared", name), why) for name, why in wrong.items())
    rows = rows.withColumns({name: F.expr(text) for name, text in shared.items() if name not in wrong})
    for where, text in expressions(source):
        if where[1] != kind or where[2] == "shared" or where[-1] == "each":
            continue
        expression, each = source.macro.expand(text), _each(source, record, where)
        if where[2] in CONDITIONS:
            expression = f"NOT coalesce({expression}, false)"
        elif each:
            expression = f"transform({each}, item -> CAST({expression} AS STRING))"
        else:
            expression = f"CAST({expression} AS STRING)"
        if why := _fault(rows, expression):
            yield where, why
    if record.assumed_lag and (why := _fault(rows, f"INTERVAL {record.assumed_lag}")):
        yield ("records", kind, "assumed_lag"), why


def _declared(spark: SparkSession, source: Source, kind: str, record: Record) -> DataFrame:
    """No row, with the columns that the record type declares."""
    if source.format == "ndjson" or source.format in TABLES:
        return spark.createDataFrame([], ", ".join(filter(None, [record.columns, record.optional])))
    if source.format == "csv":
        names = [*needed_columns(source, kind), *columns_in(source, record.optional)]
        return spark.createDataFrame([], ", ".join(f"`{name}` STRING" for name in names))
    return spark.createDataFrame([], from_arrow_schema(formats.format_named(source.format).SCHEMAS[kind]))


def _each(source, record, where) -> str | None:
    """The array for whose items an expression stands, where it stands for them."""
    part = record.events.get(where[3]) if where[2] == "events" else None
    part = record.identifiers[where[3]] if where[2] == "identifiers" else part
    return source.macro.expand(part.each) if part and part.each else None


def _fault(rows: DataFrame, expression: str) -> str | None:
    """Why Spark refuses ``expression`` over the columns of ``rows``; None = it does not."""
    try:
        rows.select(F.expr(expression)).schema  # noqa: B018 (analysed when it is asked for)
    except (AnalysisException, ParseException) as error:
        return _told(error)
    return None


def _told(error) -> str:
    """Spark's reason in one sentence, without its advice on itself."""
    first = re.sub(r"^\[[A-Z_.]+\] ", "", str(error).strip().splitlines()[0])
    return re.sub(r" SQLSTATE: \w+$", "", first).rstrip(". ")


def sample(spark: SparkSession, batch: Batch) -> str:
    """The first events that a batch gives, and how many of its records are refused by themselves, as a text."""
    rows = placed(spark, batch, staged_rows(spark, batch, secrets.token_bytes(32)))
    if naming := [kind for kind, record in batch.kinds.items() if record.codes_of]:
        rows = coded(rows, naming, small_frame(spark, [], DEFINITIONS), small_frame(spark, [], RECORDS))
    if counting := counting_in(batch):
        rows = dated(rows, counting, small_frame(spark, [], EVENTS), small_frame(spark, [], RECORDS))
    rows = rows.cache()
    names = F.create_map(*[F.lit(one) for file in batch.mapped for one in (file.file_id, file.name)])
    events = rows.where("code IS NOT NULL AND rule IS NULL").orderBy("file_order", "record", "ordinal")
    shown = events.select(names[F.col("file_id")].alias("file"), *COLUMNS[1:]).limit(EVENTS_SHOWN).collect()
    refused = rows.where("rule IS NOT NULL").groupBy("rule").agg(F.countDistinct("file_id", "record").alias("records"))
    counts = {row["rule"]: row["records"] for row in refused.collect()}
    heads = rows.where("is_head").count()
    rows.unpersist()
    lines = table([[_cell(value) for value in row] for row in shown])
    told = ", ".join(f"{number:,} {rule}" for rule, number in sorted(counts.items())) or "none refused by itself"
    return "\n".join([*lines, "", f"{heads:,} records: {told}"])


def table(rows: list[list[str]]) -> list[str]:
    """``rows`` of texts under ``COLUMNS``, in columns as wide as they need."""
    widths = [max(len(row[place]) for row in [COLUMNS, *rows]) for place in range(len(COLUMNS))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in [COLUMNS, *rows]]


def _cell(value) -> str:
    text = "" if value is None else f"{value:g}" if isinstance(value, float) else " ".join(str(value).split())
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"
