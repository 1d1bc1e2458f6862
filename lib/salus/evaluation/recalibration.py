"""Recalibration: the methods among which a task chooses, and how a calibration is read again."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.special import expit

from salus.evaluation.beta import Beta, fit_beta
from salus.evaluation.calibration import UNNAMED, Calibration
from salus.evaluation.class_calibration import ClassCalibration
from salus.evaluation.isotonic import Isotonic, fit_isotonic
from salus.evaluation.platt import Platt, fit_platt
from salus.evaluation.quantiles import Quantiles, leave_quantiles
from salus.evaluation.scale import Scale, fit_scale, leave_number
from salus.evaluation.venn_abers import VennAbers, fit_venn_abers


@dataclass(frozen=True)
class Uncalibrated(Calibration):
    """The model's own probability, ``expit(logit)``: nothing is fitted, so the interval has no width."""

    method: ClassVar[str] = "none"

    package_hash: str
    people: int
    rows: int
    events: int

    def calibrated(self, logits: np.ndarray) -> np.ndarray:
        """The model's own probability of ``logits`` (rows,)."""
        return expit(np.asarray(logits, np.float64))

    def bounds(self, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The probability twice."""
        return self.calibrated(logits), self.calibrated(logits)


def leave(
    logits: np.ndarray, labels: np.ndarray, weights: np.ndarray, people: np.ndarray, package_hash: str
) -> Uncalibrated:
    """No calibration; arguments as ``fit_platt`` has them, of which it only counts people, rows and events."""
    return Uncalibrated(package_hash, int(np.unique(people).size), int(labels.size), int(labels.sum()))


FITTED: dict[str, Callable[..., Calibration]] = {
    "platt": fit_platt,
    "beta": fit_beta,
    "isotonic": fit_isotonic,
    "venn_abers": fit_venn_abers,
    "none": leave,
}
"""A task's ``calibration.method`` to what fits it, for an event."""

FITTED_TO_NUMBERS: dict[str, Callable[..., Calibration]] = {"scale": fit_scale, "none": leave_number}
"""The same for a count or a cost."""

FITTED_TO_QUANTILES: dict[str, Callable[..., Calibration]] = {"none": leave_quantiles}
"""The same for quantiles of them."""

KINDS: dict[str, Callable[..., Calibration]] = {
    kind.method: kind for kind in (Platt, Beta, Isotonic, VennAbers, Scale, Uncalibrated, ClassCalibration, Quantiles)
}


def from_json(text: str) -> Calibration:
    """What a calibration's ``to_json`` wrote, equal to it."""
    return _from_said(json.loads(text))


def _from_said(said):
    if "of" in said:
        said["of"] = tuple(map(_from_said, said["of"]))
    return KINDS[said.pop("method", UNNAMED)](**{name: _immutable(value) for name, value in said.items()})


def _immutable(value: Any) -> Any:
    return tuple(map(_immutable, value)) if isinstance(value, list) else value
