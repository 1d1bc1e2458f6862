"""What a task predicts: whether something happens, or which of several, when it first does, on how many days, or what
somebody costs.

The layers after the cohort ask a label's ``kind`` how it is kept and told, and nothing else about it.
"""

from itertools import pairwise
from typing import Any, Literal, NamedTuple

from pydantic import Field, field_validator, model_validator

from salus.cohorts.adherence import Adherence
from salus.cohorts.classes import NONE, Classes, Outcomes
from salus.cohorts.intervals import Intervals
from salus.cohorts.label_windows import check_label_windows, label_window
from salus.settings import Strict
from salus.timelines.features import LABEL_CODES


class Kind(NamedTuple):
    """A kind of label.

    Attributes:
        name: ``event``, ``multi_class``, ``multi_label``, ``time_to_event``, ``count`` or ``cost``.
        column: of ``COHORT``, in which the label stands; of a time to event, what ended it.
        is_number: it is told as an estimate in a unit; else as a probability.
        positives: what a label that is not nought is called.
        power: of a number's variance, which grows as mean ** power: 1 = Poisson's, between 1 and 2 = a mass at 0 and a
            long tail (Tweedie); None for what has a probability.
        quantiles: levels of a number that is told by its median and the first and last of them; none = by its mean.
    """

    name: str
    column: str
    is_number: bool
    positives: str
    power: float | None = None
    quantiles: tuple[float, ...] = ()

    @property
    def value(self) -> str:
        """SQL over ``COHORT``: the label, which a number can be made of; of classes the number of their set."""
        return OF_SET if self.column == "classes" else self.column

    @property
    def is_positive(self) -> str:
        """SQL over ``COHORT``: whether the label is more than nought."""
        return self.column if self.is_event else f"{self.value} > 0"

    @property
    def is_event(self) -> bool:
        """Whether the label is yes or no."""
        return self.column == "boolean_value"


OF_SET = (
    "aggregate(transform(classes.value, (holds, place) -> if(holds, shiftleft(1L, place), 0L)), 0L, "
    "(sum, each) -> sum + each)"
)

EVENT = Kind("event", "boolean_value", False, "positive labels")
MULTI_CLASS = Kind("multi_class", "classes", False, "labels of the rarest class")
MULTI_LABEL = Kind("multi_label", "classes", False, "labels of the rarest class")
TIME_TO_EVENT = Kind("time_to_event", "event_type", False, "events")
COUNT = Kind("count", "integer_value", True, "labels above nought", 1.0)
COST = Kind("cost", "float_value", True, "labels above nought", 1.5)
MEDIAN = 0.5

WHAT = ("aces", "count", "cost", "time_to_event", "adherence", "table")
"""The keys of a label of which exactly one says what is predicted."""

KINDS = {kind.name: kind for kind in (EVENT, MULTI_CLASS, MULTI_LABEL, TIME_TO_EVENT, COUNT, COST)}


class Number(Strict):
    """A label that is a number, of which the mean is told, or quantiles."""

    quantiles: tuple[float, ...] = Field(
        default=(),
        description="levels that are learnt and told in the place of the mean, such as [0.1, 0.5, 0.9]: the median, "
        "between the first and the last",
    )

    @field_validator("quantiles")
    @classmethod
    def _levels_around_the_median(cls, levels):
        ascend = all(0 < below < above < 1 for below, above in pairwise(levels))
        if levels and not (ascend and MEDIAN in levels[1:-1]):
            raise ValueError(
                f"quantiles are {', '.join(map(str, levels))}; expected levels between 0 and 1 that ascend, with "
                f"{MEDIAN} among them and others on both sides"
            )
        return levels


class Count(Number):
    """The days of the horizon on which something happens."""

    codes: tuple[str, ...] = Field(min_length=1, description="how the codes of what is counted begin")
    unit: str = Field(min_length=1, description="what is counted, such as visits")


class Cost(Number):
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
        if self.is_high and self.quantiles:
            raise ValueError("whether a cost is high is yes or no and has no quantiles; expected one of them")
        return self

    @property
    def is_high(self) -> bool:
        """Whether the label is that the cost is high, and not the cost itself."""
        return self.high_from is not None or self.high_from_percentile is not None


class TimeToEvent(Strict):
    """When something first happens, in intervals of the horizon."""

    codes: tuple[str, ...] = Field(
        default=(), description="how the codes of the event begin; none = death is the event"
    )
    intervals_days: tuple[int, ...] = Field(
        min_length=1, description="where the intervals end, days after the prediction; the last one at the horizon"
    )

    @field_validator("intervals_days")
    @classmethod
    def _ends_ascend(cls, ends):
        if any(before >= after for before, after in pairwise((0, *ends))):
            raise ValueError(f"intervals_days are {', '.join(map(str, ends))}; expected days above 0 that ascend")
        return ends


