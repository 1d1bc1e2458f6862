"""Make a task's cohort: who is predicted for, when, with which label; with --as-of, who would be tonight."""

import sys
from datetime import date

from salus.cohorts.cohort import cohort, tonight
from salus.cohorts.task import Task
from salus.job import parser, run, spark_job


def main(argv=None):
    command = parser(__doc__, task=True)
    command.add_argument(
        "--as-of",
        type=date.fromisoformat,
        metavar="YYYY-MM-DD",
        help="no labels: print who would be scored at 00:00 UTC of this day, and who not and why",
    )
    args = command.parse_args(argv)
    task = Task.load(args.task)
    with spark_job("cohort", args) as job:
        if args.as_of is None:
            cohort(job, task)
            return 0
        for step in tonight(job, task, args.as_of):
            left = step["rows_before"] - step["rows_lost"]
            print(f"{left:>12,} left {step['rows_lost']:>12,} lost   {step['criterion']}")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
