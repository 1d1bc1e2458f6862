"""Keras architectures, one a file, by name.

Each module has ``build(width, settings, prior_logit) -> keras.Model``: (samples, width) float32 standardised inputs
to one logit a sample, in the functional API, so that a saved model needs no code of ours to be loaded.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from salus.errors import Refused

if TYPE_CHECKING:
    import keras

ARCHITECTURES = ("logistic", "mlp")


class NetworkSettings(Protocol):
    """What an architecture may ask of a task's model settings."""

    @property
    def hidden(self) -> list[int]:
        """Units of each hidden layer."""

    @property
    def dropout(self) -> float:
        """Share of hidden units dropped a step."""

    @property
    def l2(self) -> float:
        """L2 penalty of the weights."""

    @property
    def seed(self) -> int:
        """Of initial weights and dropout."""


def build(architecture: str, width: int, settings: NetworkSettings, prior_logit: float = 0.0) -> "keras.Model":
    """The untrained model of ``architecture`` for ``width`` inputs.

    Args:
        architecture: one of ``ARCHITECTURES``.
        width: standardised inputs a sample.
        settings: the task's model settings.
        prior_logit: what the untrained model says of everybody: the log odds of the training labels, so that no
            epoch is spent on learning that most people are not admitted.

    Raises:
        Refused: there is no such architecture.
    """
    if architecture not in ARCHITECTURES:
        raise Refused(
            f"Received the architecture {architecture!r}; expected one of {', '.join(ARCHITECTURES)}. "
            "Mend `model.architecture` of the task."
        )
    return import_module(f"salus.models.{architecture}").build(width, settings, prior_logit)
