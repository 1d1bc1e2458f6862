"""The environment: versions of Python and of the packages that compute, as packages, runs and reports name them."""

import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    "pyspark",
    "delta-spark",
    "petastorm",
    "horovod",
    "tensorflow-cpu",
    "tensorflow",
    "keras",
    "pyarrow",
    "numpy",
    "pandas",
    "scikit-learn",
    "es-aces",
    "plotly",
)
"""TensorFlow is installed under one of both names: on computers with GPUs it is the second."""


def packages() -> dict[str, str]:
    """The versions of the packages that compute, where they are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def environment() -> dict[str, str]:
    """The same, and Python's own."""
    return {"python": platform.python_version(), **packages()}
