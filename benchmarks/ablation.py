"""What does each regularisation do? The network of `admission_90d` as it ships, and with each setting that holds a
network back, or weighs classes, turned off or on: AUROC, log loss and calibration slope on people held out.

Simulated people go through Salus's own jobs: simulate, ingest, timelines, cohort and export. Every variant is trained
by the train loop on the same samples, once a seed, and is asked about the same people held out. Each figure is the mean
of the seeds; what a variant gains over the shipped settings has a paired interval, by a bootstrap clustered by person.
`log_loss` and `calibration_slope` are of the network's own probabilities, as a loss that smooths or weighs labels
leaves them; `log_loss_calibrated` is after Platt's scaling on the calibration split. Without early stopping all epochs
are trained and the last weights count, else the best by the tuning loss.

    python benchmarks/ablation.py --people 5000 --seeds 5
"""

import argparse
import os
import sys
import tempfile
import time
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from salus.cohorts.cohort import cohort
from salus.cohorts.task import Task
from salus.datasets import Dataset
from salus.datasets.export import export, newest_dataset
from salus.datasets.feed import in_order
from salus.datasets.folder import Folder
from salus.datasets.parquet import Samples
from salus.evaluation.bootstrap import intervals
from salus.evaluation.calibration import slope
from salus.evaluation.discrimination import Ranking, auroc
from salus.evaluation.platt import fit_platt
from salus.job import spark_job
from salus.privacy.pseudonyms import create_key
from salus.simulate.writer import simulate
from salus.sources.ingest import ingest
from salus.timelines.build import build
from salus.training.plan import NetworkPlan
from salus.training.train import networks_of
from timing import save, surroundings

AS_OF = date(2026, 6, 30)
KEY = "5a" * 32
"""Splits are hashes of pseudonyms: with a key of its own, each run would hold out other people."""

SOURCES = {"fhir_r4": "ehr", "payer_extract": "payer", "wearable_daily": "wearable"}
SHIPPED, TO_THE_END = "as shipped", "without early stopping"
FIGURES = ("auroc", "log_loss", "log_loss_calibrated", "calibration_slope")
REPLICATES = 500


def main() -> int:
    """Make the world where there is none yet, train every variant, print what each changes and keep it."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--people", type=int, default=5000, help="simulated people (default: %(default)s)")
    made.add_argument("--seed", type=int, default=7, help="of the simulation (default: %(default)s)")
    made.add_argument("--seeds", type=int, default=5, help="trainings of each variant (default: %(default)s)")
    made.add_argument("--warehouse", help="where the tables go, and are found again (default: a temporary folder)")
    args = made.parse_args()
    task = Task.load("admission_90d")
    with tempfile.TemporaryDirectory() as folder:
        warehouse = args.warehouse or f"{folder}/warehouse"
        prepare(warehouse, args.people, args.seed, task)
        result = measured(newest_dataset(warehouse, task.id), networks_of(task)[0], args.seeds, folder)
    result |= {"name": "admission_90d's network with each regularisation on and off", "people": args.people}
    result |= {"seed": args.seed, "seeds": args.seeds, **surroundings()}
    save("ablation", result)
    return 0


def variants(shipped: NetworkPlan, prevalence: float) -> dict[str, NetworkPlan]:
    """The network as it ships, and with one thing changed each, but for the one that nothing holds back."""
    off = {"dropout": 0.0, "l2": 0.0, "patience": shipped.epochs}
    return {
        SHIPPED: shipped,
        "without dropout": replace(shipped, dropout=0.0),
        "without L2": replace(shipped, l2=0.0),
        TO_THE_END: replace(shipped, patience=off["patience"]),
        f"without any of them, {TO_THE_END}": replace(shipped, **off),
        "dropout 0.5": replace(shipped, dropout=0.5),
        "L2 0.01": replace(shipped, l2=0.01),
        "label smoothing 0.1": replace(shipped, label_smoothing=0.1),
        "balanced classes": replace(shipped, positive_weight=(1 - prevalence) / prevalence),
        "focal loss, gamma 2": replace(shipped, focal_gamma=2.0),
    }


def prepare(warehouse: str, people: int, seed: int, task: Task) -> None:
    """Raw files, tables and the labelled data set, where they are not there."""
    landing, key = Path(f"{warehouse}.landing"), Path(f"{warehouse}.key")
    simulate(people, seed, AS_OF, landing)
    key.write_text(KEY, encoding="ascii")
    steps = {
        source: lambda job, source=source, place=place: ingest(job, source, str(landing / place), create_key(key))
        for source, place in SOURCES.items()
    }
    steps |= {"timelines": build, "cohort": lambda job: cohort(job, task), "export": lambda job: export(job, task)}
    for name, step in steps.items():
        here = argparse.Namespace(warehouse=warehouse, master="local[1,4]", ranks=1)
        with spark_job("ingest" if name in SOURCES else name, here) as job:
            step(job)


def measured(dataset: Dataset, shipped: NetworkPlan, seeds: int, folder: str) -> dict:
    """Every variant's figures on the people held out, and what it gains over the shipped settings."""
    import horovod.tensorflow as hvd

    hvd.init()
    people, calibrating = (Samples.concatenated(list(in_order(dataset.split(s)))) for s in ("held_out", "calibration"))
    told: dict[str, dict] = {}
    of_shipped: list[Answers] = []
    for name, plan in variants(shipped, dataset.split("train").mean_label).items():
        began, answers, epochs = time.monotonic(), [], []
        for place in range(seeds):
            own = replace(plan, seed=plan.seed + place)
            model, trained = network(dataset, own, TO_THE_END in name, f"{folder}/{own.seed}-{name}")
            answers.append(Answers(logits(model, people), people, logits(model, calibrating), calibrating))
            epochs.append(trained)
        of_shipped = of_shipped or answers
        told[name] = compared(answers, of_shipped, people) | {
            "settings": asdict(plan),
            "epochs": epochs,
            "seconds": time.monotonic() - began,
        }
        print(line(name, told[name]), flush=True)
    train = dataset.split("train")
    samples = {"train": train.rows, "prevalence": train.mean_label, "held_out": len(people)}
    return {"variants": told, "samples": samples, "held_out_people": int(np.unique(people.subject_id).size)}


