"""A fitted spec: its groups are of the training people, its statistics those of numpy over all samples at once."""

import json

import numpy as np
import pyarrow as pa

from salus.schemas import CODES as CODES_TABLE
from salus.timelines.clocks import NEVER
from salus.timelines.features import FeatureSettings
from salus.timelines.fit import fit_spec
from salus.timelines.model_inputs import model_inputs
from salus.timelines.standardise import on_model_scale
from timeline_cases import CODES, DAY, Event, Person, batch_of, samples_of

TIMES = [100 * DAY, 200 * DAY]


def people():
    """30 people: all have hypertension, every third a lab, and one a rare code; OTHER comes after the last sample."""
    made = []
    for n in range(30):
        events = [Event(day * DAY, day * DAY, NEVER, CODES["I10"], float("nan")) for day in range(n, 190, 7 + n)]
        if n % 3 == 0:
            events += [Event((90 + n) * DAY, (91 + n) * DAY, NEVER, CODES["LAB/1"], 5.0 + n)]
        if n == 0:
            events.append(Event(DAY, DAY, NEVER, CODES["STEPS"], 1.0))
        events.append(Event(150 * DAY, 201 * DAY, NEVER, CODES["OTHER"], float("nan")))
        made.append(Person(events, [], birth=-n * 1000 * DAY, sex="female" if n % 2 else "male"))
    return made


def test_a_spec_is_fitted_on_the_training_samples(spark, tmp_path, monkeypatch):
    (tmp_path / "codesets").mkdir()
    (tmp_path / "codesets" / "mine.csv").write_text(
        "group,label,kind,unit,code_prefix\nhypertension,Hypertension,count,,I10\nlab,A lab,numeric,mg/dL,LAB/\n"
        "steps,Steps,numeric,1,STEPS\n",
        encoding="utf-8",
    )
    (tmp_path / "codesets" / "reference_ranges.csv").write_text(
        "code,sex,low,high,unit,source\nLAB/1,female,8,20,mg/dL,mine\nLAB/1,male,,17,mg/dL,mine\n", encoding="utf-8"
    )
    monkeypatch.setenv("SALUS_CONF", str(tmp_path))
    persons = people()
    batch = batch_of(persons)
    timelines = spark.createDataFrame(pa.Table.from_batches([batch]).to_pandas())
    codes = spark.createDataFrame([(code, code_hash, None, 1, None) for code, code_hash in CODES.items()], CODES_TABLE)
    row, at = samples_of(persons, TIMES)
    samples = spark.createDataFrame(
        list(zip(row.tolist(), at.tolist(), strict=True)), "subject_id long, prediction_time long"
    )
    settings = FeatureSettings(
        codeset="mine",
        windows_days=(30, 90),
        numeric_statistics=("last", "mean", "min", "max", "slope", "out_of_range"),
        min_people=2,
        most_frequent=5,
        sequence={"min_people": 2, "without": ["STEPS"]},
        daily={"days": 7, "channels": ["lab"]},
    )
    spec = fit_spec(settings, codes, timelines, samples)

    assert [group.name for group in spec.groups] == ["hypertension", "lab", "LAB/1"], "neither rare nor yet unknown"
    assert [group.name for group in spec.with_reference] == ["lab"]
    shares = [spec.statistics.mean[column] for column, name in enumerate(spec.names) if "out_of_range" in name]
    assert len(shares) == 2
    assert all(0 < share < 1 for share in shares)
    values = on_model_scale(model_inputs(batch, row, at, spec)["inputs"], spec).astype(np.float64)
    seen = ~np.isnan(values).all(axis=0)
    assert seen.sum() > 10
    np.testing.assert_allclose(
        np.array(spec.statistics.mean)[seen], np.nanmean(values[:, seen], axis=0), rtol=1e-4, atol=1e-6
    )
    spread = np.nanstd(values[:, seen], axis=0)
    np.testing.assert_allclose(np.array(spec.statistics.std)[seen], np.where(spread > 1e-4, spread, 1), rtol=1e-3)
    assert (np.array(spec.statistics.std) > 0).all()

    value = np.array([e.value for one in persons for e in one.events if e.code == CODES["LAB/1"]])
    assert spec.sequence.codes == ("I10", "LAB/1")
    np.testing.assert_allclose([spec.sequence.mean[1], spec.sequence.std[1]], [value.mean(), value.std()], rtol=1e-4)
    assert (spec.sequence.mean[0], spec.sequence.std[0]) == (0, 1)
    (channel,) = spec.daily.channels
    np.testing.assert_allclose([channel.mean, channel.std], [value.mean(), value.std()], rtol=1e-4)

    again = fit_spec(settings, codes, timelines.repartition(3), samples.repartition(2))
    assert again.hash == spec.hash
    assert json.loads(spec.to_json())["windows_days"] == [30, 90]
    few = fit_spec(settings.model_copy(update={"statistics_people": 6, "min_people": 1}), codes, timelines, samples)
    assert few.statistics != spec.statistics
