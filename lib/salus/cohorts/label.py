"""What a task predicts: whether something happens, on how many days it does, or what somebody costs.

The layers after the cohort ask a label's ``kind`` how it is kept and told, and nothing else about it.
"""

from typing import Any, Literal, NamedTuple

from pydantic import Field, model_validator

from salus.cohorts.adherence import Adherence
from salus.cohorts.label_windows import check_label_windows
from salus.settings import Strict
from salus.timelines.features import LABEL_CODES


class Kind(NamedTuple):
    """A kind of label.

    Attributes:
        name: ``event``, ``count`` or ``cost``.
        column: of ``COHORT``, in which the label stands.
        is_number: it is told as an estimate in a unit; else as a probability.
        positives: what a label that is not nought is called.
        power: of a number's variance, which grows as mean ** power: 1 = Poisson's, between 1 and 2 = a mass at 0 and a
            long tail (Tweedie); None for an event.
    """

    name: str
    column: str
    is_number: bool
    positives: str
    power: float | None = None

    @property
    def is_positive(self) -> str:
        """SQL over ``COHORT``: whether the label is more than nought."""
        return f"{self.column} > 0" if self.is_number else self.column


EVENT = Kind("event", "boolean_value", False, "positive labels")
COUNT = Kind("count", "integer_value", True, "labels above nought", 1.0)
COST = Kind("cost", "float_value", True, "labels above nought", 1.5)
KINDS = {kind.name: kind for kind in (EVENT, COUNT, COST)}


class Count(Strict):
    """The days of the horizon on which something happens."""

    codes: tuple[str, ...] = Field(min_length=1, description="how the codes of what is counted begin")
    unit: str = Field(min_length=1, description="what is counted, such as visits")


class Cost(Strict):
    """The allowed amounts of what is incurred in the horizon, in all; or whether they are high."""

    currency: str = Field(
        pattern="^[A-Z]{3}$", description="ISO 4217; amounts without a currency are taken to be in it"
    )
    high_from: float | None = Field(default=None, gt=0, description="the label is whether the amount is at least this")
    high_from_percentile: float | None = Field(
        default=None, gt=0, lt=100, description="the same, from this percentile of the training split's amounts on"
    )

    @model_validator(mode="after")
    def _high_from_one_amount(self):
        if self.high_from is not None and self.high_from_percentile is not None:
            raise ValueError("a high cost begins at high_from or at high_from_percentile; expected one of them")
        return self

    @property
    def is_high(self) -> bool:
        """Whether the label is that the cost is high, and not the cost itself."""
        return self.high_from is not None or self.high_from_percentile is not None


class Table(Strict):
    """Labels that others made, brought in by a source as events ``LABEL/<name>``."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$", description="which of the labels that were brought in")

    @property
    def code(self) -> str:
        """The code of the events that carry the labels, as a prefix that is a whole code."""
        return f"{LABEL_CODES}{self.name}$"


class Label(Strict):
    """What is predicted: an ACES configuration, a count or a cost, and what surrounds it."""

    horizon_days: int = Field(ge=1, description="the label looks at [T, T + horizon)")
    run_out_days: int = Field(default=90, ge=0, description="days after the horizon in which late facts still arrive")
    death: Literal["event", "no_event", "composite"] = Field(
        description="event: death is what the label's predicates name; no_event: a death before the event is a "
        "negative, and nothing is added to a count or a cost after it; composite: death counts as the event"
    )
    censor_at_disenrolment: bool = Field(default=True, description="no label where coverage ends before it")
    aces: dict[str, Any] | None = Field(
        default=None, description="ACES predicates and windows; the trigger is the prediction time"
    )
    count: Count | None = Field(default=None, description="on how many days something happens")
    cost: Cost | None = Field(default=None, description="what somebody costs, or whether it is much")
    adherence: Adherence | None = Field(
        default=None, description="whether the supply that pharmacies dispensed covers too few days"
    )
    table: Table | None = Field(default=None, description="what others say, of a table that was brought in")

    @model_validator(mode="after")
    def _says_one_thing(self):
        said = [name for name in ("aces", "count", "cost", "adherence", "table") if getattr(self, name) is not None]
        if len(said) != 1:
            raise ValueError(
                "a label needs exactly one of aces, count, cost, adherence and table, not "
                f"{' and '.join(said) or 'none'}"
            )
        if self.aces is not None:
            check_label_windows(self.aces, self.horizon_days, self.death)
        elif self.death != "no_event":
            raise ValueError(f"death: {self.death} is of events; {said[0]} ends with a death: expected no_event")
        if self.table is not None and self.censor_at_disenrolment:
            raise ValueError("a label that was brought in is whole; expected censor_at_disenrolment: false")
        return self

    @property
    def kind(self) -> Kind:
        """How the label is kept and told."""
        if self.count is not None:
            return COUNT
        return COST if self.cost is not None and not self.cost.is_high else EVENT

    @property
    def unit(self) -> str | None:
        """The unit of a count or a cost; None for an event."""
        if self.count is not None:
            return self.count.unit
        return self.cost.currency if self.cost is not None and self.kind.is_number else None
