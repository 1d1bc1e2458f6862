"""Does a network that reads the sequence of events see what windows can't? The AUROC of a GRU less that of an MLP, on a
population in which an effect of order is planted.

`simulate --plant order` (docs/risk_model.md): a diuretic added to a calcium channel blocker raises the hazard of an
admission, a blocker added to a diuretic does not; counts and days since the last are those of both drugs alike. The
insurer's files go through Salus's own jobs, with both drugs among the windowed groups of `admission_90d` and among the
codes of the sequence, which is that of what pharmacies dispensed. Both networks, and for comparison the logistic
regression, are trained by the train loop on the same samples and asked about the same people held out: the interval of
the difference is paired, by a bootstrap clustered by person. Beside it stand the difference on a population without the
effect, of the same seed, where there is nothing to win; the AUROC of the same GRU asked about the same people with both
drugs exchanged in their sequences, which tells whether it is the order that it reads; and how much there is to win: the
AUROC of the truth, and of the truth to whom the orders of the courses are unknown.

    python benchmarks/order_effect.py --people 6000
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from salus.cohorts.cohort import cohort
from salus.cohorts.task import Index, Model, ModelSettings, Task
from salus.datasets.export import export, newest_dataset
from salus.datasets.feed import in_order
from salus.datasets.folder import Folder
from salus.datasets.parquet import Samples
from salus.evaluation.bootstrap import intervals
from salus.evaluation.discrimination import Ranking, auroc
from salus.job import spark_job
from salus.privacy.pseudonyms import create_key
from salus.simulate.cascade import ADULT, BLOCKER, DIURETIC, with_cascades
from salus.simulate.catalogue import DRUGS
from salus.simulate.clock import DAYS, DAYS_PER_YEAR, HORIZON_DAYS, Clock
from salus.simulate.population import chunks
from salus.simulate.risk import slow
from salus.simulate.truth import outcome, true_probability
from salus.simulate.writer import simulate
from salus.sources.ingest import ingest
from salus.timelines.blocks import EVENT_CODES
from salus.timelines.build import build
from salus.timelines.features import SequenceSettings
from salus.timelines.spec import FeatureSpec
from salus.training.plan import NetworkPlan
from timing import save, surroundings

AS_OF = date(2026, 6, 30)
KEY = "5a" * 32
"""Splits are hashes of pseudonyms: with a key of its own, each run would hold out other people."""

CODES = tuple(f"NDC/{DRUGS[name].ndc}" for name in (BLOCKER, DIURETIC))
NOT_DISPENSED = ("CLAIM", "CPT/", "HCPCS/", "ICD10CM/", "ICD10PCS/", "MEDS_", "SNOMED/")
"""Beginnings of the payer's codes that are no drug."""

SETTINGS = {  # the best tuning loss where the effect is planted: of 14 for the MLP, 2 for the logistic, 1 for the GRU
    "gru": ModelSettings(
        hidden=(16,), units=32, dropout=0.1, l2=1e-5, learning_rate=0.003, epochs=25, batch_size=256, patience=4
    ),
    "mlp": ModelSettings(
        hidden=(64, 32), dropout=0.2, l2=1e-3, learning_rate=0.001, epochs=25, batch_size=256, patience=4
    ),
    "logistic": ModelSettings(l2=1e-3, learning_rate=0.003, epochs=25, batch_size=256, patience=4),
}
REPLICATES = 1000
ORDERS = 16
"""How often orders are drawn anew for the truth to whom they are unknown."""


