"""The cohort in a warehouse: labels on shards, attrition that adds up, splits for good, gates that hold."""

import argparse
from datetime import date, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from pyspark.sql import functions as F

from salus.cohorts.attrition import attrition
from salus.cohorts.cohort import cohort, eligible, tonight
from salus.cohorts.eligibility import eligibility_steps
from salus.cohorts.exclusions import excluded_codes
from salus.cohorts.gates import check_people, on_both_sides
from salus.cohorts.grid import check_as_of, data_end, grid
from salus.cohorts.labels import LABEL_STEPS
from salus.cohorts.splits import fold_column, fold_of, split_column, split_of, split_people
from salus.cohorts.task import Index, Splits, Task
from salus.cohorts.weights import weighted
from salus.errors import Held, Refused
from salus.job import spark_job
from salus.schemas import CODES, IDENTITY, INGESTED_FILES, TIMELINES
from salus.storage.tables import Tables
from salus.timelines.clocks import NEVER, micros

END = date(2026, 6, 30)
ADMISSION, LAB = 101, 102
CODE_ROWS = [("ENCOUNTER/IMP/EM", ADMISSION, None, 9, None), ("LOINC/4548-4", LAB, None, 9, None)]


@pytest.fixture(scope="module")
def task():
    return Task.load("admission_90d")


def person(
    subject_id, admissions=(), covered=((date(2022, 1, 1), None),), born=date(1950, 1, 1), death=None, care_site=None
):
    """A ``TIMELINES`` row; every event is known on its day, and a laboratory value stands at the data's end."""
    events = sorted([(micros(day), ADMISSION) for day in admissions] + [(micros(END), LAB)])
    times = [time for time, _ in events]
    starts, ends = (
        [micros(first) for first, _ in covered],
        [NEVER if last is None else micros(last) for _, last in covered],
    )
    died = None if death is None else micros(death)
    return (
        subject_id,
        micros(born),
        died,
        died,
        "female",
        None,
        times,
        times,
        [NEVER] * len(times),
        [code for _, code in events],
        [float("nan")] * len(times),
        starts,
        ends,
        starts,
        [NEVER] * len(starts),
        0,
        0,
        None,
        care_site,
        [None] * len(starts),
    )


def everybody(people=400):
    """An admission in the spring of 2025 for a quarter; an eighth leave in May, an eighth are children."""
    for subject in range(1, people + 1):
        kind = subject % 8
        yield person(
            subject,
            admissions=[date(2025, 4, 1 + subject % 28)] if kind < 2 else [],
            covered=((date(2022, 1, 1), date(2025, 5, 10) if kind in (1, 2) else None),),
            born=date(2015, 1, 1) if kind == 3 else date(1950, 1, 1),
            care_site=f"site {subject % 5}",
        )


def run_in(folder):
    return spark_job("cohort", argparse.Namespace(warehouse=str(folder)), quiet=True)


def filled(spark, folder, people):
    tables = Tables(spark, str(folder))
    tables.replace("timelines", spark.createDataFrame(list(people), TIMELINES).repartition(3))
    tables.replace("codes", spark.createDataFrame(CODE_ROWS, CODES))
    tables.publish("prepared")
    return folder


@pytest.fixture(scope="module")
def made(spark, tmp_path_factory, task):
    """The warehouse with everybody's cohort, what the job counted, and the rows that it wrote."""
    folder = filled(spark, tmp_path_factory.mktemp("cohort"), everybody())
    with run_in(folder) as job:
        cohort(job, task)
    return folder, job.figures, rows_of(spark, folder, "cohorts/admission_90d"), rows_of(spark, folder, "attrition")


def rows_of(spark, folder, table):
    return [row.asDict() for row in Tables(spark, str(folder)).read(table).collect()]


def test_the_cohort_is_its_definition_person_by_person(made, task):
    rows = made[2]
    found = {(row["subject_id"], row["prediction_time"].date()): row["boolean_value"] for row in rows}
    expected = {}
    for subject in (each for each in range(1, 401) if each % 8 != 3):
        admitted = date(2025, 4, 1 + subject % 28) if subject % 8 < 2 else None
        left = date(2025, 5, 10) if subject % 8 in (1, 2) else date.max
        for day in grid(task.index, task.label, END):
            in_time = admitted is not None and 0 <= (admitted - day).days < 90
            if day < left and (in_time or (left - day).days >= 90):
                expected[subject, day] = in_time
    assert found == expected


