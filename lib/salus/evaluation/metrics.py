"""What is measured of each model, and of models against each other, on the same rows and the same replicates.

Names of the metrics, as table ``evaluations`` holds them under ``model``, ``baseline``, ``attainable``, ``oracle``:
``auroc``, ``auprc``, ``brier``, ``calibration_intercept`` (in the large), ``calibration_slope``, and the curves
``calibration_curve``, ``roc_curve``, ``pr_curve`` (precision over recall), the first with its
``calibration_curve_low`` and ``_high``; ``ici``, ``e50``, ``e90`` and the curve ``calibration_smooth`` as ``smooth``
has them, without intervals; ``scaled_brier``, 1 less the Brier score over that of the prevalence; what
``usefulness`` says of the highest 1, 5 and 10 % (``sensitivity_top_5``, ``ppv_top_5``, ``lift_top_5``), and the curve
``net_benefit``, with ``net_benefit_of_all`` under ``model``; and what ``tiers`` says of the task's own. Where the
simulated truth is known also ``auroc_over_truth``: the AUROC with every row a case in the proportion of its true
probability, free of the outcomes' noise; and, under ``model``, ``interval_coverage`` and ``interval_width`` of the
interval that is told beside each probability. Under ``model`` alone, each paired: ``auroc_over_baseline`` (difference),
``share_of_attainable_lift`` ((model - 0.5) / (attainable - 0.5), over the truth) and ``leakage_price``,
``auroc_by_time``, ``auroc_by_available_time`` (see ``leakage``).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import (
    average_precision_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from salus.evaluation.bootstrap import REPLICATES, intervals
from salus.evaluation.calibration import calibration_groups, group_means, intercept_in_the_large, safe_logit, slope
from salus.evaluation.discrimination import Ranking, auroc, average_precision
from salus.evaluation.smooth import Smooth
from salus.evaluation.usefulness import TOP_METRICS, TOP_PERCENT, at_top, highest, net_benefit, thresholds

CURVE_POINTS = 200


@dataclass(frozen=True)
class Sample:
    """Rows that models are measured on, all (rows,).

    Attributes:
        people: int64, the person of each row.
        labels: float64, 0 or 1.
        weights: float64, inverse probability of being observed to the label's end.
        true: float64, the simulated truth, or None where it is not known.
        times: int64, when each was predicted, microseconds since the epoch, or None.
        days: float64, whole days until the end of a time to event, or None of other labels.
    """

    people: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    true: np.ndarray | None = None
    times: np.ndarray | None = None
    days: np.ndarray | None = None

    @property
    def has_both_classes(self) -> bool:
        """Whether there is anything to discriminate."""
        return bool(self.labels.size) and bool(self.labels.min() < self.labels.max())


@dataclass(frozen=True)
class _Measured:
    """One model's probabilities with what every replicate needs again."""

    probability: np.ndarray
    logits: np.ndarray
    ranking: Ranking
    start: tuple[float, float]
    group: np.ndarray
    top: Mapping[int, np.ndarray]

    @classmethod
    def of(cls, probability: np.ndarray, sample: Sample) -> "_Measured":
        logits = safe_logit(probability)
        start = _slope(logits, sample.labels, sample.weights)
        top = {percent: highest(probability, sample.weights, percent) for percent in TOP_PERCENT}
        return cls(probability, logits, Ranking.of(probability), start, calibration_groups(probability), top)


def measured(
    sample: Sample,
    models: Mapping[str, np.ndarray],
    replicates: int = REPLICATES,
    over_truth_only: Collection[str] = (),
) -> list[dict[str, Any]]:
    """Every metric of each of ``models`` with its interval, and the paired comparisons.

    Args:
        sample: the rows.
        models: name to calibrated probability (rows,); ``model`` is compared with ``baseline`` and ``attainable``.
        replicates: of the bootstrap.
        over_truth_only: models of which only the AUROC over the truth is asked.

    Returns:
        Mappings of model_name, metric, value, low, high, curve_x, curve_y. Without both classes: none.
    """
    if not sample.has_both_classes:
        return []
    each = {name: _Measured.of(probability, sample) for name, probability in models.items()}
    asked = [(model, metric) for model in models for metric in _metrics(sample, model in over_truth_only)]
    estimates = {(model, metric): _metric(each[model], sample, metric) for model, metric in asked}
    names = [*asked, *_comparisons(estimates)]
    in_full = [model for model in models if model not in over_truth_only]

    def replicate(times: np.ndarray) -> np.ndarray:
        found = {(model, metric): _metric(each[model], sample, metric, times) for model, metric in asked}
        observed = [group_means(each[model].group, sample.labels, times * sample.weights) for model in in_full]
        values = [found[name] if name in found else _compared(found, name[1]) for name in names]
        return np.concatenate([values, *observed])

    low, high = intervals(replicate, sample.people, replicates)
    rows = []
    for place, (model, metric) in enumerate(names):
        value = estimates[model, metric] if (model, metric) in estimates else _compared(estimates, metric)
        rows.append({"model_name": model, "metric": metric, "value": value, "low": low[place], "high": high[place]})
    place = len(names)
    for model in in_full:
        groups = slice(place, place + each[model].group.max() + 1)
        rows += _curves(model, each[model], sample, low[groups], high[groups])
        rows += _smooth(model, each[model].probability, sample)
        place = groups.stop
    return rows


def estimates(sample: Sample, probability: np.ndarray, metrics: Sequence[str]) -> dict[str, float]:
    """Some metrics of one model on the sample itself, without intervals; NaN where one is not defined.

    Args:
        sample: the rows, with labels of both classes.
        probability: calibrated, (rows,).
        metrics: names, in the order of the result.
    """
    model = _Measured.of(probability, sample)
    return {metric: _metric(model, sample, metric) for metric in metrics}


