"""Purging: a table's history goes, so that what was deleted from it is on no disk any more.

Delta keeps what a commit removed: the old data files, and in the log the statistics and predicates of every commit. A
purge leaves the published version alone, as a checkpoint and its one commit, and removes every data file that this
version does not name. It can be repeated, so a purge that was interrupted is simply done again.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from delta.tables import DeltaTable

from salus.errors import EnvironmentFault
from salus.storage.tables import Tables

LOG = "_delta_log"
VERSION_DIGITS = 20
AT_ONCE = 4
VACUUM = {
    # Nobody may read what is older than the published version: the lock is held, and docs/operations.md says so.
    "spark.databricks.delta.retentionDurationCheck.enabled": "false",
    # Vacuum would log its own start and end as commits, which no snapshot publishes.
    "spark.databricks.delta.vacuum.logging.enabled": "false",
    # Into as many tasks a vacuum divides the folders that it lists, however few they are; by default into 10,000.
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "8",
}


def purge(tables: Tables, names: Sequence[str]) -> int:
    """Remove all that the published versions of the tables ``names`` do not hold; returns the files removed.

    Args:
        tables: with nothing unpublished.
        names: tables whose published version was sealed (``Tables.seal``).

    Raises:
        EnvironmentFault: a table's newest version is not the published one.
    """
    for name in names:
        if tables.newest(name) != tables.published[name]:
            raise EnvironmentFault(
                f"Received {name} in version {tables.newest(name)}; expected the published {tables.published[name]}. "
                "Another run wrote to it: look which one, and erase again."
            )
    conf = tables.spark.conf
    before = {key: conf.get(key, None) for key in VACUUM}
    for key, value in VACUUM.items():
        conf.set(key, value)
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return sum(pool.map(lambda name: _purged(tables, name), names))
    finally:
        for key, held in before.items():
            if held is None:
                conf.unset(key)
            else:
                conf.set(key, held)


def _purged(tables: Tables, name: str) -> int:
    """Purge one table; returns the files removed."""
    jvm, session = tables.spark._jvm, tables.spark._jsparkSession
    assert jvm is not None
    before = _files(tables, name)
    _, path = tables.hadoop(name)
    jvm.org.apache.spark.sql.delta.DeltaLog.forTable(session, path).checkpoint()
    DeltaTable.forPath(tables.spark, tables.path(name)).vacuum(0)
    old = [file for file in tables.names_in(f"{name}/{LOG}") if -1 < version_of(file) < tables.published[name]]
    for file in old:
        tables.remove(f"{name}/{LOG}/{file}")
    jvm.org.apache.spark.sql.delta.DeltaLog.invalidateCache(session, path)
    return before - _files(tables, name)


def version_of(name: str) -> int:
    """The version that a file of a Delta log belongs to, by its name (hidden ones begin with a dot); -1 = to none."""
    digits = name.removeprefix(".")[:VERSION_DIGITS]
    return int(digits) if len(digits) == VERSION_DIGITS and digits.isdigit() else -1


def _files(tables: Tables, name: str) -> int:
    files, path = tables.hadoop(name)
    return files.getContentSummary(path).getFileCount()
