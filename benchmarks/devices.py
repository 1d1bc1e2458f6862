"""Do devices add to what records and claims say? The AUROC of `admission_90d` with its groups of devices less without.

`simulate --plant decline` (docs/risk_model.md): months of fewer steps raise the hazard of an admission, and nothing but
a device tells of them. The insurer's medical claims, the device platform's files and the EHR's list of patients, by
which they are one person, go through Salus's own jobs. The task is trained twice as it ships, on the same people: with
its codeset, and with that codeset without every code that a wearable gives. Both networks are asked about the same
people held out: the interval of the difference is paired, by a bootstrap clustered by person, over all rows and over
those of people whose device had told something by then. Beside it stands a population without the effect, of the same
seed, where devices know next to nothing that records don't.

    python benchmarks/devices.py --people 20000
"""

import argparse
import os
import shutil
import sys
import tempfile
from dataclasses import replace
from datetime import date
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from order_effect import KEY, asked
from salus.cohorts.cohort import cohort
from salus.cohorts.task import Index, Task
from salus.datasets.export import export, newest_dataset
from salus.datasets.feed import in_order
from salus.datasets.parquet import Samples
from salus.evaluation.bootstrap import intervals
from salus.evaluation.discrimination import Ranking, auroc
from salus.job import spark_job
from salus.privacy.pseudonyms import create_key
from salus.settings import conf_dir
from salus.simulate.clock import DAYS, DAYS_PER_YEAR, HORIZON_DAYS, Clock
from salus.simulate.decline import ADULT, draw_declines, with_declines
from salus.simulate.population import chunks
from salus.simulate.risk import slow
from salus.simulate.truth import true_probability
from salus.simulate.writer import simulate
from salus.sources.ingest import ingest
from salus.timelines.blocks import INPUTS
from salus.timelines.build import build
from salus.timelines.spec import FeatureSpec
from salus.training.plan import NetworkPlan
from timing import save, surroundings

AS_OF = date(2026, 6, 30)
SOURCES = {
    "fhir_r4": ("ehr", ("Patient",)),
    "payer_extract": ("payer", ("eligibility", "medical_claim")),
    "wearable_daily": ("wearable", ("dailyActivity", "sleepDay")),
}
"""The folder of each source's files, and how the names of those that are taken begin."""

CODESET, LESS = "admission_90d", "admission_90d_without_devices"
WEARABLE = ("STEPS/", "ACTIVE_MINUTES/", "SEDENTARY_MINUTES/", "SLEEP_MINUTES/")
KNOWN = "source_devices.known"
WITH, WITHOUT = "with devices", "without devices"
REPLICATES = 1000
REDRAWN = 10


