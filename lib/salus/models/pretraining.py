"""Pre-training: what a sequence network learns of people before it is told what is to be predicted.

The Transformer is asked for codes that were hidden from it, from what stands on either side (masked code: Li et al.,
BEHRT, Sci Rep 2020;10:7155, with the shares of Devlin et al., BERT, NAACL 2019); a recurrent network, which reads in
one direction, for the code that comes next (next code: Steinberg et al., Language models are an effective
representation learning technique for electronic health record data, J Biomed Inform 2021;113:103637). Of each sample a
share of the places is asked for, drawn anew in every step: a softmax over the vocabulary at every place would be most
of the work.

Shapes: event_codes (samples, length) int32, 0 = padding; event_values (samples, length, len(EVENT_COLUMNS)) float32;
the encoder's events (samples, length, units); told (samples, 3) float32: the nats that the sought codes cost, how many
were sought, how many were right.
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

ENCODER = "encoder"
"""The layer of a model in pre-training whose weights a task's model begins from."""

HIDDEN, REPLACED = 0.8, 0.1
"""Of the places that are asked for, so many have their code hidden, and so many get one by chance; the rest are left
as they are, since a task's model will see no hidden code."""

VALUE, VALUE_KNOWN = EVENT_COLUMNS.index("value"), EVENT_COLUMNS.index("value_known")


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
    codes, values, at, sought, is_sought = Sought(way.share, ids, way.is_masked, next(seed), name="sought")(
        [inputs[EVENT_CODES], inputs[EVENT_VALUES]]
    )
    events = ops.einsum("bkl,blu->bku", at, encoder({EVENT_CODES: codes, EVENT_VALUES: values}))
    hidden = dense(settings.units, settings, seed, activation="gelu", name="code_hidden")(events)
    logits = dense(ids, settings, seed, name="code_logits")(hidden)
    nats = ops.sparse_categorical_crossentropy(sought, logits, from_logits=True)
    is_right = ops.cast(ops.equal(ops.argmax(logits, axis=-1), ops.cast(sought, "int64")), "float32")
    told = [ops.sum(is_sought * each, axis=-1) for each in (nats, ops.ones_like(nats), is_right)]
    return keras.Model(inputs, ops.stack(told, axis=-1), name="pretraining")


def of_codes() -> Objective:
    """What pre-training makes small: the nats that a sought code costs; the metric is the share of them that is right.

    What is packaged is the encoder.
    """
    return Objective(
        start=0.0,
        loss=lambda _, told: told[:, 0] / ops.maximum(told[:, 1], 1.0),
        metric="accuracy",
        measure=lambda _, told, weight: float(np.sum(weight * told[:, 2]) / np.sum(weight * told[:, 1])),
        outputs=3,
        told=lambda model: model.get_layer(ENCODER),
        is_flat=False,
    )


def begin_from(model: keras.Model, encoder: keras.Model) -> None:
    """Give the layers of ``model`` that ``encoder`` has too the weights that they have there.

    Raises:
        Refused: it lacks one of them, or has one of other shapes.
    """
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


class Sought(keras.layers.Layer):
    """The places at which a code is sought, drawn anew in every step of training, and the events as the encoder may
    see them.

    [event_codes, event_values] to the same two, where codes are masked without the sought ones; the places one-hot
    (samples, places, length); the sought codes (samples, places); and 1 where one is sought, (samples, places). Of a
    sample with few events fewer places are. Outside of training the draw is always the same, so that losses can be
    compared.
    """

    def __init__(self, share, ids, is_masked, seed, **options):
        super().__init__(**options)
        self.share, self.ids, self.is_masked, self.seed = share, ids, is_masked, seed
        self.drawn = keras.random.SeedGenerator(seed)

    def call(self, inputs, training=False):
        """See the class."""
        codes, values = inputs
        length, shape = codes.shape[1], ops.shape(codes)
        order_seed, fate_seed, other_seed = (self.drawn if training else self.seed + n for n in range(3))
        answers = codes if self.is_masked else _next(codes)
        can_be = ops.not_equal(answers, PADDING)
        order = ops.where(can_be, keras.random.uniform(shape, seed=order_seed), 2.0)
        most = math.ceil(self.share * length)
        at = ops.one_hot(ops.top_k(-order, most)[1], length, dtype="float32")
        wanted = ops.ceil(self.share * ops.sum(ops.cast(can_be, "float32"), axis=1, keepdims=True))
        is_sought = ops.cast(ops.arange(most, dtype="float32") < wanted, "float32")
        sought = ops.cast(ops.einsum("bkl,bl->bk", at, ops.cast(answers, "float32")), "int32")
        if self.is_masked:
            fate = keras.random.uniform(shape, seed=fate_seed)
            other = keras.random.randint(shape, 1, self.ids, seed=other_seed)
            is_place = ops.einsum("bkl,bk->bl", at, is_sought) > 0
            codes = ops.where(is_place & (fate < HIDDEN + REPLACED), other, codes)
            codes = ops.where(is_place & (fate < HIDDEN), PADDING, codes)
            values = values * _known_of(is_place & (fate < HIDDEN + REPLACED))
        return codes, values, at, sought, is_sought


def _next(codes: Any) -> Any:
    """The code after each place; padding after the last."""
    return ops.pad(codes[:, 1:], [[0, 0], [0, 1]], constant_values=PADDING)


def _known_of(is_hidden: Any) -> Any:
    """What event values are multiplied by: a hidden code's value is hidden too, its times are not."""
    of_code = np.isin(np.arange(len(EVENT_COLUMNS)), (VALUE, VALUE_KNOWN))
    return 1.0 - ops.cast(is_hidden, "float32")[..., None] * of_code.astype(np.float32)
