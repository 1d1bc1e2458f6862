"""Are two ranks on two cores faster than one on one, does the input keep up, and does memory stay flat?

An MLP over windows and a GRU over events are trained by Horovod under Spark, as `train` does it: by one rank on one
core, and by two ranks on two, with the same global batch, so that both learn from the same samples in steps of the same
size (targets: two ranks at least 1.7 times as many samples a second; of each epoch less than 5 % spent waiting for
input; a rank's memory at the last epoch at most 2 % above that of the third). Runs are interleaved; every epoch must
have seen the same samples either way. How much memory grew since half-way is told beside it.

What ranks have to say to each other takes some milliseconds a step, however large the step is. So it is measured with
large batches, to which the targets apply, and with batches of 512 a rank, as the shipped tasks ask for.

    python benchmarks/ranks.py [--runs 3]

Each run is a process with a Spark of its own, whose start is in none of the times; nor is the first epoch, in which
TensorFlow traces the network.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from itertools import pairwise

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from salus.datasets.folder import Folder, sha256
from salus.datasets.groups import group_bounds, rows_a_group
from salus.datasets.manifest import MANIFEST, SPEC, open_dataset, stated
from salus.datasets.parquet import Samples, written
from salus.session import spark_session
from salus.settings import load_settings
from salus.timelines.blocks import EVENT_CODES, EVENT_COLUMNS, EVENT_VALUES, INPUTS, EventSequence
from salus.timelines.spec import FeatureSpec
from salus.training.launch import run_ranks
from salus.training.plan import NetworkPlan, TrainingPlan
from timing import save, surroundings

WIDTH, LENGTH, CODES = 250, 32, 200
GROUPS = 12
SETTINGS = {
    "mlp": {"hidden": [256, 128], "dropout": 0.2, "l2": 1e-4},
    "gru": {"hidden": [32], "units": 32, "dropout": 0.1, "l2": 1e-5},
}
ROWS, EPOCHS = {"mlp": 240_000, "gru": 60_000}, {"mlp": 12, "gru": 8}
LARGE, SHIPPED = {"mlp": 8192, "gru": 4096}, {"mlp": 1024, "gru": 1024}
"""Samples a step, of all ranks."""

FASTER, WAITING, GROWTH = 1.7, 0.05, 0.02
SETTLED = 2
"""Epochs after which what grows would show: the first traces, the second fills the pools."""


def main() -> int:
    """Run all cases, in turn, or one of them where asked to."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--runs", type=int, default=3, help="of each (default: %(default)s)")
    made.add_argument("--case", nargs=4, help=argparse.SUPPRESS)
    args = made.parse_args()
    if args.case:
        folder, name, batch, ranks = args.case
        print(json.dumps(trained(folder, name, int(batch), int(ranks))))
        return 0
    networks, shipped = {}, {}
    with tempfile.TemporaryDirectory(prefix="salus-ranks-") as folder:
        for name, rows in ROWS.items():
            made_up(f"{folder}/{name}", rows)
            networks[name] = judged(in_turn(f"{folder}/{name}", name, LARGE[name], args.runs))
            shipped[name] = judged(in_turn(f"{folder}/{name}", name, SHIPPED[name], args.runs))
    for name, large in networks.items():
        print(f"{name}: {large['times_faster']:.2f} times as fast in batches of {LARGE[name]} (at least {FASTER})")
        print(f"{name}: {shipped[name]['times_faster']:.2f} times as fast in batches of {SHIPPED[name]}")
        print(f"{name}: {large['share_waiting']:.1%} waiting, memory {large['memory_growth']:+.1%}")
    verdict = {name: network["holds"] for name, network in networks.items()}
    print(verdict)
    save(
        "ranks",
        {
            "name": "two Horovod ranks on two cores against one on one, of the same global batch",
            "rows": ROWS,
            "runs": args.runs,
            "epochs": EPOCHS,
            "global_batch": LARGE,
            "bars": {"times_faster": FASTER, "share_waiting": WAITING, "memory_growth": GROWTH},
            "networks": networks,
            "shipped_batch": SHIPPED,
            "at_the_shipped_batch": shipped,
            "verdict": verdict,
            **surroundings(),
        },
    )
    return 0 if all(all(each.values()) for each in verdict.values()) else 1


def in_turn(folder: str, name: str, batch: int, runs: int) -> dict[int, list[list]]:
    """Of each number of ranks the histories of all ranks of each run, interleaved."""
    found: dict[int, list[list]] = {1: [], 2: []}
    for _ in range(runs):
        for ranks, of_ranks in found.items():
            of_ranks.append(alone(folder, name, batch, ranks))
    return found


