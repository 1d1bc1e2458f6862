"""Calibration: whether a predicted 10 % happens to 10 in 100, and what makes it so.

Measured as Van Calster et al. (BMC Medicine 17:230, 2019) ask: the intercept in the large (slope held at 1), the
slope (logistic regression of the label on the logit, without penalty; below 1 = too extreme) and the curve.

Mended by Platt's scaling: a logistic regression of the label on the model's logit, fitted on people whom neither
training nor early stopping has seen. Its two coefficients have a covariance, clustered by person, and from it
follows each probability's interval. The interval covers that uncertainty alone: that the calibration was fitted on
finitely many people. It says nothing of the network's own weights, of facts that no record holds, or of a
population that has changed.
"""

import hashlib
import json
from dataclasses import asdict, dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from salus.errors import Refused

NORMAL_975 = 1.959963984540054
LOGIT_LIMIT = 30.0


def safe_logit(probability: np.ndarray) -> np.ndarray:
    """The logit of ``probability``, finite also at 0 and 1 (bounded by ±30)."""
    with np.errstate(divide="ignore"):
        return np.clip(logit(probability), -LOGIT_LIMIT, LOGIT_LIMIT)


def slope(
    logits: np.ndarray, labels: np.ndarray, weights: np.ndarray, start: tuple[float, float] | None = None
) -> tuple[float, float]:
    """The unpenalised logistic regression of ``labels`` on ``logits``.

    Args:
        logits: float64 (rows,).
        labels: bool or 0/1 (rows,).
        weights: float64 (rows,), >= 0.
        start: an (intercept, slope) near by, from which the fit begins.

    Returns:
        (intercept, slope); NaN where the labels in weight are of one class.
    """
    used = weights > 0
    labels, logits, weights = labels[used], logits[used], weights[used]
    if labels.size == 0 or labels.min() == labels.max():
        return float("nan"), float("nan")
    fitted = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-6, max_iter=100, warm_start=True)
    if start is not None:
        fitted.classes_, fitted.intercept_, fitted.coef_ = np.unique(labels), np.array(start[:1]), np.array([start[1:]])
    fitted.fit(logits[:, None], labels, sample_weight=weights)
    return float(fitted.intercept_[0]), float(fitted.coef_[0, 0])


def intercept_in_the_large(logits: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    """What must be added to every logit for the mean probability to equal the share of positive labels.

    0 = right on average; above 0 = the model says too little. NaN where the labels are of one class.
    """
    cases, total = float(weights @ labels), float(weights.sum())
    if not 0 < cases < total:
        return float("nan")
    limit = LOGIT_LIMIT + float(np.abs(logits).max())
    return float(brentq(lambda shift: weights @ expit(logits + shift) - cases, -limit, limit, xtol=1e-6))


def calibration_groups(probability: np.ndarray, bins: int = 10) -> np.ndarray:
    """The group of each row by its probability: int64 (rows,), 0 for the lowest.

    Groups are cut at quantiles, about equal in size; equal probabilities stay together, so there may be fewer.
    """
    edges = np.unique(np.quantile(probability, np.linspace(0, 1, bins + 1)[1:-1]))
    return np.unique(np.searchsorted(edges, probability, side="right"), return_inverse=True)[1]


def group_means(group: np.ndarray, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weighted mean of ``values`` in each group: float64 (groups,); NaN where a group has no weight."""
    total = np.bincount(group, weights)
    with np.errstate(invalid="ignore"):
        return np.bincount(group, weights * values) / total


@dataclass(frozen=True)
class Calibration:
    """Platt's scaling of one model: ``probability = expit(intercept + slope * logit)``.

    Attributes:
        intercept: on the logit.
        slope: of the logit.
        intercept_variance: clustered by person.
        covariance: of intercept and slope.
        slope_variance: clustered by person.
        package_hash: the model that it belongs to.
        people: people that it was fitted on.
        rows: predictions that it was fitted on.
        events: positive labels among them.
    """

    intercept: float
    slope: float
    intercept_variance: float
    covariance: float
    slope_variance: float
    package_hash: str
    people: int
    rows: int
    events: int

    @property
    def version(self) -> str:
        """The hash of everything that the calibration says: another fit is another version."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """The calibration as JSON, the same text for the same calibration."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Calibration":
        """What ``to_json`` wrote."""
        return cls(**json.loads(text))

    def probability(self, logits: np.ndarray) -> np.ndarray:
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
) -> Calibration:
    """Platt's scaling with the covariance of its coefficients clustered by person (the sandwich estimator).

    Rows of one person may depend on each other in any way; people are independent.

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
    intercept, coefficient = slope(logits, labels, weights)
    if not np.isfinite(intercept):
        raise Refused(
            f"Received {labels.size} labels of one class in the calibration split; expected both classes. "
            "Take a longer period or a larger population, or calibrate on a larger split."
        )
    design = np.column_stack([np.ones_like(logits), logits])
    fitted = expit(intercept + coefficient * logits)
    bread = np.linalg.pinv((design * (weights * fitted * (1 - fitted))[:, None]).T @ design)
    distinct, person = np.unique(people, return_inverse=True)
    residual = weights * (labels - fitted)
    scores = np.column_stack([np.bincount(person, residual * column, distinct.size) for column in design.T])
    clusters = distinct.size
    meat = scores.T @ scores * (clusters / (clusters - 1))
    covariance = bread @ meat @ bread
    return Calibration(
        intercept=intercept,
        slope=coefficient,
        intercept_variance=float(covariance[0, 0]),
        covariance=float(covariance[0, 1]),
        slope_variance=float(covariance[1, 1]),
        package_hash=package_hash,
        people=int(clusters),
        rows=int(labels.size),
        events=int(labels.sum()),
    )
