"""What is pre-training worth? The AUROC of a sequence network that begins from its encoder, less that of the same from
chance, at 500, 5,000 and all training labels.

Simulated people go through Salus's own jobs: simulate, ingest, timelines, cohort, export and pretrain, for the task
`admission_90d` with a sequence of events and the architecture asked for. The encoder learns from everybody of the
training split. Then the network is trained by the train loop on some labels, drawn so that the prevalence is kept, and
stops by as many tuning labels in proportion; with fewer labels than there are, on several draws. Each draw is trained
twice, from chance and from the encoder, with the same seed. Both are asked about the same held-out people: the interval
of the difference is paired, by a bootstrap clustered by person, over the mean of the draws.

What the network reads is measured both ways: the sequence alone, as the papers on pre-training have it, where all that
it knows of codes comes from the sequence; and the sequence beside the task's windows, which tell most of it already.

    python benchmarks/pretraining.py --architecture gru --inputs sequence
"""

import argparse
import os
import sys
import tempfile
import time
from dataclasses import replace
from datetime import date
from itertools import pairwise
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from salus.cohorts.cohort import cohort
from salus.cohorts.task import Model, ModelSettings, Pretraining, Task
from salus.datasets import Dataset
from salus.datasets.export import export, newest_dataset
from salus.datasets.feed import in_order
from salus.datasets.folder import Folder, sha256
from salus.datasets.groups import group_bounds, multiple_for, rows_a_group
from salus.datasets.manifest import MANIFEST, SPEC, open_dataset
from salus.datasets.parquet import Samples, written
from salus.evaluation.bootstrap import intervals
from salus.evaluation.discrimination import Ranking, auroc
from salus.job import spark_job
from salus.models.ways import way_of
from salus.privacy.pseudonyms import create_key
from salus.simulate.writer import simulate
from salus.sources.ingest import ingest
from salus.timelines.build import build
from salus.timelines.features import SequenceSettings
from salus.training.encoders import encoder_name
from salus.training.package import Package, load_package
from salus.training.pretrain import pretrain
from salus.training.train import networks_of
from timing import save, surroundings

AS_OF = date(2026, 6, 30)
KEY = "5a" * 32
"""Splits are hashes of pseudonyms: with a key of its own, each run would hold out other people."""

SOURCES = {"fhir_r4": "ehr", "payer_extract": "payer"}
INPUTS = {"sequence": (), "windows and sequence": None}
"""What the network reads beside age, sex and cover: of which codesets the windows are; None = the task's own."""

DRAWS = {500: 8, 5000: 2, None: 1}
"""How often so many training labels are drawn; None = all of them, drawn once."""

DRAWN = 1
"""Seeds the draws. Settings were chosen on others, of another world: a head without hidden layers and a learning rate
with which a network from chance does about as well there as with others (0.715; 0.718 with a layer of 16)."""

STEPS_AN_EPOCH, BATCH = 16, 256
"""Batches are of at most ``BATCH`` samples, and of so few labels that an epoch still has that many steps."""

REPLICATES = 1000


