"""Train a task's model and its baseline with Horovod, and register them."""

import sys

from salus.cohorts.task import Task
from salus.job import of_ranks, parser, run, spark_job
from salus.training.train import train


def main(argv=None):
    """Train on the newest data set of the task."""
    made = parser(__doc__, task=True)
    of_ranks(made)
    made.add_argument("--tuned", action="store_true", help="take the best settings of the task's newest search (tune)")
    made.add_argument("--pretrained", action="store_true", help="begin from the task's newest encoder (pretrain)")
    made.add_argument(
        "--force", action="store_true", help="train on fewer rows than the task's gate asks for; the model card says so"
    )
    args = made.parse_args(argv)
    task = Task.load(args.task)
    with spark_job("train", args) as job:
        train(job, task, args.resume, args.ranks, args.force, args.tuned, args.pretrained, args.max_restarts)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
