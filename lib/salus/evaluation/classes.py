"""What is measured of several classes beside what is measured of the focus as a yes or no.

Names of the metrics in table ``evaluations``, under ``model`` and ``baseline``: for each class that is told, ``none``
of exclusive ones among them, ``auroc: CLASS``, ``auprc: CLASS``, ``brier: CLASS``, ``calibration_slope: CLASS``,
``calibration_intercept: CLASS`` and the curve ``calibration_curve: CLASS``, as ``metrics`` has them of one class
against the rest. ``macro_auroc`` is the plain mean of the AUROCs of the classes that the task names. ``log_loss`` is of
exclusive classes that of the one that came true, of others the mean of each one's yes or no; ``scaled_log_loss`` is 1
less it over that of telling everybody the observed shares. Of exclusive ones the curve ``confusion: CLASS`` says what
share of rows that were CLASS had each class, in the order in which they are told, as the most probable. Under ``model``
alone, paired: ``auroc_over_baseline: CLASS``, ``macro_auroc_over_baseline`` and ``log_loss_over_baseline``, which is
below 0 where the model is better.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from salus.cohorts.classes import Outcomes
from salus.evaluation.bootstrap import REPLICATES, intervals
from salus.evaluation.discrimination import Ranking, auroc
from salus.evaluation.metrics import Sample, measured

OF_EACH = (
    "auroc",
    "auprc",
    "brier",
    "calibration_slope",
    "calibration_intercept",
    "calibration_curve",
    "auroc_over_baseline",
)
TOGETHER = ("macro_auroc", "log_loss", "scaled_log_loss")
OVER = "_over_baseline"
CONFUSION = "confusion"
LEAST = 1e-15
"""Probability that a log loss is taken of, as scikit-learn has it of a float64, or a single 0 would be infinite."""


def measured_classes(
    sample: Sample,
    outcomes: Outcomes,
    models: Mapping[str, Mapping[str, np.ndarray]],
    replicates: int = REPLICATES,
) -> list[dict[str, Any]]:
    """Every metric of each of ``models`` with its interval.

    Args:
        sample: the rows; labels are sets of classes as numbers.
        outcomes: the classes.
        models: name to class to calibrated probability (rows,); ``model`` is compared with ``baseline``.
        replicates: of the bootstrap.

    Returns:
        Mappings of model_name, metric, value, low, high, curve_x, curve_y.
    """
    truth = outcomes.truth(sample.labels)
    told = {name: np.column_stack([each[of] for of in outcomes.told]) for name, each in models.items()}
    rows = []
    for place, name in enumerate(outcomes.told):
        of_it = Sample(sample.people, truth[:, place].astype(np.float64), sample.weights)
        found = measured(of_it, {model: each[:, place] for model, each in told.items()}, replicates)
        rows += [row | {"metric": f"{row['metric']}: {name}"} for row in found if row["metric"] in OF_EACH]
    rows += _together(sample, outcomes, truth, told, replicates)
    return rows + (_confusion(sample, outcomes, truth, told) if outcomes.is_exclusive else [])


def log_losses(truth: np.ndarray, told: np.ndarray, is_exclusive: bool) -> np.ndarray:
    """The log loss of each row: float64 (rows,).

    Args:
        truth: bool (rows, told), which classes came true.
        told: float64 (rows, told), their probabilities.
        is_exclusive: whether exactly one comes true.
    """
    yes = np.log(np.clip(told, LEAST, 1))
    if is_exclusive:
        return -yes[truth]
    return -np.where(truth, yes, np.log(np.clip(1 - told, LEAST, 1))).mean(axis=1)


def _together(sample, outcomes, truth, told, replicates):
    named = range(len(outcomes.names))
    rankings = {model: [Ranking.of(each[:, place]) for place in named] for model, each in told.items()}
    losses = {model: log_losses(truth, each, outcomes.is_exclusive) for model, each in told.items()}
    is_compared = {"model", "baseline"} <= set(told)

    def figures(times):
        weights = times * sample.weights
        shares = np.broadcast_to(weights @ truth / weights.sum(), truth.shape)
        usual = weights @ log_losses(truth, shares, outcomes.is_exclusive)
        values = []
        for model in told:
            areas = [
                auroc(ranking, weights * truth[:, place], weights * ~truth[:, place])
                for place, ranking in enumerate(rankings[model])
            ]
            lost = weights @ losses[model]
            values.append([np.mean(areas), lost / weights.sum(), 1 - lost / usual if usual > 0 else np.nan])
        if is_compared:
            model, baseline = (values[list(told).index(name)] for name in ("model", "baseline"))
            values.append([model[at] - baseline[at] for at in (0, 1)])
        return np.concatenate(values)

    names = [(model, metric) for model in told for metric in TOGETHER]
    names += [("model", f"{metric}{OVER}") for metric in TOGETHER[:2] if is_compared]
    values = figures(np.ones(sample.labels.size))
    low, high = intervals(figures, sample.people, replicates)
    return [
        {"model_name": model, "metric": metric, "value": float(values[at]), "low": low[at], "high": high[at]}
        for at, (model, metric) in enumerate(names)
    ]


def _confusion(sample, outcomes, truth, told):
    rows = []
    for model, each in told.items():
        most_probable = each.argmax(axis=1)
        for place, name in enumerate(outcomes.told):
            held = np.bincount(most_probable, sample.weights * truth[:, place], len(outcomes.told))
            if held.sum() > 0:
                shares = (held / held.sum()).tolist()
                at = [float(place) for place in range(len(shares))]
                rows.append({"model_name": model, "metric": f"{CONFUSION}: {name}", "curve_x": at, "curve_y": shares})
    return rows
