"""Teach the encoder of a task's sequence network on everybody's events, without labels, and register it."""

import sys

from salus.cohorts.task import Task
from salus.job import of_ranks, parser, run, spark_job
from salus.training.pretrain import pretrain


def main(argv=None):
    """Pre-train with Horovod; `train --pretrained` begins from what comes of it."""
    made = parser(__doc__, task=True)
    of_ranks(made)
    args = made.parse_args(argv)
    task = Task.load(args.task)
    with spark_job("pretrain", args) as job:
        pretrain(job, task, args.resume, args.ranks, args.max_restarts)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
