"""The road from raw files to whatever a test asks for, job after job, in a warehouse of its own."""

import shutil
from contextlib import contextmanager
from datetime import date

import pytest

import cohort
import evaluate
import export
import ingest
import salus.settings
import simulate
import timelines
import train

AS_OF = date(2026, 6, 30)
FOLDERS = {"fhir_r4": "ehr", "payer_extract": "payer"}
KEY = "5a" * 32
"""Who is in which split follows from the key: with one of its own, each run would have other people to learn from."""


@contextmanager
def at_home(folder, tasks, ranks=1):
    """A warehouse in ``folder``, an empty one, for the shipped ``tasks`` as they are changed (see ``travelled``).

    Yields:
        A function that runs a job on the warehouse: (module, arguments).
    """
    shutil.copytree(salus.settings.conf_dir(), folder / "conf")
    change(folder / "conf" / "tasks", tasks)
    (folder / "key").write_text(KEY, encoding="ascii")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SALUS_CONF", str(folder / "conf"))
        patch.setenv("SALUS_RANKS", str(ranks))
        patch.setenv("SALUS_KEY_FILE", str(folder / "key"))
        yield lambda job, *arguments: job.main([f"--warehouse={folder / 'warehouse'}", *arguments])


@contextmanager
def travelled(folder, people, sources, files, tasks, ranks=1, plant=()):
    """A warehouse in ``folder`` in which every job up to the evaluation of ``tasks`` has run.

    Args:
        folder: an empty one.
        people: how many are simulated.
        sources: names of those that are ingested.
        files: how the names of their files begin, up to the first full stop; what else there is costs minutes.
        tasks: id to the texts of its file that give way to others; a task that does not ship follows from the one that
            its first change names by ``id: ``, as that was changed before.
        ranks: of the training.
        plant: further arguments of the simulation, such as ``--plant=treatment``.

    Yields:
        A function that runs another job on the warehouse: (module, arguments).
    """
    with at_home(folder, tasks, ranks) as run:
        simulate.main([f"--people={people}", "--seed=7", f"--as-of={AS_OF}", f"--out={folder / 'landing'}", *plant])
        for source in sources:
            landed = folder / "landing" / FOLDERS[source]
            for path in landed.iterdir():
                if path.name.partition(".")[0] not in files:
                    path.unlink()
            run(ingest, f"--source={source}", f"--input={landed}")
        run(timelines)
        for task in tasks:
            for phase, *arguments in ((cohort,), (export,), (train, "--force"), (evaluate,)):
                run(phase, f"--task={task}", *arguments)
        yield run


def change(folder, tasks):
    """Write each of ``tasks``, as ``travelled`` has them, into the ``folder`` of the tasks."""
    for task, changes in tasks.items():
        source = folder / f"{task}.yml"
        if not source.is_file():
            source = folder / f"{changes[0][0].removeprefix('id: ')}.yml"
        text = source.read_text(encoding="utf-8")
        for old, new in changes:
            assert old in text, f"{source.name} says no more {old!r}, which a test changes"
            text = text.replace(old, new)
        (folder / f"{task}.yml").write_text(text, encoding="utf-8")
