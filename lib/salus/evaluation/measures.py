"""What is fitted to and measured of a kind of label: the one object that an evaluation asks."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from salus.cohorts.label import Kind
from salus.evaluation.bootstrap import REPLICATES
from salus.evaluation.calibration import Calibration
from salus.evaluation.leakage import price
from salus.evaluation.metrics import measured
from salus.evaluation.months import by_month, in_each_month
from salus.evaluation.numbers import measured_numbers, price_of_numbers, ratio
from salus.evaluation.quantiles import OF_SUBGROUPS, measured_medians, of_part, price_of_medians
from salus.evaluation.recalibration import FITTED, FITTED_TO_NUMBERS, FITTED_TO_QUANTILES
from salus.evaluation.subgroups import Figures, by_subgroup

Rows = list[dict[str, Any]]
"""Of table ``evaluations``: model_name, metric, value, low, high, and of what they are."""


class Measures(NamedTuple):
    """The ways of one kind of label.

    Attributes:
        fitted: a task's ``calibration.method`` to what fits it.
        of_models: (sample, name to what each model tells) to the metrics of each and how they compare.
        of_subgroups: (sample, what the model tells, attributes) to the metrics of each subgroup.
        of_months: (sample, what the model tells, months) to those of each month.
        price: (sample, raw scores by ``available``, by ``time``) to what leakage would have promised.
        shown: name in the ledger to (model, metric).
    """

    fitted: Mapping[str, Callable[..., Calibration]]
    of_models: Callable[..., Rows]
    of_subgroups: Callable[..., Rows]
    of_months: Callable[..., Rows]
    price: Callable[..., Rows]
    shown: Mapping[str, tuple[str, str]]


OF_EVENTS = Measures(
    FITTED,
    measured,
    by_subgroup,
    by_month,
    price,
    {
        "auroc": ("model", "auroc"),
        "auroc_baseline": ("baseline", "auroc"),
        "auroc_attainable": ("attainable", "auroc"),
        "auroc_oracle": ("oracle", "auroc"),
        "share_of_attainable_lift": ("model", "share_of_attainable_lift"),
        "calibration_slope": ("model", "calibration_slope"),
        "leakage_price": ("model", "leakage_price"),
    },
)

OF_TIMES = OF_EVENTS._replace(
    shown={"c_index": ("model", "c_index"), "c_index_baseline": ("baseline", "c_index")} | dict(OF_EVENTS.shown)
)
"""Of times to event: those of events, at the horizon, among those who are known there, beside ``survival``'s."""

OF_CLASSES = OF_EVENTS._replace(
    shown={"macro_auroc": ("model", "macro_auroc"), "macro_auroc_baseline": ("baseline", "macro_auroc")}
    | {"log_loss": ("model", "log_loss"), "log_loss_baseline": ("baseline", "log_loss")}
    | dict(OF_EVENTS.shown)
)
"""Of classes: those of events, of the one in the focus, beside those of every class (``classes``)."""

OF_QUANTILES = Measures(
    FITTED_TO_QUANTILES,
    measured_medians,
    partial(by_subgroup, figures=Figures(OF_SUBGROUPS, of_part)),
    lambda sample, told, months: [],
    price_of_medians,
    {
        "absolute_error_explained": ("model", "d2_absolute_error"),
        "absolute_error_explained_baseline": ("baseline", "d2_absolute_error"),
        "pinball_loss_explained": ("model", "d2_pinball"),
        "pinball_loss_explained_baseline": ("baseline", "d2_pinball"),
        "coverage": ("model", "coverage"),
        "leakage_price": ("model", "leakage_price"),
    },
)
"""Of quantiles: those of the median, beside those of all of them (``quantiles``). A month has no mean to hold it to."""

LEVELS = ("mean_observed", "mean_predicted", "predictive_ratio")
"""What is measured of estimates in a subgroup or a month."""


def measures_of(kind: Kind) -> Measures:
    """The measures of labels of ``kind``."""
    if kind.quantiles:
        return OF_QUANTILES
    if kind.power is None:
        return {"event_type": OF_TIMES, "classes": OF_CLASSES}.get(kind.column, OF_EVENTS)
    return Measures(
        FITTED_TO_NUMBERS,
        partial(measured_numbers, power=kind.power),
        partial(by_subgroup, figures=Figures(LEVELS, _of_part)),
        _by_month,
        partial(price_of_numbers, power=kind.power),
        {
            "r_squared": ("model", "r_squared"),
            "r_squared_baseline": ("baseline", "r_squared"),
            "deviance_explained": ("model", "d2"),
            "deviance_explained_baseline": ("baseline", "d2"),
            "mae": ("model", "mae"),
            "predictive_ratio": ("model", "predictive_ratio"),
            "leakage_price": ("model", "leakage_price"),
        },
    )


def _by_month(sample, told, months, replicates=REPLICATES):
    return in_each_month(
        sample, told, months, lambda labels, weights, told: (LEVELS, _levels(labels, weights, told)), replicates
    )


def _of_part(sample, told):
    return lambda mask: _masked(mask, _levels(sample.labels[mask], sample.weights[mask], told[mask]))


def _masked(mask, levels):
    place = np.flatnonzero(mask)
    return lambda times: levels(times[place])


def _levels(labels, weights, told):
    def values(times):
        drawn = times * weights
        return np.array([ratio(drawn, labels), ratio(drawn, told), ratio(drawn, told, labels)])

    return values