def test_what_is_held_out_by_time_comes_after_all_that_is_learnt_from(spark, tmp_path, task):
    """Everybody of a third is admitted each winter and each summer, and is insured throughout."""
    by_time = task.model_copy(update={"splits": Splits(by="time", held_out_last=3)})
    admitted = [date(year, month, 20) for year in (2023, 2024, 2025, 2026) for month in (1, 7)]
    people = range(1, 121)
    folder = filled(spark, tmp_path, [person(each, admitted if each % 3 == 0 else []) for each in people])
    with run_in(folder) as job:
        cohort(job, by_time)
        found = job.tables.read("cohorts/admission_90d").collect()
        steps = sorted(job.tables.read("attrition").collect(), key=lambda row: row["step"])
    dates = grid(task.index, task.label, END)
    complete = timedelta(days=task.label.horizon_days + task.label.run_out_days)
    expected = {}
    for each, dealt in zip(people, split_of(np.array(people), by_time.splits).tolist(), strict=True):
        for on in dates:
            if on >= dates[-3]:
                expected[each, on] = "held_out"
            elif on + complete <= dates[-3] and dealt != "held_out":
                expected[each, on] = dealt
    assert {(row["subject_id"], row["prediction_time"].date()): row["split"] for row in found} == expected
    assert set(expected.values()) == {"train", "tuning", "calibration", "held_out"}
    assert str(dates[-3]) in steps[-1]["criterion"]
    assert steps[-1]["rows_lost"] == len(people) * len(dates) - len(expected)
    assert steps[-1]["events_left"] == sum(row["boolean_value"] for row in found) > 0


def test_people_of_the_sites_held_out_are_in_no_other_split(spark, tmp_path, made, task):
    by_site = task.model_copy(update={"splits": Splits(by="site", held_out_sites=("site 2", "site 4"))})
    with run_in(filled(spark, tmp_path, everybody())) as job:
        cohort(job, by_site)
        found = job.tables.read("cohorts/admission_90d").collect()
    assert len(found) == len(made[2])
    assert all((row["split"] == "held_out") == (row["subject_id"] % 5 in (2, 4)) for row in found)
    ids = np.array([row["subject_id"] for row in found if row["split"] != "held_out"])
    assert split_of(ids, by_site.splits).tolist() == [row["split"] for row in found if row["split"] != "held_out"]


def test_attrition_adds_up(made, task):
    labelled = made[2]
    rows = sorted(made[3], key=lambda row: row["step"])
    assert [row["criterion"] for row in rows[1:]] == [*eligibility_steps(task.eligibility), *LABEL_STEPS]
    assert rows[0]["rows_before"] == 400 * task.index.last
    for before, after in pairwise(rows):
        assert after["rows_before"] == before["rows_before"] - before["rows_lost"]
    assert rows[-1]["rows_before"] - rows[-1]["rows_lost"] == len(labelled) == made[1]["rows"]
    assert rows[-1]["people_left"] == len({row["subject_id"] for row in labelled}) == made[1]["people"]
    assert rows[-1]["events_left"] == sum(row["boolean_value"] for row in labelled) == made[1]["positives"]


def test_those_who_stayed_stand_in_for_those_who_left(made):
    """Each month's weights add up to everybody who was at risk in it."""
    weights = {}
    for row in made[2]:
        weights.setdefault(row["prediction_time"].date(), []).append(row["weight"])
    assert sum(weights[date(2025, 6, 1)]) == pytest.approx(250)  # 350 adults, of whom 100 had left
    both_springs = sum(weights[date(2025, 4, 1)]) + sum(weights[date(2024, 4, 1)])
    assert both_springs == pytest.approx(700)
    assert max(weights[date(2025, 4, 1)]) > 1


def test_equal_work_is_done_once_and_other_work_again(made, spark, task):
    with run_in(made[0]) as job:
        cohort(job, task)
        assert job.skipped
        assert job.figures == made[1]
    older = task.model_copy(update={"eligibility": task.eligibility.model_copy(update={"age_at_least": 90})})
    with pytest.raises(Held, match="no labels at all"), run_in(made[0]) as job:
        cohort(job, older)
    assert len(rows_of(spark, made[0], "cohorts/admission_90d")) == made[1]["rows"]


@pytest.mark.parametrize(
    ("people", "said"),
    [
        ([person(1)], "24 labels, all negative"),
        ([], "no timelines"),
    ],
)
def test_labels_of_one_class_are_held_and_nothing_is_written(spark, tmp_path, task, people, said):
    folder = filled(spark, tmp_path, people)
    with pytest.raises(Held, match=said) as held, run_in(folder) as job:
        cohort(job, task)
    assert held.value.exit_code == 3
    assert rows_of(spark, folder, "cohorts/admission_90d") == []
    assert rows_of(spark, folder, "attrition") == []


def in_splits(spark, *rows):
    return spark.createDataFrame(rows, "subject_id long, split string, fold int")


