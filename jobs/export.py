"""Write a task's samples as a training data set: model inputs, labels and weights in Parquet, by split."""

import sys

from salus.cohorts.task import Task
from salus.datasets.export import export
from salus.job import parser, run, spark_job


def main(argv=None):
    """Fit the feature spec on the training split and write the data set."""
    args = parser(__doc__, task=True).parse_args(argv)
    task = Task.load(args.task)
    with spark_job("export", args) as job:
        export(job, task)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
