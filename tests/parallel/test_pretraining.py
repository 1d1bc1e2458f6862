"""Pre-training end to end: whose events are in its data, what two ranks learn, and what a model begins from.

A start of the ranks costs seconds, so two of them serve all tests: of `pretrain`, and of `train --pretrained`.
"""

import argparse
from datetime import date, datetime
from types import SimpleNamespace

import numpy as np
import pytest
from pyspark.sql import functions as F

import salus.training.pretrain as pretraining
import salus.training.train as training
from evaluation_world import ACES, dataset
from salus.cohorts.splits import fold_of, split_of
from salus.cohorts.task import Eligibility, Index, Label, Model, ModelSettings, Pretraining, Splits, Task, Tier
from salus.datasets.feed import in_order
from salus.datasets.manifest import open_dataset
from salus.datasets.parquet import Samples
from salus.datasets.pretraining import LEARNT_BY, ONE_IN
from salus.errors import Refused
from salus.job import spark_job
from salus.report.card import Found, attributes
from salus.schemas import IDENTITY, TIMELINES
from salus.timelines.blocks import EVENT_COLUMNS, PADDING, EventSequence
from salus.timelines.clocks import MICROSECONDS_PER_DAY, NEVER, STATIC, micros
from salus.timelines.spec import CodeGroup, FeatureSpec, Statistics
from salus.training.launch import run_ranks
from salus.training.package import load_package

DAY = MICROSECONDS_PER_DAY
PEOPLE, FIRST, END = 400, date(2023, 1, 1), date(2026, 1, 1)
OWN, LATE = (11, 12, 13, 14, 15, 16), 99
"""Codes of which each person has two; and one that becomes known when it is too late for every prediction."""

SEQUENCE = EventSequence(
    length=10,
    codes=tuple(map(str, (*OWN, LATE))),
    labels=tuple(map(str, (*OWN, LATE))),
    code_hashes=(*OWN, LATE),
    mean=(0.0,) * 7,
    std=(1.0,) * 7,
)
BARE = FeatureSpec(
    windows_days=(90,),
    numeric_windows_days=(),
    count_statistics=("count",),
    numeric_statistics=(),
    groups=(CodeGroup(name="first", label="First", kind="count", codes=("11",), code_hashes=(11,)),),
    sequence=SEQUENCE,
)
SPEC = BARE.model_copy(update={"statistics": Statistics(mean=(50.0, 0, 0, 0), std=(10.0, 1, 1, 1))})
NO_STEP = 1e-30
"""A learning rate too small to change any weight: what a model ends with is what it began from."""

TASK = Task(
    id="tiny",
    title="Tiny",
    index=Index(last=24),
    eligibility=Eligibility(),
    features={"sequence": {"length": 10}},
    label=Label(horizon_days=90, run_out_days=90, death="no_event", aces=ACES),
    model=Model(
        architecture="transformer",
        settings=ModelSettings(
            hidden=(4,), units=16, layers=1, epochs=1, learning_rate=NO_STEP, batch_size=256, reader="arrow"
        ),
    ),
    baseline=Model(architecture="logistic", settings=ModelSettings(epochs=1, batch_size=512, reader="arrow")),
    pretraining=Pretraining(cuts=3, apart_days=120, epochs=15, learning_rate=0.01, batch_size=32, patience=15),
    splits=Splits(),
    tiers=[Tier(name="all", from_percentile=0)],
)


def people():
    """Timelines: an event every few days, of a person's own two codes in turn, and the late code."""
    random = np.random.default_rng(4)
    for subject in np.unique(random.integers(1, 2**60, PEOPLE)).tolist():
        time = micros(FIRST) + np.cumsum(random.integers(3, 40, 40)) * DAY
        time = time[time < micros(END)]
        code = [int(each) for each in np.resize(random.choice(OWN, 2, replace=False), time.size)]
        late = int(np.searchsorted(time, micros(date(2024, 6, 1))))
        time = np.insert(time, late, time[late])
        known = (time + random.integers(0, 10, time.size) * DAY).tolist()
        known[late] = micros(END)
        code.insert(late, LATE)
        values = ([NEVER] * time.size, code, [float("nan")] * time.size)
        coverage = ([STATIC], [NEVER], [STATIC], [NEVER])
        yield (
            *(subject, micros(date(1960, 1, 1)), None, None, "female", None),
            *(time.tolist(), known, *values, *coverage),
            *(0, 0, None, "clinic", ["payer"]),
        )


@pytest.fixture(scope="module")
def done(spark, tmp_path_factory):
    """Both jobs, run: what the ranks returned, the rows of ``models``, and who is who."""
    warehouse = str(tmp_path_factory.mktemp("pretraining") / "warehouse")
    timelines = list(people())
    subjects = np.array([person[0] for person in timelines])
    split = split_of(subjects, TASK.splits)
    merged, was = (int(subjects[split == name][0]) for name in ("held_out", "train"))
    joined = datetime(2025, 5, 1)
    identity = [(5, was, None, joined), (5, merged, joined, None)]
    random = np.random.default_rng(1)
    labels = [
        (row, micros(date(2025, 1 + row % 3, 1)), bool(random.random() < 0.3), split[row], 0.3)
        for row in range(subjects.size)
    ]
    dataset(warehouse, timelines, labels, TASK, SPEC)
    ran, told = [], []

    def watched(*given, **options):
        ran.append(run_ranks(*given, **options))
        return ran[-1]

    def run(name, work, **options):
        with spark_job(name, argparse.Namespace(warehouse=warehouse, ranks=2), quiet=True) as job:
            job.progress = told.append
            work(job, TASK, **options)
        return job

    with spark_job("set-up", argparse.Namespace(warehouse=warehouse), quiet=True) as job:
        job.tables.replace("timelines", spark.createDataFrame(timelines, TIMELINES))
        job.tables.replace("identity", spark.createDataFrame(identity, IDENTITY))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "run_ranks", watched)
        with pytest.raises(Refused, match=r"submit\.sh pretrain"):
            run("train", training.train, is_pretrained=True)
        run("pretrain", pretraining.pretrain)
        run("train", training.train, is_pretrained=True)
        again = run("pretrain", pretraining.pretrain)
        models = {row["model_name"]: row.asDict() for row in again.tables.read("models").collect()}
    found = {"warehouse": warehouse, "ran": ran, "told": told, "again": again, "models": models}
    return SimpleNamespace(**found, subjects=subjects, split=split, merged=merged)


