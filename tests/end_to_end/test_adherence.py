"""Adherence to statins, from pharmacy claims to a night's scores: the whole road of a task of the second fill."""

import shutil
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import functions as F

import cohort
import evaluate
import export
import ingest
import salus.settings
import score
import simulate
import timelines
import train
from road import change
from salus.cohorts.cohort import eligible
from salus.cohorts.eligibility import eligibility_steps
from salus.cohorts.grid import data_end, grid
from salus.cohorts.task import Task
from salus.scoring.outcome import NO_SUPPLY
from salus.storage import Tables

pytestmark = pytest.mark.slow  # every job once, on the files of some hundreds of people

TASK = "medication_nonadherence_180d"
AS_OF = date(2026, 6, 30)
CHANGES = (
    (
        "{train: 0.6, tuning: 0.1, calibration: 0.1, held_out: 0.2}",
        "{train: 0.4, tuning: 0.2, calibration: 0.2, held_out: 0.2}",
    ),
    ("epochs: 20", "epochs: 2"),
    ("positives_at_least: 20", "positives_at_least: 10"),
)
TASKS = {TASK: CHANGES}
FILES = ("eligibility", "medical_claim", "pharmacy_claim")  # what else there is costs minutes
STATINS = ("NDC/00071015523", "NDC/00006073531")
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def warehouse(spark, tmp_path_factory):
    """A warehouse in which every job up to a model of adherence has run; a fiftieth of the fills lack days' supply."""
    folder = tmp_path_factory.mktemp("adherence")
    shutil.copytree(salus.settings.conf_dir(), folder / "conf")
    change(folder / "conf" / "tasks", TASKS)
    (folder / "key").write_text("5a" * 32, encoding="ascii")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SALUS_CONF", str(folder / "conf"))
        patch.setenv("SALUS_RANKS", "1")
        patch.setenv("SALUS_KEY_FILE", str(folder / "key"))
        where, of_task = [f"--warehouse={folder / 'warehouse'}"], f"--task={TASK}"
        simulate.main(["--people=2000", "--seed=7", f"--as-of={AS_OF}", f"--out={folder / 'landing'}"])
        for path in (folder / "landing" / "payer").glob("pharmacy_claim*"):
            claims = pd.read_csv(path, dtype=str, keep_default_na=False)
            claims.loc[claims["claim_id"].str[-2:].isin(["00", "50"]), "days_supply"] = ""
            claims.to_csv(path, index=False)
        for path in (folder / "landing" / "payer").iterdir():
            if path.name.partition(".")[0] not in FILES:
                path.unlink()
        ingest.main([*where, "--source=payer_extract", f"--input={folder / 'landing' / 'payer'}"])
        timelines.main(where)
        for phase, *arguments in ((cohort,), (export,), (train, "--force"), (evaluate,)):
            phase.main([*where, of_task, *arguments])
        yield Tables(spark, str(folder / "warehouse")), lambda night: score.main([*where, of_task, f"--as-of={night}"])


@pytest.fixture(scope="module")
def task():
    return Task.load(TASK)


@pytest.fixture(scope="module")
def fills(warehouse):
    """Every version of every statin fill, of the people of today, with the time at which the next version came."""
    tables = warehouse[0]
    today = tables.read("identity").where("known_until IS NULL").select("source_subject_id", "subject_id")
    events = tables.read("events").where(F.col("code").isin(*STATINS)).join(today, "source_subject_id")
    found = events.select(
        "subject_id",
        "record_id",
        "version",
        "time",
        F.greatest("time", "available_time").alias("known"),
        "numeric_value",
    ).toPandas()
    versions = tables.read("records").select("record_id", "version", "available_time").toPandas()
    return found, versions


def newest(fills):
    found, versions = fills
    last = versions.groupby("record_id")["version"].max().rename("last")
    found = found.merge(last, on="record_id")
    return found[found["version"] == found["last"]]


def test_each_row_follows_a_second_fill_and_its_label_is_the_days_without_a_pill(warehouse, fills, task):
    rows = warehouse[0].read(f"cohorts/{TASK}").select("subject_id", "prediction_time", "boolean_value").toPandas()
    assert not rows["subject_id"].duplicated().any()
    of_person = dict(list(newest(fills).groupby("subject_id")))
    timelines = warehouse[0].read("timelines").select("subject_id", "death").toPandas().set_index("subject_id")["death"]
    agree = []
    for person, at, label in rows.itertuples(index=False):
        mine = of_person[person]
        assert mine.loc[mine["time"] < at, "time"].nunique() >= 1
        if not np.isnan(timelines.get(person, np.nan)):
            continue
        pills, uncovered = 0.0, 0
        supply = mine.groupby(mine["time"].dt.normalize())["numeric_value"].sum()
        day = min(supply.index.min(), at)
        while day < at + 180 * DAY:
            pills += supply.get(day, 0.0)
            if pills > 0:
                pills -= 1
            elif day >= at:
                uncovered += 1
            day += DAY
        agree.append((bool(label), uncovered > 36))
    labels = pd.DataFrame(agree, columns=["label", "without_stays"])
    # Days in hospital are credited to labels only: they can only take somebody out of the positives.
    assert (labels["label"] <= labels["without_stays"]).all()
    assert (labels["label"] == labels["without_stays"]).mean() > 0.95
    assert 10 <= labels["label"].sum() < len(labels) / 2


def test_every_night_finds_whom_training_finds_for_that_night(warehouse, task):
    tables = warehouse[0]
    people, codes = tables.read("timelines"), tables.read("codes")
    dates = grid(task.index, task.label, data_end(people, tables.read("ingested_files")))
    trained = eligible(people, codes, task, dates).toPandas()
    assert 0 < (trained["step_lost"] == 0).sum() < len(trained)
    for night in trained["prediction_time"].value_counts().index[:3]:
        then = eligible(people, codes, task, [night.date()]).toPandas()
        expected = trained[trained["prediction_time"] == night]
        pd.testing.assert_frame_equal(
            then.sort_values("subject_id", ignore_index=True), expected.sort_values("subject_id", ignore_index=True)
        )


def test_a_night_scores_who_has_a_days_supply_and_tells_of_the_others_that_they_lack_it(warehouse, task):
    tables, score_on = warehouse
    people, codes = tables.read("timelines"), tables.read("codes")
    nights = [AS_OF - timedelta(days=days) for days in range(1460)]
    judged = eligible(people, codes, task, nights).toPandas()
    lacking = len(eligibility_steps(task.eligibility))
    judged = judged[judged["step_lost"].isin([0, lacking])].set_index("subject_id")
    busiest = {step: judged.loc[judged["step_lost"] == step, "prediction_time"].mode()[0] for step in (0, lacking)}
    for night in busiest.values():
        score_on(night.date())
        tables = Tables(tables.spark, tables.warehouse)  # as it is published now
        rows = tables.read("scores").where(F.col("as_of") == F.lit(night.date())).toPandas().set_index("subject_id")
        expected = judged.loc[judged["prediction_time"] == night, "step_lost"]
        assert set(rows.index) == set(expected.index)
        for person, step in expected.items():
            told = rows.loc[person, "not_scored_reason"], pd.isna(rows.loc[person, "probability"])
            assert told == ((NO_SUPPLY, True) if step == lacking else (None, False))
