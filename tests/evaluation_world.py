"""A small world that is evaluated: people, their labels, a data set, and networks that look at one feature each."""

import argparse
import json
from datetime import date, datetime

import keras
import numpy as np
import pyarrow as pa
from pyspark.sql.pandas.types import to_arrow_schema
from scipy.special import expit

from salus.cohorts.task import Eligibility, Label, Model, Task, Tier
from salus.datasets.export import DATASETS, NEWEST, open_dataset
from salus.datasets.folder import Folder, sha256
from salus.datasets.manifest import MANIFEST, SPEC, stated
from salus.datasets.parquet import Samples, written
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
WINDOW = {"start": "trigger", "end": "start + 90d", "start_inclusive": True, "end_inclusive": False}
ACES = {"predicates": {"admission": {"code": "A"}}, "windows": {"target": WINDOW | {"label": "admission"}}}
TASK = Task(
    id="tiny",
    title="Tiny",
    eligibility=Eligibility(),
    features={},
    model=Model(architecture="mlp"),
    label=Label(horizon_days=90, death="no_event", aces=ACES),
    tiers=[Tier(name="all", from_percentile=0)],
)


def spec_of_admissions(windows_days=(90,)):
    """Admissions counted in windows, on their own scale."""
    group = CodeGroup(name="admission", label="Admissions", kind="count", codes=("A",), code_hashes=(ADMISSION,))
    bare = FeatureSpec(
        windows_days=windows_days,
        numeric_windows_days=(),
        groups=(group,),
        count_statistics=("count",),
        numeric_statistics=(),
    )
    features = len(bare.names)
    return bare.model_copy(update={"statistics": Statistics(mean=(0.0,) * features, std=(1.0,) * features)})


SPEC_OF_WORLD = spec_of_admissions()


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
                None,
                f"clinic {number // len(SPLITS) % 2}",
                ["mutual"],
            )
        )
    return people, samples


def package(folder, feature, weight, spec=SPEC_OF_WORLD, beside=(), **info):
    """A network that looks at one feature, and at those ``beside``, as a package; returns its hash."""
    given = keras.Input((spec.width,), name="inputs")
    model = keras.Model({"inputs": given}, keras.layers.Dense(1)(given))
    kernel = np.zeros((spec.width, 1), np.float32)
    for name, size in ((feature, weight), *beside):
        kernel[spec.names.index(name)] = size
    model.set_weights([kernel, np.array([0.2], np.float32)])
    content = {"model.keras": model_bytes(model), "spec.json": spec.to_json().encode()}
    return write_package(folder, content | {"training.json": json.dumps(info).encode()})


def dataset(warehouse, people, samples, task=TASK, spec=SPEC_OF_WORLD, times=None, facts=None):
    """The samples as an export would have written them; returns the manifest's hash.

    ``times`` are (event type, days) of each sample, of a time to event; ``facts`` stand in the manifest.
    """
    batch = pa.RecordBatch.from_arrays(
        [
            pa.array(column, field.type)
            for column, field in zip(zip(*people, strict=True), to_arrow_schema(TIMELINES), strict=True)
        ],
        names=TIMELINES.names,
    )
    folder, splits = Folder(f"{warehouse}/{DATASETS}/{task.id}/one"), {}
    for split in SPLITS:
        place = [at for at, sample in enumerate(samples) if sample[3] == split]
        mine = [samples[at] for at in place]
        row, at = np.array([sample[0] for sample in mine]), np.array([sample[1] for sample in mine])
        inputs = standardise(model_inputs(batch, row, at, spec), spec)
        ends = [times[at] if times else (samples[at][2], 0) for at in place]
        label, days = np.array(ends, np.float32).T
        whole = Samples(row, at, inputs, label, np.ones(len(mine), np.float32), days)
        half = len(mine) // 2
        content = written([whole[:half], whole[half:]])
        (folder / split).write("part-0.parquet", content)
        file = {
            "name": "part-0.parquet",
            "sha256": sha256(content),
            "bytes": content.size,
            "groups": [half, len(mine) - half],
        }
        splits[split] = {"rows": len(mine), "positives": int((label > 0).sum()), "files": [file]}
    folder.write(SPEC, spec.to_json().encode())
    stated_facts = {"format": 1, "blocks": stated(spec.blocks), "spec_hash": spec.hash, "tables": {}}
    folder.write_json(MANIFEST, stated_facts | (facts or {}) | {"splits": splits})
    Folder(f"{warehouse}/{DATASETS}/{task.id}").write_json(NEWEST, {"hash": "one"})
    return open_dataset(folder.url).hash


def model_row(name, version, package_hash, package_path, dataset_hash, spec=SPEC_OF_WORLD):
    """A row of table ``models``; a higher version was trained later."""
    return {
        "task_id": TASK.id,
        "model_name": name,
        "model_version": version,
        "architecture": "any",
        "feature_spec_hash": spec.hash,
        "dataset_hash": dataset_hash,
        "package_hash": package_hash,
        "package_path": package_path,
        "inputs": {},
        "prevalence": 0.2,
        "trained_at": datetime(2026, 1, int(version)),
        "run_id": "train",
    }


def fill(spark, folder):
    """Put timelines, cohort and truth into the warehouse ``folder``; returns the data set's hash."""
    people, samples = simulated()
    dataset_hash = dataset(folder, people, samples)
    with spark_job("set-up", argparse.Namespace(warehouse=str(folder)), quiet=True) as job:
        job.tables.replace("timelines", spark.createDataFrame(people, TIMELINES))
        job.tables.replace(
            f"cohorts/{TASK.id}",
            spark.createDataFrame(
                [
                    (number, at, label, *[None] * 6, 1.0, split, 0)
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
                        TASK.id,
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
    return dataset_hash
