"""Python workers that begin with their imports done: Spark forks them from this process.

Spark ends a worker that has been idle for a minute, and every new one would import pandas and pyarrow again: seconds
of each phase where cores are few. Only local mode runs it (salus.session): on a cluster the executors' Python may get
this package after its daemon has begun.
"""

import gc

import pandas  # noqa: F401 (imported for the processes that are forked)
import pyarrow.parquet  # noqa: F401
import pyspark.sql.pandas.serializers
import pyspark.sql.pandas.types  # noqa: F401
from pyspark.daemon import manager

import salus.sources.files  # noqa: F401

if __name__ == "__main__":
    gc.freeze()
    manager()