def network(dataset: Dataset, plan: NetworkPlan, to_the_end: bool, checkpoints: str):
    """The model of ``plan``, trained by the train loop on one rank, and how many epochs it took."""
    from salus.training.loop import Loop

    loop = Loop(dataset, plan)
    state = loop.run(Folder(checkpoints), "network", False, lambda epoch: None)
    if to_the_end:
        for variable, value in zip(loop.model.variables, state.variables, strict=True):
            variable.assign(value)
    return loop.model, len(state.history)


def logits(model, people: Samples) -> np.ndarray:
    """What ``model`` says of ``people``, float64 (rows,)."""
    said = [
        model({each.name: people.inputs[each.name][start : start + 4096] for each in model.inputs})
        for start in range(0, len(people), 4096)
    ]
    return np.concatenate([np.asarray(each)[:, 0] for each in said]).astype(np.float64)


class Answers:
    """A trained network's logits of the people held out, and what every replicate asks of them again."""

    def __init__(self, logits: np.ndarray, people: Samples, calibrating_logits: np.ndarray, calibrating: Samples):
        fitted = (calibrating_logits, calibrating.label, calibrating.weight.astype(np.float64), calibrating.subject_id)
        platt = fit_platt(*fitted, package_hash="")
        self.labels, self.logits, self.ranking = people.label.astype(np.float64), logits, Ranking.of(logits)
        self.losses = [lost(each, self.labels) for each in (logits, platt.intercept + platt.slope * logits)]
        self.start = slope(logits, self.labels, people.weight.astype(np.float64))

    def figures(self, weights: np.ndarray) -> np.ndarray:
        """``FIGURES`` with ``weights`` of the rows."""
        ranks = auroc(self.ranking, weights * self.labels, weights * (1 - self.labels))
        losses = [np.average(each, weights=weights) for each in self.losses]
        return np.array([ranks, *losses, slope(self.logits, self.labels, weights, self.start)[1]])


def lost(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The log loss of each row."""
    return np.logaddexp(0, logits) - labels * logits


def compared(answers: list[Answers], of_shipped: list[Answers], people: Samples) -> dict:
    """The mean figures of the seeds, their spread, and how far they lie from those of the shipped settings, paired."""

    def found(times: np.ndarray) -> np.ndarray:
        weights = times * people.weight
        own, usual = (np.mean([each.figures(weights) for each in of], axis=0) for of in (answers, of_shipped))
        return np.concatenate([own, own - usual])

    ones = np.ones(len(people))
    values, (low, high) = found(ones), intervals(found, people.subject_id, REPLICATES)
    spread = np.std([each.figures(ones * people.weight) for each in answers], axis=0)
    told = {}
    for place, figure in enumerate(FIGURES):
        for name, at in ((figure, place), (f"{figure}_over_shipped", len(FIGURES) + place)):
            told[name] = {"value": values[at], "low": low[at], "high": high[at]}
        told[figure]["over_seeds"] = spread[place]
    return told


def line(name: str, told: dict) -> str:
    """A variant in two lines: its figures, and how far they lie from the shipped ones."""
    own = "   ".join(f"{figure} {told[figure]['value']:.4f}" for figure in FIGURES)
    gains = [told[f"{figure}_over_shipped"] for figure in FIGURES]
    apart = "   ".join(f"{each['value']:+.4f} ({each['low']:+.4f} to {each['high']:+.4f})" for each in gains)
    return f"{name}: {own}" + ("" if name == SHIPPED else f"\n    over shipped: {apart}")


if __name__ == "__main__":
    sys.exit(main())
