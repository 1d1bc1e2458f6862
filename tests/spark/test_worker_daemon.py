"""Python workers that begin with their imports done, and with allocators that keep what they had."""

from salus import memory


def test_a_worker_begins_with_what_its_batches_need(spark):
    def loaded(_):
        import sys

        return [name for name in ("pandas", "pyarrow", "pyspark.sql.pandas.serializers") if name in sys.modules]

    (found,) = spark.sparkContext.parallelize([0], 1).map(loaded).collect()
    assert found == ["pandas", "pyarrow", "pyspark.sql.pandas.serializers"]


def test_workers_are_forked_from_the_process_that_has_them(spark):
    def parent(_):
        import os
        from pathlib import Path

        return Path(f"/proc/{os.getppid()}/cmdline").read_bytes().split(b"\0")

    (command,) = spark.sparkContext.parallelize([0], 1).map(parent).collect()
    assert b"salus.worker_daemon" in command


def test_a_worker_keeps_its_memory_for_the_next_batch(spark):
    def kept(_):
        import os

        import pyarrow

        from salus.memory import ENVIRONMENT

        return pyarrow.default_memory_pool().backend_name, {name: os.environ.get(name) for name in ENVIRONMENT}

    (found,) = spark.sparkContext.parallelize([0], 1).map(kept).collect()
    assert found == ("mimalloc", memory.ENVIRONMENT)
