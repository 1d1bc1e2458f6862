"""Classes: several outcomes of one prediction, of which one holds, or each by itself.

What holds is a set. As a number it is the sum of 2 ** place over the classes in it, and 0 where none holds: so whatever
carries a label carries a set of them, and labels above 0 are events, as of every other kind.
"""

from typing import Literal, NamedTuple

import numpy as np
from pydantic import Field

from salus.settings import Strict
from salus.timelines.clocks import NEVER

NONE = "none"
"""What the class of a person is called of whom none of the exclusive ones holds."""

AT_MOST = 20
"""Classes: a set of them is a whole number that a float32 holds exactly."""


class Classes(Strict):
    """Which of the predicates of ``aces`` are classes, and whether one excludes the others."""

    predicates: tuple[str, ...] = Field(
        min_length=2, max_length=AT_MOST, description="of aces, each the name of a class and what makes it so"
    )
    exclusive: Literal["first_to_happen", "first_listed"] | None = Field(
        default=None,
        description="one class a person, else none: the first to happen (at one instant, the first listed), or the "
        "first listed of those that happen; left out: each by itself, and several may hold",
    )

    def outcomes(self, focus: str) -> "Outcomes":
        """The classes in the order in which they are kept: ``focus`` last."""
        others = [name for name in self.predicates if name != focus]
        return Outcomes((*others, focus), self.exclusive is not None)

    def holding(self, times: np.ndarray, focus: str) -> tuple[np.ndarray, np.ndarray]:
        """Which classes hold, and when nothing could change that any more but a death.

        Args:
            times: int64 (samples, classes), when each class of ``outcomes`` happened; ``NEVER`` = not.
            focus: the class that is kept last.

        Returns:
            bool (samples, classes), and int64 (samples,); ``NEVER`` = at the horizon only.
        """
        happened = times < NEVER
        if self.exclusive is None:
            return happened, times.max(axis=1)
        names = self.outcomes(focus).names
        listed = np.array([names.index(name) for name in self.predicates])
        in_order = times[:, listed]
        is_by_time = self.exclusive == "first_to_happen"
        chosen = listed[in_order.argmin(axis=1) if is_by_time else happened[:, listed].argmax(axis=1)]
        is_chosen = np.arange(len(names)) == chosen[:, None]
        return happened & is_chosen, in_order.min(axis=1) if is_by_time else in_order[:, 0]


class Outcomes(NamedTuple):
    """Classes as the layers after the cohort know them.

    Attributes:
        names: of the classes; the last is the focus, which a score tells as its probability.
        is_exclusive: whether at most one holds.
    """

    names: tuple[str, ...]
    is_exclusive: bool

    @property
    def focus(self) -> str:
        """The class that a score tells as its probability, and explains."""
        return self.names[-1]

    @property
    def told(self) -> tuple[str, ...]:
        """The classes that are told: of exclusive ones ``NONE`` too, which is what the others leave."""
        return (*self.names, NONE) if self.is_exclusive else self.names

    def number(self, holding: np.ndarray) -> np.ndarray:
        """The set as a number: bool (samples, classes) to float64 (samples,)."""
        return holding @ 2.0 ** np.arange(len(self.names))

    def holding(self, label: np.ndarray) -> np.ndarray:
        """What ``number`` was made of: (samples,) to bool (samples, classes)."""
        return (np.asarray(label).astype(np.int64)[:, None] >> np.arange(len(self.names))) % 2 == 1

    def truth(self, label: np.ndarray) -> np.ndarray:
        """Which of ``told`` came true: (samples,) to bool (samples, told)."""
        holding = self.holding(label)
        return np.column_stack([holding, ~holding.any(axis=1)]) if self.is_exclusive else holding

    def holds(self, place: int, label: str) -> str:
        """SQL: whether the class at ``place`` is in the set that the column ``label`` is the number of."""
        return f"CAST({label} AS BIGINT) & {1 << place}L != 0"
