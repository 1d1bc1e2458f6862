"""Calibrate a task's model and measure it on people held out, beside its baseline."""

import sys

from salus.cohorts.task import Task
from salus.evaluation.evaluate import evaluate
from salus.job import parser, run, spark_job


def main(argv=None):
    """Evaluate the newest model of ``--task``."""
    args = parser(__doc__, task=True).parse_args(argv)
    task = Task.load(args.task)
    with spark_job("evaluate", args) as job:
        evaluate(job, task)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
