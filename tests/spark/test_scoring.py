"""A night: everybody accounted for, published at once or not at all, and the same again where nothing changed."""

import argparse
from dataclasses import replace
from datetime import date, datetime

import keras
import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema
from scipy.stats import rankdata

from salus.cohorts import cohort
from salus.cohorts.adherence import Fills
from salus.cohorts.index import IndexCodes
from salus.cohorts.task import Calibration, Eligibility, Label, Model, Task, Tier
from salus.datasets import export
from salus.errors import Held, Refused
from salus.evaluation.class_calibration import ClassCalibration
from salus.evaluation.platt import Platt
from salus.evaluation.scale import Scale
from salus.job import spark_job
from salus.schemas import TIMELINES
from salus.scoring import score as scoring
from salus.scoring import scorer
from salus.scoring.outcome import NO_DATA, NO_SUPPLY, Night
from salus.scoring.percentiles import with_percentiles
from salus.scoring.population import score_udf
from salus.scoring.score import score
from salus.timelines.clocks import MICROSECONDS_PER_DAY, NEVER, STATIC, micros
from salus.timelines.recency import MEDS_DEATH_HASH
from salus.timelines.spec import CodeGroup, FeatureSpec, Statistics
from salus.training.package import model_bytes, open_package, package_bytes, write_package

AS_OF = date(2026, 6, 30)
DAY = MICROSECONDS_PER_DAY
T = micros(AS_OF)
ADMISSION, LAB = 101, 202
GROUPS = (
    CodeGroup(name="admission", label="Admissions", kind="count", codes=("ENCOUNTER/IMP",), code_hashes=(ADMISSION,)),
    CodeGroup(name="hba1c", label="HbA1c", kind="numeric", unit="%", codes=("LOINC/4548-4",), code_hashes=(LAB,)),
)
RULES = Eligibility(age_at_least=18, look_back_days=365, enrolled_days_at_least=300, largest_gap_days=45)


@pytest.fixture(scope="module")
def task():
    window = {"start": "trigger", "end": "start + 90d", "start_inclusive": True, "end_inclusive": False}
    aces = {
        "predicates": {"admission": {"code": "ENCOUNTER/IMP"}},
        "windows": {"target": window | {"label": "admission"}},
    }
    return Task(
        id="tiny",
        title="Tiny",
        eligibility=RULES,
        label=Label(horizon_days=90, death="no_event", aces=aces),
        features={},
        model=Model(architecture="logistic"),
        tiers=[Tier(name="high", from_percentile=90), Tier(name="low", from_percentile=0)],
    )


@pytest.fixture(scope="module")
def cost_task(task):
    """The same people, of whom a cost is told."""
    label = Label(horizon_days=365, death="no_event", cost={"currency": "USD"})
    return task.model_copy(update={"id": "tiny_cost", "label": label, "calibration": Calibration(method="scale")})


@pytest.fixture(scope="module")
def spec():
    bare = FeatureSpec(
        windows_days=(90, 365),
        numeric_windows_days=(365,),
        groups=GROUPS,
        count_statistics=("count", "days_since_last"),
        numeric_statistics=("last", "days_since_last"),
    )
    features = len(bare.names)
    return bare.model_copy(update={"statistics": Statistics(mean=(0.5,) * features, std=(1.5,) * features)})


@pytest.fixture(scope="module")
def packed(spec):
    keras.utils.set_random_seed(4)
    given = keras.Input((spec.width,), name="inputs")
    hidden = keras.layers.Dense(8, "relu")(given)
    model = keras.Model({"inputs": given}, keras.layers.Dense(1)(hidden))
    return {"model.keras": model_bytes(model), "spec.json": spec.to_json().encode(), "training.json": b"{}"}


@pytest.mark.parametrize("kind", ["array<float>", "binary"])
def test_the_udf_gives_the_models_probabilities_for_arrays_and_for_exported_blocks(spark, packed, spec, tmp_path, kind):
    url = (tmp_path / "package").as_uri()
    calibration = Platt(-1.0, 0.9, 0.01, -0.002, 0.004, write_package(url, packed), 100, 1000, 90)
    archive = package_bytes(url)
    inputs = np.random.default_rng(2).normal(size=(40, spec.width)).astype("<f4")
    rows = [(number, row.tobytes() if kind == "binary" else row.tolist()) for number, row in enumerate(inputs)]
    frame = spark.createDataFrame(rows, f"id int, inputs {kind}").repartition(3)
    told = score_udf(spark.sparkContext.broadcast(archive), calibration)
    found = frame.select("id", told("inputs").alias("p")).orderBy("id").toPandas()["p"]
    logits = open_package(archive).model({"inputs": inputs})[:, 0]
    np.testing.assert_allclose(found, calibration.calibrated(np.asarray(logits)), rtol=1e-5)