def main() -> int:
    """Make both worlds where there are none yet, train, print the differences and keep them."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--people", type=int, default=6000, help="simulated people (default: %(default)s)")
    made.add_argument("--seed", type=int, default=7, help="of the simulation (default: %(default)s)")
    made.add_argument("--dates", type=int, default=10, help="index dates, the newest (default: %(default)s)")
    made.add_argument("--planted-only", action="store_true", help="leave out the population without the effect")
    made.add_argument("--warehouse", help="where the tables go, and are found again (default: a temporary folder)")
    args = made.parse_args()
    task = task_of(args.dates)
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for plant in ("order",) if args.planted_only else ("order", None):
            warehouse = f"{args.warehouse or folder}/{plant or 'plain'}"
            prepare(warehouse, args.people, args.seed, plant, task)
            found[plant or "nothing"] = measured(warehouse, task, plant, folder)
    verdict = {"the_gru_beats_the_mlp_on_order": bool(found["order"]["gru_over_mlp"]["low"] > 0)}
    print(verdict)
    save(
        "order_effect",
        {
            "name": "AUROC of a GRU less that of an MLP, by what is planted",
            "people": args.people,
            "seed": args.seed,
            "index_dates": args.dates,
            "to_win": to_win(args.people, args.seed, args.dates),
            "planted": found,
            "verdict": verdict,
            **surroundings(),
        },
    )
    return 0 if all(verdict.values()) else 1


def to_win(people: int, seed: int, dates: int) -> dict[str, float]:
    """AUROC of the truth, and of its mean over orders drawn anew, of all adults where the effect is planted."""
    days = [day for day in Clock(AS_OF).index_days if day + 2 * HORIZON_DAYS <= DAYS][-dates:]
    rng = np.random.default_rng(seed)
    truths, unordered, outcomes = [], [], []
    for chunk in chunks(people, seed, "order"):
        course, courses = chunk.course, chunk.courses
        assert courses is not None
        settled = slow(course.people)
        drawn = [replace(courses, is_cascade=rng.random(len(courses)) < 0.5) for _ in range(ORDERS)]
        others = [replace(course, slow=with_cascades(settled, each)) for each in drawn]
        for day in days:
            asked_of = course.alive_at(day) & (course.people.birth_day + ADULT * DAYS_PER_YEAR < day)
            truths.append(true_probability(course, day)[asked_of])
            unordered.append(np.mean([true_probability(other, day)[asked_of] for other in others], axis=0))
            outcomes.append(outcome(course, day)[asked_of])
    case = np.concatenate(outcomes).astype(np.float64)
    known = {"truth": truths, "truth_without_order": unordered}
    return {name: auroc(Ranking.of(np.concatenate(told)), case, 1 - case) for name, told in known.items()}


def task_of(dates: int) -> Task:
    """`admission_90d` on so many index dates, with the most frequent codes in windows and drugs in the sequence."""
    task = Task.load("admission_90d")
    features = task.features.model_copy(
        update={
            "numeric_statistics": ("last",),
            "numeric_windows_days": (),
            "most_frequent": 60,
            "sequence": SequenceSettings(length=48, min_people=50, most=200, without=NOT_DISPENSED),
        }
    )
    model = Model(architecture="gru", settings=SETTINGS["gru"])
    return task.model_copy(update={"features": features, "model": model, "index": Index(last=dates)})


def prepare(warehouse: str, people: int, seed: int, plant: str | None, task: Task) -> None:
    """Raw files, tables and the labelled data set, where they are not there."""
    landing, key = Path(f"{warehouse}.landing"), Path(f"{warehouse}.key")
    simulate(people, seed, AS_OF, landing, plant)
    key.write_text(KEY, encoding="ascii")
    steps = {
        "ingest": lambda job: ingest(job, "payer_extract", str(landing / "payer"), create_key(key)),
        "timelines": build,
        "cohort": lambda job: cohort(job, task),
        "export": lambda job: export(job, task),
    }
    for name, step in steps.items():
        with spark_job(name, argparse.Namespace(warehouse=warehouse, master="local[1,4]", ranks=1)) as job:
            step(job)


def measured(warehouse: str, task: Task, plant: str | None, folder: str) -> dict:
    """The AUROC of every network on the people held out, and by how much the GRU beats the others."""
    import horovod.tensorflow as hvd

    hvd.init()
    dataset = newest_dataset(warehouse, task.id)
    spec = FeatureSpec.from_json(dataset.spec().decode())
    assert spec.sequence is not None
    if plant:
        assert set(CODES) <= {code for group in spec.groups for code in group.codes}, "windows count both drugs"
        assert set(CODES) <= set(spec.sequence.codes), "the sequence holds both drugs"
    people = Samples.concatenated(list(in_order(dataset.split("held_out"))))
    asked_of = [people, exchanged(people, spec.sequence.codes)] if plant else [people]
    rankings, epochs = {}, {}
    for architecture, settings in SETTINGS.items():
        began = time.monotonic()
        network = NetworkPlan.of(architecture, architecture, settings.model_dump())
        logits, state = asked(dataset, network, asked_of, f"{folder}/{plant}-{architecture}")
        rankings[architecture] = Ranking.of(logits[0])
        if plant and architecture == "gru":
            of_exchanged = Ranking.of(logits[1])
        epochs[architecture] = {"epochs": len(state.history), "seconds": time.monotonic() - began}

    def found(times: np.ndarray) -> np.ndarray:
        weights = times * people.weight
        case, control = weights * people.label, weights * (1 - people.label)
        each = np.array([auroc(ranking, case, control) for ranking in rankings.values()])
        return np.concatenate([each, each[0] - each[1:], *([[auroc(of_exchanged, case, control)]] if plant else [])])

    values = found(np.ones(len(people)))
    low, high = intervals(found, people.subject_id, REPLICATES)
    names = [*SETTINGS, *(f"gru_over_{other}" for other in list(SETTINGS)[1:])]
    names += ["gru_of_exchanged"] if plant else []
    told = {
        name: {"value": value, "low": lower, "high": upper}
        for name, value, lower, upper in zip(names, values, low, high, strict=True)
    }
    for name, figure in told.items():
        print(
            f"{plant or 'nothing':<8} {name:<18} {figure['value']:+.4f} ({figure['low']:+.4f} to {figure['high']:+.4f})"
        )
    train = dataset.split("train")
    sizes = {"train": train.rows, "prevalence": train.mean_label, "held_out": len(people)}
    return told | {"samples": sizes, "trained": epochs, "held_out_people": int(np.unique(people.subject_id).size)}


def exchanged(people: Samples, vocabulary: Sequence[str]) -> Samples:
    """``people`` with the drugs of ``CODES`` exchanged in their sequences, so that each order becomes the other."""
    first, second = (vocabulary.index(code) + 1 for code in CODES)
    codes = people.inputs[EVENT_CODES]
    other = np.select([codes == first, codes == second], [second, first], codes).astype(codes.dtype)
    inputs = {**people.inputs, EVENT_CODES: other}
    return Samples(people.subject_id, people.prediction_time, inputs, people.label, people.weight)


def asked(dataset, network, people: Sequence[Samples], checkpoints: str):
    """Train ``network`` by the train loop, on one rank; float64 (rows,) logits of each of ``people``, and the state."""
    from salus.training.loop import Loop

    loop = Loop(dataset, network)
    state = loop.run(Folder(checkpoints), "network", False, lambda epoch: print(f"  {epoch_line(epoch)}", flush=True))
    return [_logits(loop.model, each) for each in people], state


def _logits(model, people: Samples) -> np.ndarray:
    said = [
        model({each.name: people.inputs[each.name][start : start + 4096] for each in model.inputs})
        for start in range(0, len(people), 4096)
    ]
    return np.concatenate([np.asarray(each)[:, 0] for each in said]).astype(np.float64)


def epoch_line(epoch: dict) -> str:
    """An epoch in one line."""
    return (
        f"{epoch['network']} epoch {epoch['epoch']}: tuning loss {epoch['tuning_loss']:.4f}, "
        f"AUROC {epoch['tuning_auroc']:.4f}, {epoch['seconds']:.0f} s"
    )


if __name__ == "__main__":
    sys.exit(main())
