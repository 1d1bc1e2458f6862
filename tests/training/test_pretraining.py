"""Pre-training, on one rank: what is asked for, what is hidden, what is learnt, and what a model begins from."""

from dataclasses import replace
from itertools import pairwise

import horovod.tensorflow as hvd
import numpy as np
import pytest

import salus.models
from salus.datasets.feed import in_order
from salus.datasets.folder import Folder, sha256
from salus.datasets.groups import group_bounds
from salus.datasets.manifest import open_dataset, stated
from salus.datasets.parquet import Samples, written
from salus.errors import Refused
from salus.models import pretraining
from salus.models.pretraining import HIDDEN, REPLACED, Masked, ToCome
from salus.models.ways import CODES_TO_COME, MASKED_CODE, WAYS, way_of
from salus.timelines.blocks import EVENT_COLUMNS, PADDING, Block
from salus.timelines.standardise import LOG_YEAR
from salus.training.loop import Loop
from salus.training.plan import CODES, NetworkPlan

LENGTH, IDS, WIDTH = 12, 7, 3
BLOCKS = {
    "inputs": Block((WIDTH,)),
    "event_codes": Block((LENGTH,), "int32", IDS),
    "event_values": Block((LENGTH, len(EVENT_COLUMNS))),
}
ENCODER = NetworkPlan(
    "tiny-encoder",
    "transformer",
    hidden=[8],
    units=16,
    layers=1,
    dropout=0.1,
    learning_rate=0.01,
    epochs=3,
    batch_size=64,
    patience=20,
    reader="arrow",
    label=CODES,
)
PRESENT, VALUE = EVENT_COLUMNS.index("present"), EVENT_COLUMNS.index("value")
DAYS_BEFORE = EVENT_COLUMNS.index("log_days_before")


