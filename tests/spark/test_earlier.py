"""What a table held before, and what was appended since: told by the log, or not at all."""

import pytest

from salus.storage.earlier import earlier, grown
from salus.storage.tables import Tables

NAME = "identity"


def rows(tables, subjects):
    return tables.frame(NAME, [{"source_subject_id": one, "subject_id": one} for one in subjects])


def subjects(frame):
    return sorted(row["source_subject_id"] for row in frame.collect())


@pytest.fixture
def twice(spark, tmp_path):
    """A table that grew twice, in a folder whose name looks like a pattern; its versions."""
    tables = Tables(spark, str(tmp_path / "a [b] {c}*"))
    versions = []
    for added in ([1, 2], [3]):
        tables.append(NAME, rows(tables, added))
        versions.append(tables.version(NAME))
    return tables, *versions


def test_what_was_appended_is_told_from_what_was_there(twice):
    tables, first, second = twice
    for since, before, added in ((None, [], [1, 2, 3]), (first, [1, 2], [3]), (second, [1, 2, 3], [])):
        parts = grown(tables, NAME, since)
        assert (subjects(parts.before), subjects(parts.added)) == (before, added)
    assert subjects(earlier(tables, NAME, first)) == [1, 2]


def test_a_table_that_lost_rows_did_not_grow(twice):
    tables, first, second = twice
    tables.delete(NAME, "source_subject_id = 1")
    tables.append(NAME, rows(tables, [4]))
    assert grown(tables, NAME, first) is None
    assert grown(tables, NAME, second) is None
    assert subjects(earlier(tables, NAME, first)) == [1, 2]


def test_of_a_version_whose_log_or_files_are_gone_nothing_is_told(twice):
    tables, first, _ = twice
    lost = earlier(tables, NAME, first).inputFiles()[0].rpartition("/")[2]
    tables.remove(f"{NAME}/{lost}")
    assert earlier(tables, NAME, first) is None
    assert grown(tables, NAME, 99) is None
    assert earlier(tables, NAME, 99) is None
