"""What a driver on a cluster runs for ``tests/parallel/test_jobs_on_cluster.py``: ``python -m jobs_on_cluster``.

The jobs that train more than once, on the world of visits, each as it ships and by two ranks; they share one session.
"""

import argparse
import sys

from salus.cohorts.search_space import Candidates
from salus.cohorts.task import Model, ModelSettings, Tier
from salus.datasets.export import export
from salus.evaluation.evaluate import evaluate
from salus.evaluation.folds import folds
from salus.evaluation.promote import promote
from salus.job import spark_job
from salus.session import spark_session
from salus.settings import load_settings
from salus.training.train import train
from salus.training.tune import tune
from visits_world import fill, task_of

LINE = ModelSettings(hidden=[], epochs=8, batch_size=128, learning_rate=0.02)
TASK = task_of(
    model=Model(architecture="mlp", settings=LINE),
    baseline=Model(architecture="logistic", settings=LINE.model_copy(update={"epochs": 1})),
    tiers=[Tier(name="high", from_percentile=80), Tier(name="low", from_percentile=0)],
    tune={"hidden": Candidates(choices=([16], [16, 8]))},
)
ON_LOOPBACK = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "1g",
    "spark.executor.cores": "1",
    "spark.executor.memory": "1g",
    "spark.sql.shuffle.partitions": "4",
}


def main(master: str, warehouse: str) -> None:
    """Two models, the second by a search's settings, their comparison, and cross-validation."""
    spark = spark_session(load_settings(master=master, warehouse=warehouse, spark=ON_LOOPBACK))
    fill(spark, warehouse)
    for work, options in (
        (export, {}),
        (train, {}),
        (evaluate, {}),
        (tune, {"trials": 2}),
        (train, {"is_tuned": True}),
        (evaluate, {}),
        (promote, {}),
        (folds, {}),
    ):
        with spark_job(work.__name__, argparse.Namespace(warehouse=warehouse, ranks=2)) as job:
            work(job, TASK, **options)
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
