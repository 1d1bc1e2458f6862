"""Teach the encoder of a task's sequence network on everybody's events, without labels, and register it."""

import sys

from salus.cohorts.task import Task
from salus.job import parser, run, spark_job
from salus.training.pretrain import pretrain


def main(argv=None):
    """Pre-train with Horovod; `train --pretrained` begins from what comes of it."""
    made = parser(__doc__, task=True)
    made.add_argument("--ranks", type=int, help="Horovod ranks, each in a Spark task of its own (SALUS_RANKS)")
    made.add_argument("--resume", action="store_true", help="go on from the last checkpoint of a run that did not end")
    made.add_argument(
        "--max-restarts",
        type=int,
        default=0,
        help="how often all ranks begin again from the last checkpoint where one died or hung (default: %(default)s)",
    )
    args = made.parse_args(argv)
    task = Task.load(args.task)
    with spark_job("pretrain", args) as job:
        pretrain(job, task, args.resume, args.ranks, args.max_restarts)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
