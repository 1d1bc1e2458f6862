"""Adherence: whose fills of one drug class are looked at, and below which share of days covered a label is yes.

The measure is PQA's proportion of days covered (PDC): of the days of a window, the share on which the supply that was
dispensed covers the day. docs/clarifications.md states how each rule is read.
"""

import math

from pydantic import Field

from salus.settings import Strict


class Fills(Strict):
    """What pharmacies dispensed of one drug class; the number of each event is its days' supply."""

    codes: tuple[str, ...] = Field(min_length=1, description="how the codes of the class, or those above them, begin")
    systems: tuple[str, ...] = Field(
        default=(), description="code systems of dispensed drugs, such as NDC: an order of the same class is no fill"
    )


class Stays(Strict):
    """Days in hospital, on which the hospital gives the drugs."""

    starts: tuple[str, ...] = Field(min_length=1, description="how the codes of admissions begin")
    ends: tuple[str, ...] = Field(min_length=1, description="how the codes of discharges begin")


class Adherence(Strict):
    """Whether the proportion of days covered of the horizon is below a threshold."""

    fills: Fills
    pdc_below: float = Field(default=0.8, gt=0, le=1, description="the label is whether the proportion is below it")
    stays: Stays | None = Field(default=None, description="days in hospital are covered, and use up no supply")

    def days_uncovered(self, horizon_days: int) -> int:
        """The days without cover, of ``horizon_days``, from which on the proportion is below the threshold."""
        return horizon_days - math.ceil(round(self.pdc_below * horizon_days, 9)) + 1
