"""Score every eligible person of a task's population, as of a date."""

import sys

from salus.cohorts.task import Task
from salus.job import parser, run, spark_job
from salus.scoring.score import score


def main(argv=None):
    """Score the population of ``--task`` as of ``--as-of``."""
    args = parser(__doc__, task=True, as_of=True).parse_args(argv)
    task = Task.load(args.task)
    with spark_job("score", args) as job:
        score(job, task, args.as_of)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