def person(number, admissions=(), labs=(), covered=(-400, 400), age=60.0, death=None):
    """A timeline: admissions and labs at days before T; a lab is (days, value, days until it was known)."""
    events = [(STATIC, STATIC, NEVER, 7, np.nan)]
    events += [(T - days * DAY, T - days * DAY, NEVER, ADMISSION, np.nan) for days in admissions]
    events += [] if death is None else [(T - death * DAY, T - death * DAY, NEVER, MEDS_DEATH_HASH, np.nan)]
    events += [(T - days * DAY, T - (days - lag) * DAY, NEVER, LAB, value) for days, value, lag in labs]
    time, available, superseded, code, value = map(list, zip(*sorted(events, key=lambda event: event[0]), strict=True))
    died = None if death is None else T - death * DAY
    return (
        number,
        int(T - age * 365.25 * DAY),
        died,
        died,
        "female" if number % 2 else "male",
        None,
        time,
        available,
        superseded,
        code,
        [float(v) for v in value],
        [T + covered[0] * DAY],
        [T + covered[1] * DAY],
        [STATIC],
        [NEVER],
        0,
        0,
        None,
        None,
        [None],
    )


def population(size=60):
    random = np.random.default_rng(8)
    people = [
        person(number, sorted(random.integers(1, 900, number % 4).tolist()), [(int(random.integers(5, 300)), 6.5, 2)])
        for number in range(size)
    ]
    people += [person(1000), person(1001, admissions=[800])]  # eligible, nothing in the look-back
    people += [person(2000, [5], age=12), person(2001, [5], covered=(-400, -30)), person(2002, [5], death=3)]
    return people


def model_row(task_id, package_hash):
    return {
        "task_id": task_id,
        "model_name": task_id,
        "model_version": "1",
        "architecture": "logistic",
        "feature_spec_hash": "abc",
        "dataset_hash": "d",
        "package_hash": package_hash,
        "package_path": "_packages/one",
        "inputs": {},
        "prevalence": 0.1,
        "trained_at": datetime(2026, 7, 1),
        "run_id": "train",
    }


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory, spark, packed, task, cost_task):
    """A warehouse with timelines, calibrated models of two tasks, and a model of another that is not calibrated."""
    folder = tmp_path_factory.mktemp("scoring") / "warehouse"
    with spark_job("set-up", argparse.Namespace(warehouse=str(folder)), quiet=True) as job:
        package_hash = write_package(f"{folder}/_packages/one", packed)
        calibration = Platt(-1.0, 0.8, 0.01, -0.002, 0.004, package_hash, 100, 1000, 90)
        of_cost = write_package(f"{folder}/_packages/two", packed | {"training.json": b'{"label": "cost"}'})
        scale = Scale(1.2, 0.01, of_cost, 100, 1000, 90)
        cost_row = model_row(cost_task.id, of_cost) | {"package_path": "_packages/two", "prevalence": 900.0}
        job.tables.replace("timelines", job.spark.createDataFrame(population(), TIMELINES))
        job.tables.append(
            "models",
            job.tables.frame(
                "models", [model_row(task.id, package_hash), model_row("uncalibrated", "another"), cost_row]
            ),
        )
        job.tables.append(
            "calibrations",
            job.tables.frame(
                "calibrations",
                [
                    {
                        "task_id": task_id,
                        "model_name": task_id,
                        "model_version": "1",
                        "package_hash": each.package_hash,
                        "calibration_version": each.version,
                        "calibration": each.to_json(),
                        "fitted_at": datetime(2026, 7, 1),
                        "run_id": "evaluate",
                    }
                    for task_id, each in ((task.id, calibration), (cost_task.id, scale))
                ],
            ),
        )
    return folder


def scored(job_in, warehouse, task, as_of=AS_OF):
    with job_in(warehouse, "score") as job:
        score(job, task, as_of)
    return job


