"""Run the whole road on an embedded population: from raw files to published, explained scores and a report."""

import sys
from datetime import date
from pathlib import Path

import cohort
import evaluate
import export
import ingest
import report
import score
import simulate
import timelines
import train
from salus.cohorts.task import Task
from salus.evaluation.truth import demo_truth
from salus.explanation.explain import explain
from salus.job import parser, run, spark_job
from salus.quality.quality import quality
from salus.report import summary
from salus.storage import Tables

SOURCES = {"fhir_r4": "ehr", "payer_extract": "payer", "wearable_daily": "wearable"}


def main(argv=None):
    """One Spark application, one line a phase, and a table at the end."""
    made = parser(__doc__, task=True, as_of=date(2026, 6, 30))
    made.add_argument("--people", type=int, default=5000, help="simulated people (default: %(default)s)")
    made.add_argument("--seed", type=int, default=7, help="of the simulation (default: %(default)s)")
    made.add_argument("--landing", type=Path, help="folder of the raw files (default: <warehouse>.landing)")
    args = made.parse_args(argv)
    task = Task.load(args.task)
    with spark_job("demo", args, quiet=True) as job:
        landing = args.landing or Path(f"{job.settings.warehouse.rstrip('/')}.landing")
        where = [f"--warehouse={job.settings.warehouse}"]
        of_task, of_date = f"--task={args.task}", f"--as-of={args.as_of}"
        simulate.main([f"--people={args.people}", f"--seed={args.seed}", of_date, f"--out={landing}"])
        for source, folder in SOURCES.items():
            ingest.main([*where, f"--source={source}", f"--input={landing / folder}", "--create-key"])
        with spark_job("demo_truth", args) as truth:
            demo_truth(truth, task, landing / "truth")
        with spark_job("quality", args) as checks:
            quality(checks)
        timelines.main(where)
        for phase, *arguments in ((cohort,), (export,), (train, "--force"), (evaluate,)):
            phase.main([*where, of_task, *arguments])
        with spark_job("explain", args) as explained:
            explain(explained, task)
        for phase in (score, report):
            phase.main([*where, of_task, of_date])
        print(f"\n{summary(Tables(job.spark, job.settings.warehouse), task.id, args.as_of)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
