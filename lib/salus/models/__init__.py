"""Keras architectures, one a file, by name.

Each module has ``build(blocks, settings, outputs) -> keras.Model``: named blocks of standardised inputs, those that it
reads of ``salus.timelines.blocks``, to one logit a sample, or to as many numbers as another head (``heads``) needs.
Models are built by the functional API out of Keras's own layers and those that ``salus.models.layers`` registers: a
saved model holds no code, and is loaded in safe mode where that module was imported.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

import numpy as np

from salus.errors import Refused
from salus.timelines.blocks import Block

if TYPE_CHECKING:
    import keras

ARCHITECTURES = ("logistic", "mlp", "gru", "lstm", "transformer", "cnn", "two_tower")


class NetworkSettings(Protocol):
    """What an architecture may ask of a task's model settings."""

    @property
    def hidden(self) -> list[int]:
        """Units of each hidden layer."""

    @property
    def units(self) -> int:
        """Width of what an event is embedded in, of a recurrent state, and of a convolution."""

    @property
    def layers(self) -> int:
        """Layers of attention or convolution."""

    @property
    def attention_heads(self) -> int:
        """Heads of each layer of attention."""

    @property
    def dropout(self) -> float:
        """Share of hidden units dropped a step."""

    @property
    def l2(self) -> float:
        """L2 penalty of the weights."""

    @property
    def seed(self) -> int:
        """Of initial weights and dropout."""


def build(
    architecture: str,
    blocks: Mapping[str, Block],
    settings: NetworkSettings,
    prior_logit: float | Sequence[float] = 0.0,
    outputs: int = 1,
) -> "keras.Model":
    """The untrained model of ``architecture`` for samples of ``blocks``.

    Args:
        architecture: one of ``ARCHITECTURES``.
        blocks: the named arrays that there are; the model reads those that it knows.
        settings: the task's model settings.
        prior_logit: what the untrained model says of everybody: the log odds of the training labels, or the logarithm
            of their mean, so that no epoch is spent on learning that most people are not admitted; one for all outputs,
            or one each.
        outputs: numbers a sample, as the head asks.

    Raises:
        Refused: there is no such architecture, or it reads a block that there is not.
    """
    if architecture not in ARCHITECTURES:
        raise Refused(
            f"Received the architecture {architecture!r}; expected one of {', '.join(ARCHITECTURES)}. "
            "Mend `model.architecture` of the task."
        )
    model = import_module(f"salus.models.{architecture}").build(blocks, settings, outputs)
    model.get_layer("linear").bias.assign(np.broadcast_to(np.asarray(prior_logit, np.float32), outputs))
    return model
