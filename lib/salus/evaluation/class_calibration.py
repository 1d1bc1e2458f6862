"""Calibration of several classes: each class's own, by the task's method, and what is told of all of them together.

Each is calibrated as a yes or no (one against the rest; Zadrozny and Elkan, Transforming classifier scores into
accurate multiclass probability estimates, KDD 2002). Where they exclude each other, ``none`` has what they leave.
Should they together exceed 1, the focus keeps what it was told, and the others share the rest in proportion.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from salus.cohorts.classes import Outcomes
from salus.evaluation.calibration import Calibration


@dataclass(frozen=True)
class ClassCalibration(Calibration):
    """Calibrations of a model's classes. As of any other, ``calibrated`` and ``bounds`` are of one logit: the focus's.

    Attributes:
        names: of the classes, the focus last.
        is_exclusive: whether at most one holds.
        of: a calibration each.
        package_hash, people, rows, events: as every calibration has them; events are those of the focus.
    """

    method: ClassVar[str] = "classes"

    names: tuple[str, ...]
    is_exclusive: bool
    of: tuple[Calibration, ...]
    package_hash: str
    people: int
    rows: int
    events: int

    def calibrated(self, logits: np.ndarray) -> np.ndarray:
        """The calibrated probability of the focus by its ``logits`` (rows,)."""
        return self.of[-1].calibrated(logits)

    def bounds(self, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """95 % bounds of it: the calibration's part only."""
        return self.of[-1].bounds(logits)

    def of_classes(self, logits: np.ndarray) -> dict[str, np.ndarray]:
        """Class to its probability (rows,), by ``logits`` (rows, classes); of exclusive ones they add up to 1."""
        each = np.column_stack(
            [calibration.calibrated(column) for calibration, column in zip(self.of, logits.T, strict=True)]
        )
        outcomes = Outcomes(self.names, self.is_exclusive)
        if self.is_exclusive:
            others = each[:, :-1].sum(axis=1)
            left = 1 - each[:, -1]
            each[:, :-1] *= np.divide(left, others, out=np.ones(left.size), where=others > left)[:, None]
            each = np.column_stack([each, np.maximum(0, 1 - each.sum(axis=1))])
        return dict(zip(outcomes.told, each.T))

    def to_json(self) -> str:
        """The calibrations as JSON, the same text for the same calibrations."""
        said = vars(self) | {"method": self.method, "of": [json.loads(each.to_json()) for each in self.of]}
        return json.dumps(said, sort_keys=True)


def fit_classes(
    fit: Callable[..., Calibration],
    outcomes: Outcomes,
    logits: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray,
    people: np.ndarray,
    package_hash: str,
) -> ClassCalibration:
    """A calibration of each class by ``fit``.

    Args:
        fit: of a yes or no, such as ``fit_platt``.
        outcomes: the classes.
        logits: float (rows, classes), before calibration.
        labels: float64 (rows,), sets of classes as numbers.
        weights, people, package_hash: as ``fit`` takes them.

    Raises:
        Refused: a class holds of everybody or of nobody, so that there is nothing to fit.
    """
    holding = outcomes.holding(labels).astype(np.float64)
    of = tuple(
        fit(column.astype(np.float64), held, weights, people, package_hash) for column, held in zip(logits.T, holding.T)
    )
    focus = of[-1]
    return ClassCalibration(*outcomes, of, package_hash, focus.people, focus.rows, focus.events)
