"""An evaluation end to end: calibrated on its own split, measured beside its competitors, leakage priced, done once."""

import argparse
from datetime import date, datetime

import keras
import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema
from scipy.special import expit

from salus.cohorts.task import Eligibility, Label, Model, Task, Tier
from salus.datasets.export import DATASETS, NEWEST, open_dataset
from salus.datasets.folder import Folder, sha256
from salus.datasets.manifest import MANIFEST, SPEC, stated
from salus.datasets.parquet import Samples, written
from salus.errors import Refused
from salus.evaluation.evaluate import evaluate
from salus.evaluation.predictions import is_sampled, sampled
from salus.evaluation.trained import calibration_of, trained
from salus.job import spark_job
from salus.schemas import COHORT, DEMO_TRUTH, TIMELINES
from salus.timelines.clocks import MICROSECONDS_PER_DAY, NEVER, STATIC, micros
from salus.timelines.model_inputs import model_inputs
from salus.timelines.spec import CodeGroup, FeatureSpec, Statistics
from salus.timelines.standardise import standardise
from salus.training.package import model_bytes, write_package

DAY = MICROSECONDS_PER_DAY
TIMES = [micros(date(2025, month, 1)) for month in (1, 4, 7)]
ADMISSION = 101
SPLITS = ("train", "tuning", "calibration", "held_out")
PEOPLE_A_SPLIT = 300


@pytest.fixture(scope="module")
def spec():
    group = CodeGroup(name="admission", label="Admissions", kind="count", codes=("A",), code_hashes=(ADMISSION,))
    bare = FeatureSpec(
        windows_days=(90,), numeric_windows_days=(), groups=(group,), count_statistics=("count",), numeric_statistics=()
    )
    features = len(bare.names)
    return bare.model_copy(update={"statistics": Statistics(mean=(0.0,) * features, std=(1.0,) * features)})


@pytest.fixture(scope="module")
def task():
    window = {"start": "trigger", "end": "start + 90d", "start_inclusive": True, "end_inclusive": False}
    aces = {"predicates": {"admission": {"code": "A"}}, "windows": {"target": window | {"label": "admission"}}}
    return Task(
        id="tiny",
        title="Tiny",
        eligibility=Eligibility(),
        features={},
        model=Model(architecture="mlp"),
        label=Label(horizon_days=90, death="no_event", aces=aces),
        tiers=[Tier(name="all", from_percentile=0)],
    )


def simulated():
    """People with a few admissions before each time, labels that follow them, and late claims that give labels away."""
    random = np.random.default_rng(20)
    people, samples = [], []
    for number in range(PEOPLE_A_SPLIT * len(SPLITS)):
        events = []
        for at in TIMES:
            admissions = int(random.integers(0, 4))
            events += [(at - int(day) * DAY, 0) for day in random.integers(1, 80, admissions)]
            true = expit(-2 + 0.9 * admissions)
            label = bool(random.random() < true)
            if label:
                events.append((at - 2 * DAY, 60))  # happened before, known two months after
            samples.append((number, at, label, SPLITS[number % len(SPLITS)], true))
        events.sort()
        time = [time for time, _ in events]
        people.append(
            (
                number,
                TIMES[0] - 20_000 * DAY if number % 7 else None,
                None,
                None,
                "female" if number % 3 else "male",
                None,
                time,
                [time + lag * DAY for time, lag in events],
                [NEVER] * len(events),
                [ADMISSION] * len(events),
                [float("nan")] * len(events),
                [STATIC],
                [NEVER],
                [STATIC],
                [NEVER],
                0,
                0,
            )
        )
    return people, samples


def package(folder, spec, feature, weight):
    """A network that looks at one feature only."""
    given = keras.Input((spec.width,), name="inputs")
    model = keras.Model({"inputs": given}, keras.layers.Dense(1)(given))
    kernel = np.zeros((spec.width, 1), np.float32)
    kernel[spec.names.index(feature)] = weight
    model.set_weights([kernel, np.array([0.2], np.float32)])
    return write_package(
        folder, {"model.keras": model_bytes(model), "spec.json": spec.to_json().encode(), "training.json": b"{}"}
    )


