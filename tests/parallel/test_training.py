"""Two Horovod ranks under Spark: equal weights, each sample once an epoch, and a clear end where one dies.

A start of the ranks costs seconds, so three of them serve all tests: one undisturbed, one whose rank is stopped
after an epoch, and one that goes on from that one's checkpoint.
"""

import argparse
import json
import signal
from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import psutil
import pytest
from mlflow import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

import salus.training.train as training
from rank_processes import guardians, ranks
from salus.cohorts.label import EVENT
from salus.cohorts.task import Gates, Model, ModelSettings, Splits
from salus.datasets.export import newest_dataset
from salus.datasets.feed import in_order
from salus.datasets.parquet import Samples
from salus.errors import EnvironmentFault, Held, Refused
from salus.job import spark_job
from salus.training.champion import champion_package
from salus.training.launch import run_ranks
from salus.training.loop import samples_digest
from salus.training.package import load_package
from salus.training.plan import TrainingPlan
from salus.training.sample_size import sentence
from size_dataset import ROWS, SPEC, write_dataset_of_sizes

EPOCHS = 12
SECONDS_TO_END = 5
TASK = SimpleNamespace(
    id="tiny",
    hash="t",
    cohort_hash="c",
    label_hash="l",
    splits=Splits(),
    gates=Gates(),
    label=SimpleNamespace(kind=EVENT),
    model=Model(
        architecture="mlp",
        settings=ModelSettings(
            hidden=[16], dropout=0.2, l2=1e-4, epochs=EPOCHS, batch_size=16, patience=EPOCHS, learning_rate=0.01
        ),
    ),
    baseline=Model(architecture="logistic", settings=ModelSettings(epochs=2, batch_size=256, reader="arrow")),
)


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    place = str(tmp_path_factory.mktemp("training") / "warehouse")
    write_dataset_of_sizes(place, "tiny")
    return place


@pytest.fixture(scope="module")
def undisturbed(spark, warehouse):
    """The job, run to its end: what the ranks returned, what it told the terminal, and the table ``models``."""
    results, told = [], []

    def watched(*given, **options):
        results.extend(run_ranks(*given, **options))
        return results

    with (
        pytest.MonkeyPatch.context() as patch,
        spark_job("train", argparse.Namespace(warehouse=warehouse, ranks=2), quiet=True) as job,
    ):
        patch.setattr(training, "run_ranks", watched)
        patch.setattr(job, "progress", told.append)
        training.train(job, TASK)
        models = [row.asDict() for row in job.tables.read("models").collect()]
        champion = champion_package(job.tables, TASK)
    return SimpleNamespace(results=results, told=told, models=models, champion=champion)


@pytest.fixture(scope="module")
def plan(warehouse, tmp_path_factory):
    """The same network, by hand, with a checkpoint folder of its own."""
    dataset = newest_dataset(warehouse, "tiny")
    return TrainingPlan(
        dataset.folder.url,
        dataset.hash,
        str(tmp_path_factory.mktemp("checkpoints")),
        (training.networks_of(TASK)[0],),
        hang_seconds=20,
    )


@pytest.fixture(scope="module")
def stopped(spark, plan):
    """A run whose second rank is stopped (SIGSTOP: it hangs, and does not die) after its first epoch."""
    told, concerned = [], []

    def stop_one(line):
        told.append(line)
        if not concerned:
            first, second = ranks()
            concerned.extend((first, second, *guardians(first.children() + second.children())))
            second.send_signal(signal.SIGSTOP)

    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(EnvironmentFault) as raised:
        run_ranks(spark, plan, 2, stop_one)
    assert handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert len(concerned) == 4
    return SimpleNamespace(told=told, error=raised.value, left=psutil.wait_procs(concerned, SECONDS_TO_END)[1])


@pytest.fixture(scope="module")
def resumed(spark, plan, stopped):
    """What a run that goes on from the stopped one's checkpoint ends with."""
    told = []
    return SimpleNamespace(results=run_ranks(spark, replace(plan, resume=True), 2, told.append), told=told)


