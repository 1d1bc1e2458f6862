"""Search the settings of a task's model with Optuna, each trial trained by Horovod and judged on the tuning split."""

import sys

from salus.cohorts.task import Task
from salus.job import parser, run, spark_job
from salus.training.trials import table
from salus.training.tune import SAMPLERS, tune


def main(argv=None):
    """Search ``tune`` of ``--task`` on its newest data set, and print the trials."""
    made = parser(__doc__, task=True)
    made.add_argument(
        "--trials",
        type=int,
        default=20,
        help="how many; the first is of the task's own settings (default: %(default)s)",
    )
    made.add_argument(
        "--sampler",
        choices=list(SAMPLERS),
        default="tpe",
        help="tpe: near what did well; random: anywhere (default: %(default)s)",
    )
    made.add_argument("--seed", type=int, default=7, help="of the sampler (default: %(default)s)")
    made.add_argument("--ranks", type=int, help="Horovod ranks, each in a Spark task of its own (SALUS_RANKS)")
    args = made.parse_args(argv)
    if args.trials < 1:
        made.error(f"--trials: received {args.trials}; expected 1 or more")
    task = Task.load(args.task)
    with spark_job("tune", args) as job:
        rows = tune(job, task, args.trials, args.sampler, args.seed, args.ranks)
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
