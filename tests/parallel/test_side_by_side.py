"""Folds side by side: two trainings in one Spark application, which give what one after another gives."""

import argparse
import shutil
import signal

import psutil
import pytest

from rank_processes import descendants, guardians, ranks
from salus.datasets.folder import Folder
from salus.errors import EnvironmentFault, Refused
from salus.evaluation.folds import folds
from salus.job import Job, spark_job
from salus.training.side_by_side import in_turns, room
from visits_world import fill, task_of

FIGURES = ["model_name", "fold", "metric", "value", "spread", "low", "high", "people", "rows"]


@pytest.fixture(scope="module")
def world(tmp_path_factory, spark):
    """A warehouse of visits."""
    folder = tmp_path_factory.mktemp("side-by-side") / "warehouse"
    fill(spark, str(folder))
    return folder


@pytest.fixture
def cross_validated(world, tmp_path, monkeypatch):
    """``cross_validated(heard, **options)``: the rows of folds of a rank each in two task slots; ``heard`` hears them.

    Each is done in a copy of the warehouse, of which the folder is ``cross_validated.folder``.
    """

    def run(heard, **options):
        run.folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        shutil.copytree(world, run.folder)
        monkeypatch.setattr(Job, "progress", lambda job, line: heard(line))
        with spark_job("folds", argparse.Namespace(warehouse=str(run.folder), ranks=1), quiet=True) as job:
            folds(job, task_of(), **options)
            return sorted(map(tuple, job.tables.read("folds").select(FIGURES).collect()), key=str)

    return run


def told(lines, fold):
    """The places of the lines in which ``fold`` told an epoch."""
    return [place for place, line in enumerate(lines) if line.startswith(f"fold {fold}, tiny")]


@pytest.mark.slow
def test_two_folds_at_once_give_what_one_after_another_gives(cross_validated):
    lines = []
    together = cross_validated(lines.append)
    first, second = told(lines, 1), told(lines, 2)
    assert max(first[0], second[0]) < min(first[-1], second[-1]), "each told epochs while the other went on"
    assert Folder(f"{cross_validated.folder}/_datasets/tiny.folds").names() == []
    assert Folder(f"{cross_validated.folder}/_checkpoints/tiny.folds").names() == []

    lines = []
    assert cross_validated(lines.append, at_once=1) == together
    assert told(lines, 1)[-1] < told(lines, 2)[0], "the second began when the first had ended"


@pytest.mark.slow
def test_a_rank_that_is_killed_ends_its_neighbours_and_the_error_names_the_fold(cross_validated):
    others, lines, concerned = descendants(), [], set()

    def kill_one(line):
        lines.append(line)
        if told(lines, 1) and told(lines, 2) and not concerned:
            concerned.update(ranks(descendants() - others), guardians(descendants() - others))
            assert len(concerned) == 4
            ranks(concerned)[0].send_signal(signal.SIGKILL)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(EnvironmentFault, match=r"^fold [12]: Received the end of a training rank before its work"):
        cross_validated(kill_one)
    _, left = psutil.wait_procs(concerned, 20)
    assert left == []
    assert signal.getsignal(signal.SIGTERM) is before


def test_there_is_room_for_as_many_trainings_as_have_a_slot_for_each_rank(spark):
    assert [room(spark, each) for each in (1, 2, 3)] == [2, 1, 1]
    assert list(in_turns(spark, [4, 5, 6], 1, None)) == [[4, 5], [6]]
    assert list(in_turns(spark, [4, 5], 1, 1)) == [[4], [5]]
    with pytest.raises(Refused, match="Received 2 trainings side by side of 2 ranks each; expected at most 1"):
        in_turns(spark, [4, 5], 2, 2)
