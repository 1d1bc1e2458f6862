"""What a search may try: the key ``tune`` of a task, settings of its model by name."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field, ValidationError, model_validator

from salus.settings import Strict

NEVER_TUNED = ("seed", "reader")
"""The best of many seeds is luck; both readers give the same batches."""


class Candidates(Strict):
    """The values that a search may try of one setting."""

    choices: tuple[Any, ...] | None = Field(default=None, min_length=2, description="one of these")
    low: float | None = Field(default=None, description="or at least this")
    high: float | None = Field(default=None, description="and at most this")
    log: bool = Field(default=False, description="evenly on the logarithm")

    @model_validator(mode="after")
    def _choices_or_a_range(self):
        is_range = self.low is not None and self.high is not None
        if is_range == (self.choices is not None) or (self.low is None) != (self.high is None):
            raise ValueError("name either choices, or low and high")
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise ValueError(f"low ({self.low:g}) must be below high ({self.high:g})")
        if self.log and not (self.low and self.low > 0):
            raise ValueError("log needs a low above 0")
        return self

    @property
    def examples(self) -> tuple[Any, ...]:
        """The choices, or the ends of the range."""
        return self.choices if self.choices is not None else (self.low, self.high)


def check_space(space: Mapping[str, Candidates], settings: type[BaseModel]) -> None:
    """Whether every value of ``space`` can stand in ``settings``.

    Raises:
        ValueError: a name is no setting or never tuned, or a value can't stand there.
    """
    for name, candidates in space.items():
        known = [each for each in settings.model_fields if each not in NEVER_TUNED]
        if name not in known:
            raise ValueError(f"{name} can't be tuned; expected some of {', '.join(known)}")
        if settings.model_fields[name].annotation not in (int, float) and candidates.choices is None:
            raise ValueError(f"{name} is no number: name its choices")
        for value in candidates.examples:
            try:
                settings.model_validate({name: value})
            except ValidationError as error:
                raise ValueError(f"{name} can't be {value}: {error.errors()[0]['msg']}") from error
