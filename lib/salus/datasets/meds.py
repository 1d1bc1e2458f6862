"""MEDS: what is current of everybody as a MEDS 0.4 data set, the form in which the field's tools exchange timelines.

MEDS has one clock. ``time`` keeps when things happened; ``available`` puts in its place when each could first have
been known, so that a tool that knows no second clock cannot see what a prediction could not have seen. Births and
static facts stay where they are: they are known always.

https://github.com/Medical-Event-Data-Standard/meds
"""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq
from flexible_schema import PyArrowSchema
from meds import (
    CodeMetadataSchema,
    DataSchema,
    DatasetMetadataSchema,
    LabelSchema,
    SubjectSplitSchema,
    birth_code,
    code_metadata_filepath,
    data_subdirectory,
    dataset_metadata_filepath,
    death_code,
    subject_splits_filepath,
)
from meds import __version__ as MEDS_VERSION
from pyspark import TaskContext
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from salus.cohorts.splits import split_people
from salus.cohorts.task import Task
from salus.datasets.folder import Folder
from salus.errors import Refused
from salus.privacy.pseudonyms import pads
from salus.privacy.shift import shifted
from salus.schemas import VOID_CODE
from salus.storage.ledger import code_version

EVENTS_A_SHARD = 2_000_000
DATA = DataSchema.schema()
CLOCKS = ("time", "available")
WRITTEN = "shard string, rows long"


def export_meds(job, task: Task, url: str, clock: str, shift_key: bytes | None = None) -> None:
    """Write a MEDS data set into the new folder ``url``: data, codes, splits, the task's labels where it has some.

    Args:
        job: the run; the tables are read as it sees them.
        task: whose shares split the people, and whose cohort gives the labels.
        url: a folder that is empty or does not exist yet.
        clock: one of ``CLOCKS``.
        shift_key: the site's key, by which every person's times are moved (``salus.privacy.shift``); None = they stay.

    Raises:
        Refused: something lies in the folder already.
    """
    folder = Folder(url)
    if folder.names():
        raise Refused(f"Received the output {url}, in which files lie; expected an empty folder. Name a new one.")
    tables = job.tables
    moved = partial(_moved, key=shift_key)
    current = current_events(tables.read("events"), tables.read("records"), tables.read("identity"), clock)
    events = moved(current, "time").persist()
    count = events.count()
    shards = max(1, -(-count // EVENTS_A_SHARD))
    placed = events.repartition(shards, "subject_id").sortWithinPartitions(
        "subject_id", F.col("time").asc_nulls_first(), "code", "numeric_value", "text_value"
    )
    written = placed.mapInArrow(partial(_write_shard, url=f"{folder.url}/{data_subdirectory}"), WRITTEN).collect()
    codes = events.select("code").distinct().join(tables.read("codes"), "code", "left").orderBy("code")
    splits = split_people(events.select("subject_id").distinct(), tables.read("identity"), task).orderBy("subject_id")
    _put(folder, code_metadata_filepath, codes.select("code", "description"), CodeMetadataSchema)
    _put(folder, subject_splits_filepath, splits.select("subject_id", "split"), SubjectSplitSchema)
    labels = tables.read(f"cohorts/{task.id}").where("boolean_value IS NOT NULL")
    if not labels.isEmpty():
        rows = moved(labels.select("subject_id", "prediction_time", "boolean_value"), "prediction_time")
        _put(folder, f"labels/{task.id}.parquet", rows.orderBy("subject_id", "prediction_time"), LabelSchema)
    # The description comes last: a folder without it is no finished data set.
    _parent(folder, dataset_metadata_filepath)[0].write_json(
        "dataset.json",
        DatasetMetadataSchema(
            dataset_name=f"salus/{job.settings.site}",
            dataset_version=str(max(tables.versions(("events",)).values(), default=0)),
            etl_name=f"salus export --clock {clock}{'' if shift_key is None else ' --shift-dates'}",
            etl_version=code_version(),
            meds_version=MEDS_VERSION,
            code_modifier_columns=["unit"],
        ).to_dict()
        | {"created_at": datetime.now(UTC).isoformat()},
    )
    events.unpersist()
    job.count(
        events=sum(row["rows"] for row in written), shards=len(written), codes=codes.count(), people=splits.count()
    )


def current_events(events: DataFrame, records: DataFrame, identity: DataFrame, clock: str) -> DataFrame:
    """The newest version of every record's events, of resolved people.

    Args:
        events, records, identity: the tables.
        clock: one of ``CLOCKS``: which of the two ``time`` shall be.

    Returns:
        ``subject_id, time`` (timestamp_ntz; null = static)``, code, numeric_value, text_value, unit``; what several
        sources or versions say of a birth, a death or a static fact in the same words stands once.
    """
    newest = records.groupBy("record_id").agg(F.max("version").alias("version"))
    people = identity.where("known_until IS NULL").select("source_subject_id", "subject_id")
    found = (
        events.where(F.col("code") != VOID_CODE)
        .join(newest, ["record_id", "version"], "left_semi")
        .join(people, "source_subject_id", "left")
        .withColumn("subject_id", F.coalesce("subject_id", "source_subject_id"))
    )
    time = F.col("time")
    if clock == "available":
        time = F.when(time.isNotNull(), F.coalesce("available_time", "time"))
    rows = found.select("subject_id", time.alias("time"), "code", "numeric_value", "text_value", "unit")
    is_once = F.col("time").isNull() | F.col("code").isin(birth_code, death_code)
    return rows.where(~is_once).unionByName(rows.where(is_once).distinct())


def _moved(rows: DataFrame, column: str, key: bytes | None) -> DataFrame:
    """``rows`` with the timestamps ``column`` moved by each person's shift, where there is a ``key``."""
    if key is None:
        return rows
    keyed = rows.crossJoin(F.broadcast(pads(rows.sparkSession, key)))
    return keyed.withColumn(column, shifted(F.col(column), "subject_id")).select(*rows.columns)


def _write_shard(batches: Iterator[pa.RecordBatch], url: str) -> Iterator[pa.RecordBatch]:
    """One file of the task's rows: whole people, each together and in order; nothing where it has none."""
    schema = DATA.append(pa.field("unit", pa.string()))
    context = TaskContext.get()
    name = f"{context.partitionId() if context else 0}.parquet"
    folder, writer, rows = Folder(url), None, 0
    temporary = f".{name}.{uuid.uuid4().hex}.tmp"
    for batch in batches:
        if not batch.num_rows:
            continue
        if writer is None:
            folder.files.create_dir(folder.path, recursive=True)
            sink = folder.files.open_output_stream(f"{folder.path}/{temporary}")
            writer = pq.ParquetWriter(sink, schema, compression="zstd")
        writer.write_table(pa.Table.from_batches([batch]).cast(schema))
        rows += batch.num_rows
    if writer is not None:
        writer.close()
        sink.close()
        folder.files.move(f"{folder.path}/{temporary}", f"{folder.path}/{name}")
        yield pa.RecordBatch.from_pydict({"shard": [name], "rows": pa.array([rows], pa.int64())})


def _put(folder: Folder, path: str, rows: DataFrame, schema: type[PyArrowSchema]) -> None:
    """Write ``rows`` as the one Parquet file ``path``, as ``schema`` (a class of the meds package) asks."""
    parent, name = _parent(folder, path)
    table = schema.align(rows.toArrow())
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    parent.write(name, sink.getvalue())


def _parent(folder: Folder, path: str) -> tuple[Folder, str]:
    parent, _, name = path.rpartition("/")
    return folder / parent, name