def rows_of(job, as_of=AS_OF):
    rows = job.tables.read("scores").where(F.col("as_of") == F.lit(as_of)).collect()
    return {row["subject_id"]: row for row in rows}


def test_a_night(job_in, warehouse, task, spec):
    job = scored(job_in, warehouse, task)
    rows = rows_of(job)

    # Everybody eligible, once; nobody else.
    assert sorted(rows) == [*range(60), 1000, 1001]
    assert job.figures == {"eligible": 62, "scored": 60, "not_scored": 2}
    (run,) = job.tables.read("score_runs").collect()
    assert (run["status"], run["eligible"], run["scored"], run["not_scored"], run["population"]) == (
        "published",
        62,
        60,
        2,
        65,
    )
    for row in rows.values():
        assert (row["probability"] is None) != (row["not_scored_reason"] is None)
    assert rows[1000]["not_scored_reason"] == rows[1001]["not_scored_reason"] == "no_data_in_look_back"
    assert rows[1000]["reasons"] is None
    assert rows[1000]["tier"] is None
    assert rows[1000]["percentile"] is None

    # Percentiles are midranks of the night; tiers follow.
    people = sorted(number for number in rows if number < 1000)
    probability = [rows[number]["probability"] for number in people]
    np.testing.assert_allclose(
        [rows[number]["percentile"] for number in people], 100 * (rankdata(probability) - 0.5) / len(people)
    )
    assert all((rows[number]["tier"] == "high") == (rows[number]["percentile"] >= 90) for number in people)

    # Provenance.
    one = rows[7]
    assert (one["model_name"], one["model_version"], one["run_id"]) == ("tiny", "1", run["run_id"])
    assert (one["prediction_start"], one["prediction_end"]) == (datetime(2026, 6, 30), datetime(2026, 9, 28))
    assert one["relative_risk"] == pytest.approx(one["probability"] / 0.1)
    assert one["probability_low"] < one["probability"] < one["probability_high"]
    assert one["data_available_through"] < datetime(2026, 6, 30)
    assert 1 <= len(one["reasons"]) <= 5
    assert [reason["rank"] for reason in one["reasons"]] == list(range(1, len(one["reasons"]) + 1))
    sizes = [abs(reason["contribution"]) for reason in one["reasons"]]
    assert sizes == sorted(sizes, reverse=True)
    assert {reason["feature"] for reason in one["reasons"]} <= set(spec.labels)

    # A second run does nothing; another model's night takes the first one's place and keeps it.
    assert scored(job_in, warehouse, task).skipped
    retiered = task.model_copy(update={"tiers": [Tier(name="all", from_percentile=0)]})
    again = scored(job_in, warehouse, retiered)
    assert {row["tier"] for row in rows_of(again).values()} == {"all", None}
    assert [row["probability"] for row in rows_of(again).values()].count(None) == 2
    runs = {row["run_id"]: row["status"] for row in again.tables.read("score_runs").collect()}
    assert runs == {run["run_id"]: "superseded", again.run_id: "published"}
    kept = again.tables.read("scores_superseded").collect()
    assert len(kept) == 62
    assert {row["superseded_by"] for row in kept} == {again.run_id}

    # A later night remembers this one.
    later = scored(job_in, warehouse, retiered, date(2026, 7, 31))
    before, after = rows_of(later), rows_of(later, date(2026, 7, 31))
    assert after[7]["previous_probability"] == before[7]["probability"]
    assert before[7]["previous_probability"] is None
    assert before[7]["change_reasons"] is None
    then, now = ({reason["feature"] for reason in night[7]["reasons"]} for night in (before, after))
    assert set(after[7]["change_reasons"]) == {f"came: {name}" for name in now - then} | {
        f"went: {name}" for name in then - now
    }