def main() -> int:
    """Make both worlds, train each network, print the differences and keep them."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--people", type=int, default=20_000, help="simulated people (default: %(default)s)")
    made.add_argument("--seed", type=int, default=7, help="of the simulation (default: %(default)s)")
    made.add_argument("--planted-only", action="store_true", help="leave out the population without the effect")
    made.add_argument("--dates", type=int, default=24, help="index dates, the newest (default: %(default)s)")
    args = made.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SALUS_CONF"] = with_codeset(Path(folder))
        found = {}
        for plant in ("decline",) if args.planted_only else ("decline", None):
            warehouse = f"{folder}/{plant or 'plain'}"
            tasks = {name: task_of(name, args.dates) for name in (WITH, WITHOUT)}
            prepare(warehouse, args.people, args.seed, plant, tasks)
            found[plant or "nothing"] = measured(warehouse, tasks, plant, folder)
    verdict = {"devices_add_where_planted": found["decline"]["of wearers"]["difference"]["low"] > 0}
    print(verdict)
    save(
        "devices",
        {
            "name": "AUROC of admission_90d with its groups of devices less without, by what is planted",
            "people": args.people,
            "seed": args.seed,
            "index_dates": args.dates,
            "to_win_of_wearers": to_win(args.people, args.seed, args.dates),
            "planted": found,
            "verdict": verdict,
            **surroundings(),
        },
    )
    return 0 if all(verdict.values()) else 1


def to_win(people: int, seed: int, dates: int) -> dict[str, float]:
    """AUROC over the truth of wearers who are adults: of the truth, and of its mean over declines drawn anew."""
    days = [day for day in Clock(AS_OF).index_days if day + 2 * HORIZON_DAYS <= DAYS][-dates:]
    rng = np.random.default_rng(seed)
    truths, unseen = [], []
    for chunk in chunks(people, seed, "decline"):
        course = chunk.course
        settled, grown = slow(course.people), course.people.birth_day + ADULT * DAYS_PER_YEAR
        others = [
            replace(course, slow=with_declines(settled, draw_declines(rng, course.people))) for _ in range(REDRAWN)
        ]
        for day in days:
            asked_of = course.alive_at(day) & (grown < day) & (course.people.wear_day < day) & course.people.in_wearable
            truths.append(true_probability(course, day)[asked_of])
            unseen.append(np.mean([true_probability(other, day)[asked_of] for other in others], axis=0))
    case = np.concatenate(truths)
    told = {"truth": case, "truth_without_declines": np.concatenate(unseen)}
    return {name: auroc(Ranking.of(each), case, 1 - case) for name, each in told.items()}


def with_codeset(folder: Path) -> str:
    """The settings, with a codeset more: the shipped one without what wearables give."""
    shutil.copytree(conf_dir(), folder / "conf")
    codesets = folder / "conf" / "codesets"
    lines = (codesets / f"{CODESET}.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if not line.rstrip().rpartition(",")[2].startswith(WEARABLE)]
    assert len(kept) < len(lines)
    (codesets / f"{LESS}.csv").write_text("".join(kept), encoding="utf-8")
    return str(folder / "conf")


def task_of(name: str, dates: int) -> Task:
    """`admission_90d` as it ships, on so many index dates, with or without the groups of devices."""
    task = Task.load("admission_90d").model_copy(update={"index": Index(last=dates)})
    if name == WITH:
        return task
    features = task.features.model_copy(update={"codeset": LESS})
    return task.model_copy(update={"id": LESS, "features": features})


def prepare(warehouse: str, people: int, seed: int, plant: str | None, tasks: dict[str, Task]) -> None:
    """Raw files, tables and the labelled data set of each task."""
    landing, key = Path(f"{warehouse}.landing"), Path(f"{warehouse}.key")
    simulate(people, seed, AS_OF, landing, plant)
    key.write_text(KEY, encoding="ascii")
    steps = []
    for source, (name, begins) in SOURCES.items():
        for path in (landing / name).iterdir():
            if not path.name.startswith(begins):
                path.unlink()
        steps.append(lambda job, source=source, name=name: ingest(job, source, f"{landing}/{name}", create_key(key)))
    steps.append(build)
    for task in tasks.values():
        steps += [lambda job, task=task: cohort(job, task), lambda job, task=task: export(job, task)]
    for step in steps:
        with spark_job("devices", argparse.Namespace(warehouse=warehouse, master="local[2]", ranks=1)) as job:
            step(job)


def measured(warehouse: str, tasks: dict[str, Task], plant: str | None, folder: str) -> dict:
    """The AUROC of either network on the people held out, and their difference; of all, and of those with a device."""
    import horovod.tensorflow as hvd

    hvd.init()
    rankings, people, sizes = {}, {}, {}
    for name, task in tasks.items():
        dataset = newest_dataset(warehouse, task.id)
        held_out = Samples.concatenated(list(in_order(dataset.split("held_out"))))
        people[name] = held_out[np.lexsort((held_out.prediction_time, held_out.subject_id))]
        network = NetworkPlan.of(task.model.architecture, task.model.architecture, task.model.settings.model_dump())
        [rankings[name]], state = asked(dataset, network, [people[name]], f"{folder}/{plant}-{task.id}")
        sizes[name] = {"inputs": people[name].inputs[INPUTS].shape[1], "epochs": len(state.history)}
    given = people[WITH]
    np.testing.assert_array_equal(given.subject_id, people[WITHOUT].subject_id)
    np.testing.assert_array_equal(given.label, people[WITHOUT].label)
    spec = FeatureSpec.from_json(newest_dataset(warehouse, tasks[WITH].id).spec().decode())
    known = given.inputs[INPUTS][:, spec.names.index(KNOWN)]
    rows = {"of all": np.ones(len(given), bool), "of wearers": known > known.min()}
    told = {scope: _difference(given, is_asked, rankings) for scope, is_asked in rows.items()}
    for scope, figures in told.items():
        each = figures["difference"]
        print(f"{plant or 'nothing':<8} {scope:<11} {each['value']:+.4f} ({each['low']:+.4f} to {each['high']:+.4f})")
    return told | {"networks": sizes}


def _difference(given: Samples, is_asked: np.ndarray, logits: dict[str, np.ndarray]) -> dict:
    """The AUROC of each of ``logits`` over the rows asked about, and the first less the second."""
    ranked = [Ranking.of(logits[name][is_asked]) for name in (WITH, WITHOUT)]
    weight, label, people = given.weight[is_asked], given.label[is_asked], given.subject_id[is_asked]

    def found(times: np.ndarray) -> np.ndarray:
        case, control = times * weight * label, times * weight * (1 - label)
        first, second = (auroc(ranking, case, control) for ranking in ranked)
        return np.array([first, second, first - second])

    values = found(np.ones(label.size))
    low, high = intervals(found, people, REPLICATES)
    figures = {
        name: {"value": value, "low": lower, "high": upper}
        for name, value, lower, upper in zip((WITH, WITHOUT, "difference"), values, low, high, strict=True)
    }
    return figures | {"rows": int(label.size), "people": int(np.unique(people).size), "events": int(label.sum())}


if __name__ == "__main__":
    sys.exit(main())