def test_both_ranks_end_with_equal_weights(undisturbed):
    assert [result["rank"] for result in undisturbed.results] == [0, 1]
    for name in ("tiny", "tiny-logistic"):
        first, second = (result["networks"][name]["weights"] for result in undisturbed.results)
        assert first == second


def test_two_ranks_see_each_sample_exactly_once_an_epoch(undisturbed, warehouse):
    every = Samples.concatenated(list(in_order(newest_dataset(warehouse, "tiny").split("train"))))
    assert len(every) == ROWS["train"]
    digest = samples_digest(every.subject_id, every.prediction_time)
    for name, epochs in (("tiny", EPOCHS), ("tiny-logistic", 2)):
        first, second = (result["networks"][name]["history"] for result in undisturbed.results)
        assert len(first) == len(second) == epochs
        for one, other in zip(first, second):
            assert one["rank_samples"] + other["rank_samples"] == ROWS["train"]
            assert abs(one["rank_samples"] - other["rank_samples"]) <= 30
            assert one["rank_digest"] ^ other["rank_digest"] == digest


def test_an_epoch_tells_the_terminal_its_loss_auroc_speed_and_time_left(undisturbed):
    epochs = [line for line in undisturbed.told if line.startswith("tiny epoch")]
    assert len(epochs) == EPOCHS
    for word in ("loss 0.", "tuning loss 0.", "AUROC 0.", "samples/s", "s left"):
        assert word in epochs[-1]