def test_a_night_of_a_cost_tells_estimates_and_no_probability(job_in, warehouse, cost_task):
    job = scored(job_in, warehouse, cost_task, date(2026, 6, 29))
    rows = job.tables.read("scores").where("task_id = 'tiny_cost'").collect()
    assert job.figures["eligible"] == len(rows) == job.figures["scored"] + job.figures["not_scored"]
    told = [row for row in rows if row["not_scored_reason"] is None]
    assert len(told) == job.figures["scored"] > 50
    for row in told:
        margin = np.exp(1.959963984540054 * 0.1)
        estimate = 1.2 * np.exp(row["score_raw"])
        found = [row[name] for name in ("estimate", "estimate_low", "estimate_high", "relative_risk")]
        assert found == pytest.approx([estimate, estimate / margin, estimate * margin, estimate / 900])
        assert (row["estimate_unit"], len(row["reasons"]) > 0) == ("USD", True)
        assert row["tier"] == ("high" if row["percentile"] >= 90 else "low")
    ranks = 100 * (rankdata([row["estimate"] for row in told]) - 0.5) / len(told)
    np.testing.assert_allclose([row["percentile"] for row in told], ranks)
    empty = ("probability", "probability_low", "probability_high", "prior_probability")
    assert {row[name] for row in rows for name in empty} == {None}
    assert all(row["estimate"] is row["estimate_unit"] is None for row in rows if row["not_scored_reason"])


LOST = date(2026, 5, 31)


def published(job_in, warehouse):
    with job_in(warehouse, "look") as job:
        return job.tables.published


@pytest.mark.parametrize("step", ["outcomes", "score_rows"])
def test_a_night_that_loses_a_person_is_held_and_publishes_nothing(job_in, warehouse, task, monkeypatch, step):
    """Between the timelines and the model, and between the model and the table."""
    whole = getattr(scoring, step)
    before = published(job_in, warehouse)
    monkeypatch.setattr(scoring, step, lambda *given: whole(*given).where("subject_id <> 7"))
    with pytest.raises(Held, match="accounted for") as held, job_in(warehouse, "score") as job:
        score(job, task, LOST)
    assert held.value.exit_code == 3
    assert published(job_in, warehouse) == before


def test_a_night_after_the_end_of_data_is_refused_and_publishes_nothing(job_in, warehouse, task):
    before = published(job_in, warehouse)
    with pytest.raises(Refused, match="--as-of 2199-01-01"):
        scored(job_in, warehouse, task, date(2199, 1, 1))
    assert published(job_in, warehouse) == before


@pytest.mark.parametrize(("name", "reason"), [("uncalibrated", "never calibrated"), ("unknown", "no trained model")])
def test_a_task_without_a_calibrated_model_is_refused(job_in, warehouse, task, name, reason):
    with pytest.raises(Refused, match=reason):
        scored(job_in, warehouse, task.model_copy(update={"id": name}))


def test_percentiles_are_midranks_for_any_ties(spark):
    random = np.random.default_rng(1)
    values = [*np.round(random.beta(1, 12, 5000), 3).tolist(), 0.0, 1.0, 1.0, None]
    frame = spark.createDataFrame(list(enumerate(values)), "subject_id long, probability double")
    placed = with_percentiles(frame, F.col("probability"), 0.08)
    assert placed.columns == ["subject_id", "probability", "percentile"]
    found = {row["subject_id"]: row["percentile"] for row in placed.collect()}
    assert len(found) == len(values)
    assert found[len(values) - 1] is None
    expected = 100 * (rankdata(values[:-1]) - 0.5) / (len(values) - 1)
    np.testing.assert_allclose([found[number] for number in range(len(values) - 1)], expected)


def test_an_index_event_makes_those_eligible_of_whom_it_is_new(packed, tmp_path):
    url = (tmp_path / "package").as_uri()
    calibration = Platt(-1.0, 0.9, 0.01, -0.002, 0.004, write_package(url, packed), 100, 1000, 90)
    asked = scorer.Scorer(open_package(package_bytes(url)))
    people = population()
    columns = dict(zip(TIMELINES.names, map(list, zip(*people, strict=True)), strict=True))
    batch = pa.RecordBatch.from_pydict(columns, schema=to_arrow_schema(TIMELINES))
    index = IndexCodes(np.array([ADMISSION]), np.empty(0, np.int64), 1)
    for days, eligible in ((231, 2), (232, 1), (233, 0)):
        as_of = T - days * DAY
        night = Night(as_of, Eligibility(age_at_least=18), calibration, (), index)
        of_everybody = asked.outcomes(batch, replace(night, index=None)).to_pydict()
        found = asked.outcomes(batch, night).to_pydict()
        is_new = [any(at == as_of and code == ADMISSION for at, code in zip(row[6], row[9])) for row in people]
        assert found["subject_id"] == of_everybody["subject_id"]
        assert found["is_eligible"] == [old and new for old, new in zip(of_everybody["is_eligible"], is_new)]
        for name in ("probability", "not_scored_reason", "enrolled_days"):
            assert found[name] == [
                value if new else None for value, new in zip(of_everybody[name], found["is_eligible"])
            ]
        assert sum(found["is_eligible"]) == eligible


