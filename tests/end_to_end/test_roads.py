"""What the slow roads change of a task is still there to be changed: their fixtures would fail hours later."""

import importlib
import shutil
from pathlib import Path

import pytest

from road import change
from salus.cohorts.task import Task
from salus.settings import conf_dir

HERE = Path(__file__).parent
FILES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(HERE.glob("test_*.py"))}
ROADS = [name for name, text in FILES.items() if "\nfrom road import " in text and name != Path(__file__).stem]


@pytest.mark.parametrize("road", ROADS)
def test_what_a_road_changes_of_its_tasks_leaves_tasks(road, tmp_path, monkeypatch):
    shutil.copytree(conf_dir(), tmp_path / "conf")
    monkeypatch.setenv("SALUS_CONF", str(tmp_path / "conf"))
    tasks = importlib.import_module(f"{HERE.name}.{road}").TASKS
    shipped = {task: Task.load(task).hash for task in tasks if (tmp_path / "conf/tasks" / f"{task}.yml").is_file()}
    change(tmp_path / "conf" / "tasks", tasks)
    changed = {task: Task.load(task) for task in tasks}
    assert all(changed[task].hash != before for task, before in shipped.items())
    assert [task.id for task in changed.values()] == [*tasks]