class Table(Strict):
    """Labels that others made, brought in by a source as events ``LABEL/<name>``."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$", description="which of the labels that were brought in")

    @property
    def code(self) -> str:
        """The code of the events that carry the labels, as a prefix that is a whole code."""
        return f"{LABEL_CODES}{self.name}$"


class Label(Strict):
    """What is predicted: an ACES configuration, a time to event, a count or a cost, and what surrounds it."""

    horizon_days: int = Field(ge=1, description="the label looks at [T, T + horizon)")
    run_out_days: int = Field(default=90, ge=0, description="days after the horizon in which late facts still arrive")
    death: Literal["event", "no_event", "composite", "competing"] = Field(
        description="event: death is what the label's predicates name, or what is timed; no_event: a death before the "
        "event is a negative, and nothing is added to a count or a cost after it; composite: death counts as the "
        "event; competing: of a time to event, nobody has the event after it"
    )
    censor_at_disenrolment: bool = Field(
        default=True, description="no label where coverage ends before it; a time to event is known until then"
    )
    aces: dict[str, Any] | None = Field(
        default=None, description="ACES predicates and windows; the trigger is the prediction time"
    )
    classes: Classes | None = Field(
        default=None, description="with aces: its predicates that are classes, the label window's one in the focus"
    )
    count: Count | None = Field(default=None, description="on how many days something happens")
    cost: Cost | None = Field(default=None, description="what somebody costs, or whether it is much")
    time_to_event: TimeToEvent | None = Field(default=None, description="when something first happens")
    adherence: Adherence | None = Field(
        default=None, description="whether the supply that pharmacies dispensed covers too few days"
    )
    table: Table | None = Field(default=None, description="what others say, of a table that was brought in")

    @model_validator(mode="after")
    def _says_one_thing(self):
        said = [name for name in WHAT if getattr(self, name) is not None]
        if len(said) != 1:
            raise ValueError(
                f"a label needs exactly one of {', '.join(WHAT[:-1])} and {WHAT[-1]}, not "
                f"{' and '.join(said) or 'none'}"
            )
        if self.time_to_event is not None:
            self._check_time_to_event(self.time_to_event)
        elif self.death == "competing":
            raise ValueError("death: competing is of a time_to_event; expected event, no_event or composite")
        elif self.aces is not None:
            of_classes = self.classes.predicates if self.classes is not None else ()
            check_label_windows(self.aces, self.horizon_days, self.death, of_classes)
        elif self.death != "no_event":
            raise ValueError(f"death: {self.death} is of events; {said[0]} ends with a death: expected no_event")
        if self.classes is not None:
            self._check_classes(self.classes)
        if self.table is not None and self.censor_at_disenrolment:
            raise ValueError("a label that was brought in is whole; expected censor_at_disenrolment: false")
        return self

    def _check_classes(self, classes):
        if self.aces is None:
            raise ValueError("classes are predicates of aces; expected aces beside them, and nothing else")
        if len(set(classes.predicates)) < len(classes.predicates) or NONE in classes.predicates:
            raise ValueError(
                f"classes.predicates are {', '.join(classes.predicates)}; expected each once, and none called {NONE}, "
                "which is what is left"
            )
        if self.focus not in classes.predicates:
            raise ValueError(
                f"the label window's label is {self.focus}; expected the class that the score tells first, one of "
                f"{', '.join(classes.predicates)}"
            )
        if self.death == "composite":
            raise ValueError("death: composite is of one event; expected a class whose predicate names MEDS_DEATH")

    def _check_time_to_event(self, timed):
        if timed.intervals_days[-1] != self.horizon_days:
            raise ValueError(
                f"the last of intervals_days is {timed.intervals_days[-1]}, horizon_days says {self.horizon_days}; "
                "expected the same"
            )
        expected = ("competing", "composite") if timed.codes else ("event",)
        if self.death not in expected:
            of_what = "with codes" if timed.codes else "without codes, which is of death"
            raise ValueError(
                f"death: {self.death} of a time_to_event {of_what}; expected death: {' or '.join(expected)}"
            )

    @property
    def kind(self) -> Kind:
        """How the label is kept and told."""
        if self.time_to_event is not None:
            return TIME_TO_EVENT
        if self.classes is not None:
            return MULTI_LABEL if self.classes.exclusive is None else MULTI_CLASS
        if self.count is not None:
            return COUNT._replace(quantiles=self.count.quantiles)
        if self.cost is not None and not self.cost.is_high:
            return COST._replace(quantiles=self.cost.quantiles)
        return EVENT

    @property
    def focus(self) -> str:
        """The predicate of the label's window: of classes, the one that a score tells as its probability."""
        aces = self.aces or {}
        return aces["windows"][label_window(aces)]["label"]

    @property
    def outcomes(self) -> Outcomes | None:
        """The classes; None for the others."""
        return None if self.classes is None else self.classes.outcomes(self.focus)

    @property
    def intervals(self) -> Intervals | None:
        """The intervals of a time to event; None for the others."""
        if self.time_to_event is None:
            return None
        return Intervals(self.time_to_event.intervals_days, 2 if self.death == "competing" else 1)

    @property
    def unit(self) -> str | None:
        """The unit of a count or a cost; None for the others."""
        if self.count is not None:
            return self.count.unit
        return self.cost.currency if self.cost is not None and self.kind.is_number else None
