"""How much of what can be known does the shipped model know, where there are many people to learn from?

A demo of its own, as a newcomer starts it (./submit.sh demo), at 50,000 people; then what its `evaluate` said of the
people held out, read from its tables. Its bars:

- the model has at least 0.97 of the attainable lift over an AUROC of 0.5, over the true probabilities, and the lower
  bound of a bootstrap of people is at least 0.95;
- the 95 % interval of its calibration slope contains 1;
- the group whose HbA1c the simulator under-records stands out among the subgroups: the gap between how much is recorded
  of it and of everybody else is material, and of no other race is it.

The other rows are there to judge these by: the same slope of the attainable probabilities on the same people, and what
the calibration split made of the model's own probabilities.

    python benchmarks/large_population.py --people 50000
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from salus.evaluation.completeness import RECORDED_GAP, is_material
from salus.session import spark_session
from salus.settings import load_settings
from salus.simulate.people import RACES, UNDER_RECORDED_RACE
from salus.storage import Tables
from timing import save, surroundings

SUBMIT = str(Path(__file__).parents[1] / "submit.sh")
TASK = "admission_90d"
SHARE, SHARE_AT_LEAST = 0.97, 0.95
GAP, RACE = f"{RECORDED_GAP}HbA1c", "race: "
UNDER_RECORDED = f"{RACE}{RACES[UNDER_RECORDED_RACE]}"
INTERVAL = ("value", "low", "high", "people", "rows")
OF_ALL = ("auroc", "auroc_over_truth", "calibration_slope")
METRICS = {
    "model": (*OF_ALL, "share_of_attainable_lift", "calibration_intercept"),
    "baseline": OF_ALL,
    "attainable": OF_ALL,
    "oracle": OF_ALL,
}


def main(argv=None) -> int:
    """Run the demo, print what came of it and keep it."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--people", type=int, default=50_000, help="simulated people (default: %(default)s)")
    made.add_argument("--seed", type=int, default=7, help="of the simulation (default: %(default)s)")
    args = made.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="salus-large-") as folder:
        warehouse = f"{folder}/warehouse"
        seconds = demo(warehouse, args.people, args.seed)
        found, gaps, calibration = measured(warehouse)
    share, slope = found["model"]["share_of_attainable_lift"], found["model"]["calibration_slope"]
    verdict = {
        f"share of the attainable lift is at least {SHARE}": share["value"] >= SHARE,
        f"its lower bound is at least {SHARE_AT_LEAST}": share["low"] >= SHARE_AT_LEAST,
        "the interval of the calibration slope contains 1": slope["low"] <= 1 <= slope["high"],
        "of the under-recorded group alone is materially less HbA1c recorded": less_recorded(gaps) == {UNDER_RECORDED},
    }
    for model, metrics in found.items():
        for metric, row in metrics.items():
            print(f"  {model:<11}{metric:<26}{row['value']:7.3f}  ({row['low']:.3f} to {row['high']:.3f})")
    for group, row in gaps.items():
        print(f"  {group:<37}{100 * row['value']:+7.1f}  ({100 * row['low']:+.1f} to {100 * row['high']:+.1f}) points")
    for bar, holds in verdict.items():
        print(f"  {bar}{'' if holds else ': falls short'}")
    result = {
        "name": f"the demo's model, of {args.people:,} people",
        "people": args.people,
        "seed": args.seed,
        "seconds": seconds,
        "held_out": found,
        GAP: gaps,
        "calibration": calibration,
        "verdict": verdict,
        **surroundings(),
    }
    print(save("large_population", result))
    return 0 if all(verdict.values()) else 1


def demo(warehouse: str, people: int, seed: int) -> float:
    """The seconds that a first demo took."""
    begun = time.perf_counter()
    asked = [SUBMIT, "demo", f"--people={people}", f"--seed={seed}"]
    subprocess.run(asked, check=True, env=in_warehouse(warehouse))
    return time.perf_counter() - begun


def in_warehouse(warehouse: str) -> dict[str, str]:
    """This environment, for a job in ``warehouse``."""
    return os.environ | {"SALUS_WAREHOUSE": warehouse}


def measured(warehouse: str) -> tuple[dict, dict, dict[str, float | str]]:
    """Of each model its ``METRICS`` on people held out, of each race the ``GAP``, and the model's calibration."""
    spark = spark_session(load_settings(), name="benchmark")
    tables = Tables(spark, warehouse)
    told = tables.read("evaluations").where(f"task_id = '{TASK}' AND split = 'held_out'")
    of_all = {(row["model_name"], row["metric"]): row for row in told.where("subgroup IS NULL").collect()}
    found = {
        model: {metric: interval(of_all[model, metric]) for metric in metrics} for model, metrics in METRICS.items()
    }
    of_race = told.where(f"metric = '{GAP}' AND startswith(subgroup, '{RACE}')").orderBy("subgroup").collect()
    gaps = {row["subgroup"]: interval(row) for row in of_race}
    row = tables.read("calibrations").where(f"model_name = '{TASK}'").orderBy("fitted_at").tail(1)[0]
    spark.stop()
    return found, gaps, json.loads(row["calibration"])


def interval(row) -> dict[str, float]:
    """What a row of table ``evaluations`` says, by name."""
    return {name: row[name] for name in INTERVAL}


def less_recorded(gaps) -> set[str]:
    """The groups of which materially less is recorded than of everybody else."""
    return {group for group, gap in gaps.items() if gap["value"] < 0 and is_material(*map(gap.get, INTERVAL[:3]))}


if __name__ == "__main__":
    sys.exit(main())
