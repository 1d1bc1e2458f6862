"""Refit a task's model with other seeds, and tell how much of a person's score is chance."""

import sys

from salus.cohorts.task import Task
from salus.evaluation.refits import refits, table
from salus.job import of_side_by_side, parser, run, spark_job


def main(argv=None):
    """Train the model of ``--task`` anew, ``--refits`` times, and print how far what is told of people moves."""
    made = parser(__doc__, task=True)
    made.add_argument("--refits", type=int, default=10, help="how many (default: %(default)s)")
    made.add_argument("--ranks", type=int, help="Horovod ranks (default: as many as the model was trained by)")
    of_side_by_side(made)
    args = made.parse_args(argv)
    task = Task.load(args.task)
    with spark_job("refits", args) as job:
        refits(job, task, args.refits, args.ranks, args.side_by_side)
        rows = job.tables.read("refits").where(f"task_id = '{task.id}'").collect()
    print(table([row.asDict() for row in rows]))
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
