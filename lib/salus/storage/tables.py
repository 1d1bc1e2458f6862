"""Tables of a warehouse as one consistent whole, although Delta commits one table at a time.

A run reads through the newest row of ``snapshots`` (a Delta version for each table) plus what it wrote itself,
and publishes by appending one last row there. What a run that died had written is undone by the next one
(``undo_unpublished``), so nobody ever reads, or builds on, what is half done.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, StructType

from salus.errors import EnvironmentFault
from salus.schemas import TABLES, schema_of
from salus.storage.at_once import at_once
from salus.storage.small import small_frame

CLUSTERED_BY = {
    "events": ["source_subject_id"],
    "persons": ["source_subject_id"],
    "coverage": ["source_subject_id"],
    "costs": ["source_subject_id"],
    "notes": ["source_subject_id"],
    "timelines": ["subject_id"],
}
PARTITIONED_BY = {
    "scores": ["task_id", "as_of"],
    "evaluations": ["task_id"],
    "folds": ["task_id"],
    "refits": ["task_id"],
    "importances": ["task_id"],
    "demo_truth": ["task_id"],
}
STATISTICS_ON = ("source_subject_id", "subject_id", "time", "record_id")
"""Values of other columns would stand in the Delta log; pseudonyms and times do not say who."""

UNPUBLISHED = ("snapshots", "runs")
"""Logs of their own: always read at their newest version."""

_snapshots: dict[tuple[str, int], tuple[dict[str, int], datetime | None]] = {}
"""What this process published last, by its commit: the jobs of a night follow one another."""


class Tables:
    """The tables of one warehouse, as one run sees and writes them."""

    def __init__(self, spark: SparkSession, warehouse: str):
        self.spark = spark
        self.warehouse = warehouse.rstrip("/")
        self.published, self._last_published = self._newest_snapshot()
        self.written: dict[str, int] = {}
        self._frames: dict[tuple[str, int], DataFrame] = {}

    def path(self, name: str) -> str:
        """Where table ``name`` lies."""
        return f"{self.warehouse}/{name}"

    def version(self, name: str) -> int | None:
        """The Delta version of ``name`` that this run sees; None = there is no such table yet."""
        if name in UNPUBLISHED:
            return self._newest(name)
        return self.written.get(name, self.published.get(name))

    def versions(self, names: Sequence[str]) -> dict[str, int]:
        """The versions of those of ``names`` that exist."""
        return {name: version for name in names if (version := self.version(name)) is not None}

    def read(self, name: str) -> DataFrame:
        """Table ``name`` as this run sees it; an empty frame of its schema where there is none yet.

        A version is loaded once: Delta works out anew what files it has whenever an old one is asked for.
        """
        version = self.version(name)
        if version is None:
            return small_frame(self.spark, [], schema_of(name))
        if (name, version) not in self._frames:
            frame = self.spark.read.format("delta").option("versionAsOf", version).load(self.path(name))
            self._frames[name, version] = of_today(frame, schema_of(name))
        return self._frames[name, version]

    def append(self, name: str, rows: DataFrame) -> None:
        """Add ``rows`` to ``name``."""
        self._write(name, rows, "append")

    def append_all(self, rows: Mapping[str, DataFrame]) -> None:
        """Add to each table that ``rows`` names, several at once."""
        at_once(self.spark, [partial(self.append, name, added) for name, added in rows.items()])

    def replace(self, name: str, rows: DataFrame, where: str | None = None) -> None:
        """Put ``rows`` in the place of all of ``name``, or of the rows that ``where`` selects."""
        self._write(name, rows, "overwrite", where)

    def upsert(self, name: str, rows: DataFrame, key: str) -> None:
        """Put each of ``rows`` in the place of the row with its ``key``, or add it. ``rows`` must be materialised."""
        self._at_what_is_seen(name)
        self._create(name)
        table = DeltaTable.forPath(self.spark, self.path(name))
        (
            table.alias("old")
            .merge(conform(rows, schema_of(name)).alias("new"), f"old.{key} = new.{key}")
            .whenMatchedUpdateAll()
            .whenNotMatchedInsertAll()
            .execute()
        )
        self.written[name] = self._written(name)

    def publish(self, run_id: str) -> bool:
        """Make what this run wrote visible, all at once; False where it wrote nothing."""
        if not self.written:
            return False
        versions = self.published | self.written
        snapshot = {
            "snapshot_id": f"{run_id}-{len(versions)}-{max(versions.values())}",
            "published_at": self._next_instant(),
            "run_id": run_id,
            "versions": versions,
        }
        self._write("snapshots", self.frame("snapshots", [snapshot]), "append")
        self.published, self.written, self._last_published = versions, {}, snapshot["published_at"]
        _snapshots.clear()
        _snapshots[self._commit("snapshots", self._written("snapshots"))] = (versions, self._last_published)
        return True

    def undo_unpublished(self) -> list[str]:
        """Put every table back to its published version; returns those that a run had left half done."""
        return [name for name in self._names() if name not in UNPUBLISHED and self._undone(name)]

    def delete(self, name: str, where: str) -> int:
        """Take the rows that ``where`` selects out of ``name``, and tell how many; only files that hold one change."""
        self._at_what_is_seen(name)
        before = self._newest(name)
        [[rows]] = self.spark.sql(f"DELETE FROM {self._as_sql(name)} WHERE {where}").collect()
        if self._newest(name) != before:
            self.written[name] = self._written(name)
        return rows

    def seal(self, name: str) -> None:
        """Commit a version of ``name`` that says nothing, so that a purge can leave this commit alone."""
        self._at_what_is_seen(name)
        self.spark.sql(f"ALTER TABLE {self._as_sql(name)} SET TBLPROPERTIES ('salus.sealed' = '{self.version(name)}')")
        self.written[name] = self._written(name)

    def forget_snapshots(self) -> None:
        """Keep the newest row of ``snapshots`` alone: what the others name will be gone."""
        every = self.spark.read.format("delta").load(self.path("snapshots"))
        newest = every.orderBy(F.desc("published_at")).limit(1).collect()
        self._write("snapshots", self.frame("snapshots", [row.asDict() for row in newest]), "overwrite")

    def names_in(self, folder: str) -> list[str]:
        """What lies in ``folder`` (a path under the warehouse); nothing where there is none."""
        return self._listed(self.path(folder))

    def holds_file(self, path: str) -> bool:
        """Whether there is such a file or folder under the warehouse."""
        files, there = self.hadoop(path)
        return files.exists(there)

    def remove(self, path: str) -> None:
        """Remove a file or folder under the warehouse that is no table, where there is one."""
        files, there = self.hadoop(path)
        files.delete(there, True)

    def hadoop(self, path: str) -> tuple[Any, Any]:
        """The file system of the warehouse, as Spark's JVM has it, and a path under the warehouse as that knows it."""
        return self._hadoop(self.path(path))

    def newest(self, name: str) -> int | None:
        """The newest Delta version of ``name``, published or not."""
        return self._newest(name)

    def frame(self, name: str, rows: Sequence[dict[str, Any]]) -> DataFrame:
        """``rows`` (mappings with every column of table ``name``) as a small frame of its schema."""
        schema = schema_of(name)
        values = [tuple(row.get(column) for column in schema.names) for row in rows]
        return small_frame(self.spark, values, schema).coalesce(1)

    def _write(self, name, rows, mode, where=None):
        if name not in UNPUBLISHED:
            self._at_what_is_seen(name)
        self._create(name)
        if mode == "overwrite" and not where:
            self._declare_anew(name)
        # Columns that a table of an older Salus lacks are added; there are no others than those of the schema.
        writer = conform(rows, schema_of(name)).write.format("delta").mode(mode).option("mergeSchema", "true")
        if where:
            writer = writer.option("replaceWhere", where)
        writer.save(self.path(name))
        if name not in UNPUBLISHED:
            self.written[name] = self._written(name)

    def _at_what_is_seen(self, name):
        """Undo what another run left in ``name`` before this one builds on it."""
        if name not in self.written:
            self._undone(name)

    def _undone(self, name) -> bool:
        """Whether ``name`` was not what is published, and was put back to it: to nothing, where it never was."""
        newest, published = self._newest(name), self.published.get(name)
        if newest is None or newest == published:
            return False
        if published is not None:
            if self._restored_to(name) == published:
                return False
            self._restore(name, published)
            return True
        if self.spark.read.format("delta").load(self.path(name)).isEmpty():
            return False
        DeltaTable.forPath(self.spark, self.path(name)).delete()
        return True

    def _create(self, name):
        if self._newest(name) is None:
            self._declare(name, DeltaTable.createIfNotExists(self.spark))

    def _declare_anew(self, name):
        """Give a table that is about to be replaced the columns of today, where an older Salus made it."""
        made = self.spark.read.format("delta").load(self.path(name)).schema
        if made.simpleString() != schema_of(name).simpleString():
            self._declare(name, DeltaTable.replace(self.spark))

    def _declare(self, name, builder):
        schema = schema_of(name)
        statistics = [
            column
            for column in STATISTICS_ON
            if column in schema.names and not isinstance(schema[column].dataType, ArrayType)
        ]
        builder = (
            builder.location(self.path(name))
            .addColumns(schema)
            .property("delta.enableDeletionVectors", "false")
            .property("delta.dataSkippingStatsColumns", ",".join(statistics))
            .property("delta.logRetentionDuration", "interval 3650 days")
        )
        if not statistics:
            builder = builder.property("delta.dataSkippingNumIndexedCols", "0")
        if name in CLUSTERED_BY:
            builder = builder.clusterBy(*CLUSTERED_BY[name])
        elif name in PARTITIONED_BY:
            builder = builder.partitionedBy(*PARTITIONED_BY[name])
        builder.execute()

    def _restore(self, name, version):
        DeltaTable.forPath(self.spark, self.path(name)).restoreToVersion(version)

    def _restored_to(self, name):
        """The version that the newest commit of ``name`` restored, or None where it did something else."""
        last = (
            DeltaTable.forPath(self.spark, self.path(name)).history(1).select("operation", "operationParameters").head()
        )
        if last is None or last["operation"] != "RESTORE":
            return None
        return int(last["operationParameters"].get("version") or -1)

    def _newest_snapshot(self) -> tuple[dict[str, int], datetime | None]:
        """The versions that are published, and when they were."""
        version = self._newest("snapshots")
        if version is None:
            return {}, None
        commit = self._commit("snapshots", version)
        if commit in _snapshots:
            return _snapshots[commit]
        newest = (
            self.spark.read.format("delta")
            .load(self.path("snapshots"))
            .agg(F.max_by(F.struct("versions", "published_at"), "published_at").alias("newest"))
            .head()
        )
        if newest is None or newest["newest"] is None:
            return {}, None
        return dict(newest["newest"]["versions"]), newest["newest"]["published_at"]

    def _next_instant(self):
        """Now, but later than the newest snapshot, whatever the clock did."""
        now, last = datetime.now(UTC).replace(tzinfo=None), self._last_published
        return now if last is None or now > last else last + timedelta(microseconds=1)

    def _names(self):
        cohorts = [f"cohorts/{name}" for name in self._listed(self.path("cohorts"))]
        return [*(name for name in TABLES), *cohorts]

    def _newest(self, name) -> int | None:
        """The newest Delta version of ``name``, from the names of its log's files."""
        commits = [
            int(file[:20])
            for file in self._listed(f"{self.path(name)}/_delta_log")
            if file.endswith(".json") and file[:20].isdigit()
        ]
        return max(commits, default=None)

    def _written(self, name) -> int:
        """The version that this run just wrote."""
        version = self._newest(name)
        if version is None:
            raise EnvironmentFault(
                f"Received no commit of {self.path(name)}, which was just written; expected one. "
                "Look whether somebody removes files of the warehouse."
            )
        return version

    def _commit(self, name, version) -> tuple[str, int]:
        """Names a commit for good: its file, and when that was written."""
        jvm, path = self.spark._jvm, f"{self.path(name)}/_delta_log/{version:020d}.json"
        assert jvm is not None
        file = jvm.org.apache.hadoop.fs.Path(path)
        status = file.getFileSystem(self.spark._jsc.hadoopConfiguration()).getFileStatus(file)
        return path, status.getModificationTime()

    def _listed(self, folder) -> list[str]:
        files, path = self._hadoop(folder)
        if not files.exists(path):
            return []
        return [status.getPath().getName() for status in files.listStatus(path)]

    def _hadoop(self, path):
        """The file system that ``path`` is on, and ``path`` as it knows it."""
        jvm = self.spark._jvm
        assert jvm is not None
        there = jvm.org.apache.hadoop.fs.Path(path)
        files = there.getFileSystem(self.spark._jsc.hadoopConfiguration())
        return files, files.makeQualified(there)

    def _as_sql(self, name):
        """Table ``name`` as a statement names it."""
        return f"delta.`{self._hadoop(self.path(name))[1].toString().replace('`', '``')}`"


def of_today(rows: DataFrame, schema: StructType) -> DataFrame:
    """``rows`` that an older Salus wrote, with nothing in those columns of ``schema`` that it did not know."""
    lacking = [column for column in schema if column.nullable and column.name not in rows.columns]
    return rows.withColumns({column.name: F.lit(None).cast(column.dataType) for column in lacking}) if lacking else rows


def conform(rows: DataFrame, schema: StructType) -> DataFrame:
    """``rows`` with exactly the columns of ``schema``, in its order.

    Raises:
        TypeError: a column is missing, or is of another type than declared.
    """
    found = {column.name: column.dataType for column in rows.schema}
    wrong = [
        f"{column.name}: received {found[column.name].simpleString() if column.name in found else 'nothing'}, "
        f"expected {column.dataType.simpleString()}"
        for column in schema
        if column.name not in found or _kind(found[column.name]) != _kind(column.dataType)
    ]
    if wrong:
        raise TypeError(f"The rows are not of the table's schema: {'; '.join(wrong)}.")
    return rows.select(*schema.names)


def _kind(kind):
    """A type without its nullability and its comments, which a write does not depend on."""
    return kind.simpleString()
