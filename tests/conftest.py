"""Fixtures for every test: one Spark session for the whole run, a warehouse of its own for each test.

What a test needs is a marker (pyproject.toml). ``spark`` and ``parallel`` need not be written: they follow from
the ``spark`` fixture and from the folder.
"""

import argparse
import fcntl
import gc
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]
REAL_DATA = ROOT.parent / "shared" / "data"
BY_FOLDER = {"spark": "spark", "end_to_end": "spark", "training": "training", "parallel": "parallel"}

# How long an example takes says how busy the machine is, and nothing of the code.
settings.register_profile("fast", deadline=None, max_examples=8)
settings.register_profile("plain", deadline=None, max_examples=40)
settings.register_profile("long", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("SALUS_TEST_PROFILE", "plain"))

# Modules by the hundred are imported and hardly anything is thrown away: one look for garbage in fifty is enough.
gc.set_threshold(50 * gc.get_threshold()[0])

os.environ.setdefault("SALUS_CONF", str(ROOT / "conf"))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
# A test's JVM lives for too short a time to earn back what the optimizing compiler and parallel collectors cost.
# Of what the quick one makes, Spark's generated classes would fill the 48 MB that it gets within a minute.
os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=512m -XX:+UseSerialGC")
# Spark's Python workers and Horovod's ranks are processes of their own.
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT / "lib"), *filter(None, [os.environ.get("PYTHONPATH")])])


def pytest_collection_modifyitems(items):
    """Mark what needs Spark or ranks, and run it after what needs nothing."""
    for item in items:
        folder = Path(item.path).relative_to(ROOT / "tests").parts[0]
        if folder in BY_FOLDER:
            item.add_marker(BY_FOLDER[folder])
        if "spark" in getattr(item, "fixturenames", ()):
            item.add_marker("spark")
    demo = next((item.path for item in items if _asks_for_the_demo(item)), None)
    items.sort(key=lambda item: _turn(item, demo))


def pytest_collection_finish():
    """Put aside what was imported and collected: it lives to the end, and is no garbage to be looked for."""
    gc.freeze()


def _turn(item, demo):
    """What needs nothing comes first; side by side, the longest does, so that none of them is waited for at the end.

    One process then makes the demo, for the file ``demo``. The other needs none for as long as there are ranks to run.
    """
    is_parallel, *others = (item.get_closest_marker(name) is not None for name in ("parallel", "training", "spark"))
    if os.environ.get("PYTEST_XDIST_WORKER"):
        is_later = _asks_for_the_demo(item) == is_parallel  # last of what runs ranks, first of what does not
        return [item.path != demo, not is_parallel, *(not needed for needed in others), is_later]
    return [is_parallel, *others]


def _asks_for_the_demo(item):
    return "first_demo" in getattr(item, "fixturenames", ())


@pytest.fixture(scope="session")
def spark(request, tmp_path_factory):
    """The one session of the run: local[2] with Delta, four shuffle partitions, 2 GB."""
    from pyspark.cloudpickle import register_pickle_by_value

    from salus.session import spark_session
    from salus.settings import load_settings

    # A worker cannot import a test's module, so its functions travel by value.
    for module in {item.module for item in request.session.items if getattr(item, "module", None)}:
        register_pickle_by_value(module)
    session = spark_session(
        load_settings(
            master="local[2]",
            driver_memory="2g",
            spark={
                "spark.sql.shuffle.partitions": "4",
                "spark.default.parallelism": "2",
                # Compiling an expression takes longer than a test's few rows; demos and clusters compile as ever.
                "spark.sql.codegen.wholeStage": "false",
                "spark.sql.codegen.factoryMode": "NO_CODEGEN",
                "spark.sql.warehouse.dir": str(tmp_path_factory.mktemp("spark-warehouse")),
            },
        ),
        name="tests",
    )
    yield session
    session.stop()


@pytest.fixture
def tables(spark, tmp_path):
    """An empty warehouse."""
    from salus.storage.tables import Tables

    return Tables(spark, str(tmp_path / "warehouse"))


@pytest.fixture
def job_in(spark):
    """``with job_in(folder) as job:`` runs a job in a warehouse, with lock, ledger and publication."""
    from salus.job import spark_job

    def enter(warehouse, name="test", **arguments):
        return spark_job(name, argparse.Namespace(warehouse=str(warehouse), **arguments), quiet=True)

    return enter


@pytest.fixture(scope="session")
def first_demo(tmp_path_factory):
    """A first demo of 400 people, started as submit.sh starts it: how it ended, and the folder where it worked.

    Test processes side by side share one: whoever comes first runs it.
    """
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if os.environ.get("PYTEST_XDIST_WORKER") else own
    folder, ended = shared / "first_demo", shared / "first_demo.ended"
    with open(shared / "first_demo.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ended.is_file():
            folder.mkdir()
            ended.write_bytes(pickle.dumps(_first_demo(folder)))
    process = pickle.loads(ended.read_bytes())
    assert process.returncode == 0, process.stderr[-4000:]
    return process, folder


def _first_demo(folder):
    asked = ["demo", "--people=400", "--seed=7"]  # the warehouse is the default one, in the working folder
    return subprocess.run(
        [sys.executable, "-m", "salus.launch", *asked],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name != "SALUS_WAREHOUSE"}
        | {"SALUS_MASTER": "local[2,4]", "SALUS_DRIVER_MEMORY": "2g"},
    )


@pytest.fixture(scope="session")
def real_data():
    """The folder of the small real files that are kept beside the checkout, or that a link there names."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"there is no {REAL_DATA.name} folder of real files beside the checkout")
    return REAL_DATA.resolve()
