"""Pre-training: what a sequence network learns of people before it is told what is to be predicted.

The Transformer is asked for codes that were hidden from it, from what stands on either side (masked code: Li et al.,
BEHRT, Sci Rep 2020;10:7155, with the shares of Devlin et al., BERT, NAACL 2019). A recurrent network, which reads in
one direction, is asked which codes come in the days after an event (codes to come): next codes as those of Steinberg et
al., Language models are an effective representation learning technique for electronic health record data, J Biomed
Inform 2021;113:103637, but over a time and not at the next place, as in Steinberg et al., MOTOR, ICLR 2024. What stands
at the next place is for the most part the rest of the same visit, and says little of what becomes of a person.

Of each sample a share of the places is asked for, drawn anew in every step: all of the vocabulary at every place would
be most of the work.

Shapes: event_codes (samples, length) int32, 0 = padding; event_values (samples, length, len(EVENT_COLUMNS)) float32;
the encoder's events (samples, length, units); told (samples, 4) float32: the nats that the answers cost, of how many
places, how many codes were right, of how many.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import ops

from salus.errors import Refused
from salus.models.layers import DecayGRUCell, TimeAwareLSTMCell
from salus.models.objectives import Objective
from salus.models.parts import dense, given, seeds
from salus.models.recurrent import every_state
from salus.models.transformer import events_in_context
from salus.models.ways import way_of
from salus.timelines.blocks import EVENT_CODES, EVENT_COLUMNS, EVENT_VALUES, PADDING, Block
from salus.timelines.standardise import LOG_YEAR

ENCODER = "encoder"
"""The layer of a model in pre-training whose weights a task's model begins from."""

HIDDEN, REPLACED = 0.8, 0.1
"""Of the places that are asked for, so many have their code hidden, and so many get one by chance; the rest are left
as they are, since a task's model will see no hidden code."""

VALUE, VALUE_KNOWN = EVENT_COLUMNS.index("value"), EVENT_COLUMNS.index("value_known")
DAYS_BEFORE = EVENT_COLUMNS.index("log_days_before")


EVENTS: Mapping[str, Callable[..., keras.KerasTensor]] = {
    "gru": partial(every_state, DecayGRUCell),
    "lstm": partial(every_state, TimeAwareLSTMCell),
    "two_tower": partial(every_state, DecayGRUCell),
    "transformer": events_in_context,
}
"""By architecture: (inputs, blocks, settings, seeds) to each event as the network sees it, (samples, length, units)."""


def build(architecture: str, blocks: Mapping[str, Block], settings) -> keras.Model:
    """The untrained model in pre-training, event_codes and event_values to told.

    Args:
        architecture: one of ``EVENTS``.
        blocks: the named arrays that there are.
        settings: the task's model settings, see ``salus.models.NetworkSettings``.

    Raises:
        Refused: the architecture can't be pre-trained, or there is no sequence of events.
    """
    way, inputs, seed = way_of(architecture), given(blocks, EVENT_CODES, EVENT_VALUES), seeds(settings)
    encoder = keras.Model(inputs, EVENTS[architecture](inputs, blocks, settings, seed), name=ENCODER)
    ids = blocks[EVENT_CODES].ids
    asked = (
        Masked(way.share, ids, next(seed)) if way.is_masked else ToCome(way.share, ids, settings.ahead_days, next(seed))
    )
    codes, values, at, is_asked, answer = asked([inputs[EVENT_CODES], inputs[EVENT_VALUES]])
    in_context = ops.cast(encoder({EVENT_CODES: codes, EVENT_VALUES: values}), "float32")
    events = ops.einsum("bkl,blu->bku", at, in_context)
    hidden = dense(settings.units, settings, seed, activation="gelu", name="code_hidden")(events)
    logits = ops.cast(dense(ids, settings, seed, name="code_logits")(hidden), "float32")
    nats, right, of = (one_code if way.is_masked else several_codes)(answer, logits)
    told = [ops.sum(is_asked * each, axis=-1) for each in (nats, ops.ones_like(nats), right, of)]
    return keras.Model(inputs, ops.stack(told, axis=-1), name="pretraining")


def one_code(sought: Any, logits: Any) -> tuple[Any, Any, Any]:
    """Nats of each place, how many codes are right, of how many: (samples, places) each, of one code a place."""
    nats = ops.sparse_categorical_crossentropy(sought, logits, from_logits=True)
    right = ops.cast(ops.equal(ops.argmax(logits, axis=-1), ops.cast(sought, "int64")), "float32")
    return nats, right, ops.ones_like(nats)


def several_codes(coming: Any, logits: Any) -> tuple[Any, Any, Any]:
    """The same of any number of codes a place, each a yes or no; a code that was foretold, or came, counts as one."""
    nats = ops.sum(ops.softplus(logits) - coming * logits, axis=-1)
    foretold = ops.cast(logits > 0, "float32")
    return nats, ops.sum(coming * foretold, axis=-1), ops.sum(ops.maximum(coming, foretold), axis=-1)


