"""Beta calibration (Kull, Silva Filho & Flach, Electronic Journal of Statistics 11:5052, 2017).

``logit(probability) = intercept + a ln(s) - b ln(1 - s)`` with ``s = expit(logit)`` and ``a, b >= 0``. With ``a = b``
it is Platt's scaling of the logit; else low and high scores are stretched differently. It needs little more data than
Platt's: three coefficients.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from salus.evaluation.calibration import NORMAL_975, Calibration, refuse_one_class
from salus.evaluation.platt import clustered


@dataclass(frozen=True)
class Beta(Calibration):
    """Beta calibration of one model.

    Attributes:
        intercept: on the logit.
        a: of ``ln(s)``, >= 0.
        b: of ``-ln(1 - s)``, >= 0.
        covariance: (3, 3), of intercept, a and b, clustered by person; zeros for one that is held at 0.
        package_hash, people, rows, events: as every calibration has them.
    """

    method: ClassVar[str] = "beta"

    intercept: float
    a: float
    b: float
    covariance: tuple[tuple[float, ...], ...]
    package_hash: str
    people: int
    rows: int
    events: int

    def calibrated(self, logits: np.ndarray) -> np.ndarray:
        """The calibrated probability of ``logits`` (rows,)."""
        return expit(_design(logits) @ [self.intercept, self.a, self.b])

    def bounds(self, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """95 % bounds of the calibrated probability by the delta method on the logit: the calibration's part only."""
        design = _design(logits)
        centre = design @ [self.intercept, self.a, self.b]
        variance = np.einsum("ij,jk,ik->i", design, np.array(self.covariance), design)
        margin = NORMAL_975 * np.sqrt(np.maximum(variance, 0.0))
        return expit(centre - margin), expit(centre + margin)


def fit_beta(
    logits: np.ndarray, labels: np.ndarray, weights: np.ndarray, people: np.ndarray, package_hash: str
) -> Beta:
    """Beta calibration, its covariance clustered by person; arguments as ``fit_platt`` has them.

    A coefficient that would be below 0 is held at 0, so a higher logit never has a lower probability.

    Raises:
        Refused: the labels are of one class, so there is nothing to fit.
    """
    labels = np.asarray(labels, np.float64)
    refuse_one_class(labels, weights)
    design = _design(logits)
    coefficients, kept = _non_negative(design, labels, weights)
    covariance = np.zeros((3, 3))
    covariance[np.ix_(kept, kept)] = clustered(design[:, kept], coefficients[kept], labels, weights, people)
    return Beta(
        intercept=float(coefficients[0]),
        a=float(coefficients[1]),
        b=float(coefficients[2]),
        covariance=tuple(tuple(float(value) for value in row) for row in covariance),
        package_hash=package_hash,
        people=int(np.unique(people).size),
        rows=int(labels.size),
        events=int(labels.sum()),
    )


def _design(logits):
    """1, ln(s) and -ln(1 - s) of each logit: float64 (rows, 3)."""
    logits = np.asarray(logits, np.float64)
    return np.column_stack([np.ones_like(logits), log_expit(logits), -log_expit(-logits)])


def _non_negative(design, labels, weights):
    """The coefficients (3,) of the greatest likelihood with ``a, b >= 0``, and which of them are not held at 0."""
    scale = design.std(axis=0)  # -ln(1 - s) of a rare event hardly varies: without a scale the search would be slow
    scale[scale == 0] = 1.0
    columns, weight = design / scale, weights / weights.sum()

    def loss(coefficients):
        logit = columns @ coefficients
        return -weight @ (labels * log_expit(logit) + (1 - labels) * log_expit(-logit)), columns.T @ (
            weight * (expit(logit) - labels)
        )

    share = weight @ labels
    found = minimize(
        loss,
        [np.log(share / (1 - share)), 0.1, 0.1],
        jac=True,
        method="L-BFGS-B",
        bounds=[(None, None), (0, None), (0, None)],
        options={"ftol": 1e-14, "gtol": 1e-9, "maxiter": 1000},
    ).x
    kept = [0, *(place for place in (1, 2) if found[place] > 0)]
    return found / scale, kept
