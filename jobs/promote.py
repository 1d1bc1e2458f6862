"""Let a task's challenger take its champion's place, where it is not worse on the same people held out."""

import sys

from salus.cohorts.task import Task
from salus.evaluation.promote import promote
from salus.job import parser, run, spark_job


def main(argv=None):
    """Compare the newest model of ``--task`` with its champion, and move the alias or end with exit code 3."""
    made = parser(__doc__, task=True)
    made.add_argument(
        "--version", help="registered version to promote (default: the newest), such as one to go back to"
    )
    made.add_argument("--force", action="store_true", help="promote whatever the comparison says; it is recorded")
    args = made.parse_args(argv)
    task = Task.load(args.task)
    with spark_job("promote", args) as job:
        promote(job, task, args.version, args.force)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