def test_a_person_on_both_sides_of_a_split_or_a_fold_is_counted_and_held(spark, task):
    people = [(1, "train", 0), (1, "train", 0), (2, "train", 1), (2, "held_out", 1), (3, "tuning", 2), (3, "tuning", 3)]
    found = on_both_sides(in_splits(spark, *people, (4, "train", 0), (4, "calibration", 0)), task)
    assert found == {"splits": 2, "folds": 1}
    with pytest.raises(Held, match="2 people of the task admission_90d in several splits and 1 in several folds"):
        check_people(task, found)
    check_people(task, on_both_sides(in_splits(spark, *people[:2]), task))


def test_by_time_whoever_was_learnt_from_may_be_held_out_later_and_is_in_no_third_split(spark, task):
    by_time = task.model_copy(update={"splits": Splits(by="time", held_out_last=3)})
    seen = [(1, "train", 0), (1, "held_out", 0), (2, "held_out", 1)]
    assert on_both_sides(in_splits(spark, *seen), by_time) == {"splits": 0, "folds": 0}
    assert on_both_sides(in_splits(spark, *seen, (1, "tuning", 0)), by_time)["splits"] == 1


def test_a_person_on_both_sides_holds_the_cohort_before_it_is_written(made, task, monkeypatch):
    monkeypatch.setattr("salus.cohorts.cohort.on_both_sides", lambda rows, task: {"splits": 1, "folds": 0})
    other = task.model_copy(update={"folds": 4})
    with pytest.raises(Held, match="1 people"), run_in(made[0]) as job:
        cohort(job, other)
    assert job.tables.written == {}


class Known:
    """A warehouse of which only the newest delivery and the newest fact are known."""

    def __init__(self, spark, delivered, last):
        files = [] if delivered is None else [(delivered,), (delivered - timedelta(days=90),)]
        people = [] if last is None else [([micros(date(2020, 1, 1)), micros(last)],), ([],)]
        self.frames = {
            "ingested_files": spark.createDataFrame(files, "delivered_at timestamp_ntz"),
            "timelines": spark.createDataFrame(people, "available array<long>"),
        }

    def read(self, name):
        return self.frames[name]


@pytest.mark.parametrize(
    ("delivered", "last", "latest"),
    [
        (None, None, date(2025, 3, 11)),
        (datetime(2025, 1, 31, 8), date(2025, 1, 30), date(2025, 3, 11)),  # a source that is late stops no night
        (datetime(2025, 4, 1, 23), date(2025, 3, 30), date(2025, 4, 2)),
        (datetime(2025, 4, 1, 23), date(2025, 6, 30), date(2025, 7, 1)),
    ],
)
def test_a_night_of_which_nothing_can_be_known_is_refused(spark, monkeypatch, delivered, last, latest):
    monkeypatch.setattr("salus.cohorts.grid.now", lambda: datetime(2025, 3, 10, 12))
    known = Known(spark, delivered, last)
    check_as_of(known, latest)
    with pytest.raises(Refused, match=f"--as-of {latest + timedelta(days=1)}.* today is 2025-03-10"):
        check_as_of(known, latest + timedelta(days=1))


def test_tonights_cohort_is_of_no_night_to_come(made, task):
    with pytest.raises(Refused, match="--as-of 2199-01-01"), run_in(made[0]) as job:
        tonight(job, task, date(2199, 1, 1))


def test_tonight_asks_what_training_asked_and_writes_nothing(made, task):
    with run_in(made[0]) as job:
        steps = tonight(job, task, date(2025, 6, 1))
        timelines, codes = job.tables.read("timelines"), job.tables.read("codes")
        then = eligible(timelines, codes, task, [date(2025, 6, 1)]).where("step_lost = 0").count()
        assert job.tables.written == {}
    assert steps[-1]["rows_before"] - steps[-1]["rows_lost"] == then == 250


def test_whoever_is_known_to_have_had_it_is_left_out_from_then_on(made, task):
    rules = task.eligibility.model_copy(update={"no_history_of": ("LOINC/4548",)})
    without = task.model_copy(update={"eligibility": rules})
    with run_in(made[0]) as job:
        before, after = (tonight(job, without, day) for day in (date(2025, 6, 1), date(2026, 7, 1)))
    assert before[-1]["criterion"] == "no history of LOINC/4548"
    assert (before[-1]["rows_lost"], before[-1]["rows_before"]) == (0, 250)
    assert after[-1]["rows_lost"] == after[-1]["rows_before"] > 0