def histories(rows, seed=1):
    """People of two to ``LENGTH`` events with two codes of their own each, in turn."""
    random = np.random.default_rng(seed)
    events = random.integers(2, LENGTH + 1, rows)
    pairs = random.permuted(np.tile(np.arange(1, IDS), (rows, 1)), axis=1)[:, :2]
    codes = np.tile(pairs, LENGTH // 2)
    codes = np.where(np.arange(LENGTH) < events[:, None], codes, PADDING).astype(np.int32)
    values = random.random((rows, LENGTH, len(EVENT_COLUMNS))).astype(np.float32)
    values[..., DAYS_BEFORE] = 1 - np.arange(LENGTH) / LENGTH
    values[..., PRESENT] = 1
    return {"event_codes": codes, "event_values": values * (codes > 0)[..., None]}


@pytest.fixture(scope="module", autouse=True)
def alone():
    """Horovod of one rank, without a launcher."""
    hvd.init()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder, splits = Folder(str(tmp_path_factory.mktemp("sequences"))), {}
    for split, rows in (("train", 900), ("tuning", 240)):
        inputs = histories(rows) | {"inputs": np.zeros((rows, WIDTH), np.float32)}
        samples = Samples(np.arange(rows), np.arange(rows), inputs, np.zeros(rows, np.float32), np.ones(rows, "f4"))
        groups = [samples[start:end] for start, end in pairwise(group_bounds(rows, 12, 100))]
        content = written(groups)
        (folder / split).write("part.parquet", content)
        file = {"name": "part.parquet", "sha256": sha256(content), "groups": [len(group) for group in groups]}
        splits[split] = {"rows": rows, "positives": 0, "files": [file]}
    folder.write_json("manifest.json", {"blocks": stated(BLOCKS), "spec_hash": "s", "tables": {}, "splits": splits})
    return open_dataset(folder.url)


AHEAD = 60.0


def asked(way, people, training):
    of_way = Masked(way.share, IDS, 3) if way.is_masked else ToCome(share=way.share, ids=IDS, days=AHEAD, seed=3)
    return [np.asarray(each) for each in of_way([people["event_codes"], people["event_values"]], training=training)]


def days_before(people):
    return np.expm1(people["event_values"][..., DAYS_BEFORE].astype("f8") * LOG_YEAR)


def test_of_each_sample_a_share_of_its_events_is_asked_about_at_places_that_hold_one():
    people = histories(500)
    is_event = people["event_codes"] > 0
    for way, can_be in ((MASKED_CODE, is_event), (CODES_TO_COME, is_event & (days_before(people) >= AHEAD))):
        _, _, at, is_asked, _ = asked(way, people, training=True)
        wanted = np.ceil(np.float32(way.share) * can_be.sum(axis=1, dtype="f4"))
        np.testing.assert_array_equal(is_asked.sum(axis=1), wanted)
        places = (at * is_asked[..., None]).sum(axis=1)
        assert places.max() == 1, "no place twice"
        assert not (places > 0)[~can_be].any()


def test_the_code_that_was_hidden_is_the_one_that_is_sought():
    people = histories(200)
    _, _, at, is_asked, sought = asked(MASKED_CODE, people, training=True)
    np.testing.assert_array_equal(sought, np.einsum("bkl,bl->bk", at, people["event_codes"]))
    assert (sought[is_asked > 0] != PADDING).all()


def test_codes_to_come_are_those_of_later_times_within_the_days():
    people = histories(200)
    values = people["event_values"]
    values[:, 5, DAYS_BEFORE] = values[:, 4, DAYS_BEFORE]  # two of one time: neither is to come of the other
    codes, _, at, is_asked, coming = asked(CODES_TO_COME, people, training=True)
    before, none, many = days_before(people), 0, 0
    for person, slot in np.argwhere(is_asked > 0):
        mine = before[person, at[person, slot].argmax()]
        ahead = (codes[person] > 0) & (before[person] < mine - 1e-3) & (before[person] >= mine - AHEAD)
        assert {*np.flatnonzero(coming[person, slot])} == {*codes[person][ahead]}
        none, many = none + (not ahead.any()), many + (ahead.sum() > 1)
    assert min(none, many) > 10


def test_a_masked_code_is_hidden_with_its_value_and_others_are_left_alone():
    people = histories(4000)
    codes, values, at, is_asked, _ = asked(MASKED_CODE, people, training=True)
    place = (at * is_asked[..., None]).sum(axis=1) > 0
    np.testing.assert_array_equal(codes[~place], people["event_codes"][~place])
    np.testing.assert_array_equal(values[~place], people["event_values"][~place])
    hidden, same = codes[place] == PADDING, codes[place] == people["event_codes"][place]
    assert hidden.mean() == pytest.approx(HIDDEN, abs=0.02)
    assert same.mean() == pytest.approx(1 - HIDDEN - REPLACED + REPLACED / (IDS - 1), abs=0.02)
    known = values[place][:, VALUE] != 0
    assert not known[hidden].any()
    assert known.mean() == pytest.approx(1 - HIDDEN - REPLACED, abs=0.02)
    times = [EVENT_COLUMNS.index(name) for name in ("log_gap", "log_days_before", "age", "present")]
    np.testing.assert_array_equal(values[..., times], people["event_values"][..., times])


def test_codes_to_come_are_asked_of_events_as_they_are():
    people = histories(50)
    codes, values, *_ = asked(CODES_TO_COME, people, training=True)
    np.testing.assert_array_equal(codes, people["event_codes"])
    np.testing.assert_array_equal(values, people["event_values"])


def test_steps_draw_anew_and_a_loss_that_is_compared_does_not():
    people = histories(50)
    layer = Masked(MASKED_CODE.share, IDS, 3)
    given = [people["event_codes"], people["event_values"]]
    drawn = [np.asarray(layer(given, training=training)[2]) for training in (True, True, False, False)]
    assert (drawn[0] != drawn[1]).any()
    np.testing.assert_array_equal(drawn[2], drawn[3])


@pytest.mark.parametrize("architecture", [name for name, way in WAYS.items() if not way.is_masked])
def test_what_a_recurrent_encoder_says_of_an_event_knows_nothing_of_later_ones(architecture):
    encoder = pretraining.build(architecture, BLOCKS, ENCODER).get_layer(pretraining.ENCODER)
    people = {name: np.repeat(block, 2, axis=0) for name, block in histories(20).items()}
    people["event_codes"][1::2, 4:] = np.where(people["event_codes"][1::2, 4:] > 0, 1, 0)
    said = np.asarray(encoder(people, training=False))
    np.testing.assert_array_equal(said[::2, :4], said[1::2, :4])
    assert (said[::2, 4:] != said[1::2, 4:]).any()


def test_pre_training_by_masked_codes_learns_the_two_codes_of_a_person(dataset, tmp_path):
    loop = Loop(dataset, replace(ENCODER, dropout=0.0, epochs=10))
    history = loop.run(Folder(str(tmp_path)), "encoder", False, lambda epoch: None).history
    assert history[0]["tuning_loss"] < np.log(IDS - 1) + 0.2, "it begins near chance, or below"
    assert history[-1]["tuning_loss"] < 0.85 * np.log(IDS - 1)
    assert history[-1]["tuning_accuracy"] > 0.3 > 1.5 / (IDS - 1)


def test_pre_training_by_codes_to_come_learns_which_of_them_are_a_persons(dataset, tmp_path):
    """Whoever knows only how often each comes would pay their entropies, and foretell none."""
    people = Samples.concatenated(list(in_order(dataset.split("tuning")))).inputs
    plan = replace(ENCODER, architecture="gru", dropout=0.0, epochs=20, ahead_days=AHEAD)
    loop = Loop(dataset, plan)
    history = loop.run(Folder(str(tmp_path)), "encoder", False, lambda epoch: None).history
    *_, is_asked, coming = asked(CODES_TO_COME, people, training=False)
    often = coming[is_asked > 0].mean(axis=0)[1:]
    assert often.max() < 0.5
    untaught = -(often * np.log(often) + (1 - often) * np.log(1 - often)).sum()
    assert history[-1]["tuning_loss"] < 0.7 * untaught
    assert history[-1]["tuning_accuracy"] > 0.5


class Killed(Exception):
    """Stands for the end of a process."""


def test_a_resumed_pre_training_ends_bit_by_bit_where_an_undisturbed_one_does(dataset, tmp_path):
    def dies(epoch):
        if epoch["epoch"] == 1:
            raise Killed

    def run(place, resume, report=lambda epoch: None):
        return Loop(dataset, ENCODER).run(Folder(str(tmp_path / place)), "encoder", resume, report)

    whole = run("whole", False)
    with pytest.raises(Killed):
        run("killed", False, dies)
    resumed = run("killed", True)
    assert [epoch["tuning_loss"] for epoch in whole.history] == [epoch["tuning_loss"] for epoch in resumed.history]
    for one, other in zip(whole.variables, resumed.variables, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("architecture", WAYS)
def test_a_model_begins_with_the_weights_of_its_encoder_and_says_the_prior(architecture):
    encoder = pretraining.build(architecture, BLOCKS, replace(ENCODER, seed=99)).get_layer(pretraining.ENCODER)
    model = salus.models.build(architecture, BLOCKS, ENCODER, prior_logit=-2.0)
    pretraining.begin_from(model, encoder)
    shared = [layer for layer in encoder.layers if layer.get_weights()]
    assert {"code_embedding", "event_numbers"} < {layer.name for layer in shared}
    for layer in shared:
        for one, other in zip(layer.get_weights(), model.get_layer(layer.name).get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
    people = histories(5) | {"inputs": np.ones((5, WIDTH), np.float32)}
    np.testing.assert_allclose(model({each.name: people[each.name] for each in model.inputs}), -2.0)


def labelled(dataset, tmp_path):
    """The data set of the network that begins from an encoder: whether a person's codes have the first among them."""
    folder, content = Folder(str(tmp_path)), dict(dataset.content)
    for split in ("train", "tuning"):
        people = Samples.concatenated(list(in_order(dataset.split(split))))
        people.label = (people.inputs["event_codes"] == 1).any(axis=1).astype("f4")
        people.inputs["inputs"] = np.random.default_rng(5).normal(size=(len(people), WIDTH)).astype("f4")
        file = written([people])
        (folder / split).write("part.parquet", file)
        files = [{"name": "part.parquet", "sha256": sha256(file), "groups": [len(people)]}]
        content["splits"] = content["splits"] | {
            split: {"rows": len(people), "positives": int(people.label.sum()), "files": files}
        }
    folder.write_json("manifest.json", content)
    return open_dataset(folder.url)


@pytest.mark.parametrize("architecture", ["gru", "transformer"])
def test_an_encoder_that_learns_in_fewer_bits_is_asked_the_same_and_kept_in_32(dataset, architecture):
    plan = replace(ENCODER, architecture=architecture, dropout=0.0)
    whole, fewer = (Loop(dataset, replace(plan, precision=bits)) for bits in ("float32", "mixed_bfloat16"))
    people = histories(200)
    told, rounded = (np.asarray(loop._said(people, training=False)) for loop in (whole, fewer))
    np.testing.assert_array_equal(told[:, 1], rounded[:, 1])
    assert not np.array_equal(told[:, 0], rounded[:, 0])
    np.testing.assert_allclose(told[:, 0], rounded[:, 0], rtol=0.05, atol=0.05)
    for one, other in zip(whole.told().get_weights(), fewer.told().get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert {layer.compute_dtype for layer in fewer.told().layers} == {"float32"}


@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
def test_what_an_encoder_gave_goes_on_at_its_share_of_the_learning_rate(dataset, tmp_path, share):
    """Adam's first step is the learning rate, whatever the size of the gradient, or of the penalty's alone."""
    encoder = pretraining.build("gru", BLOCKS, replace(ENCODER, seed=99)).get_layer(pretraining.ENCODER)
    plan = replace(ENCODER, architecture="gru", label="event", epochs=1, batch_size=2048, encoder_rate=share, l2=1e-3)
    loop = Loop(labelled(dataset, tmp_path), plan, encoder=encoder)
    before = {each.path: each.numpy() for each in loop.model.trainable_variables}
    loop.run(Folder(str(tmp_path)), "network", False, lambda epoch: None)
    of_encoder, went = {layer.name for layer in encoder.layers if layer.get_weights()}, {True: set(), False: set()}
    for each in loop.model.trainable_variables:
        if "kernel" in each.path or "embeddings" in each.path:
            step = np.abs(each.numpy() - before[each.path]).max() / plan.learning_rate
            went[each.path.split("/")[0] in of_encoder].add(round(float(step), 1))
    assert went == {True: {share}, False: {1.0}}


def test_a_resumed_training_from_an_encoder_ends_bit_by_bit_where_an_undisturbed_one_does(dataset, tmp_path):
    encoder = pretraining.build("gru", BLOCKS, replace(ENCODER, seed=99)).get_layer(pretraining.ENCODER)
    plan, labels = replace(ENCODER, architecture="gru", label="event", encoder_rate=0.1), labelled(dataset, tmp_path)

    def dies(epoch):
        if epoch["epoch"] == 1:
            raise Killed

    def run(place, resume, report=lambda epoch: None):
        loop = Loop(labels, plan, encoder=encoder)
        return loop.run(Folder(str(tmp_path / place)), "network", resume, report)

    whole = run("whole", False)
    with pytest.raises(Killed):
        run("killed", False, dies)
    for one, other in zip(whole.variables, run("killed", True).variables, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_state_after_the_newest_event_is_the_one_that_the_model_reads():
    encoder = pretraining.build("gru", BLOCKS, replace(ENCODER, seed=99)).get_layer(pretraining.ENCODER)
    model = salus.models.build("gru", BLOCKS, ENCODER)
    pretraining.begin_from(model, encoder)
    people = histories(20)
    recurrence = model.get_layer("recurrence")
    state = type(model)(model.inputs, recurrence.output)(people | {"inputs": np.ones((20, WIDTH), np.float32)})
    np.testing.assert_allclose(state, np.asarray(encoder(people))[:, -1], rtol=1e-6, atol=1e-6)


def test_an_encoder_of_another_shape_is_refused():
    model = salus.models.build("gru", BLOCKS, ENCODER)
    for other, plan in (("gru", replace(ENCODER, units=8)), ("transformer", ENCODER), ("lstm", ENCODER)):
        encoder = pretraining.build(other, BLOCKS, plan).get_layer(pretraining.ENCODER)
        with pytest.raises(Refused, match="does not have, or has with other shapes"):
            pretraining.begin_from(model, encoder)


def test_an_architecture_without_a_sequence_is_not_pre_trained():
    with pytest.raises(Refused, match="expected one that reads the sequence of events: gru, lstm"):
        way_of("mlp")
    with pytest.raises(Refused, match=r"features\.sequence"):
        pretraining.build("gru", {"inputs": BLOCKS["inputs"]}, ENCODER)
