"""What a delivery asks for: decided from the files' names, contents and times alone."""

import os
import time
from datetime import datetime
from types import SimpleNamespace

import pytest

from salus.errors import Refused
from salus.settings import load_yaml
from salus.sources.declaration import Source
from salus.sources.deliveries import Noted, planned
from salus.sources.files import Found, Landed, hashed, inspect
from salus.sources.loading import load_source, read_source

MAY, JUNE, JULY = (datetime(2021, month, 1) for month in (5, 6, 7))
DELTA = SimpleNamespace(name="registry", delivery="delta")
SNAPSHOT = SimpleNamespace(name="registry", delivery="snapshot")


def file(name, content, modified=MAY, is_growing=False):
    return Found(path=f"/{name}", name=name, bytes=1, file_id=ord(content), modified=modified, is_growing=is_growing)


def kind_of(found):
    """A file's type is its name's first word."""
    return None if found.name.startswith("?") else found.name.split("_")[0].replace("log", "")


def plan(source, found, noted=(), mapping="m", at=None):
    """The plan, and the names of the files that had to be read for it."""
    read = []

    def look(files):
        read.extend(one.name for one in files)
        return [
            Landed(
                **vars(one),
                records=1,
                first_line="",
                record_type=kind_of(one),
                kinds=(),
                reading="lines",
                error=None,
            )
            for one in files
        ]

    made = planned(source, found, list(noted), mapping, at, look)
    return made, read


def noted(name, content, at=MAY, mapping="m", batch=0):
    kind = kind_of(SimpleNamespace(name=name)) or "ignored"
    return Noted(ord(content), name, kind, mapping, at, batch, 0)


def names(files):
    return [one.name for one in files]


def test_a_delta_maps_new_content_once_and_reads_nothing_else():
    made, read = plan(DELTA, [file("lab_1", "a"), file("lab_2", "b"), file("lab_3", "a")], [noted("lab_1", "a")])
    assert names(made.files) == read == ["lab_2"]
    assert made.repeated == {"lab_3": "lab_1"}
    assert (made.anew, made.growing) == ([], [])


def test_content_that_stands_twice_in_one_delivery_is_mapped_once():
    made, _ = plan(DELTA, [file("lab_1", "a"), file("lab_2", "a")])
    assert (names(made.files), made.repeated) == (["lab_1"], {"lab_2": "lab_1"})


def test_a_file_that_grows_is_left_and_the_rest_of_a_delta_taken():
    made, _ = plan(DELTA, [file("lab_1", "a"), file("lab_2", "b", is_growing=True)])
    assert (names(made.files), made.growing) == (["lab_1"], ["lab_2"])


def test_a_changed_mapping_takes_the_files_anew_that_are_at_hand():
    before = [noted("lab_1", "a", mapping="old"), noted("lab_0", "z", mapping="old")]
    made, _ = plan(DELTA, [file("lab_1", "a")], before)
    assert (names(made.files), made.anew) == (["lab_1"], before[:1])


def test_a_snapshot_takes_all_files_of_a_type_that_changed_and_none_of_one_that_did_not():
    before = [noted("person_1", "p"), noted("lab_1", "a"), noted("lab_2", "b")]
    now = [file("person_1", "p", JUNE), file("lab_1", "a", JUNE), file("lab_2", "c", MAY)]
    made, read = plan(SNAPSHOT, now, before)
    assert names(made.files) == ["lab_1", "lab_2"]
    assert sorted(read) == ["lab_1", "lab_2"]
    assert (made.delivered_at, made.next_at) == (JUNE, {})
    again, read = plan(SNAPSHOT, now, [*before, noted("lab_1", "a", JUNE, batch=1), noted("lab_2", "c", JUNE, batch=1)])
    assert (again.files, read) == ([], [])


def test_a_snapshot_that_looks_like_an_older_one_is_taken_again():
    before = [noted("lab", "a", MAY), noted("lab", "b", JUNE)]
    assert names(plan(SNAPSHOT, [file("lab", "a", JULY)], before)[0].files) == ["lab"]
    assert names(plan(SNAPSHOT, [file("lab", "b", JULY)], before)[0].files) == []


def test_a_snapshot_that_comes_late_knows_what_came_after_it():
    before = [noted("lab", "a", MAY), noted("lab", "c", JULY)]
    made, _ = plan(SNAPSHOT, [file("lab", "b", JUNE)], before)
    assert made.next_at == {"lab": JULY}
    assert names(plan(SNAPSHOT, [file("lab", "a", JUNE)], before)[0].files) == []  # nothing changed in between


def test_a_snapshot_waits_until_all_of_its_files_are_whole():
    made, _ = plan(SNAPSHOT, [file("person", "p"), file("lab", "a", is_growing=True)])
    assert (made.files, made.growing) == ([], ["lab"])


def test_a_second_snapshot_of_one_time_is_refused():
    with pytest.raises(Refused, match="one snapshot a time"):
        plan(SNAPSHOT, [file("lab_2", "b")], [noted("lab_1", "a")])
    # Under another mapping the files of that time are mapped anew.
    before = [noted("lab_1", "a", mapping="old")]
    made, _ = plan(SNAPSHOT, [file("lab_1", "a")], before)
    assert (names(made.files), made.anew) == (["lab_1"], before)


def test_files_that_a_snapshot_ignores_are_read_once():
    assert names(plan(SNAPSHOT, [file("log_1", "x"), file("lab", "a")])[0].files) == ["lab", "log_1"]
    made, read = plan(SNAPSHOT, [file("log_1", "x"), file("lab", "a")], [noted("log_1", "x"), noted("lab", "a")])
    assert (made.files, read) == ([], [])


def test_a_file_grows_where_it_was_just_changed_or_changes_while_it_is_read(tmp_path):
    path = tmp_path / "lab.csv"
    path.write_text("lab\nl1\n")
    os.utime(path, (time.time() - 100,) * 2)
    assert not hashed(str(path), str(tmp_path), 60).is_growing
    assert hashed(str(path), str(tmp_path), 3600).is_growing
    before = hashed(str(path), str(tmp_path))
    with path.open("a") as more:
        more.write("l2\n")
    assert inspect(before, load_source("wearable_daily")).is_growing


def test_a_snapshot_may_not_have_versions_of_its_own(tmp_path):
    text = """\
format: csv
system: registry
system_priority: 1
delivery: snapshot
times: [{matches: 'x', reads: 'NULL'}]
records:
  lab: {files: ['lab*'], id: lab, subject: person, version: released, time: day}
"""
    path = tmp_path / "registry.yml"
    path.write_text(text)
    with pytest.raises(Refused, match=r"records\.lab\.version"):
        read_source(path)
    path.write_text(text.replace("version: released, ", ""))
    source = read_source(path)
    assert isinstance(source, Source)
    assert source.delivery == "snapshot"
    content = load_yaml(path)
    assert "expected" not in content


def test_what_a_source_says_of_its_deliveries_is_no_part_of_its_mapping(tmp_path):
    text = """\
format: csv
system: registry
system_priority: 1
times: [{matches: 'x', reads: 'NULL'}]
records:
  lab: {id: lab, subject: person, time: day}
"""
    hashes = []
    for more in ("", "expected: {every: day}\nsettle_seconds: 5\nrefuse_above: 0.5\n", "clock: live\n"):
        path = tmp_path / "r.yml"
        path.write_text(text + more)
        hashes.append(read_source(path).mapping_hash("main", ""))
    assert hashes[0] == hashes[1] != hashes[2]
