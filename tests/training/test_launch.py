"""The driver and its ranks: what it hears and tells, whom a guardian kills, which results it takes."""

import io
import json
import os
import subprocess
import sys

import pytest

from salus.cohorts.classes import Outcomes
from salus.cohorts.intervals import Intervals
from salus.cohorts.label import KINDS
from salus.datasets.manifest import Classed, Timed
from salus.errors import EnvironmentFault
from salus.models.objectives import objective
from salus.training.launch import Listener, progress_line, rank_environment
from salus.training.plan import NetworkPlan
from salus.training.rank import TOLD
from salus.training.train import agreed


def test_a_guardian_kills_a_process_that_no_longer_beats_and_leaves_one_that_does():
    rank = "\n".join(
        (
            "import sys, threading",
            "from salus.training.guardian import Heartbeat",
            "with Heartbeat(30, float(sys.argv[1])) as heart:",
            "    heart.beat()",
            "    print('beaten', flush=True)",
            "    threading.Event().wait(float(sys.argv[2]))",
        )
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    hung = subprocess.run([sys.executable, "-c", rank, "1", "60"], env=environment, timeout=50, check=False)
    assert hung.returncode == -9
    ended = subprocess.run([sys.executable, "-c", rank, "30", "0"], env=environment, timeout=50, check=False)
    assert ended.returncode == 0


def test_the_driver_hears_what_ranks_tell_in_whatever_pieces_it_comes():
    listener = Listener()
    text = f"[0]<stdout>:{TOLD}{json.dumps({'epoch': 1})}\n[1]<stderr>:some warning\n[0]<stdout>:{TOLD}{{}}\n"
    for piece in (text[:20], text[20:45], text[45:]):
        listener.write(piece)
    assert listener.heard == [{"epoch": 1}, {}]
    assert list(listener.last) == ["[1]<stderr>:some warning"]
    assert isinstance(listener, io.TextIOBase)


def test_an_epoch_is_told_in_one_line():
    told = {
        "network": "m",
        "epoch": 2,
        "epochs": 5,
        "loss": 0.25,
        "tuning_loss": 0.5,
        "tuning_auroc": 0.75,
        "samples_a_second": 12345.6,
        "seconds": 2.0,
    }
    assert progress_line(told) == (
        "m epoch 2/5: loss 0.2500, tuning loss 0.5000, AUROC 0.750, 12,346 samples/s, at most 6 s left"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_metric_of_every_kind_of_label_can_be_told(kind):
    settings = NetworkPlan("m", "logistic")
    timed = Timed(Intervals((30, 60)), [[0.1, 0.2]]) if kind == "time_to_event" else None
    classed = Classed(Outcomes(("a", "b"), True), [0.1, 0.2]) if kind.startswith("multi") else None
    metric = objective(kind, 0.3, settings, timed, classed).metric
    told = {"network": "m", "epoch": 1, "epochs": 1, "loss": 1, "tuning_loss": 1, "samples_a_second": 1, "seconds": 1}
    assert "0.625" in progress_line(told | {f"tuning_{metric}": 0.625})


def test_ranks_that_disagree_or_saw_other_samples_are_a_fault(dataset):
    def rank(weights, samples):
        return {"networks": {"m": {"weights": weights, "history": [{"rank_samples": samples}]}}}

    agreed([rank("a", 700), rank("a", 500)], dataset)
    with pytest.raises(EnvironmentFault, match="different weights"):
        agreed([rank("a", 700), rank("b", 500)], dataset)
    with pytest.raises(EnvironmentFault, match="1199"):
        agreed([rank("a", 700), rank("a", 499)], dataset)


def test_how_horovod_works_is_the_drivers_to_say(monkeypatch):
    monkeypatch.setenv("HOROVOD_CYCLE_TIME", "7")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    told = rank_environment()
    assert told["HOROVOD_CYCLE_TIME"] == "7"
    assert told["TF_CPP_MIN_LOG_LEVEL"] == "3"
    assert told["ARROW_DEFAULT_MEMORY_POOL"] == "mimalloc"
