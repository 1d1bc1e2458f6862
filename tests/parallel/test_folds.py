"""Cross-validation end to end: real exports, real ranks, classical models beside them, and no fold done twice."""

import argparse

import numpy as np
import pytest

import salus.evaluation.folds as cross
from salus.cohorts.label import Label
from salus.cohorts.splits import fold_of
from salus.cohorts.task import Calibration, Gates
from salus.datasets.folder import Folder
from salus.errors import EnvironmentFault, Held
from salus.evaluation.contest import OF_EVENTS
from salus.job import spark_job
from visits_world import FOLDS, HORIZON, PEOPLE, fill, task_of

pytestmark = pytest.mark.slow  # four models, two folds each, by two ranks


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory, spark):
    folder = str(tmp_path_factory.mktemp("folds") / "warehouse")
    fill(spark, folder)
    return folder


def cross_validated(warehouse, task):
    with spark_job("folds", argparse.Namespace(warehouse=warehouse, ranks=2), quiet=True) as job:
        cross.folds(job, task)
        rows = [row.asDict() for row in job.tables.read("folds").collect()]
    return job, rows


def test_all_models_go_through_all_folds_and_a_fold_that_is_done_is_not_done_again(warehouse, monkeypatch):
    trained = []
    run_ranks = cross.run_ranks

    def once(spark, plan, *rest, **options):
        if len(trained) == 1:
            trained.append(plan.dataset_hash)
            raise EnvironmentFault("Received the end of a rank; expected its work.")
        trained.append(plan.dataset_hash)
        return run_ranks(spark, plan, *rest, **options)

    monkeypatch.setattr(cross, "run_ranks", once)
    with pytest.raises(EnvironmentFault):
        cross_validated(warehouse, task_of())
    _, rows = cross_validated(warehouse, task_of())
    assert len(trained) == FOLDS + 1
    assert trained[1] == trained[2]

    found = {(row["model_name"], row["metric"], row["fold"]): row for row in rows}
    sizes = [found["model", "auroc", fold]["people"] for fold in range(FOLDS)]
    assert sizes == np.bincount(fold_of(np.arange(1, PEOPLE + 1), FOLDS)).tolist()
    assert {name for name, _, _ in found} == set(OF_EVENTS.models)
    assert found["prevalence", "auroc", None]["value"] == 0.5
    trees, line = (found[name, "auroc", None]["value"] for name in ("boosted_trees", "linear_svm"))
    assert trees > 0.75
    assert line < trees - 0.02
    gained = [found["model", "auroc", fold]["value"] - found["linear_svm", "auroc", fold]["value"] for fold in (0, 1)]
    assert found["model", "auroc_over_linear_svm", None]["value"] == pytest.approx(np.mean(gained))
    assert 0.7 < found["boosted_trees", "calibration_slope", None]["value"] < 1.4

    again, same = cross_validated(warehouse, task_of())
    assert again.skipped
    assert len(trained) == FOLDS + 1
    assert sorted(map(str, same)) == sorted(map(str, rows))
    text = cross.table(same)
    assert f"{trees:.3f} ± " in text
    assert "AUROC over boosted trees" in text
    assert Folder(f"{warehouse}/_folds/tiny").names() == []
    assert Folder(f"{warehouse}/_datasets/tiny.folds").names() == []


def figures_of(warehouse, **label):
    """The figures over all folds of a task whose label is of another kind, and how many rows were measured."""
    calibration = Calibration(method="scale" if "count" in label else "platt")
    task = task_of(label=Label(horizon_days=HORIZON, **{"death": "no_event"} | label), calibration=calibration)
    _, rows = cross_validated(warehouse, task)
    assert "boosted trees" in cross.table(rows)
    found = {(row["model_name"], row["metric"]): row for row in rows if row["fold"] is None}
    return {key: row["value"] for key, row in found.items()}, found["model", "auroc" if "count" not in label else "d2"]


def test_counts_are_ranked_by_the_deviance_that_is_explained(warehouse):
    found, over_all = figures_of(warehouse, count={"codes": ["VISIT"], "unit": "visits"})
    assert {name for name, _ in found} == {"model", "baseline", "boosted_trees", "mean"}
    assert over_all["rows"] == PEOPLE
    assert found["boosted_trees", "d2"] > 0.2
    assert found["boosted_trees", "d2"] > found["baseline", "d2"] + 0.1, "a line sees no count that falls and rises"
    assert found["mean", "d2"] == pytest.approx(0, abs=0.01)
    assert found["model", "d2_over_boosted_trees"] == pytest.approx(found["model", "d2"] - found["boosted_trees", "d2"])
    assert all(0.8 < found[name, "predictive_ratio"] < 1.25 for name in ("model", "baseline", "boosted_trees", "mean"))


def test_times_to_event_are_a_yes_or_no_at_the_horizon_of_those_known_there(warehouse):
    found, over_all = figures_of(warehouse, death="event", time_to_event={"intervals_days": [30, 60, HORIZON]})
    assert PEOPLE * 0.85 < over_all["rows"] < PEOPLE * 0.95, "a tenth left early"
    assert {name for name, _ in found} == set(OF_EVENTS.models)
    assert found["boosted_trees", "auroc"] > max(0.75, found["linear_svm", "auroc"] + 0.02)
    assert found["prevalence", "auroc"] == 0.5


def test_classes_are_a_yes_or_no_of_their_focus(warehouse):
    aces = task_of().label.aces
    classes = {"predicates": ["other", "visit"]}
    aces = {**aces, "predicates": {**aces["predicates"], "other": {"code": "OTHER"}}}
    found, over_all = figures_of(warehouse, aces=aces, classes=classes)
    assert over_all["rows"] == PEOPLE
    assert found["boosted_trees", "auroc"] > max(0.75, found["linear_svm", "auroc"] + 0.02)
    assert found["model", "auroc"] > 0.55


def test_a_fold_with_too_few_positive_labels_holds_the_run(warehouse):
    with pytest.raises(Held, match=r"fold 1 of 2; expected at least 5000 positive"):
        cross_validated(warehouse, task_of(gates=Gates(positives_in_each_fold_at_least=5000)))
