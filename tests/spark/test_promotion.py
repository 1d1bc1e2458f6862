"""Champion and challenger: who scores, what moves the alias, and what is written of it either way."""

import argparse
import json
from datetime import datetime

import pytest
from mlflow import MlflowClient
from sklearn.metrics import roc_auc_score

from evaluation_world import PEOPLE_A_SPLIT, TASK, fill, model_row, package, simulated, spec_of_admissions
from salus.cohorts.task import Splits
from salus.errors import Held, Refused
from salus.evaluation.platt import Platt
from salus.evaluation.promote import promote
from salus.evaluation.trained import champion, in_use
from salus.job import spark_job
from salus.storage.tables import Tables
from salus.training.champion import take_stand
from salus.training.registry import registry_of

WIDER = spec_of_admissions(windows_days=(90, 365))
MODELS = [  # what each version looks at, and the spec by which
    ("admission.count.90d", 1.5, {}),
    ("admission.count.90d", 0.5, {"spec": WIDER}),
    ("any_event.days_since_last", -0.7, {}),
]


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory, spark):
    """Three calibrated versions of a model, of which the second says the same by another spec, the third knows little;
    a fourth is registered."""
    folder = tmp_path_factory.mktemp("promotion") / "warehouse"
    dataset_hash = fill(spark, folder)
    with spark_job("set-up", argparse.Namespace(warehouse=str(folder)), quiet=True) as job:
        registry, models, calibrations = registry_of(job, TASK.id), [], []
        for feature, weight, options in MODELS:
            path = f"_packages/{len(models) + 1}"
            info = {"label_hash": TASK.label_hash, "splits": TASK.splits.shares}
            package_hash = package(f"{folder}/{path}", feature, weight, **options, **info)
            version = registry.register("tiny", f"{folder}/{path}", {}, [], {})
            models.append(model_row("tiny", version, package_hash, path, dataset_hash))
            calibration = Platt(-2.0, 0.6, 0.01, -0.002, 0.004, package_hash, 100, 1000, 90)
            calibrations.append(
                {
                    "task_id": TASK.id,
                    "model_name": "tiny",
                    "model_version": version,
                    "package_hash": package_hash,
                    "calibration_version": calibration.version,
                    "calibration": calibration.to_json(),
                    "fitted_at": datetime(2026, 7, 1),
                    "run_id": "evaluate",
                }
            )
        registry.register("tiny", f"{folder}/{path}", {}, [], {})
        job.tables.append("calibrations", job.tables.frame("calibrations", calibrations))
    return folder, models


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_model_comes_stands_falls_and_comes_back(job_in, spark, warehouse):
    folder, models = warehouse
    client = MlflowClient(f"sqlite:///{folder}/_registry/mlflow.db")

    def train(job, model):
        stand = take_stand(job, TASK, model, registry_of(job, TASK.id))
        job.tables.append_all({"models": job.tables.frame("models", [model]), **stand})

    def promoted(**options):
        with job_in(folder, "promote") as job:
            found = promote(job, TASK, **options)
        return job.figures, found

    def now():
        """Who scores, MLflow's aliases, and the newest decision, as a reader of the published tables sees them."""
        tables = Tables(spark, str(folder))
        aliases = {alias: str(version) for alias, version in client.get_registered_model("tiny").aliases.items()}
        newest = tables.read("promotions").orderBy("decided_at").collect()[-1]
        return in_use(tables, TASK).model_version, aliases, newest

    # The first is champion at once, a later one challenger: the champion scores on.
    with job_in(folder, "train") as job:
        train(job, models[0])
        assert promote(job, TASK) == {}
        assert job.figures == {"champion": "1", "decision": "none: it is the champion"}
        train(job, models[1])
    assert now()[:2] == ("1", {"champion": "1", "challenger": "2"})

    # Another spec, the same ranking: not inferior.
    figures, found = promoted()
    assert figures == {"champion": "2", "decision": "promoted"}
    _, samples = simulated()
    held_out = [sample for sample in samples if sample[3] == "held_out"]
    auroc = roc_auc_score([sample[2] for sample in held_out], [sample[4] for sample in held_out])
    for model in ("challenger", "champion"):
        assert found[model]["auroc"]["value"] == pytest.approx(auroc, abs=1e-9)
    assert (found["people"], found["rows"]) == (PEOPLE_A_SPLIT, len(held_out))
    scores, aliases, row = now()
    assert (scores, aliases) == ("2", {"champion": "2"})
    assert (row["champion_version"], row["difference"], row["margin"]) == ("1", 0.0, 0.01)
    calibrated = json.loads(row["figures"])["challenger"]["calibration_slope"]
    assert calibrated["low"] < calibrated["value"] < calibrated["high"]

    # One that knows little is held with its figures, which are published, and the champion stays.
    said = r"of challenger version 3 and 0\.\d+ of champion version 2 on 300 people"
    with pytest.raises(Held, match=said), job_in(folder, "train and promote") as job:
        train(job, models[2])
        promote(job, TASK)
    scores, aliases, row = now()
    assert (scores, aliases, row["decision"]) == ("2", {"champion": "2", "challenger": "3"}, "held")
    assert row["low"] < row["difference"] < row["high"] < -0.01
    assert promoted(force=True)[0] == {"champion": "3", "decision": "forced"}
    assert now()[:2] == ("3", {"champion": "3"})

    # The way back is a promotion too.
    assert promoted(version="1")[0] == {"champion": "1", "decision": "promoted"}
    assert now()[0] == "1"

    # Nobody is compared with a champion that may have learnt from these people, or that predicts something else.
    other_splits = TASK.model_copy(update={"splits": Splits(train=0.5, held_out=0.3)})
    other_label = TASK.model_copy(update={"label": TASK.label.model_copy(update={"run_out_days": 5})})
    never_evaluated = models[0] | {"model_version": "4", "package_hash": "new", "trained_at": datetime(2026, 2, 1)}
    with job_in(folder, "promote") as job:
        with pytest.raises(Held, match="a challenger that was trained with the splits"):
            promote(job, other_splits)
        assert champion(job.tables, other_label) is None
        with pytest.raises(Refused, match="trained for another label"):
            promote(job, other_label)
        train(job, never_evaluated)
        with pytest.raises(Refused, match="never calibrated"):
            promote(job, TASK)
