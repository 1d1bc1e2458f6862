"""Pre-training's data: which dates people are read at, and which encoder fits a data set."""

from datetime import date, timedelta
from types import SimpleNamespace

import pytest

from salus.cohorts.grid import grid
from salus.cohorts.splits import learnt_until
from salus.cohorts.task import Index, Pretraining, Splits, Task
from salus.datasets.pretraining import cut_dates, sequence_spec
from salus.errors import Refused
from salus.timelines.spec import Statistics
from salus.training.encoders import encoder_plan
from salus.training.plan import CODES
from timeline_cases import spec


def test_people_are_read_at_the_newest_dates_that_lie_far_enough_apart():
    months = grid(Index(last=24), SimpleNamespace(horizon_days=90, run_out_days=90), date(2026, 1, 1))
    asked = Pretraining(cuts=3, apart_days=90)
    assert cut_dates(months, asked) == [date(2025, 7, 1), date(2025, 4, 1), date(2025, 1, 1)]
    days = [date(2025, 1, 1) + timedelta(days) for days in range(100)]
    assert cut_dates(days, asked) == [days[-1], days[9]]
    assert cut_dates(days[:5], Pretraining(cuts=9, apart_days=1)) == days[4::-1]


def test_where_the_last_dates_are_held_out_no_later_date_is_learnt_from_than_a_label_could_be_complete_at():
    task = Task.load("admission_90d")
    dates = [date(2025, month, 1) for month in range(1, 13)]
    assert learnt_until(task, dates) is None
    by_time = task.model_copy(update={"splits": Splits(by="time", held_out_last=2)})
    assert learnt_until(by_time, dates) == date(2025, 11, 1) - timedelta(days=180)


def test_an_encoder_fits_every_data_set_of_its_sequence_and_its_scale_of_age_whatever_the_windows():
    one, other = spec(), spec(windows_days=(7,))
    assert one.hash != other.hash
    assert sequence_spec(one).hash == sequence_spec(other).hash
    older = spec(statistics=Statistics(mean=(60.0,), std=(10.0,)))
    shorter = spec(sequence=one.sequence.model_copy(update={"length": 4}))
    assert len({sequence_spec(each).hash for each in (one, older, shorter)}) == 3
    assert set(sequence_spec(one).blocks) == {"inputs", "event_codes", "event_values"}
    with pytest.raises(Refused, match=r"features\.sequence"):
        sequence_spec(spec(sequence=None))


def test_an_encoder_has_the_models_shape_and_its_own_way_to_learn():
    task = Task.load("admission_90d")
    with pytest.raises(Refused, match="expected one that reads the sequence"):
        encoder_plan(task)
    model = task.model.model_copy(update={"architecture": "gru"})
    plan = encoder_plan(task.model_copy(update={"model": model, "pretraining": Pretraining(epochs=2, patience=1)}))
    assert (plan.name, plan.architecture, plan.label) == ("admission_90d-encoder", "gru", CODES)
    assert (plan.epochs, plan.patience, plan.batch_size) == (2, 1, 256)
    assert (plan.units, plan.dropout, plan.seed) == (32, model.settings.dropout, model.settings.seed)
