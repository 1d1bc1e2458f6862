"""Cross-validate a task's model beside its baseline, boosted trees and a linear SVM, on folds of people."""

import sys

from salus.cohorts.task import Task
from salus.evaluation.folds import folds, table
from salus.job import of_side_by_side, parser, run, spark_job


def main(argv=None):
    """Fit and measure every model once a fold of ``--task``, and print mean and spread."""
    made = parser(__doc__, task=True)
    made.add_argument("--ranks", type=int, help="Horovod ranks a fold, each in a Spark task of its own (SALUS_RANKS)")
    of_side_by_side(made)
    args = made.parse_args(argv)
    task = Task.load(args.task)
    with spark_job("folds", args) as job:
        folds(job, task, args.ranks, args.side_by_side)
        rows = job.tables.read("folds").where(f"task_id = '{task.id}'").collect()
    print(table([row.asDict() for row in rows]))
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
