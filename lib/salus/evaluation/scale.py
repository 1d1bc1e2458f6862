"""Scaling: the calibration of a count or a cost, one factor that makes the estimates right in all.

A model with a log link that is wrong about the level is wrong by a factor. Two coefficients, as Platt has them, would
bend the long tail of costs by what a few of the calibration split's people happened to cost; one factor keeps every
ratio between two people, and is the actuary's own correction: observed over expected.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from salus.errors import Refused
from salus.evaluation.calibration import NORMAL_975, Calibration


@dataclass(frozen=True)
class Scale(Calibration):
    """One factor of one model: ``estimate = factor * exp(raw)``.

    Attributes:
        factor: observed over expected.
        log_variance: of the factor's logarithm, clustered by person.
        package_hash, people, rows, events: as every calibration has them; events are labels above nought.
    """

    method: ClassVar[str] = "scale"
    tells: ClassVar[str] = "estimate"

    factor: float
    log_variance: float
    package_hash: str
    people: int
    rows: int
    events: int

    def calibrated(self, raw: np.ndarray) -> np.ndarray:
        """The estimate of ``raw`` (rows,), logarithms of a mean, in the label's unit."""
        return self.factor * np.exp(np.asarray(raw, np.float64))

    def bounds(self, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """95 % bounds of the estimate, on the logarithm: the factor's part only."""
        estimate, margin = self.calibrated(raw), np.exp(NORMAL_975 * np.sqrt(self.log_variance))
        return estimate / margin, estimate * margin


def fit_scale(raw: np.ndarray, labels: np.ndarray, weights: np.ndarray, people: np.ndarray, package_hash: str) -> Scale:
    """The factor, with its variance by the delta method for a ratio of sums over people.

    Args:
        raw: float64 (rows,), logarithms of the mean before calibration.
        labels: float64 (rows,), at least 0.
        weights: float64 (rows,), inverse probability of being observed.
        people: int64 (rows,), the person of each row.
        package_hash: the model that gave ``raw``.

    Raises:
        Refused: all labels are 0, so there is nothing to fit.
    """
    observed, expected = weights * labels, weights * np.exp(raw)
    if observed.sum() <= 0:
        raise Refused(
            f"Received {labels.size} labels of the calibration split that are all nought; expected some above. "
            "Take a longer period or a larger population, or calibrate on a larger split."
        )
    factor = observed.sum() / expected.sum()
    distinct, person = np.unique(people, return_inverse=True)
    influence = np.bincount(person, observed / observed.sum() - expected / expected.sum(), distinct.size)
    variance = float(influence @ influence * distinct.size / max(1, distinct.size - 1))
    return _scale(float(factor), variance, labels, people, package_hash)


def leave_number(
    raw: np.ndarray, labels: np.ndarray, weights: np.ndarray, people: np.ndarray, package_hash: str
) -> Scale:
    """No calibration: a factor of 1, which is not fitted; arguments as ``fit_scale`` has them."""
    return _scale(1.0, 0.0, labels, people, package_hash)


def _scale(factor, log_variance, labels, people, package_hash):
    return Scale(
        factor, log_variance, package_hash, int(np.unique(people).size), int(labels.size), int((labels > 0).sum())
    )