def dataset(warehouse, task, spec, people, samples):
    """The samples as an export would have written them; returns the manifest's hash."""
    batch = pa.RecordBatch.from_arrays(
        [
            pa.array(column, field.type)
            for column, field in zip(zip(*people, strict=True), to_arrow_schema(TIMELINES), strict=True)
        ],
        names=TIMELINES.names,
    )
    folder, splits = Folder(f"{warehouse}/{DATASETS}/{task.id}/one"), {}
    for split in SPLITS:
        mine = [sample for sample in samples if sample[3] == split]
        row, at = np.array([sample[0] for sample in mine]), np.array([sample[1] for sample in mine])
        inputs = standardise(model_inputs(batch, row, at, spec), spec)
        label = np.array([sample[2] for sample in mine], np.float32)
        whole = Samples(row, at, inputs, label, np.ones(len(mine), np.float32))
        half = len(mine) // 2
        content = written([whole[:half], whole[half:]])
        (folder / split).write("part-0.parquet", content)
        file = {
            "name": "part-0.parquet",
            "sha256": sha256(content),
            "bytes": content.size,
            "groups": [half, len(mine) - half],
        }
        splits[split] = {"rows": len(mine), "positives": int(label.sum()), "files": [file]}
    folder.write(SPEC, spec.to_json().encode())
    facts = {"format": 1, "blocks": stated(spec.blocks), "spec_hash": spec.hash, "tables": {}}
    folder.write_json(MANIFEST, facts | {"splits": splits})
    Folder(f"{warehouse}/{DATASETS}/{task.id}").write_json(NEWEST, {"hash": "one"})
    return open_dataset(folder.url).hash


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory, spark, spec, task):
    folder = tmp_path_factory.mktemp("evaluation") / "warehouse"
    people, samples = simulated()
    dataset_hash = dataset(folder, task, spec, people, samples)
    with spark_job("set-up", argparse.Namespace(warehouse=str(folder)), quiet=True) as job:
        job.tables.replace("timelines", spark.createDataFrame(people, TIMELINES))
        job.tables.replace(
            f"cohorts/{task.id}",
            spark.createDataFrame(
                [
                    (number, at, label, None, None, None, 1.0, split, 0)
                    for number, at, label, split in (
                        (number, datetime.fromisoformat(str(np.datetime64(at, "us"))), label, split)
                        for number, at, label, split, _ in samples
                    )
                ],
                COHORT,
            ),
        )
        job.tables.replace(
            "demo_truth",
            spark.createDataFrame(
                [
                    (
                        number,
                        task.id,
                        np.datetime64(at, "us").astype(datetime).date(),
                        float(true),
                        float(true),
                        label,
                        split,
                    )
                    for number, at, label, split, true in samples
                    if number % 5
                ],
                DEMO_TRUTH,
            ),
        )
        job.tables.append(
            "models",
            job.tables.frame(
                "models",
                [
                    {
                        "task_id": task.id,
                        "model_name": name,
                        "model_version": "3",
                        "architecture": "any",
                        "feature_spec_hash": spec.hash,
                        "dataset_hash": dataset_hash,
                        "package_hash": package(f"{folder}/_packages/{name}", spec, feature, weight),
                        "package_path": f"_packages/{name}",
                        "inputs": {},
                        "prevalence": 0.2,
                        "trained_at": datetime(2026, 1, 1),
                        "run_id": "train",
                    }
                    for name, feature, weight in (
                        ("tiny", "admission.count.90d", 1.5),
                        ("tiny-logistic", "any_event.days_since_last", -0.7),
                    )
                ],
            ),
        )
    return folder