def _slope(logits, labels, weights, start=None):
    """A model that says the same of everybody has no slope."""
    return (float("nan"), float("nan")) if np.ptp(logits) == 0 else slope(logits, labels, weights, start)


def _metrics(sample: Sample, is_over_truth_only: bool) -> list[str]:
    over_truth = [] if sample.true is None else ["auroc_over_truth"]
    always = ["auroc", "auprc", "brier", "scaled_brier", "calibration_intercept", "calibration_slope", *TOP_METRICS]
    return over_truth if is_over_truth_only else always + over_truth


def _comparisons(known: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    known, found = set(known), []
    if {("model", "auroc"), ("baseline", "auroc")} <= known:
        found.append(("model", "auroc_over_baseline"))
    if {("model", "auroc_over_truth"), ("attainable", "auroc_over_truth")} <= known:
        found.append(("model", "share_of_attainable_lift"))
    return found


def _compared(values: Mapping[tuple[str, str], float], metric: str) -> float:
    if metric == "auroc_over_baseline":
        return values["model", "auroc"] - values["baseline", "auroc"]
    return (values["model", "auroc_over_truth"] - 0.5) / (values["attainable", "auroc_over_truth"] - 0.5)


def _metric(model: _Measured, sample: Sample, metric: str, times: np.ndarray | None = None) -> float:
    """The metric on the sample itself, by scikit-learn where it has it, or with each row's person drawn ``times``."""
    labels, probability = sample.labels, model.probability
    drawn = np.ones(labels.size) if times is None else times
    weights = drawn * sample.weights
    case, control = weights * labels, weights * (1 - labels)
    if metric == "auroc":
        return (
            float(roc_auc_score(labels, probability, sample_weight=weights))
            if times is None
            else auroc(model.ranking, case, control)
        )
    if metric == "auprc":
        return (
            float(average_precision_score(labels, probability, sample_weight=weights))
            if times is None
            else average_precision(model.ranking, case, control)
        )
    if metric == "brier":
        return float(np.average((probability - labels) ** 2, weights=weights))
    if metric == "scaled_brier":
        prevalence = np.average(labels, weights=weights)
        if not 0 < prevalence < 1:
            return float("nan")
        return 1 - float(np.average((probability - labels) ** 2, weights=weights) / (prevalence * (1 - prevalence)))
    if metric in TOP_METRICS:
        figure, percent = TOP_METRICS[metric]
        return at_top(figure, model.top[percent], labels, weights)
    if metric == "calibration_intercept":
        return intercept_in_the_large(model.logits, labels, weights)
    if metric == "calibration_slope":
        return _slope(model.logits, labels, weights, model.start)[1]
    true = np.zeros(labels.size) if sample.true is None else sample.true
    return auroc(model.ranking, drawn * true, drawn * (1 - true))


def _curves(name: str, model: _Measured, sample: Sample, low: np.ndarray, high: np.ndarray) -> list[dict[str, Any]]:
    labels, weights, probability = sample.labels, sample.weights, model.probability
    predicted = group_means(model.group, probability, weights)
    false_alarms, found, _ = roc_curve(labels, probability, sample_weight=weights)
    precision, recall, _ = precision_recall_curve(labels, probability, sample_weight=weights)
    at = thresholds(labels, weights)
    everybody = [_curve(name, "net_benefit_of_all", at, net_benefit(np.ones(labels.size), labels, weights, at))]
    return [
        *(everybody if name == "model" else []),
        _curve(name, "net_benefit", at, net_benefit(probability, labels, weights, at)),
        _curve(name, "calibration_curve", predicted, group_means(model.group, labels, weights)),
        _curve(name, "calibration_curve_low", predicted, low),
        _curve(name, "calibration_curve_high", predicted, high),
        _curve(name, "roc_curve", *thinned(false_alarms, found)),
        _curve(name, "pr_curve", *thinned(recall[::-1], precision[::-1])),
    ]


def _smooth(name: str, probability: np.ndarray, sample: Sample) -> list[dict[str, Any]]:
    smooth = Smooth.of(probability, sample.labels, sample.weights)
    errors = [
        {"model_name": name, "metric": metric, "value": value, "low": None, "high": None}
        for metric, value in smooth.errors.items()
    ]
    return [*errors, _curve(name, "calibration_smooth", *smooth.drawn)]


def thinned(x: np.ndarray, y: np.ndarray, points: int = CURVE_POINTS) -> tuple[np.ndarray, np.ndarray]:
    """At most ``points`` of a curve's points, with its ends, evenly along ascending ``x``."""
    if x.size <= points:
        return x, y
    kept = np.unique(np.searchsorted(x, np.linspace(x[0], x[-1], points)).clip(0, x.size - 1))
    kept = np.unique(np.r_[0, kept, x.size - 1])
    return x[kept], y[kept]


def _curve(model: str, metric: str, x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    return {"model_name": model, "metric": metric, "curve_x": [float(v) for v in x], "curve_y": [float(v) for v in y]}


def interval_figures(low: np.ndarray, high: np.ndarray, true: np.ndarray, weights: np.ndarray) -> list[dict[str, Any]]:
    """How often the model's interval holds the true probability, and how wide it is; all (rows,)."""
    inside = (low <= true) & (true <= high)
    figures = {"interval_coverage": inside, "interval_width": high - low}
    return [
        {"model_name": "model", "metric": name, "value": float(np.average(each, weights=weights))}
        | dict.fromkeys(("low", "high"))
        for name, each in figures.items()
    ]
