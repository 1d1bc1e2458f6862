"""Explain a task's model: what it goes by over the population, and how what it tells moves with each feature."""

import sys

from salus.cohorts.task import Task
from salus.explanation.explain import explain
from salus.explanation.importances import table
from salus.job import parser, run, spark_job


def main(argv=None):
    """Explain the model of ``--task`` that scores, on people held out, and print what matters most."""
    args = parser(__doc__, task=True).parse_args(argv)
    task = Task.load(args.task)
    with spark_job("explain", args) as job:
        explain(job, task)
        rows = job.tables.read("importances").where(f"task_id = '{task.id}'").orderBy("rank").limit(15).collect()
    print(table([row.asDict() for row in rows]))
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
