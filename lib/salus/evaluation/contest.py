"""A contest of models on folds: who takes part for a kind of label, and by which figures they are held.

Of events the model stands beside its baseline, gradient-boosted trees, a linear support vector machine and the
prevalence, ranked by AUROC. A time to event is one at its horizon, classes are one in their focus, as an evaluation
measures them too. Of counts and costs it stands beside its baseline (a generalised linear model), boosted trees with
Poisson's loss, and the mean, ranked by the deviance that is explained; where quantiles of them are told, beside boosted
trees for the median, and the median, ranked by the absolute error that is explained.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from salus.cohorts.label import COUNT, Kind
from salus.evaluation.calibration import Calibration
from salus.evaluation.metrics import Sample, estimates
from salus.evaluation.numbers import estimates_of_numbers
from salus.evaluation.platt import fit_platt
from salus.evaluation.quantiles import estimates_of_medians, leave_quantiles
from salus.evaluation.scale import fit_scale


class Contest(NamedTuple):
    """The ways of one kind of label.

    Attributes:
        models: ``model`` and ``baseline``, both networks; what else is fitted; what tells everybody the same, last.
        metrics: to their headings; by the first of them models are compared.
        fit: the calibration of every model but the last.
        figures: (sample, what a model tells, metrics) to their values.
    """

    models: tuple[str, ...]
    metrics: Mapping[str, str]
    fit: Callable[..., Calibration]
    figures: Callable[[Sample, np.ndarray, Sequence[str]], dict[str, float]]

    @property
    def ranked_by(self) -> str:
        """The metric by which models are compared."""
        return next(iter(self.metrics))

    @property
    def rivals(self) -> tuple[str, ...]:
        """Whom the model is compared with."""
        return self.models[1:-1]

    def over(self, rival: str) -> str:
        """The metric of ``model`` that says how much better than ``rival`` it is on the same people."""
        return f"{self.ranked_by}_over_{rival}"


OF_EVENTS = Contest(
    ("model", "baseline", "boosted_trees", "linear_svm", "prevalence"),
    {"auroc": "AUROC", "auprc": "AUPRC", "brier": "Brier", "calibration_slope": "Calibration slope"},
    fit_platt,
    estimates,
)


OF_MEDIANS = Contest(
    ("model", "baseline", "boosted_trees", "median"),
    {
        "d2_absolute_error": "Absolute error explained",
        "mae": "Mean absolute error",
        "share_at_most": "Share at most the median",
    },
    leave_quantiles,
    estimates_of_medians,
)


def contest_of(kind: Kind) -> Contest:
    """The contest of labels of ``kind``."""
    if kind.quantiles:
        return OF_MEDIANS
    if kind.power is None:
        return OF_EVENTS
    return Contest(
        ("model", "baseline", "boosted_trees", "mean"),
        {"d2": "Deviance explained", "r_squared": "R²", "mae": "MAE", "predictive_ratio": "Predictive ratio"},
        fit_scale,
        partial(estimates_of_numbers, power=kind.power),
    )


def contest_by(rows: Sequence[Mapping[str, Any]]) -> Contest:
    """The contest of which ``rows`` of table ``folds`` tell."""
    metrics = {row["metric"] for row in rows}
    return next((each for each in (contest_of(COUNT), OF_MEDIANS) if each.ranked_by in metrics), OF_EVENTS)
