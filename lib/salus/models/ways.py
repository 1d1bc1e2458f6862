"""By which objective each architecture is pre-trained; known without TensorFlow, so that a driver refuses at once."""

from typing import NamedTuple

from salus.errors import Refused


class Way(NamedTuple):
    """How an architecture is pre-trained.

    Attributes:
        objective: ``masked code`` or ``codes to come``.
        share: of a sample's places that is asked for in a step.
    """

    objective: str
    share: float

    @property
    def is_masked(self) -> bool:
        """Whether the codes of the places asked for are hidden; else those that come after each are asked for."""
        return self == MASKED_CODE


MASKED_CODE, CODES_TO_COME = Way("masked code", 0.15), Way("codes to come", 0.25)
"""Of masked codes BERT's share, since what is hidden is lacking elsewhere; of codes to come more: nothing is hidden."""

WAYS = {"gru": CODES_TO_COME, "lstm": CODES_TO_COME, "two_tower": CODES_TO_COME, "transformer": MASKED_CODE}


def way_of(architecture: str) -> Way:
    """How ``architecture`` is pre-trained.

    Raises:
        Refused: it reads no sequence of events.
    """
    if architecture not in WAYS:
        raise Refused(
            f"Received the architecture {architecture!r} to be pre-trained; expected one that reads the sequence of "
            f"events: {', '.join(WAYS)}. Mend `model.architecture` of the task, or train without pre-training."
        )
    return WAYS[architecture]
