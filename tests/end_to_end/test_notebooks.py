"""The notebooks, each from its first cell to its last, on a demo's warehouse."""

import json
import shutil
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


@pytest.fixture(scope="module")
def warehouse(first_demo, tmp_path_factory):
    """A copy of the first demo's warehouse, for notebooks that write."""
    return shutil.copytree(first_demo[1] / "warehouse", tmp_path_factory.mktemp("notebooks") / "warehouse")


def executed(name, warehouse, monkeypatch) -> dict:
    """What the cells of notebook ``name`` leave, run one after the other in one namespace."""
    monkeypatch.setenv("SALUS_WAREHOUSE", str(warehouse))
    document = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text())
    left: dict = {}
    for cell in document["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [], "outputs show people: clear them before committing"
            exec(compile("".join(cell["source"]), f"{name}.ipynb, {cell['id']}", "exec"), left)
    return left


def test_a_score_is_explored_down_to_its_timeline(spark, warehouse, monkeypatch):
    left = executed("explore", warehouse, monkeypatch)
    history = left["history"]
    assert len(history) > 10
    assert (history["available"] <= left["night"].isoformat()).all()
    assert {"model", "baseline", "oracle"} <= set(left["evaluation"]["model_name"])
    means = {
        row["label"]: row["mean"]
        for row in left["scored"]
        .groupBy("label")
        .agg({"probability": "mean"})
        .selectExpr("label", "`avg(probability)` AS mean")
        .collect()
    }
    assert 0 < means[0] < means[1] < 1


def test_a_task_is_written_trained_and_scored(spark, warehouse, monkeypatch):
    left = executed("task", warehouse, monkeypatch)
    tables, task = left["tables"], left["task"]
    assert task.label.horizon_days == 180
    night = tables.read("score_runs").where(f"task_id = '{task.id}'").head()
    assert night["eligible"] == night["scored"] + night["not_scored"] == left["scores"].count() > 0
    assert 0.5 < left["figures"].query("metric == 'auroc' and model_name == 'model'")["value"].item() < 1
