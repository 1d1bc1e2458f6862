"""A cluster for the tests of a module."""

from types import SimpleNamespace

import pytest

from loopback import standalone


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A standalone cluster of two workers, a core each: its ``url`` and the ``folder`` that they work in."""
    folder = tmp_path_factory.mktemp("cluster")
    with standalone(folder) as url:
        yield SimpleNamespace(url=url, folder=folder)
