"""Platt's scaling: the simplest calibration, a logistic regression of the label on the model's logit.

Its two coefficients have a covariance, clustered by person, and from it follows each probability's interval.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import expit

from salus.evaluation.calibration import (
    NORMAL_975,
    Calibration,
    intercept_in_the_large,
    refuse_one_class,
    slope,
)


@dataclass(frozen=True)
class Platt(Calibration):
    """Platt's scaling of one model: ``probability = expit(intercept + slope * logit)``.

    Attributes:
        intercept: on the logit.
        slope: of the logit.
        intercept_variance: clustered by person.
        covariance: of intercept and slope.
        slope_variance: clustered by person.
        package_hash, people, rows, events: as every calibration has them.
    """

    method: ClassVar[str] = "platt"

    intercept: float
    slope: float
    intercept_variance: float
    covariance: float
    slope_variance: float
    package_hash: str
    people: int
    rows: int
    events: int

    def calibrated(self, logits: np.ndarray) -> np.ndarray:
        """The calibrated probability of ``logits`` (rows,)."""
        return expit(self.intercept + self.slope * np.asarray(logits, np.float64))

    def bounds(self, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """95 % bounds of the calibrated probability by the delta method on the logit: the calibration's part only."""
        logits = np.asarray(logits, np.float64)
        centre = self.intercept + self.slope * logits
        variance = self.intercept_variance + 2 * self.covariance * logits + self.slope_variance * logits**2
        margin = NORMAL_975 * np.sqrt(np.maximum(variance, 0.0))
        return expit(centre - margin), expit(centre + margin)


def fit_platt(
    logits: np.ndarray, labels: np.ndarray, weights: np.ndarray, people: np.ndarray, package_hash: str
) -> Platt:
    """Platt's scaling with the covariance of its coefficients clustered by person.

    Where the slope would not be above 0, which so few events can say that nothing speaks for it, it is held at 1 and
    only the level is fitted: a higher logit never has a lower probability. The covariance stays that of the free fit,
    so the bounds are as wide as the split leaves them.

    Args:
        logits: float64 (rows,), before calibration.
        labels: bool or 0/1 (rows,).
        weights: float64 (rows,), inverse probability of being observed.
        people: int64 (rows,), the person of each row.
        package_hash: the model that gave the logits.

    Raises:
        Refused: the labels are of one class, so there is nothing to fit.
    """
    labels = np.asarray(labels, np.float64)
    refuse_one_class(labels, weights)
    intercept, coefficient = slope(logits, labels, weights)
    design = np.column_stack([np.ones_like(logits), logits])
    covariance = clustered(design, np.array([intercept, coefficient]), labels, weights, people)
    if coefficient <= 0:
        intercept, coefficient = intercept_in_the_large(logits, labels, weights), 1.0
    return Platt(
        intercept=intercept,
        slope=coefficient,
        intercept_variance=float(covariance[0, 0]),
        covariance=float(covariance[0, 1]),
        slope_variance=float(covariance[1, 1]),
        package_hash=package_hash,
        people=int(np.unique(people).size),
        rows=int(labels.size),
        events=int(labels.sum()),
    )


def clustered(
    design: np.ndarray, coefficients: np.ndarray, labels: np.ndarray, weights: np.ndarray, people: np.ndarray
) -> np.ndarray:
    """The covariance of a logistic regression's coefficients, clustered by person (the sandwich estimator).

    Rows of one person may depend on each other in any way; people are independent.

    Args:
        design: float64 (rows, columns), an intercept's column of 1 among them.
        coefficients: float64 (columns,), as fitted.
        labels: float64 (rows,), 0 or 1.
        weights: float64 (rows,).
        people: int64 (rows,).

    Returns:
        float64 (columns, columns).
    """
    fitted = expit(design @ coefficients)
    bread = np.linalg.pinv((design * (weights * fitted * (1 - fitted))[:, None]).T @ design)
    distinct, person = np.unique(people, return_inverse=True)
    residual = weights * (labels - fitted)
    scores = np.column_stack([np.bincount(person, residual * column, distinct.size) for column in design.T])
    meat = scores.T @ scores * (distinct.size / (distinct.size - 1))
    return bread @ meat @ bread