@pytest.mark.parametrize("is_exclusive", [True, False])
def test_a_night_of_classes_tells_each_beside_the_focus(spec, tmp_path, is_exclusive):
    given = keras.Input((spec.width,), name="inputs")
    wide = keras.initializers.RandomNormal(stddev=2.0, seed=6)
    model = keras.Model({"inputs": given}, keras.layers.Dense(3, kernel_initializer=wide)(given))
    content = {"model.keras": model_bytes(model), "spec.json": spec.to_json().encode(), "training.json": b"{}"}
    package_hash = write_package((tmp_path / "package").as_uri(), content)
    of = tuple(Platt(at, 0.9, 0.01, -0.002, 0.004, package_hash, 100, 1000, 90) for at in (-3.0, -1.5, -2.0))
    each = ClassCalibration(("a", "b", "c"), is_exclusive, of, package_hash, 100, 1000, 90)
    asked = scorer.Scorer(open_package(package_bytes((tmp_path / "package").as_uri())))
    columns = dict(zip(TIMELINES.names, map(list, zip(*population(), strict=True)), strict=True))
    batch = pa.RecordBatch.from_pydict(columns, schema=to_arrow_schema(TIMELINES))
    found = asked.outcomes(batch, Night(T, RULES, each)).to_pylist()
    alone = asked.outcomes(batch, Night(T, RULES, of[-1])).to_pylist()
    told = [row for row in found if row["probability"] is not None]
    assert len(told) > 50
    assert len({row["classes"][0]["class"] for row in told}) > 1
    for row, by_itself in zip(found, alone, strict=True):
        assert by_itself.pop("classes") is None
        classes = row.pop("classes")
        assert row == by_itself  # of the focus there is nothing that classes beside it would change
        if row["probability"] is None:
            assert classes is None
            continue
        probability = {one["class"]: one["probability"] for one in classes}
        assert set(probability) == ({"a", "b", "c", "none"} if is_exclusive else {"a", "b", "c"})
        assert probability["c"] == row["probability"]
        assert list(probability.values()) == sorted(probability.values(), reverse=True)
        assert not is_exclusive or sum(probability.values()) == pytest.approx(1)


def test_whoever_has_a_fill_without_its_supply_is_eligible_and_told_so(packed, tmp_path):
    """The lab stands for a fill, its value for the days' supply; a fill that becomes known tomorrow is no matter."""
    url = (tmp_path / "package").as_uri()
    calibration = Platt(-1.0, 0.9, 0.01, -0.002, 0.004, write_package(url, packed), 100, 1000, 90)
    asked = scorer.Scorer(open_package(package_bytes(url)))
    supplies = [[30.0], [30.0, 0.0], [np.nan], [30.0, 30.0]]
    people = [person(n, labs=[(5 + k, each, 2) for k, each in enumerate(of)]) for n, of in enumerate(supplies)]
    people += [
        person(4, labs=[(5, 30.0, 2), (1, np.nan, 2)]),
        person(5, labs=[(5, np.nan, 2)], age=15),
        person(6, labs=[(400, np.nan, 2)]),
    ]
    columns = dict(zip(TIMELINES.names, map(list, zip(*people, strict=True)), strict=True))
    batch = pa.RecordBatch.from_pydict(columns, schema=to_arrow_schema(TIMELINES))
    rules = RULES.model_copy(update={"days_supply_of": Fills(codes=("LOINC/4548-4",))})
    found = asked.outcomes(batch, Night(T, rules, calibration, fills=(LAB,))).to_pydict()
    without = asked.outcomes(batch, Night(T, RULES, calibration)).to_pydict()
    assert found["is_eligible"] == without["is_eligible"] == [True] * 5 + [False, True]
    told = [None, NO_SUPPLY, NO_SUPPLY, None, None, None, NO_DATA]
    assert found["not_scored_reason"] == told
    assert found["probability"] == [
        None if reason else value for reason, value in zip(told, without["probability"], strict=True)
    ]


def test_training_and_tonight_share_one_function_for_inputs_and_one_for_eligibility():
    assert scorer.model_inputs is export.model_inputs
    assert scorer.standardise is export.standardise
    assert scorer.eligibility is cohort.eligibility
