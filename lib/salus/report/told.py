"""Told: what a task tells of a person, a probability or an estimate, and how a reader says it."""

from dataclasses import dataclass, replace

from salus.cohorts.label import Label
from salus.report import words

Figures = tuple[tuple[str, str, int], ...]
"""Metric, title and decimals."""


@dataclass(frozen=True)
class Told:
    """What is told of a person.

    Attributes:
        column: of ``scores``, with its ``_low`` and ``_high``.
        unit: of an estimate; None = it is a probability.
        scale: what contributions are on.
        reading: how to read it, in a sentence.
        expected: what the sum over people is, as a column's heading.
        usual: what its mean in training is called.
        of_subgroups: what is shown of each subgroup.
    """

    column: str
    unit: str | None
    scale: str
    reading: str
    expected: str
    usual: str
    of_subgroups: Figures

    @property
    def axis(self) -> str:
        """A plot's axis title."""
        return self.column if self.unit is None else f"{self.column}, {self.unit}"

    @property
    def tick_format(self) -> str:
        """How plotly writes it."""
        return ".0%" if self.unit is None else ",.4~g"

    def said(self, value: float | None) -> str:
        """One value with its unit."""
        return words.percent(value) if self.unit is None else words.quantity(value, self.unit)

    def in_all(self, total: float) -> str:
        """The sum over people."""
        return words.number(total, 1) if self.unit is None else words.quantity(total, self.unit)

    def with_bounds(self, value: float | None, low: float | None, high: float | None) -> str:
        """One value with its interval."""
        if low is None or high is None:
            return self.said(value)
        if self.unit is None:
            return f"{self.said(value)} ({words.number(100 * low, 1)} to {words.number(100 * high, 1)})"
        return f"{self.said(value)} ({words.quantity(low)} to {words.quantity(high)})"


PROBABILITY = Told(
    "probability",
    None,
    "the logit",
    "a probability of 10 % means that of a hundred people with records like these, about ten are expected to have the "
    "event within the window; a tier ranks people for attention, and nobody's figure is a diagnosis.",
    "Events expected",
    "share of events in training",
    (
        ("auroc", "AUROC", 3),
        ("observed_over_expected", "Observed over expected (1 = right)", 2),
        ("sensitivity_top_5", "Events found in everybody's highest 5 %", 3),
    ),
)


def told_of(label: Label) -> Told:
    """What a task with ``label`` tells."""
    if label.time_to_event is not None:
        return replace(PROBABILITY, usual="incidence in training, by the horizon")
    if label.outcomes is not None:
        focus = label.outcomes.focus.replace("_", " ")
        return replace(
            PROBABILITY,
            reading=f"the probability is that of one class of several, {focus}: where it says 10 %, of a hundred "
            "people with records like these about ten are expected to have it within the window. `classes` in table "
            "`scores` says the same of every class; a tier ranks people for attention, and nobody's figure is a "
            "diagnosis.",
            usual=f"share of {focus} in training",
        )
    if not label.kind.is_number:
        return PROBABILITY
    if label.kind.quantiles:
        return _of_quantiles(label)
    return Told(
        "estimate",
        label.unit,
        "the logarithm of the estimate",
        f"an estimate ({label.unit}) is a mean: of a hundred people with such records, a hundred times as much is "
        "expected in all within the window. One person may have nothing or many times as much; the interval says how "
        "sure the mean's calibration is, not how far a person may lie from it.",
        "Expected in all",
        "mean label in training",
        (
            ("mean_observed", f"Observed mean, {label.unit}", 2),
            ("mean_predicted", f"Predicted mean, {label.unit}", 2),
            ("predictive_ratio", "Predictive ratio (predicted over observed; 1 = right)", 2),
        ),
    )


def _of_quantiles(label: Label) -> Told:
    first, last = label.kind.quantiles[0], label.kind.quantiles[-1]
    return Told(
        "estimate",
        label.unit,
        f"the estimate, {label.unit}",
        f"an estimate ({label.unit}) is a median: of a hundred people with such records, about fifty are expected to "
        f"have less than it within the window, about {words.percent(first, 0)} less than its lower bound and about "
        f"{words.percent(1 - last, 0)} more than its upper one. Medians do not add up: they say nothing of what people "
        "have in all.",
        "Medians in all",
        "mean label in training",
        (
            ("mae", f"Mean absolute error, {label.unit}", 2),
            ("share_at_most", "Share who have at most the median (0.5 = right)", 3),
        ),
    )