def main() -> int:
    """Make the world where there is none yet, train, print the gain and keep it."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--people", type=int, default=20_000, help="simulated people (default: %(default)s)")
    made.add_argument("--seed", type=int, default=7, help="of the simulation (default: %(default)s)")
    made.add_argument("--architecture", nargs="+", default=["gru", "transformer"], help="(default: %(default)s)")
    made.add_argument("--inputs", nargs="+", choices=INPUTS, default=[*INPUTS], help="(default: %(default)s)")
    made.add_argument("--labels", nargs="+", type=int, default=[*filter(None, DRAWS)], help="(default: %(default)s)")
    made.add_argument("--all-labels", action="store_true", help="measure at all of them too, which takes longest")
    made.add_argument("--warehouse", help="where the tables go, and are found again (default: a temporary folder)")
    args = made.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        warehouse = args.warehouse or f"{folder}/warehouse"
        seconds = prepare(warehouse, args.people, args.seed, task_of("gru", "sequence"))
        gains = []
        for inputs in args.inputs:
            for architecture in args.architecture:
                task = task_of(architecture, inputs)
                encoder = pre_trained(warehouse, task, seconds, inputs)
                for labels in [*args.labels, *([None] if args.all_labels else [])]:
                    scratch = f"{folder}/{inputs.replace(' ', '-')}"
                    gains.append({"inputs": inputs} | gain(warehouse, task, encoder, labels, scratch))
                    keep(gains, args, seconds)
    return 0


def keep(gains: list[dict], args: argparse.Namespace, seconds: dict[str, float]) -> None:
    """Save what was measured so far: the larger sizes take most of the time."""
    at_few = [each for each in gains if each["labels"] == min(filter(None, DRAWS))]
    verdict = {
        f"{each['architecture']} of {each['inputs']} gains at {each['labels']}": each["low"] > 0 for each in at_few
    }
    result = {
        "name": "AUROC from a pre-trained encoder, less from chance, on people held out",
        "people": args.people,
        "seed": args.seed,
        "gains": gains,
        "seconds": seconds,
        "verdict": {name: bool(gains_there) for name, gains_there in verdict.items()},
    }
    save("pretraining", result | surroundings())


def task_of(architecture: str, inputs: str) -> Task:
    """`admission_90d`, whose model reads the sequence of events by ``architecture``, alone or beside its windows."""
    task = Task.load("admission_90d")
    sequence = SequenceSettings(length=128, min_people=20, most=1000)
    settings = ModelSettings(
        hidden=(), units=32, dropout=0.2, l2=1e-4, learning_rate=0.01, epochs=40, batch_size=BATCH, patience=6
    )
    windows = {} if INPUTS[inputs] is None else {"codeset": INPUTS[inputs]}
    return task.model_copy(
        update={
            "features": task.features.model_copy(update={"sequence": sequence} | windows),
            "model": Model(architecture=architecture, settings=settings),
            "pretraining": Pretraining(epochs=8),
        }
    )


def prepare(warehouse: str, people: int, seed: int, task: Task) -> dict[str, float]:
    """Raw files, tables and the cohort, where they are not there; seconds of each step."""
    landing, took = Path(f"{warehouse}.landing"), {}
    simulate(people, seed, AS_OF, landing)
    key = Path(f"{warehouse}.key")
    key.write_text(KEY, encoding="ascii")
    steps = {
        source: lambda job, source=source, place=place: ingest(job, source, str(landing / place), create_key(key))
        for source, place in SOURCES.items()
    }
    steps |= {"timelines": build, "cohort": lambda job: cohort(job, task)}
    for name, step in steps.items():
        began = time.monotonic()
        with spark_job("ingest" if name in SOURCES else name, here(warehouse)) as job:
            step(job)
        took[name] = time.monotonic() - began
    return took


def here(warehouse: str) -> argparse.Namespace:
    """What the jobs are told: one rank, on one core."""
    return argparse.Namespace(warehouse=warehouse, master="local[1,4]", ranks=1)


def pre_trained(warehouse: str, task: Task, seconds: dict[str, float], inputs: str) -> Package:
    """The encoder of ``task``, once its labelled data set is there."""
    began = time.monotonic()
    with spark_job("export", here(warehouse)) as job:
        export(job, task)
    with spark_job("pretrain", here(warehouse)) as job:
        pretrain(job, task)
        rows = job.tables.read("models").where(f"architecture = '{task.model.architecture}'")
        row = max((row.asDict() for row in rows.collect()), key=lambda row: row["trained_at"])
    assert row["model_name"] == encoder_name(task)
    seconds[f"export and pretrain {task.model.architecture}, {inputs}"] = time.monotonic() - began
    return load_package(f"{warehouse}/{row['package_path']}")


def gain(warehouse: str, task: Task, encoder: Package, labels: int | None, folder: str) -> dict:
    """Both ways to begin at so many labels, on the same draws and the same people held out."""
    import horovod.tensorflow as hvd

    hvd.init()
    dataset, network, architecture = newest_dataset(warehouse, task.id), networks_of(task)[0], task.model.architecture
    held_out = Samples.concatenated(list(in_order(dataset.split("held_out"))))
    logits: dict[str, list[np.ndarray]] = {"chance": [], "encoder": []}
    for draw in range(DRAWS[labels]):
        some = dataset if labels is None else drawn(dataset, labels, draw, f"{folder}/{architecture}-{labels}-{draw}")
        for begun, given in (("chance", None), ("encoder", encoder.model)):
            batch = min(BATCH, some.split("train").rows // STEPS_AN_EPOCH)
            plan = replace(
                network, seed=network.seed + draw, batch_size=batch, encoder_rate=task.pretraining.encoder_rate
            )
            logits[begun].append(asked(some, plan, given, held_out, f"{folder}/{begun}-{labels}-{draw}"))
    rankings = {begun: [Ranking.of(each) for each in of_draws] for begun, of_draws in logits.items()}

    def found(times: np.ndarray) -> np.ndarray:
        weights = times * held_out.weight
        case, control = weights * held_out.label, weights * (1 - held_out.label)
        both = {
            begun: np.array([auroc(ranking, case, control) for ranking in of_draws])
            for begun, of_draws in rankings.items()
        }
        chance, begun = both["chance"].mean(), both["encoder"].mean()
        return np.array([chance, begun, begun - chance])

    chance, begun, difference = found(np.ones(len(held_out)))
    low, high = intervals(found, held_out.subject_id, REPLICATES)
    told = {
        "architecture": architecture,
        "pre_trained": {"objective": way_of(architecture).objective, "samples": encoder.info["samples"]}
        | encoder.info["best"],
        "labels": labels or dataset.split("train").rows,
        "is_all": labels is None,
        "draws": DRAWS[labels],
        "held_out_people": int(np.unique(held_out.subject_id).size),
        "auroc_from_chance": chance,
        "auroc_from_encoder": begun,
        "gain": difference,
        "low": low[2],
        "high": high[2],
    }
    print(
        f"{architecture:<12} {told['labels']:>7,} labels: {chance:.4f} from chance, {begun:.4f} from the encoder, "
        f"{difference:+.4f} ({low[2]:+.4f} to {high[2]:+.4f})",
        flush=True,
    )
    return told


def drawn(dataset: Dataset, labels: int, draw: int, url: str) -> Dataset:
    """``labels`` samples of the training split, and of the tuning split in proportion, as a data set of their own."""
    share = min(1.0, labels / dataset.split("train").rows)
    random, folder, content = np.random.default_rng([DRAWN, draw, labels]), Folder(url), dict(dataset.content)
    content["splits"] = dict(content["splits"])
    for split in ("train", "tuning"):
        every = Samples.concatenated(list(in_order(dataset.split(split))))
        rows = np.concatenate(
            [
                random.choice(of_class, max(1, round(share * of_class.size)), replace=False)
                for of_class in (np.flatnonzero(every.label == value) for value in (0, 1))
            ]
        )
        some = every[random.permutation(rows)]
        bounds = group_bounds(len(some), multiple_for(1), rows_a_group(dataset.width))
        groups = [some[start:end] for start, end in pairwise(bounds)]
        file = written(groups)
        (folder / split).write("part-000000.parquet", file)
        content["splits"][split] = {
            "rows": len(some),
            "positives": int((some.label > 0).sum()),
            "label_sum": float(some.label.sum()),
            "files": [
                {
                    "name": "part-000000.parquet",
                    "sha256": sha256(file),
                    "bytes": file.size,
                    "groups": [*map(len, groups)],
                }
            ],
        }
    folder.write(SPEC, dataset.spec())
    folder.write_json(MANIFEST, content)
    return open_dataset(url)


def asked(dataset: Dataset, network, encoder, people: Samples, checkpoints: str) -> np.ndarray:
    """Train ``network`` on ``dataset`` by the train loop, on one rank; the logits of ``people``, float64 (rows,)."""
    from salus.training.loop import Loop

    loop = Loop(dataset, network, encoder=encoder)
    loop.run(Folder(checkpoints), "network", False, lambda epoch: None)
    said = [
        loop.model({each.name: people.inputs[each.name][start : start + 4096] for each in loop.model.inputs})
        for start in range(0, len(people), 4096)
    ]
    return np.concatenate([np.asarray(each)[:, 0] for each in said]).astype(np.float64)


if __name__ == "__main__":
    sys.exit(main())
