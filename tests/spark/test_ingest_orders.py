"""Deliveries in any order, repeated, and cut short: everybody's timeline is the same in the end."""

import shutil
from datetime import datetime, time
from pathlib import Path

import numpy as np
import pytest

from registry_deliveries import FIRST, PEOPLE, WEEK, deliveries
from salus.privacy.pseudonyms import create_key
from salus.settings import conf_dir
from salus.sources.ingest import ingest
from salus.storage.tables import Tables
from salus.timelines.build import build

REGISTRY = Path(__file__).resolve().parents[1] / "data" / "registry.yml"
WEEKS = 3


class Cut(Exception):
    """The end of a process, as far as the tables can tell."""


@pytest.fixture
def landing(tmp_path, monkeypatch):
    """Folders of files, one a week, and a file of the second week under another name."""
    shutil.copytree(conf_dir(), tmp_path / "conf")
    declared = REGISTRY.read_text()
    assert "refuse_above: 0.5" in declared
    # A delivery may come before those that name its people.
    (tmp_path / "conf" / "sources" / "registry.yml").write_text(
        declared.replace("refuse_above: 0.5", "refuse_above: 1")
    )
    monkeypatch.setenv("SALUS_CONF", str(tmp_path / "conf"))
    monkeypatch.setenv("SALUS_KEY_FILE", str(tmp_path / "key"))
    deliveries(WEEKS, tmp_path / "weeks")
    (tmp_path / "weeks" / "again").mkdir()
    shutil.copy(tmp_path / "weeks" / "01" / "lab.csv", tmp_path / "weeks" / "again" / "lab.csv")
    return tmp_path / "weeks"


def delivered(job_in, warehouse, landing, name):
    """Put the files of the folder ``name`` beside those that came before, and ingest them by their own week's clock."""
    place = warehouse.with_suffix(".landing")
    place.mkdir(exist_ok=True)
    for file in sorted((landing / name).iterdir()):
        shutil.copy(file, place / f"{file.stem}_{name}.csv")
    week = 1 if name == "again" else int(name)
    with job_in(warehouse, "ingest") as job:
        key = create_key(job.settings.key_path)
        ingest(job, "registry", str(place), key, delivered_at=datetime.combine(FIRST + week * WEEK, time()))


def timelines_of(job_in, warehouse):
    with job_in(warehouse, "timelines") as job:
        build(job)
    assert job.tables.read("quarantine").isEmpty()
    return sorted(map(str, job.tables.read("timelines").collect()))


def cut_after(monkeypatch, writes):
    """Let the process end in the place of the next but ``writes`` write of a table."""
    write, left = Tables._write, [writes]

    def until(self, *arguments, **options):
        left[0] -= 1
        if left[0] < 0:
            raise Cut
        write(self, *arguments, **options)

    monkeypatch.setattr(Tables, "_write", until)


@pytest.mark.slow  # some fifteen ingests, and timelines twice
@pytest.mark.parametrize("seed", range(9))
def test_in_any_order_again_and_cut_short_they_end_the_same(job_in, landing, tmp_path, monkeypatch, seed):
    weeks = [f"{week:02d}" for week in range(WEEKS)]
    for name in weeks:
        delivered(job_in, tmp_path / "in_order", landing, name)
    random, warehouse, cuts = np.random.default_rng(seed), tmp_path / "in_disorder", 0
    # The last week's first, of people whom nobody has named yet; then the others, and one again, in an order of chance.
    for name in [weeks[-1], *random.permutation([*weeks[:-1], "again"])]:
        with monkeypatch.context() as ending:
            cut_after(ending, int(random.integers(0, 10)))
            try:
                delivered(job_in, warehouse, landing, name)
            except Cut:
                cuts += 1
        delivered(job_in, warehouse, landing, name)
    assert cuts > 1
    expected = timelines_of(job_in, tmp_path / "in_order")
    assert len(expected) == PEOPLE
    assert timelines_of(job_in, warehouse) == expected
