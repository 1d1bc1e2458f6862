"""Whoever a past night would have scored is exactly whom training puts at that time, before it asks for labels.

For each task that the embedded population can make. The night has the timelines as they stood on it; training has
today's, asks for all of its dates at once, and is stopped where labels would begin to lose people.
"""

from collections import Counter
from types import SimpleNamespace

import pytest
from pyspark.sql import functions as F

import salus.cohorts.cohort as cohorts
from salus.cohorts.eligibility import eligibility_steps
from salus.cohorts.task import Task
from salus.settings import conf_dir
from salus.storage import Tables
from salus.timelines.clocks import NEVER, micros

NOT_SIMULATED = {"diabetes_readmission_uci"}  # of a public file's codes
TASKS = sorted({path.stem for path in (conf_dir() / "tasks").glob("*.yml")} - NOT_SIMULATED)
EVENTS = ("time", "available", "superseded", "code", "value")
COVERAGE = tuple(f"coverage_{name}" for name in ("start", "end", "available", "superseded"))


@pytest.fixture(scope="module")
def tables(spark, first_demo):
    """The first demo's, of which ``timelines`` and ``codes`` are kept in memory."""
    found = Tables(spark, str(first_demo[1] / "warehouse"))
    kept = {name: found.read(name).persist() for name in ("timelines", "codes")}
    yield SimpleNamespace(read=lambda name: kept[name] if name in kept else found.read(name))
    for frame in kept.values():
        frame.unpersist()


def training(tables, task):
    """{(night, person): the step of eligibility at which training loses them, 0 = none} of all of its dates."""

    class Labelled(Exception):
        pass

    def keep(*asked):
        raise Labelled(made(*asked))

    made, job = cohorts.labelled_samples, SimpleNamespace(tables=tables, needed=lambda *_, **__: True)
    job.progress = job.count = lambda *_, **__: None
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Labelled) as labelled:
        patch.setattr(cohorts, "labelled_samples", keep)
        cohorts.cohort(job, task)
    before = len(eligibility_steps(task.eligibility))
    step = F.when(F.col("step_lost") <= before, F.col("step_lost")).otherwise(0)
    rows = labelled.value.args[0].select("prediction_time", "subject_id", step).collect()
    return {(time.date(), subject): lost for time, subject, lost in rows}


def as_it_stood(timelines, night):
    """``timelines`` without what was not known on the ``night``: facts, and that a newer version replaced one."""

    def then(columns, known):
        seen = f"filter(arrays_zip({', '.join(columns)}), fact -> fact.{known} <= {micros(night)})"
        for name in columns:
            value = f"fact.{name}"
            if name.endswith("superseded"):
                value = f"if({value} > {micros(night)}, {NEVER}, {value})"
            yield name, F.expr(f"transform({seen}, fact -> {value})")

    return timelines.withColumns(dict([*then(EVENTS, "available"), *then(COVERAGE, "coverage_available")]))


def two_nights(steps):
    """Of the earlier and of the later half of all nights, the one with most people who are not lost."""
    eligible = Counter(night for (night, _), lost in steps.items() if lost == 0)
    nights = sorted(eligible)
    halves = nights[: len(nights) // 2], nights[len(nights) // 2 :]
    return [max(half, key=eligible.__getitem__) for half in halves]


@pytest.mark.parametrize("name", TASKS)
def test_whoever_a_past_night_would_have_scored_is_whom_training_asks_for_a_label(tables, name):
    task = Task.load(name)
    steps = training(tables, task)
    for night in two_nights(steps):
        then = as_it_stood(tables.read("timelines"), night)
        found = cohorts.eligible(then, tables.read("codes"), task, [night]).select("subject_id", "step_lost").collect()
        trained = {subject: lost for (at, subject), lost in steps.items() if at == night}
        assert 0 in trained.values()
        assert dict(map(tuple, found)) == trained


def test_a_night_knew_less_than_what_is_known_today(tables):
    """Or the tests above would compare the same timelines."""
    timelines = tables.read("timelines")
    night = max(two_nights(training(tables, Task.load("admission_90d"))))
    facts = F.sum(F.size("code")), F.sum(F.expr(f"size(filter(superseded, at -> at < {NEVER}))"))
    known, replaced = as_it_stood(timelines, night).agg(*facts).head()
    today, replaced_today = timelines.agg(*facts).head()
    assert 0 < known < today
    assert 0 < replaced < replaced_today
