"""Cross-validation end to end: real exports, real ranks, classical models beside them, and no fold done twice."""

import argparse
from datetime import datetime

import numpy as np
import pytest
from scipy.special import expit

import salus.evaluation.folds as cross
from salus.cohorts.splits import fold_of, split_of
from salus.cohorts.task import Eligibility, Gates, Label, Model, ModelSettings, Task, Tier
from salus.datasets.folder import Folder
from salus.errors import EnvironmentFault, Held
from salus.job import spark_job
from salus.schemas import CODES, COHORT, TIMELINES
from salus.timelines.clocks import MICROSECONDS_PER_DAY, NEVER, STATIC

PEOPLE, FOLDS = 1200, 2
PREDICTION = datetime(2025, 1, 1)
AT = 1_735_689_600_000_000  # in microseconds since the epoch
VISIT = 101


def task_of(**changed):
    window = {"start": "trigger", "end": "start + 90d", "start_inclusive": True, "end_inclusive": False}
    aces = {"predicates": {"visit": {"code": "VISIT"}}, "windows": {"target": window | {"label": "visit"}}}
    settings = ModelSettings(hidden=[8], epochs=6, batch_size=64, learning_rate=0.02, patience=3)
    return Task(
        **{
            "id": "tiny",
            "title": "Tiny",
            "eligibility": Eligibility(),
            "features": {
                "windows_days": (90,),
                "numeric_windows_days": (),
                "most_frequent": 1,
                "min_people": 1,
                "enrolment_days": (30,),
            },
            "model": Model(architecture="mlp", settings=settings),
            "baseline": Model(architecture="logistic", settings=settings),
            "label": Label(horizon_days=90, death="no_event", aces=aces),
            "tiers": [Tier(name="all", from_percentile=0)],
            "folds": FOLDS,
            **changed,
        }
    )


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory, spark):
    """People of whom few visits or many foretell the next: trees and networks see it, a line does not."""
    folder = str(tmp_path_factory.mktemp("folds") / "warehouse")
    random, task = np.random.default_rng(5), task_of()
    subjects = np.arange(1, PEOPLE + 1)
    splits, folds = split_of(subjects, task.splits), fold_of(subjects, FOLDS)
    people, cohort = [], []
    for subject, split, fold in zip(subjects.tolist(), splits.tolist(), folds.tolist()):
        visits = int(random.integers(0, 7))
        times = sorted((AT - random.integers(1, 80, visits) * MICROSECONDS_PER_DAY).tolist())
        label = bool(random.random() < expit(-2.5 + 1.2 * abs(visits - 3)))
        people.append(
            (
                *(subject, AT - 20_000 * MICROSECONDS_PER_DAY, None, None, "female", None),
                *(times, times, [NEVER] * visits, [VISIT] * visits, [float("nan")] * visits),
                *([STATIC], [NEVER], [STATIC], [NEVER], 0, 0),
            )
        )
        cohort.append((subject, PREDICTION, label, *[None] * 5, 1.0, split, fold))
    with spark_job("set-up", argparse.Namespace(warehouse=folder, ranks=2), quiet=True) as job:
        job.tables.replace("timelines", spark.createDataFrame(people, TIMELINES))
        job.tables.replace("codes", spark.createDataFrame([("VISIT", VISIT, "A visit", 3 * PEOPLE, None)], CODES))
        job.tables.replace("cohorts/tiny", spark.createDataFrame(cohort, COHORT))
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
    assert {name for name, _, _ in found} == set(cross.MODELS)
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


def test_a_fold_with_too_few_positive_labels_holds_the_run(warehouse):
    with pytest.raises(Held, match=r"fold 1 of 2; expected at least 5000 positive"):
        cross_validated(warehouse, task_of(gates=Gates(positives_in_each_fold_at_least=5000)))
