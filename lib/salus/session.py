"""The Spark session, and the one place where Delta's coordinates are pinned."""

import os
import sys
from pathlib import Path

from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession

from salus import memory
from salus.compilation import plan_quickly
from salus.errors import Refused
from salus.settings import Settings, conf_dir

DELTA_PACKAGE = "io.delta:delta-spark_2.13:4.0.1"
JDBC_PACKAGES = {
    "sqlite": ("org.xerial:sqlite-jdbc:3.46.1.3", "org.sqlite.JDBC"),
    "postgresql": ("org.postgresql:postgresql:42.7.4", "org.postgresql.Driver"),
}
"""By the kind of database: the driver's coordinates, which Spark resolves when a source needs it, and its class."""

SPARK_DEFAULTS = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    # HotSpot never compiles a method of more than 8,000 bytes; beyond that, smaller methods are twice as fast.
    "spark.sql.codegen.hugeMethodLimit": "8000",
    # One ingest makes 270 classes; of 100 that are kept, the next finds none and has all compiled again.
    "spark.sql.codegen.cache.maxEntries": "2000",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "2000",
    "spark.sql.parquet.compression.codec": "zstd",
    # What is kept in memory is read back within seconds: to look for its best compression takes longer than it spares.
    "spark.sql.inMemoryColumnarStorage.compressed": "false",
    "spark.sql.adaptive.enabled": "true",
    "spark.python.worker.reuse": "true",
    "spark.databricks.delta.schema.autoMerge.enabled": "false",
    "spark.databricks.delta.snapshotPartitions": "1",
    "spark.databricks.delta.retentionDurationCheck.enabled": "true",
    "spark.ui.enabled": "false",
    # An adaptive plan is described anew for the UI after each of its stages; in full, that takes longer than planning.
    "spark.sql.ui.explainMode": "simple",
    # What the UI would show is held in memory even where there is none, plans of megabytes among it.
    "spark.sql.maxPlanStringLength": "2000",
    "spark.sql.ui.retainedExecutions": "10",
    "spark.ui.retainedJobs": "50",
    "spark.ui.retainedStages": "50",
    "spark.ui.retainedTasks": "500",
    # Every Column would ask Python's stack, and then the JVM, where it was written: half the time of a long mapping.
    "spark.python.sql.dataFrameDebugging.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}


def spark_settings(settings: Settings) -> dict[str, str]:
    """Every Spark setting that Salus asks for; ``settings.spark`` has the last word."""
    # Spark makes a folder for tables by name, which Salus has none of, in the working folder unless told otherwise.
    conf = SPARK_DEFAULTS | {"spark.sql.warehouse.dir": f"{settings.warehouse.rstrip('/')}/_catalog"}
    if settings.jars:
        jars = sorted(str(path) for path in Path(settings.jars).glob("*.jar"))
        if not jars:
            raise Refused(
                f"Received SALUS_JARS={settings.jars}; expected a folder with Delta's jars. "
                "Copy delta-spark, delta-storage and antlr4-runtime there, or unset it."
            )
        conf["spark.jars"] = ",".join(jars)
    else:
        conf["spark.jars.packages"] = DELTA_PACKAGE
    # Where Spark resolves packages to, a source's driver among them; its own choice is a folder of the home.
    conf["spark.jars.ivy"] = str(Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "salus" / "ivy")
    if settings.master.startswith("local"):
        cores = len(os.sched_getaffinity(0))
        conf |= {
            "spark.sql.shuffle.partitions": str(max(4, 2 * cores)),
            "spark.driver.memory": settings.driver_memory,
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.python.daemon.module": "salus.worker_daemon",
        }
    conf |= {f"spark.executorEnv.{name}": value for name, value in memory.ENVIRONMENT.items()}
    conf["spark.driver.extraJavaOptions"] = " ".join(_java_options(settings))
    return conf | settings.spark


def _java_options(settings) -> list[str]:
    options = ["-Dderby.system.home=/tmp"]
    log4j = conf_dir() / "log4j2.properties"
    if log4j.is_file():
        options.append(f"-Dlog4j2.configurationFile=file:{log4j.resolve()}")
    # A batch waits for its end and not for its pauses; on two cores, one pair of ingests took 262 s with G1, 221 s so.
    # Of two collectors the JVM takes none, so one that its own variable names stands.
    if settings.master.startswith("local") and "GC" not in os.environ.get("JDK_JAVA_OPTIONS", ""):
        options.append("-XX:+UseParallelGC")
    return options


def spark_session(settings: Settings, name: str = "salus") -> SparkSession:
    """The running session, or a new one.

    Under ``spark-submit`` the master and every setting that it was given win; what must be set before the JVM
    starts (packages, memory) comes from ``submit.sh`` or the caller's own ``--conf``.
    """
    running = SparkSession.getActiveSession()
    if running is not None:
        return running
    builder = SparkSession.builder.appName(name)
    given = _submitted()
    if given is None:
        builder = builder.master(settings.master)
        if settings.master.startswith("local"):
            os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # workers need this environment, not the PATH's
    else:
        settings = settings.model_copy(update={"master": given.get("spark.master", settings.master)})
    for key, value in spark_settings(settings).items():
        if given is None or not given.contains(key):
            builder = builder.config(key, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    # A cluster's driver compiles beside idle cores; in local mode it takes them from the rows.
    if str(spark.sparkContext.master).startswith("local"):
        plan_quickly(spark)
    return spark


def _submitted() -> SparkConf | None:
    """What ``spark-submit`` was given, in its JVM's own words; None where Python starts the JVM."""
    if os.environ.get("PYSPARK_GATEWAY_PORT") is None:
        return None
    SparkContext._ensure_initialized()
    return SparkConf(loadDefaults=True)
