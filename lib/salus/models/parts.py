"""What architectures share: their inputs by name, embedded events, and the layers that end in the logit."""

from collections.abc import Iterator, Mapping

import keras

from salus.errors import Refused
from salus.models.layers import Present
from salus.timelines.blocks import DAYS, EVENT_CODES, EVENT_VALUES, INPUTS, Block

ASKED_BY = {EVENT_CODES: "features.sequence", EVENT_VALUES: "features.sequence", DAYS: "features.daily"}

LINEAR = "linear"
"""The layer of the linear path, whose bias is what an untrained model says of everybody."""

CODE_EMBEDDING = "code_embedding"
"""The layer that turns code ids into vectors: what explanations take the gradient of."""


def given(blocks: Mapping[str, Block], *names: str) -> dict[str, keras.KerasTensor]:
    """The Keras inputs of the blocks ``names``.

    Raises:
        Refused: there is no such block.
    """
    if missing := [name for name in names if name not in blocks]:
        raise Refused(
            f"Received samples of the blocks {', '.join(blocks)} for an architecture that reads {', '.join(names)}; "
            f"expected all of these. Add `{ASKED_BY.get(missing[0], 'features')}` to the task and export again."
        )
    return {name: keras.Input(blocks[name].shape, dtype=blocks[name].dtype, name=name) for name in names}


def seeds(settings) -> Iterator[int]:
    """Seeds of initial weights and dropout, one after the other."""
    number = settings.seed
    while True:
        yield number
        number += 1


def penalty(settings) -> keras.regularizers.Regularizer:
    """The L2 penalty of a layer's weights."""
    return keras.regularizers.L2(settings.l2)


def embedded_events(inputs, blocks, settings, seed) -> keras.KerasTensor:
    """(samples, length, units): what each event says, by its code and its numbers; 0 in padding.

    Codes and numbers are embedded in one space and added, as BEHRT adds what it knows of an event (Li et al., BEHRT:
    Transformer for Electronic Health Records, Sci Rep 2020;10:7155).
    """
    codes = keras.layers.Embedding(
        blocks[EVENT_CODES].ids,
        settings.units,
        embeddings_initializer=keras.initializers.RandomNormal(stddev=0.3, seed=next(seed)),
        embeddings_regularizer=penalty(settings),
        name=CODE_EMBEDDING,
    )(inputs[EVENT_CODES])
    numbers = dense(settings.units, settings, seed, name="event_numbers")(inputs[EVENT_VALUES])
    events = keras.layers.Activation("gelu")(keras.layers.Add()([codes, numbers]))
    events = keras.layers.Dropout(settings.dropout, seed=next(seed), name="event_dropout")(events)
    return Present(name="present_events")([events, inputs[EVENT_VALUES]])


def dense(units: int, settings, seed, **options) -> keras.layers.Dense:
    """A dense layer with the penalty and a seed of its own."""
    return keras.layers.Dense(
        units,
        kernel_initializer=keras.initializers.HeNormal(seed=next(seed)),
        kernel_regularizer=penalty(settings),
        **options,
    )


def hidden_layers(tensor, settings, seed, name="hidden") -> keras.KerasTensor:
    """``settings.hidden`` dense layers with dropout over ``tensor``."""
    for number, units in enumerate(settings.hidden, start=1):
        tensor = dense(units, settings, seed, activation="gelu", name=f"{name}_{number}")(tensor)
        tensor = keras.layers.Dropout(settings.dropout, seed=next(seed), name=f"{name}_dropout_{number}")(tensor)
    return tensor


def logit_of(inputs, representation, settings, outputs) -> keras.KerasTensor:
    """(samples, outputs): a linear path from the windowed inputs, and what ``representation`` adds to it.

    The linear path starts the network where logistic regression would be, and the layers learn only what it misses
    (Cheng et al., Wide & Deep Learning for Recommender Systems, DLRS 2016, https://arxiv.org/abs/1606.07792). Both
    begin with zeros, so that everybody begins at the bias of the layer ``LINEAR``.
    """
    linear = keras.layers.Dense(outputs, kernel_initializer="zeros", kernel_regularizer=penalty(settings), name=LINEAR)(
        inputs[INPUTS]
    )
    if representation is inputs[INPUTS]:
        return linear
    layered = keras.layers.Dense(
        outputs, kernel_initializer="zeros", use_bias=False, kernel_regularizer=penalty(settings), name="layered"
    )(representation)
    return keras.layers.Add(name="logit")([linear, layered])