@pytest.fixture(scope="module")
def sequences(done):
    """The samples of pre-training, by split."""
    found = open_dataset(f"{done.warehouse}/_datasets/tiny/{done.models['tiny-encoder']['dataset_hash']}")
    return {split: Samples.concatenated(list(in_order(found.split(split)))) for split in LEARNT_BY}


def test_everybody_of_the_training_split_is_in_the_data_and_nobody_else(done, sequences):
    train = {*done.subjects[done.split == "train"].tolist(), done.merged}
    found = {split: set(samples.subject_id.tolist()) for split, samples in sequences.items()}
    assert found["train"] | found["tuning"] == train
    stops = fold_of(np.array(sorted(train)), ONE_IN) == 0
    assert found["tuning"] == {each for each, stop in zip(sorted(train), stops) if stop}


def test_no_event_is_in_the_data_that_was_not_known_at_its_cut_time(done, sequences):
    cuts = [micros(day) for day in (date(2024, 11, 1), date(2025, 3, 1), date(2025, 7, 1))]
    late = SEQUENCE.codes.index(str(LATE)) + 1
    for samples in sequences.values():
        assert sorted(np.unique(samples.prediction_time)) == cuts
        assert not (samples.inputs["event_codes"] == late).any()
        is_event = samples.inputs["event_codes"] != PADDING
        assert is_event.sum(axis=1).min() >= 2
        before = samples.inputs["event_values"][..., EVENT_COLUMNS.index("log_days_before")]
        assert (before[is_event] >= 0).all()


def test_pre_training_lowers_its_loss_on_both_ranks_to_equal_weights(done):
    first, second = (result["networks"]["tiny-encoder"] for result in done.ran[0])
    assert first["weights"] == second["weights"]
    losses = [epoch["tuning_loss"] for epoch in first["history"]]
    assert min(losses) < 0.8 * losses[0]
    assert max(epoch["tuning_accuracy"] for epoch in first["history"]) > 0.4 > 2 / len(OWN)
    assert any("tiny-encoder epoch 1/15" in line and "codes right" in line for line in done.told)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_model_begins_with_the_weights_of_its_encoder_on_both_ranks(done):
    first, second = (result["networks"]["tiny"] for result in done.ran[1])
    assert first["weights"] == second["weights"]
    packages = {name: load_package(f"{done.warehouse}/{row['package_path']}") for name, row in done.models.items()}
    encoder, model = packages["tiny-encoder"].model, packages["tiny"].model
    assert [each.name for each in encoder.inputs] == ["event_codes", "event_values"]
    shared = [layer for layer in encoder.layers if layer.get_weights()]
    assert {"code_embedding", "attention_1", "frequencies"} < {layer.name for layer in shared}
    for layer in shared:
        for one, other in zip(layer.get_weights(), model.get_layer(layer.name).get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


def test_the_encoder_is_registered_and_the_model_says_which_it_began_from(done):
    row, info = (
        done.models["tiny-encoder"],
        load_package(f"{done.warehouse}/{done.models['tiny']['package_path']}").info,
    )
    assert row["inputs"].keys() == {"timelines", "identity"}
    told = info["pretrained"]
    assert (told["package_hash"], told["dataset_hash"]) == (row["package_hash"], row["dataset_hash"])
    assert info["settings"]["encoder_hash"] == row["package_hash"]
    assert told["code"]
    baseline = load_package(f"{done.warehouse}/{done.models['tiny-logistic']['package_path']}").info
    assert "pretrained" not in baseline
    card = {each.number: each.text for each in attributes(TASK, Found(None, None, [], {}, {}, {}, info))}
    assert f"began from tiny-encoder version {row['model_version']}, pre-trained by masked code on" in card["(4)(i)"]


def test_the_same_pre_training_is_not_done_twice(done):
    assert done.again.skipped
    assert len(done.ran) == 2


def test_an_encoder_of_another_vocabulary_is_refused(done, job_in):
    other = SPEC.model_copy(update={"sequence": SEQUENCE.model_copy(update={"mean": (1.0,) * 7})})
    with job_in(done.warehouse, "other") as job:
        known = job.tables.read("timelines").orderBy(F.col("subject_id")).limit(8).collect()
    labels = [
        (row, micros(date(2025, 1, 1)), row % 2 == 0, split, 0.3)
        for row, split in enumerate(["train", "tuning", "calibration", "held_out"] * 2)
    ]
    dataset(done.warehouse, [tuple(row) for row in known], labels, TASK, other)
    with pytest.raises(Refused, match="reads another vocabulary"), job_in(done.warehouse, "train", ranks=2) as job:
        training.train(job, TASK, is_pretrained=True)
