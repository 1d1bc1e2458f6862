"""Calibration: whether a predicted 10 % happens to 10 in 100, and what makes it so.

Measured as Van Calster et al. (BMC Medicine 17:230, 2019) ask: the intercept in the large (slope held at 1), the
slope (logistic regression of the label on the logit, without penalty; below 1 = too extreme) and the curve.

Mended by a ``Calibration``: a function of the model's logit that is fitted on people whom neither training nor early
stopping has seen. Each probability gets an interval, which covers that uncertainty alone: that the calibration was
fitted on finitely many people. It says nothing of the network's own weights, of facts that no record holds, or of a
population that has changed.
"""

import hashlib
import json
from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from salus.errors import Refused

NORMAL_975 = 1.959963984540054
LOGIT_LIMIT = 30.0
UNNAMED = "platt"


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


class Calibration(ABC):
    """What makes a model's raw scores what is told; ``recalibration`` lists the methods. Every one of them has:

    Attributes:
        package_hash: the model that it belongs to.
        people: people that it was fitted on.
        rows: predictions that it was fitted on.
        events: positive labels among them.
    """

    method: ClassVar[str]
    tells: ClassVar[str] = "probability"
    """What it makes of a raw score, and the column of ``scores`` that holds it: ``probability`` or ``estimate``."""

    package_hash: str
    people: int
    rows: int
    events: int

    @abstractmethod
    def calibrated(self, logits: np.ndarray) -> np.ndarray:
        """The calibrated probability of ``logits`` (rows,); where the logit is NaN, NaN."""

    @abstractmethod
    def bounds(self, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """95 % bounds of the calibrated probability: the uncertainty of the calibration alone."""

    def told(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What is told and how sure it is: the value, its lower and its upper bound, (rows,) each.

        Args:
            scores: float64 (rows, numbers), all that the model says of each row; the last is its raw score.
        """
        return self.calibrated(scores[:, -1]), *self.bounds(scores[:, -1])

    def of_classes(self, logits: np.ndarray) -> dict[str, np.ndarray]:
        """Class to its calibrated probability (rows,), by ``logits`` (rows, classes); none where it is of one event."""
        return {}

    @property
    def version(self) -> str:
        """The hash of everything that the calibration says: another fit is another version."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """The calibration as JSON, the same text for the same calibration."""
        # Platt's was the only method at first: without a name for it, versions from then stay what they were.
        named = {} if self.method == UNNAMED else {"method": self.method}
        return json.dumps(named | vars(self), sort_keys=True)


def refuse_one_class(labels: np.ndarray, weights: np.ndarray) -> None:
    """Raise ``Refused`` where ``labels`` (0 or 1) with a weight are of one class, so that nothing can be fitted."""
    used = labels[weights > 0]
    if used.size == 0 or used.min() == used.max():
        raise Refused(
            f"Received {labels.size} labels of one class in the calibration split; expected both classes. "
            "Take a longer period or a larger population, or calibrate on a larger split."
        )
