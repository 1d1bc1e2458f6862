"""Cohorts of several classes in a warehouse: what each row says of each class, and a data set that still says it."""

import argparse
from datetime import date, datetime, timedelta

import numpy as np
import pytest

from salus.cohorts.cohort import cohort
from salus.cohorts.grid import grid
from salus.cohorts.task import Splits, Task
from salus.datasets.export import export, newest_dataset
from salus.datasets.feed import in_order
from salus.errors import Held, Refused
from salus.job import spark_job
from salus.schemas import CODES, TIMELINES
from salus.storage.tables import Tables
from salus.timelines.clocks import NEVER, micros

END = date(2026, 6, 30)
BEGUN = date(2025, 5, 1)
PEOPLE = 400
STROKE, FALL, RARE, LAB = 101, 102, 103, 104
ICD10 = {STROKE: "ICD10CM/I63.9", FALL: "ICD10CM/W19", RARE: "ICD10CM/A41.9", LAB: "LOINC/4548-4"}
CLASS_OF = {"sepsis": RARE, "fall": FALL, "stroke": STROKE}
DAYS = 100


def asked(exclusive, **gates):
    """Sepsis, falls and strokes, strokes in the focus, on two dates."""
    base = Task.load("admission_cause_90d")
    window = {"start": "trigger", "end": f"start + {DAYS}d", "start_inclusive": True, "end_inclusive": False}
    label = base.label.model_dump() | {
        "horizon_days": DAYS,
        "classes": {"predicates": ["sepsis", "stroke", "fall"], "exclusive": exclusive},
        "aces": {
            "predicates": {name: {"code": ICD10[code]} for name, code in CLASS_OF.items()},
            "windows": {"target": window | {"label": "stroke"}},
        },
    }
    return base.model_copy(
        update={
            "label": type(base.label).model_validate(label),
            "splits": Splits(train=0.4, tuning=0.2, calibration=0.2, held_out=0.2),
            "index": base.index.model_copy(update={"last": 2}),
            "gates": base.gates.model_copy(update=gates),
        }
    )


def happened(subject):
    """Code to the day on which it happens: falls to one in two, strokes to one in three, sepsis to one in four."""
    every = ((FALL, 2, 5), (STROKE, 3, 7), (RARE, 4, 11))
    return {code: BEGUN + timedelta(days=(subject * step) % 330) for code, of, step in every if subject % of == 0}


def person(subject):
    events = sorted([(micros(day), code) for code, day in happened(subject).items()] + [(micros(END), LAB)])
    times = [at for at, _ in events]
    facts = (times, times, [NEVER] * len(times), [code for _, code in events], [float("nan")] * len(times))
    started, born = micros(date(2020, 1, 1)), micros(date(1950, 1, 1))
    covered = ([started], [NEVER], [started], [NEVER])
    return (subject, born, None, None, "female", None, *facts, *covered, 0, 0, None, None, [None])


@pytest.fixture(scope="module")
def warehouse(spark, tmp_path_factory):
    """Timelines of everybody."""
    folder = tmp_path_factory.mktemp("classes")
    tables = Tables(spark, str(folder))
    tables.replace("timelines", spark.createDataFrame(list(map(person, range(1, PEOPLE + 1))), TIMELINES))
    tables.replace("codes", spark.createDataFrame([(text, code, None, 9, None) for code, text in ICD10.items()], CODES))
    tables.publish("prepared")
    return folder


def run(warehouse, work, task):
    with spark_job(work.__name__, argparse.Namespace(warehouse=str(warehouse)), quiet=True) as job:
        work(job, task)
        return job.tables.read(f"cohorts/{task.id}").toPandas(), job.figures, str(job.tables.warehouse)


@pytest.mark.parametrize("exclusive", ["first_to_happen", "first_listed", None])
def test_a_row_says_of_each_class_whether_it_holds_and_a_data_set_still_does(warehouse, exclusive):
    task = asked(exclusive)
    rows, figures, _ = run(warehouse, cohort, task)
    expected = {}
    for at in grid(task.index, task.label, END):
        midnight = datetime.combine(at, datetime.min.time())
        for subject in range(1, PEOPLE + 1):
            days = {code: (day - at).days for code, day in happened(subject).items() if 0 <= (day - at).days < DAYS}
            held = [name for name in ("sepsis", "stroke", "fall") if CLASS_OF[name] in days]
            if exclusive == "first_to_happen":
                held.sort(key=lambda name, days=days: days[CLASS_OF[name]])
            expected[subject, midnight] = set(held if exclusive is None else held[:1])
    keys = list(zip(rows["subject_id"], rows["prediction_time"]))
    found = {key: {each["class"] for each in classes if each["value"]} for key, classes in zip(keys, rows["classes"])}
    assert found == expected
    assert {tuple(each["class"] for each in classes) for classes in rows["classes"]} == {("sepsis", "fall", "stroke")}
    assert rows["boolean_value"].tolist() == ["stroke" in found[key] for key in keys]
    told = [None if exclusive is None else next(iter(found[key]), "none") for key in keys]
    assert rows["categorical_value"].tolist() == told
    for name in CLASS_OF:
        assert figures[f"positives_{name}"] == sum(name in held for held in found.values()) > 0
    _, _, url = run(warehouse, export, task)
    dataset = newest_dataset(url, task.id)
    train = rows[rows["split"] == "train"]
    shares = [
        np.mean([name in found[key] for key in zip(train["subject_id"], train["prediction_time"])]) for name in CLASS_OF
    ]
    assert dataset.classed.outcomes == task.label.outcomes
    assert dataset.classed.shares == pytest.approx(shares)
    assert dataset.mean_label == pytest.approx(shares[-1])
    for samples in in_order(dataset.split("train"), 0, 1):
        kept = dataset.classed.outcomes.holding(samples.label)
        for subject, at, holding in zip(samples.subject_id.tolist(), samples.prediction_time.tolist(), kept):
            midnight = datetime(1970, 1, 1) + timedelta(microseconds=at)
            assert {name for name, holds in zip(CLASS_OF, holding) if holds} == found[subject, midnight]


def test_the_gates_hold_for_the_rarest_class(warehouse):
    _, figures, _ = run(warehouse, cohort, asked(None))
    rarest = min(figures[f"positives_{name}"] for name in CLASS_OF)
    with pytest.raises(Held, match=f"{rarest} labels of the rarest class"):
        run(warehouse, cohort, asked(None, positives_at_least=rarest + 1))


def test_a_class_that_a_split_to_learn_from_lacks_is_named(warehouse):
    run(warehouse, cohort, asked(None))
    with spark_job("export", argparse.Namespace(warehouse=str(warehouse)), quiet=True) as job:
        rows = job.tables.read("cohorts/admission_cause_90d")
        job.tables.replace("cohorts/admission_cause_90d", rows.where("split != 'tuning' OR NOT classes[0].value"))
        with pytest.raises(Refused, match="in the split tuning, 0 of them of sepsis; expected labels of both classes"):
            export(job, asked(None))
