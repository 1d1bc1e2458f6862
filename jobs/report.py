"""Write the report of a task as of a date, one HTML file that opens without a network, and the model card beside it."""

import sys
from pathlib import Path

from salus.cohorts.task import Task
from salus.job import parser, run, spark_job
from salus.report.report import default_path, report


def main(argv=None):
    made = parser(__doc__, task=True, as_of=True)
    made.add_argument(
        "--out", type=Path, metavar="FILE", help="HTML file (default: <warehouse>/_reports/<task>/<as-of>/report.html)"
    )
    args = made.parse_args(argv)
    task = Task.load(args.task)
    with spark_job("report", args) as job:
        out = args.out or default_path(job.settings.warehouse, task.id, args.as_of)
        job.count(report=str(report(job.tables, task, args.as_of, out)))
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
