"""Every architecture: starts at the prior, learns what it is there for, survives safe mode, and can be explained."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

import salus.models.layers  # noqa: F401  # registers the layers that a saved model may name
from salus.errors import Refused
from salus.evaluation.inference import Network
from salus.explanation.integrated_gradients import IntegratedGradients, is_complete, total_of
from salus.models import ARCHITECTURES, build
from salus.timelines.blocks import EVENT_COLUMNS, Block

LENGTH, DAYS, CHANNELS, WIDTH, ROWS = 6, 14, 1, 3, 256
BLOCKS = {
    "inputs": Block((WIDTH,)),
    "event_codes": Block((LENGTH,), "int32", 5),
    "event_values": Block((LENGTH, len(EVENT_COLUMNS))),
    "days": Block((DAYS, 2 * CHANNELS)),
}
SETTINGS = SimpleNamespace(hidden=[8], units=8, layers=1, attention_heads=2, dropout=0.0, l2=1e-6, seed=3)
FIRST, SECOND = 2, 3


@pytest.fixture(scope="module")
def people():
    """People of two to six events, one each of the codes 2 and 3 among them, and a fortnight with some days' values."""
    random = np.random.default_rng(11)
    codes = np.zeros((ROWS, LENGTH), np.int32)
    for row in codes:
        events = random.integers(2, LENGTH + 1)
        row[:events] = random.choice([1, 4], events)
        row[random.choice(events, 2, replace=False)] = [FIRST, SECOND]
    present = codes > 0
    values = (random.normal(size=(ROWS, LENGTH, len(EVENT_COLUMNS))) * present[..., None]).astype(np.float32)
    values[..., EVENT_COLUMNS.index("log_gap")] = random.random((ROWS, LENGTH)) * present
    values[..., EVENT_COLUMNS.index("present")] = present
    days = random.normal(size=(ROWS, DAYS, 2)).astype(np.float32)
    days[..., 1] = random.random((ROWS, DAYS)) < 0.2
    days[..., 0] *= 1 - days[..., 1]
    inputs = random.normal(size=(ROWS, WIDTH)).astype(np.float32)
    return {"inputs": inputs, "event_codes": codes, "event_values": values, "days": days}


def answer(architecture, people):
    """0 or 1 a person: what only the architecture's own kind of data can tell."""
    if architecture in ("logistic", "mlp"):
        return (people["inputs"][:, 0] > 0).astype(np.float32)
    if architecture == "cnn":  # the same values in another order say the opposite
        return (people["days"][:, : DAYS // 2, 0].sum(1) > people["days"][:, DAYS // 2 :, 0].sum(1)).astype(np.float32)
    codes = people["event_codes"]
    return (np.argmax(codes == FIRST, axis=1) < np.argmax(codes == SECOND, axis=1)).astype(np.float32)


def trained(model, people, label, steps):
    """The loss at first and at the end of ``steps`` steps on everybody."""
    optimiser = keras.optimizers.Adam(0.03)
    optimiser.build(model.trainable_variables)
    given = {each.name: tf.constant(people[each.name]) for each in model.inputs}

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            logit = model(given, training=True)[:, 0]
            loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=label, logits=logit))
        variables = model.trainable_variables
        optimiser.apply(tape.gradient(loss, [v.value for v in variables]), variables)
        return loss

    losses = [float(step()) for _ in range(steps)]
    return losses[0], losses[-1]


@pytest.fixture(scope="module")
def learnt(people):
    """Each architecture's model after some steps on what it must be able to learn, with its losses."""
    made = {}
    for architecture in ARCHITECTURES:
        model = build(architecture, BLOCKS, SETTINGS)
        made[architecture] = model, *trained(model, people, answer(architecture, people), 60)
    return made


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_architecture_learns_what_it_is_there_for(learnt, architecture):
    _, first, last = learnt[architecture]
    assert first == pytest.approx(np.log(2), rel=1e-3)
    assert last < 0.35


@pytest.mark.parametrize("told", ["gru", "cnn"])
def test_windows_cannot_tell_the_order_of_events_or_days(people, told):
    """So what sequence models learn above is not to be had without the sequence."""
    _, last = trained(build("mlp", BLOCKS, SETTINGS), people, answer(told, people), 60)
    assert last > 0.5


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_model_starts_at_the_prior_and_comes_back_from_safe_mode(learnt, people, architecture, tmp_path):
    given = {name: block[:7] for name, block in people.items()}
    model = build(architecture, BLOCKS, SETTINGS, prior_logit=-3.0)
    mine = {each.name: given[each.name] for each in model.inputs}
    np.testing.assert_array_equal(model(mine), np.full((7, 1), -3.0, np.float32))
    model = learnt[architecture][0]
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    np.testing.assert_array_equal(again(mine), model(mine))
    assert len(np.unique(again(mine))) > 1


def nobody():
    """A person without events, days or risk factors."""
    blank = {name: np.zeros(block.shape, block.dtype) for name, block in BLOCKS.items()}
    blank["days"][:, CHANNELS:] = 1
    return blank


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_contributions_are_complete_for_all_but_one_in_a_hundred(learnt, people, architecture):
    model = learnt[architecture][0]
    some = {name: block[:100] for name, block in people.items()}
    logits = Network(model, batch=128).logits(some)
    gradients = IntegratedGradients(model, nobody())
    found = gradients.contributions(some, logits)
    assert is_complete(total_of(found), logits - gradients.baseline_logit).mean() >= 0.99
    assert {name: block.shape for name, block in found.items()} == {
        each.name: (100, *each.shape[1:]) for each in model.inputs
    }


@pytest.mark.parametrize("architecture", ["gru", "lstm", "transformer", "two_tower"])
def test_padding_changes_nothing_whatever_stands_in_it(learnt, people, architecture):
    model = learnt[architecture][0]
    mine = {each.name: people[each.name][:20].copy() for each in model.inputs}
    before = model(mine).numpy()
    mine["event_codes"][mine["event_values"][..., -1] == 0] = 4
    np.testing.assert_allclose(model(mine).numpy(), before, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("architecture", "asked"), [("gru", "features.sequence"), ("cnn", "features.daily")])
def test_a_block_that_the_task_did_not_ask_for_is_named(architecture, asked):
    with pytest.raises(Refused, match=asked):
        build(architecture, {"inputs": Block((WIDTH,))}, SETTINGS)
