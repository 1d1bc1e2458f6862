"""What a task says of the treatment that its scores are for: how the records tell who got it, and who was left without.

Only evaluation reads it. A treatment after the prediction is part of what happens, never of what was known.
"""

from pydantic import Field

from salus.settings import Strict


class Treatment(Strict):
    """A treatment that people at high risk are given, and the randomised decision to withhold it from some."""

    given: tuple[str, ...] = Field(min_length=1, description="how the codes begin that say that it began")
    withheld: tuple[str, ...] = Field(
        min_length=1, description="how the codes begin that say that chance left somebody without it"
    )
    within_days: int = Field(
        default=7,
        ge=1,
        description="days from the prediction within which either follows from it, its own day the first",
    )
    lasts_days: int = Field(
        default=90, ge=0, description="days before the prediction within which an earlier decision still acts"
    )