def of_codes() -> Objective:
    """What pre-training makes small: the nats that a place's answer costs; the metric is the share of codes that is
    right: of masked codes those that were found, of codes to come the Jaccard index of what was foretold and what came.

    What is packaged is the encoder.
    """
    return Objective(
        start=0.0,
        loss=lambda _, told: told[:, 0] / ops.maximum(told[:, 1], 1.0),
        metric="accuracy",
        measure=lambda _, told, weight: float(np.sum(weight * told[:, 2]) / max(np.sum(weight * told[:, 3]), 1.0)),
        outputs=4,
        told=lambda model: model.get_layer(ENCODER),
        is_flat=False,
    )


def begin_from(model: keras.Model, encoder: keras.Model) -> list[keras.Variable]:
    """Give the layers of ``model`` that ``encoder`` has too the weights that they have there; returns these weights.

    Raises:
        Refused: it lacks one of them, or has one of other shapes.
    """
    given: list[keras.Variable] = []
    for layer in encoder.layers:
        weights = layer.get_weights()
        if not weights:
            continue
        mine = next((each for each in model.layers if each.name == layer.name), None)
        if mine is None or [tuple(each.shape) for each in mine.weights] != [each.shape for each in weights]:
            raise Refused(
                f"Received an encoder whose layer {layer.name} the {model.name} does not have, or has with other "
                "shapes; expected one of the same architecture, `units`, `layers` and vocabulary. Run pretrain again."
            )
        mine.set_weights(weights)
        given += mine.trainable_variables
    return given


class _Places(keras.layers.Layer):
    """The places that are asked about, drawn anew in every step of training.

    Outside of training the draw is always the same, so that losses can be compared. Times are compared in 32 bits,
    whatever the network computes in.
    """

    def __init__(self, share, ids, seed, **options):
        super().__init__(dtype="float32", **options)
        self.share, self.ids, self.seed = share, ids, seed
        self.drawn = keras.random.SeedGenerator(seed)

    def seeds(self, training):
        """Of up to three draws."""
        return [self.drawn] * 3 if training else [self.seed + number for number in range(3)]

    def places(self, can_be, seed):
        """One-hot (samples, places, length), and 1 where one is asked about, (samples, places): of fewer that can be,
        fewer are."""
        order = ops.where(can_be, keras.random.uniform(ops.shape(can_be), seed=seed), 2.0)
        most = math.ceil(self.share * can_be.shape[1])
        at = ops.one_hot(ops.top_k(-order, most)[1], can_be.shape[1], dtype="float32")
        wanted = ops.ceil(self.share * ops.sum(ops.cast(can_be, "float32"), axis=1, keepdims=True))
        return at, ops.cast(ops.arange(most, dtype="float32") < wanted, "float32")


class Masked(_Places):
    """[event_codes, event_values] to the same two without what is hidden, the places, which of them are asked about,
    and the code of each, (samples, places) int32."""

    def call(self, inputs, training=False):
        """See the class."""
        codes, values = inputs
        order_seed, fate_seed, other_seed = self.seeds(training)
        at, is_asked = self.places(ops.not_equal(codes, PADDING), order_seed)
        sought = ops.cast(ops.einsum("bkl,bl->bk", at, ops.cast(codes, "float32")), "int32")
        fate = keras.random.uniform(ops.shape(codes), seed=fate_seed)
        other = keras.random.randint(ops.shape(codes), 1, self.ids, seed=other_seed)
        is_place = ops.einsum("bkl,bk->bl", at, is_asked) > 0
        codes = ops.where(is_place & (fate < HIDDEN + REPLACED), other, codes)
        codes = ops.where(is_place & (fate < HIDDEN), PADDING, codes)
        values = values * _known_of(is_place & (fate < HIDDEN + REPLACED))
        return codes, values, at, is_asked, sought


class ToCome(_Places):
    """[event_codes, event_values] to the same two, the places, which of them are asked about, and 1 for each code that
    comes in the ``days`` after its event, (samples, places, ids).

    Asked is only where so many days have passed until the prediction; what bears the event's own time is not to come.
    """

    def __init__(self, share, ids, days, seed, **options):
        super().__init__(share, ids, seed, **options)
        self.days = days

    def call(self, inputs, training=False):
        """See the class."""
        codes, values = inputs
        before = ops.expm1(values[..., DAYS_BEFORE] * LOG_YEAR)
        is_event = ops.not_equal(codes, PADDING)
        at, is_asked = self.places(is_event & (before >= self.days), self.seeds(training)[0])
        mine = ops.einsum("bkl,bl->bk", at, before)[..., None]
        others = before[:, None, :]
        is_ahead = is_event[:, None, :] & (others < mine) & (mine - others <= self.days)
        times = ops.einsum("bkl,bli->bki", ops.cast(is_ahead, "float32"), ops.one_hot(codes, self.ids, dtype="float32"))
        return codes, values, at, is_asked, ops.cast(times > 0, "float32")


def _known_of(is_hidden: Any) -> Any:
    """What event values are multiplied by: a hidden code's value is hidden too, its times are not."""
    of_code = np.isin(np.arange(len(EVENT_COLUMNS)), (VALUE, VALUE_KNOWN))
    return 1.0 - ops.cast(is_hidden, "float32")[..., None] * of_code.astype(np.float32)
