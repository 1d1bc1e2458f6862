"""Is the network worth more than boosted trees on real encounters? Readmission within 30 days, UCI Diabetes 130-US.

Strack et al. (BioMed Research International 2014, 781670): 101,766 inpatient encounters with diabetes, without those
that ended in death or hospice, since nobody is readmitted from there and they flatter every model. It is the task
`diabetes_readmission_uci`, by Salus's own jobs: ingest, timelines, cohort and folds, with two Horovod ranks.

Asked: the best network at least 0.665, and at most 0.01 below the trees. Above 0.70 would be a leak: the script ends
with 1 there, as it does where a bar is missed.

    python benchmarks/uci_readmission.py --data ../shared/data/tabular/uci_diabetes_130_hospitals.zip
"""

import argparse
import os
import sys
import tempfile
import zipfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from pyspark.sql import functions as F

from salus.cohorts.cohort import cohort
from salus.cohorts.task import Task
from salus.evaluation.contest import OF_EVENTS
from salus.evaluation.folds import folds, suspected_of, table
from salus.job import spark_job
from salus.privacy.pseudonyms import create_key
from salus.sources.ingest import ingest
from salus.timelines.build import build
from timing import save, surroundings

TASK, SOURCE, RANKS = "diabetes_readmission_uci", "uci_diabetes", 2
LEAST, BELOW_TREES = 0.665, 0.01
KEY = "5a" * 32
"""Splits are hashes of pseudonyms: with a key of its own, each run would cut other folds."""


def main() -> int:
    """Bring the file in, cross-validate the task, print the table, and keep it."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(__file__).parents[2] / "shared" / "data" / "tabular" / "uci_diabetes_130_hospitals.zip"
    made.add_argument("--data", type=Path, default=default, help="the archive as UCI publishes it")
    made.add_argument("--warehouse", help="where the tables go, and are found again (default: a temporary folder)")
    args = made.parse_args()
    task = Task.load(TASK)
    with tempfile.TemporaryDirectory() as folder:
        warehouse = args.warehouse or f"{folder}/warehouse"
        landing = Path(folder) / "landing"
        landing.mkdir()
        with zipfile.ZipFile(args.data) as archive:
            (landing / "diabetic_data.csv").write_bytes(archive.read("dataset_diabetes/diabetic_data.csv"))
        key = Path(folder) / "key"
        key.write_text(KEY, encoding="ascii")
        at = argparse.Namespace(warehouse=warehouse, master=f"local[{RANKS},4]")
        with spark_job("ingest", at) as job:
            ingest(job, SOURCE, str(landing), create_key(key))
        for name, step in (("timelines", build), ("cohort", lambda job: cohort(job, task))):
            with spark_job(name, at) as job:
                step(job)
        with spark_job("folds", at) as job:
            folds(job, task, RANKS)
            found = [row.asDict() for row in job.tables.read("folds").where(F.col("task_id") == TASK).collect()]
            rows = job.tables.read(f"cohorts/{TASK}")
            sizes = {"encounters": rows.count(), "people": rows.select("subject_id").distinct().count()}
    print(table(found))
    overall = [row for row in found if row["fold"] is None]
    figures = {(row["model_name"], row["metric"]): row["value"] for row in overall}
    best = max(figures["model", "auroc"], figures["baseline", "auroc"])
    verdict = {
        "at_least_0.665": best >= LEAST,
        "within_0.01_of_trees": best >= figures["boosted_trees", "auroc"] - BELOW_TREES,
        "no_suspected_leak": suspected_of(found) is None,
    }
    print(verdict)
    save(
        "uci_readmission",
        {
            "name": "readmission within 30 days, UCI Diabetes 130-US, five folds disjoint in people",
            "task": TASK,
            **sizes,
            "figures": overall,
            "by_fold": [row for row in found if row["fold"] is not None],
            "auroc_over_trees": figures["model", OF_EVENTS.over("boosted_trees")],
            "verdict": verdict,
            **surroundings(),
        },
    )
    return 0 if all(verdict.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
