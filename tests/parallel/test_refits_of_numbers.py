"""A count, a time to event and classes are searched and refitted as an event is, each by its own figures."""

import argparse

import pytest

from salus.cohorts.label import Label
from salus.cohorts.search_space import Candidates
from salus.cohorts.task import Calibration, Model, ModelSettings, Tier
from salus.datasets.export import export
from salus.datasets.folder import Folder
from salus.evaluation.evaluate import evaluate
from salus.evaluation.refits import refits
from salus.evaluation.refits import table as refits_table
from salus.job import spark_job
from salus.training.train import train
from salus.training.trials import table as trials_table
from salus.training.tune import tune
from visits_world import HORIZON, fill, task_of

TIERS = [Tier(name="high", from_percentile=80), Tier(name="low", from_percentile=0)]
SETTINGS = ModelSettings(hidden=[], epochs=3, batch_size=64, learning_rate=0.02, dropout=0.3)


def label_of(kind):
    aces = task_of().label.aces
    return {
        "count": {"count": {"codes": ["VISIT"], "unit": "visits"}},
        "time": {"time_to_event": {"intervals_days": [30, 60, HORIZON]}, "death": "event"},
        "classes": {
            "aces": {**aces, "predicates": {**aces["predicates"], "other": {"code": "OTHER"}}},
            "classes": {"predicates": ["other", "visit"]},
        },
    }[kind]


@pytest.mark.slow  # some ten trainings each
@pytest.mark.parametrize(
    ("kind", "metric", "heading", "ranked_by"),
    [
        ("count", "tuning_d2", "deviance explained", "d2"),
        ("time", "tuning_d2", "deviance explained", "auroc"),
        ("classes", "tuning_macro_auroc", "mean AUROC", "auroc"),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_search_finds_the_network_and_its_refits_say_how_sure_a_person_is(
    spark, tmp_path, kind, metric, heading, ranked_by
):
    warehouse = str(tmp_path / "warehouse")
    fill(spark, warehouse)
    task = task_of(
        label=Label(horizon_days=HORIZON, **{"death": "no_event"} | label_of(kind)),
        model=Model(architecture="mlp", settings=SETTINGS),
        calibration=Calibration(method="scale" if kind == "count" else "platt"),
        tiers=TIERS,
        tune={"hidden": Candidates(choices=([16], [16, 8]))},
    )

    def run(work, *given, **options):
        with spark_job(work.__name__, argparse.Namespace(warehouse=warehouse, ranks=1), quiet=True) as job:
            return job, work(job, task, *given, **options)

    run(export)
    job, trials = run(tune, trials=2, sampler="random")
    own, other = sorted(trials, key=lambda row: row["trial"])
    assert {row["metric"] for row in trials} == {metric}
    assert own["tuning_metric"] < other["tuning_metric"], "a line sees no risk that falls and rises"
    assert other["is_best"]
    assert job.figures["best"] == other["tuning_metric"]
    assert f"tuning {heading}" in trials_table(trials)

    run(train, is_tuned=True)
    run(evaluate)
    job, _ = run(refits, 2)
    rows = [row.asDict() for row in job.tables.read("refits").collect()]
    found = {row["metric"]: row for row in rows if row["band"] is None}
    assert 0 < found["spread_p50"]["value"] <= found["spread_p90"]["value"] <= found["spread_p99"]["value"]
    assert 0 < found["tier_changed"]["value"] < 0.5
    assert 0.5 < found["top_tier_kept"]["value"] <= 1
    lowest, mean, highest = (found[ranked_by][name] for name in ("lowest", "value", "highest"))
    assert lowest < mean < highest
    [measured] = (
        job.tables.read("evaluations")
        .where(f"model_name = 'model' AND metric = '{ranked_by}' AND subgroup IS NULL")
        .collect()
    )
    assert mean == pytest.approx(measured["value"], abs=0.15)
    told = {row["band"]: row["value"] for row in rows if row["metric"] == "told" and row["band"] is not None}
    assert 0 <= told[1] < told[10]
    assert (told[10] > 1) == (kind == "count"), "an estimate is in visits, a probability below 1"
    assert ranked_by in refits_table(rows)
    assert Folder(f"{warehouse}/_checkpoints/tiny.refits").names() == []
