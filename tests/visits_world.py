"""A small world of visits: few or many foretell the next, which trees and networks see, and a line does not."""

import argparse
from datetime import datetime

import numpy as np
from scipy.special import expit

from salus.cohorts.splits import fold_of, split_of
from salus.cohorts.task import Eligibility, Label, Model, ModelSettings, Task, Tier
from salus.job import spark_job
from salus.schemas import CODES, COHORT, TIMELINES
from salus.timelines.clocks import MICROSECONDS_PER_DAY, NEVER, STATIC

PEOPLE, FOLDS = 1200, 2
PREDICTION = datetime(2025, 1, 1)
AT = 1_735_689_600_000_000  # in microseconds since the epoch
VISIT = 101
HORIZON = 90


def task_of(**changed):
    window = {"start": "trigger", "end": "start + 90d", "start_inclusive": True, "end_inclusive": False}
    aces = {"predicates": {"visit": {"code": "VISIT"}}, "windows": {"target": window | {"label": "visit"}}}
    settings = ModelSettings(hidden=[8], epochs=6, batch_size=64, learning_rate=0.02, patience=3)
    return Task(
        **{
            "id": "tiny",
            "title": "Tiny",
            "eligibility": Eligibility(),
            "features": {
                "windows_days": (90,),
                "numeric_windows_days": (),
                "most_frequent": 1,
                "min_people": 1,
                "enrolment_days": (30,),
            },
            "model": Model(architecture="mlp", settings=settings),
            "baseline": Model(architecture="logistic", settings=settings),
            "label": Label(horizon_days=90, death="no_event", aces=aces),
            "tiers": [Tier(name="all", from_percentile=0)],
            "folds": FOLDS,
            **changed,
        }
    )


def _of_kinds(random, visits, label):
    """The same person's count, (no cost,) class, classes, and end of a time to event, of which a tenth leave early."""
    count, other = int(random.poisson(0.2 + abs(visits - 3))), bool(random.random() < 0.3)
    leaves = random.random() < 0.1
    days = int(random.integers(0, HORIZON)) if label or leaves else HORIZON
    return count, None, None, [("other", other), ("visit", label)], int(label and not leaves), days


def fill(spark, folder):
    """Write the world's timelines, codes and the cohort of the task ``tiny`` into the warehouse ``folder``.

    Its rows have labels of each kind, so that any of them can be asked for.
    """
    random, of_kinds, task = np.random.default_rng(5), np.random.default_rng(6), task_of()
    subjects = np.arange(1, PEOPLE + 1)
    splits, folds = split_of(subjects, task.splits), fold_of(subjects, FOLDS)
    people, cohort = [], []
    for subject, split, fold in zip(subjects.tolist(), splits.tolist(), folds.tolist()):
        visits = int(random.integers(0, 7))
        times = sorted((AT - random.integers(1, 80, visits) * MICROSECONDS_PER_DAY).tolist())
        label = bool(random.random() < expit(-2.5 + 1.2 * abs(visits - 3)))
        people.append(
            (
                *(subject, AT - 20_000 * MICROSECONDS_PER_DAY, None, None, "female", None),
                *(times, times, [NEVER] * visits, [VISIT] * visits, [float("nan")] * visits),
                *([STATIC], [NEVER], [STATIC], [NEVER], 0, 0, None, None, [None]),
            )
        )
        cohort.append((subject, PREDICTION, label, *_of_kinds(of_kinds, visits, label), 1.0, split, fold))
    with spark_job("set-up", argparse.Namespace(warehouse=folder, ranks=2), quiet=True) as job:
        job.tables.replace("timelines", spark.createDataFrame(people, TIMELINES))
        job.tables.replace("codes", spark.createDataFrame([("VISIT", VISIT, "A visit", 3 * PEOPLE, None)], CODES))
        job.tables.replace("cohorts/tiny", spark.createDataFrame(cohort, COHORT))