def test_an_evaluation(job_in, warehouse, task):
    with job_in(warehouse, "evaluate") as job:
        evaluate(job, task)
    every = job.tables.read("evaluations").collect()
    rows = {(row["model_name"], row["metric"]): row for row in every if row["subgroup"] is None}
    subgroups = {(row["subgroup"], row["metric"]): row for row in every if row["subgroup"] is not None}

    # Everybody held out, and the truth on those whose truth is known.
    assert rows["model", "auroc"]["people"] == PEOPLE_A_SPLIT
    assert rows["model", "auroc"]["rows"] == PEOPLE_A_SPLIT * len(TIMES)
    assert 0 < rows["oracle", "auroc"]["people"] < PEOPLE_A_SPLIT
    assert {name for name, _ in rows} == {"model", "baseline", "attainable", "oracle"}
    assert (rows["model", "auroc"]["model_version"], rows["oracle", "auroc"]["model_version"]) == ("3", "")
    assert {row["split"] for row in rows.values()} == {"held_out"}

    # Everybody is in one sex; whose birth is not known is in no band of age.
    by_sex = [subgroups[f"sex: {sex}", "auroc"] for sex in ("female", "male")]
    assert sum(row["people"] for row in by_sex) == PEOPLE_A_SPLIT
    assert subgroups["sex: male", "auroc_gap"]["value"] == -subgroups["sex: female", "auroc_gap"]["value"] != 0
    known = subgroups["age: 45 to 64", "events"]
    assert 0 < known["people"] < PEOPLE_A_SPLIT
    months = [f"month: 2025-{month:02d}" for month in (1, 4, 7)]
    assert {subgroup for subgroup, _ in subgroups} == {"sex: female", "sex: male", "age: 45 to 64", *months}
    assert {subgroups[month, "observed"]["people"] for month in months} == {PEOPLE_A_SPLIT}
    ratios = [subgroups[month, "observed_over_expected"] for month in months]
    assert all(ratio["low"] < ratio["value"] < ratio["high"] for ratio in ratios)

    # The model knows what the truth is made of; the baseline looks at recency alone.
    assert rows["model", "share_of_attainable_lift"]["value"] == pytest.approx(1, abs=0.02)
    assert rows["model", "auroc_over_baseline"]["low"] > 0
    slope = rows["model", "calibration_slope"]
    assert slope["low"] < 1 < slope["high"]

    # By time, the late claims give the labels away.
    assert rows["model", "leakage_price"]["low"] > 0.03
    assert rows["model", "auroc_by_available_time"]["value"] == pytest.approx(rows["model", "auroc"]["value"], abs=1e-6)
    assert job.figures["leakage_price"] == pytest.approx(rows["model", "leakage_price"]["value"])

    # The calibration stands in its table and beside the package, under its own hash.
    model = trained(job.tables, task.id, "tiny")
    calibration = calibration_of(job.tables, model)
    assert calibration.people == PEOPLE_A_SPLIT
    assert Folder(f"{warehouse}/_packages/tiny").read(f"calibration-{calibration.version}.json").decode() == (
        calibration.to_json()
    )
    assert job.tables.read("calibrations").where(F.col("model_name") == "tiny-logistic").count() == 1

    # Once is enough.
    with job_in(warehouse, "evaluate") as again:
        evaluate(again, task)
    assert again.skipped
    assert again.figures == job.figures


def test_a_model_of_another_data_set_is_refused(job_in, warehouse, task):
    other = task.model_copy(update={"id": "tiny", "model": Model(architecture="logistic")})
    folder = Folder(f"{warehouse}/{DATASETS}/{task.id}/one")
    kept = folder.read_json(MANIFEST)
    try:
        folder.write_json(MANIFEST, kept | {"format": 2})
        with pytest.raises(Refused, match="another data set"), job_in(warehouse, "other evaluate") as job:
            evaluate(job, other)
    finally:
        folder.write_json(MANIFEST, kept)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.9, 1.0])
def test_a_share_of_the_people_is_the_same_in_a_query_and_in_numpy(spark, share):
    people = np.random.default_rng(4).integers(-(2**63), 2**63 - 1, 2000)
    kept = sampled(spark.createDataFrame([(one,) for one in people.tolist()], "subject_id long"), share)
    found = {row["subject_id"] for row in kept.collect()}
    assert found == set(people[is_sampled(people, share)].tolist())
    assert abs(len(found) / people.size - share) < 0.05