def test_excluded_codes_are_those_that_begin_so_or_whose_ancestors_do(spark, task):
    rows = [
        ("ICD10CM/E11.9", 3, None, 9, None),
        ("ICD10CM/E110", 2, None, 9, []),
        ("ICD10CM/I10", 1, None, 9, ["SNOMED/38341003"]),
        ("LOCAL/DM", 4, None, 9, ["SNOMED/1", "SNOMED/44054006"]),
        ("SNOMED/440540061", 5, None, 9, None),
    ]
    codes = spark.createDataFrame(rows, CODES)
    rules = task.eligibility.model_copy(update={"no_history_of": ("ICD10CM/E11.", "SNOMED/44054006$")})
    assert excluded_codes(codes, rules).tolist() == [3, 4]
    assert excluded_codes(codes, task.eligibility).tolist() == []


def test_attrition_counts_people_by_the_step_that_lost_the_last_of_them(spark, task):
    samples = spark.createDataFrame(
        [(1, 0, True), (1, 1, None), (2, 1, None), (2, 2, None), (3, 2, None)],
        "subject_id long, step_lost int, is_positive boolean",
    )
    steps = attrition(samples, task, ["looked at", "first", "second"])
    assert [(s["rows_before"], s["rows_lost"], s["people_left"], s["events_left"]) for s in steps] == [
        (5, 0, 3, None),
        (5, 2, 3, None),
        (3, 2, 1, 1),
    ]


def test_weights_are_by_month_and_only_labelled_rows_have_one(spark):
    june, july = datetime(2025, 6, 1), datetime(2025, 7, 1)
    samples = spark.createDataFrame(
        [
            (1, june, 7, 5, True),
            (2, june, 0, 9, False),
            (3, june, 0, 3, False),
            (4, july, 0, 9, False),
            (5, july, 2, -1, False),
        ],
        "subject_id long, prediction_time timestamp_ntz, step_lost int, observed_days int, is_censored boolean",
    )
    assert {row["subject_id"]: row["weight"] for row in weighted(samples).collect()} == {2: 2.0, 3: 1.0, 4: 1.0}


def test_splits_in_a_query_are_those_in_numpy(spark, task):
    people = np.random.default_rng(1).integers(0, 2**63 - 1, 3_000)
    rows = (
        spark.createDataFrame([(int(each),) for each in people], "subject_id long")
        .select(
            "subject_id",
            split_column(F.col("subject_id"), task.splits).alias("split"),
            fold_column(F.col("subject_id"), task.folds).alias("fold"),
        )
        .toPandas()
    )
    ids = rows["subject_id"].to_numpy()
    assert rows["split"].tolist() == split_of(ids, task.splits).tolist()
    assert rows["fold"].tolist() == fold_of(ids, task.folds).tolist()


def test_whoever_is_merged_with_a_training_member_is_training(spark, task):
    ids = np.arange(1, 200)
    split = split_of(ids, task.splits)
    trained, held, tuned = (int(ids[split == name][0]) for name in ("train", "held_out", "tuning"))
    once, now = datetime(2024, 1, 1), datetime(2025, 1, 1)
    identity = spark.createDataFrame(
        [
            (held, held, None, None),
            (trained, trained, once, now),
            (trained, held, now, None),
            (tuned, tuned, None, None),
        ],
        IDENTITY,
    )
    rows = spark.createDataFrame([(held,), (tuned,)], "subject_id long")
    found = {row["subject_id"]: row["split"] for row in split_people(rows, identity, task).collect()}
    assert found == {held: "train", tuned: "tuning"}


def test_what_is_known_ends_with_the_last_delivery_whatever_a_wrong_date_says(spark):
    timelines = spark.createDataFrame([person(1), person(2, admissions=[date(2062, 1, 1)])], TIMELINES)
    none = spark.createDataFrame([], INGESTED_FILES)
    delivered = spark.createDataFrame(
        [(1, "f", None, "s", "m", "r", 1, 1, 1, 0, 0, 1, "h", datetime(2026, 7, 2, 5), 1)], INGESTED_FILES
    )
    assert data_end(timelines.where("subject_id = 1"), none) == END
    assert data_end(timelines.where("subject_id = 1"), delivered) == END
    assert data_end(timelines, delivered) == date(2026, 7, 2)
    assert data_end(timelines.where("subject_id = 3"), delivered) is None


@pytest.mark.parametrize(
    ("every", "first", "last"),
    [("month", date(2025, 10, 1), date(2026, 1, 1)), ("week", date(2025, 12, 8), date(2025, 12, 29))],
)
def test_the_grid_ends_with_the_last_date_whose_label_can_be_known(task, every, first, last):
    dates = grid(Index(every=every, last=4), task.label, END)
    assert (dates[0], dates[-1], len(dates)) == (first, last, 4)
    assert dates == sorted(dates)