def alone(folder: str, name: str, batch: int, ranks: int) -> list:
    """The histories of all ranks of one run, in a process that has as many cores as there are ranks."""
    cores = sorted(os.sched_getaffinity(0))[:ranks]
    done = subprocess.run(
        [sys.executable, __file__, "--case", folder, name, str(batch), str(ranks)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    return json.loads(done.stdout.splitlines()[-1])


def trained(folder: str, name: str, batch: int, ranks: int) -> list:
    """Train a network on ``ranks`` ranks; its history on each rank."""
    dataset = open_dataset(f"{folder}/dataset")
    settings = SETTINGS[name] | {"batch_size": batch // ranks, "epochs": EPOCHS[name], "patience": EPOCHS[name]}
    spark = spark_session(load_settings(master=f"local[{ranks},4]", driver_memory="1g"), name="ranks")
    with tempfile.TemporaryDirectory() as checkpoints:
        plan = TrainingPlan(dataset.folder.url, dataset.hash, checkpoints, (NetworkPlan.of(name, name, settings),))
        results = run_ranks(spark, plan, ranks, lambda line: print(f"  {ranks} ranks: {line}", file=sys.stderr))
    spark.stop()
    return [result["networks"][name]["history"] for result in results]


def judged(found: dict[int, list[list]]) -> dict:
    """Speed, waiting and memory of a network's runs, by ranks; that all of them saw the same samples."""
    speeds, waiting, growth, later = {}, [], [], []
    for ranks, runs in found.items():
        epochs = [epoch for run in runs for epoch in run[0][1:]]
        speeds[ranks] = [epoch["samples_a_second"] for epoch in epochs]
        for history in (history for run in runs for history in run):
            waiting += [epoch["rank_waited_seconds"] / epoch["seconds"] for epoch in history[1:]]
            held = [epoch["rank_memory_mb"] for epoch in history]
            growth.append(held[-1] / held[SETTLED] - 1)
            later.append(held[-1] / held[len(held) // 2] - 1)
    digests = {tuple(_digests(run)) for runs in found.values() for run in runs}
    if len(digests) != 1:
        raise AssertionError("Runs saw different samples.")
    figures = {
        "times_faster": statistics.median(speeds[2]) / statistics.median(speeds[1]),
        "share_waiting": statistics.median(waiting),
        "memory_growth": statistics.median(growth),
        "memory_growth_since_half_way": statistics.median(later),
    }
    holds = {
        "times_faster": figures["times_faster"] >= FASTER,
        "share_waiting": figures["share_waiting"] < WAITING,
        "memory_growth": figures["memory_growth"] <= GROWTH,
    }
    return figures | {"samples_a_second": [speeds[1], speeds[2]], "holds": holds}


def _digests(histories):
    """Of each epoch, a number of all samples of all ranks."""
    for epoch in zip(*histories, strict=True):
        whole = 0
        for rank in epoch:
            whole ^= rank["rank_digest"]
        yield whole


def made_up(folder: str, rows: int) -> None:
    """A data set of random windows and events, as an export would write it."""
    sequence = EventSequence(
        length=LENGTH,
        codes=tuple(f"C/{number}" for number in range(CODES)),
        labels=tuple(f"code {number}" for number in range(CODES)),
        code_hashes=tuple(range(1, CODES + 1)),
        mean=(0.0,) * CODES,
        std=(1.0,) * CODES,
    )
    spec = FeatureSpec(
        windows_days=(),
        numeric_windows_days=(),
        count_statistics=(),
        numeric_statistics=(),
        enrolment_days=tuple(range(1, WIDTH + 1)),
        groups=(),
        sequence=sequence,
    )
    random, dataset, splits = np.random.default_rng(7), Folder(f"{folder}/dataset"), {}
    for split, count in {"train": rows, "tuning": rows // 10, "calibration": 0, "held_out": 0}.items():
        bounds = group_bounds(count, GROUPS, rows_a_group(sum(block.size for block in spec.blocks.values())))
        groups = [samples(random, start, end, spec) for start, end in pairwise(bounds) if end > start]
        files = []
        for number in range(0, len(groups), GROUPS):
            content, name = written(groups[number : number + GROUPS]), f"part-{number:06d}.parquet"
            (dataset / split).write(name, content)
            of_file = [len(group) for group in groups[number : number + GROUPS]]
            files.append({"name": name, "sha256": sha256(content), "bytes": content.size, "groups": of_file})
        splits[split] = {"rows": count, "positives": sum(int(g.label.sum()) for g in groups), "files": files}
    dataset.write(SPEC, spec.to_json().encode())
    dataset.write_json(
        MANIFEST,
        {"format": 4, "blocks": stated(spec.blocks), "spec_hash": spec.hash, "tables": {}, "splits": splits},
    )


def samples(random: np.random.Generator, start: int, end: int, spec: FeatureSpec) -> Samples:
    """Samples ``start`` to ``end``, of which a third have no more than half of the events."""
    count = end - start
    held = np.arange(LENGTH) < np.where(random.random(count) < 1 / 3, LENGTH // 2, LENGTH)[:, None]
    values = random.normal(size=(count, LENGTH, len(EVENT_COLUMNS))).astype(np.float32) * held[..., None]
    values[..., EVENT_COLUMNS.index("log_gap")] = np.abs(values[..., EVENT_COLUMNS.index("log_gap")])
    values[..., EVENT_COLUMNS.index("present")] = held
    inputs = {
        INPUTS: random.normal(size=(count, spec.width)).astype(np.float32),
        EVENT_CODES: (random.integers(1, CODES + 1, (count, LENGTH)) * held).astype(np.int32),
        EVENT_VALUES: values,
    }
    label = (random.random(count) < 0.08).astype(np.float32)
    return Samples(np.arange(start, end) // 10, np.arange(start, end), inputs, label, np.ones(count, np.float32))


if __name__ == "__main__":
    sys.exit(main())