def test_the_network_learns_what_a_line_cannot(undisturbed):
    network, line = (undisturbed.results[0]["networks"][name]["history"][-1] for name in ("tiny", "tiny-logistic"))
    assert network["tuning_auroc"] > 0.7 > 0.6 > line["tuning_auroc"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_both_models_are_packaged_registered_and_in_the_table(undisturbed, warehouse):
    models = {row["model_name"]: row for row in undisturbed.models}
    assert set(models) == {"tiny", "tiny-logistic"}
    assert models["tiny"]["trained_at"] > models["tiny-logistic"]["trained_at"]
    assert undisturbed.champion == models["tiny"]["package_hash"]
    client = MlflowClient(f"sqlite:///{warehouse}/_registry/mlflow.db")
    for name, row in models.items():
        package = load_package(f"{warehouse}/{row['package_path']}")
        assert package.hash == row["package_hash"]
        assert package.spec.hash == row["feature_spec_hash"] == SPEC.hash
        weights = b"".join(np.asarray(variable).tobytes() for variable in package.model.variables)
        assert len(weights) >= 4 * SPEC.width
        assert package.info["history"][0]["tuning_loss"] > 0
        sample_size = package.info["sample_size"]
        assert (sample_size["rows"], sample_size["people"]) == (ROWS["train"], 601)
        assert sentence(sample_size) in undisturbed.told
        registered = client.get_model_version(name, row["model_version"])
        assert registered.source == f"{warehouse}/{row['package_path']}"
        run = client.get_run(registered.run_id)
        assert run.data.params["ranks"] == "2"
        assert run.data.metrics["tuning_auroc"] == pytest.approx(package.info["history"][-1]["tuning_auroc"])
        assert json.loads(run.data.tags["tables"]) == {"timelines": 3}


def test_the_same_training_is_not_done_twice(undisturbed, warehouse, job_in):
    with job_in(warehouse, "train", ranks=2) as job:
        training.train(job, TASK)
        assert job.skipped
        assert job.figures["samples"] == ROWS["train"]


def test_fewer_rows_than_the_gate_asks_for_hold_the_training_although_it_was_done(undisturbed, warehouse, job_in):
    gated = SimpleNamespace(**vars(TASK) | {"gates": Gates(sample_size="riley", cox_snell_r2=0.001)})
    with pytest.raises(Held, match="train with --force"), job_in(warehouse, "train", ranks=2) as job:
        training.train(job, gated)


def test_a_rank_that_hangs_ends_the_run_with_one_clear_error_and_no_orphan(stopped):
    assert "did nothing for 20 s" in str(stopped.error)
    assert "--resume" in str(stopped.error)
    assert stopped.left == []


def test_a_resumed_run_ends_with_the_weights_of_an_undisturbed_one(undisturbed, stopped, resumed):
    done, gone_on = len(stopped.told), len(resumed.told)
    assert 1 <= done < EPOCHS
    assert gone_on in (EPOCHS - done, EPOCHS - done - 1)
    assert resumed.told[-1].startswith(f"tiny epoch {EPOCHS}/{EPOCHS}")
    for resumed_rank, undisturbed_rank in zip(resumed.results, undisturbed.results):
        one, other = resumed_rank["networks"]["tiny"], undisturbed_rank["networks"]["tiny"]
        assert one["weights"] == other["weights"]
        losses = [[epoch["tuning_loss"] for epoch in network["history"]] for network in (one, other)]
        assert losses[0] == losses[1]


@pytest.mark.slow  # both ranks start twice
def test_ranks_of_which_one_dies_begin_again_from_the_last_checkpoint(spark, plan, tmp_path):
    """Gradients travel in half the bytes meanwhile, the rate rises to that of two ranks, and there are curves."""
    told, killed = [], []

    def kill_one(line):
        told.append(line)
        if not killed:
            killed.append(ranks()[1])
            killed[0].kill()

    network = replace(plan.networks[0], gradient_compression="fp16", rate_by_ranks="sqrt", warm_up_epochs=1.5)
    mine = replace(plan, networks=(network,), checkpoints=str(tmp_path / "checkpoints"), warehouse=str(tmp_path))
    first, second = (result["networks"]["tiny"] for result in run_ranks(spark, mine, 2, kill_one, restarts=1))
    again = [line for line in told if "begin again from the last checkpoint; restarts left: 0" in line]
    assert len(again) == 1
    assert told.index(again[0]) >= 1
    assert told[-1].startswith(f"tiny epoch {EPOCHS}/{EPOCHS}")
    assert [epoch["epoch"] for epoch in first["history"]] == [*range(1, EPOCHS + 1)]
    assert first["weights"] == second["weights"]
    assert max(epoch["tuning_auroc"] for epoch in first["history"]) > 0.8
    (board,) = (tmp_path / "_tensorboard").iterdir()
    curves = EventAccumulator(str(board)).Reload()
    assert {"loss", "tuning_loss", "tuning_auroc", "samples_a_second"} <= {*curves.Tags()["tensors"]}
    losses = [float(make_ndarray(each.tensor_proto)) for each in curves.Tensors("tuning_loss")]
    assert losses[-1] == pytest.approx(first["history"][-1]["tuning_loss"], rel=1e-5)


def test_two_ranks_end_where_one_does_on_the_same_global_batch(spark, plan, tmp_path):
    """Of all samples at once, so that it is the same batch in whatever order each rank reads; without dropout.

    Adam divides a gradient by its own size, so where the samples' gradients cancel it makes steps of what rounding
    left: 20 steps of 0.02 come up to 0.4 far, and may end 0.002 apart.
    """
    network = replace(
        plan.networks[0], dropout=0.0, batch_size=ROWS["train"], epochs=20, patience=20, learning_rate=0.02
    )
    one, two = (
        run_ranks(spark, replace(plan, networks=(network,), checkpoints=str(tmp_path / f"{ranks}")), ranks, print)[0]
        for ranks in (1, 2)
    )
    ended = []
    for number, result in enumerate((one, two), start=1):
        file = tmp_path / f"{number}.keras"
        file.write_bytes(result["networks"]["tiny"]["model"])
        ended.append(keras.saving.load_model(file, compile=False))
    losses = [[epoch["tuning_loss"] for epoch in result["networks"]["tiny"]["history"]] for result in (one, two)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0][-1] < losses[0][0]
    for first, second in zip(*(model.get_weights() for model in ended), strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-4, atol=2e-3)


def test_more_ranks_than_task_slots_are_refused_at_once(spark, plan):
    with pytest.raises(Refused, match="3 ranks for 2 task slots"):
        run_ranks(spark, plan, 3, print)


def test_a_rank_that_refuses_its_input_says_why(spark, plan):
    changed = replace(plan, dataset_hash="other")
    with pytest.raises(Refused, match="of another hash"):
        run_ranks(spark, changed, 2, print)
