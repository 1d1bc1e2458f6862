"""The named arrays that a model reads: windowed numbers always, and an event sequence and a daily matrix where asked.

Windows summarise; a sequence keeps the order and the gaps of what happened, a daily matrix the shape of a series.
Each of them is fitted on the training split: its codes, and the mean and spread of their values.
"""

from typing import NamedTuple, Self

import numpy as np
from pydantic import model_validator

from salus.settings import Strict

INPUTS, EVENT_CODES, EVENT_VALUES, DAYS = "inputs", "event_codes", "event_values", "days"

EVENT_NUMBERS = ("value", "gap_days", "days_before", "age_years")
"""Raw numbers of an event of the sequence: its value, the days since the event before it, the days from it to the
prediction, the person's age when it happened; NaN where unknown, and in padding."""

EVENT_COLUMNS = ("value", "value_known", "log_gap", "log_days_before", "age", "present")
"""The same for a network. ``present`` is 1 for an event and 0 for padding, where all the others are 0 too."""

PADDING = 0
"""The code id of a place of the sequence that holds no event; codes count from 1."""


class Block(NamedTuple):
    """One named array of a model's standardised inputs.

    Attributes:
        shape: of one sample.
        dtype: ``float32``, or ``int32`` for ids.
        ids: how many ids there are, padding included; 0 where the numbers are no ids.
    """

    shape: tuple[int, ...]
    dtype: str = "float32"
    ids: int = 0

    @property
    def size(self) -> int:
        """Numbers of one sample."""
        return int(np.prod(self.shape))


class EventSequence(Strict):
    """The last visible events of a person, and what the training people had of each code.

    An event whose code is not among ``codes`` is left out: it could tell a network nothing, and would take the place
    of one that can.

    Attributes:
        length: events kept, the newest ones.
        codes, labels, code_hashes: of the vocabulary; a code's id is its place, from 1.
        mean, std: of each code's values in training; 0 and 1 where it has none.
    """

    length: int
    codes: tuple[str, ...]
    labels: tuple[str, ...]
    code_hashes: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @model_validator(mode="after")
    def _parallel(self) -> Self:
        if len({len(self.codes), len(self.labels), len(self.code_hashes), len(self.mean), len(self.std)}) != 1:
            raise ValueError("codes, labels, code_hashes, mean and std must be of one length")
        return self


class Channel(Strict):
    """A daily series: a numeric code group, with the mean and spread of its values in training."""

    name: str
    label: str
    unit: str | None = None
    codes: tuple[str, ...]
    code_hashes: tuple[int, ...]
    mean: float = 0.0
    std: float = 1.0


class DailyMatrix(Strict):
    """The days before a prediction, one row each, with the mean of the day's values of every channel."""

    days: int
    channels: tuple[Channel, ...]


def blocks_of(width: int, sequence: EventSequence | None, daily: DailyMatrix | None) -> dict[str, Block]:
    """The blocks of standardised inputs: name to shape and kind, the windowed ones first."""
    blocks = {INPUTS: Block((width,))}
    if sequence is not None:
        blocks[EVENT_CODES] = Block((sequence.length,), "int32", len(sequence.codes) + 1)
        blocks[EVENT_VALUES] = Block((sequence.length, len(EVENT_COLUMNS)))
    if daily is not None:
        blocks[DAYS] = Block((daily.days, 2 * len(daily.channels)))
    return blocks


def taken(blocks: dict[str, np.ndarray], rows) -> dict[str, np.ndarray]:
    """The same blocks of some samples: ``rows`` indexes the first axis of each."""
    return {name: block[rows] for name, block in blocks.items()}
