"""What training makes small, for each kind of label, and what its progress is told by.

An event is learnt by the log loss and its variations (``losses``), classes, a count, a cost and a time to event by the
likelihood of their heads (``heads``). Counts and costs are taken in units of everybody's mean: a Tweedie deviance of
power p changes with the labels' unit as unit ** (2 - p) and in no other way, so learning rate and penalties mean the
same in dollars and cents. So are quantiles of them, whose pinball loss changes as the unit does.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from salus.cohorts.label import KINDS, MEDIAN
from salus.datasets.manifest import Classed, Quantiled, Timed
from salus.models.heads import cost, count, hazard, multi_task, one_of, quantiles
from salus.models.layers import ClassLogit, IncidenceLogit, Quantiles
from salus.models.losses import LossSettings, binary_loss

LEAST_SHARE = 1e-6
"""Of none of several classes, for the untrained model."""

LEAST_STEP = 0.01
"""Of a quantile to the next for the untrained model, in units of the mean: below, softplus hardly has a gradient."""


class Objective(NamedTuple):
    """How a network learns a kind of label.

    Attributes:
        start: what the untrained model says of everybody: one number, or one an output.
        loss: (targets, outputs) to the loss of each sample; both are (samples,), of classes (samples, classes), of a
            time to event (samples, 2) and (samples, outputs).
        metric: the name of what ``measure`` gives: ``auroc``, ``macro_auroc``, its mean over classes, ``d2``, the share
            of the deviance that is explained, or ``d2_pinball``, that of the pinball loss.
        measure: (targets, outputs, weights) as numpy arrays to the metric, larger = better.
        outputs: numbers a sample.
        targets: (label, observed days) of each sample to what it is to say.
        told: a trained model to the one that is packaged, which gives raw scores.
        is_flat: whether targets and outputs are one number a sample, (samples,).
    """

    start: float | Sequence[float]
    loss: Callable[[Any, Any], Any]
    metric: str
    measure: Callable[[np.ndarray, np.ndarray, np.ndarray], float]
    outputs: int = 1
    targets: Callable[[np.ndarray, np.ndarray], np.ndarray] = lambda label, observed_days: label
    told: Callable[[keras.Model], keras.Model] = lambda model: model
    is_flat: bool = True


def objective(
    kind: str,
    mean: float,
    settings: LossSettings,
    timed: Timed | None = None,
    classed: Classed | None = None,
    quantiled: Quantiled | None = None,
) -> Objective:
    """The objective for labels of ``kind``.

    Args:
        kind: of ``KINDS``.
        mean: of the training labels, above 0; of an event below 1.
        settings: smoothing, weight and focus, of an event only.
        timed: intervals and hazards of a time to event.
        classed: the classes, where there are several, and their shares.
        quantiled: the levels, where quantiles are told, and everybody's.
    """
    if quantiled is not None:
        return _of_quantiles(quantiled, mean)
    if classed is not None:
        return _of_classes(classed)
    if timed is not None:
        return _of_time(timed)
    power = KINDS[kind].power
    if power is None:
        start = math.log(mean / (1 - mean) * settings.positive_weight)
        return Objective(start, lambda label, logit: binary_loss(label, logit, settings), "auroc", _auroc)
    head = count() if kind == "count" else cost(power)
    unit = mean ** (2 - power)

    def loss(label, log_mean):
        return head.loss(label[:, None], log_mean[:, None]) / unit

    def explained(label, log_mean, weight):
        from sklearn.metrics import d2_tweedie_score

        return float(d2_tweedie_score(label, np.exp(log_mean), sample_weight=weight, power=power))

    return Objective(math.log(mean), loss, "d2", explained)


def _of_time(timed):
    intervals, hazards = timed.intervals, np.asarray(timed.hazards)
    head = hazard(intervals.count, intervals.causes)
    start = np.log(hazards / (1 - hazards.sum(axis=0)))

    def explained(target, logits, weight):
        of_everybody = intervals.hazards(target, weight)
        same = np.log(of_everybody / (1 - of_everybody.sum(axis=0))).ravel()
        told, untold = (
            np.average(head.loss(ops.convert_to_tensor(target), ops.convert_to_tensor(each)), weights=weight)
            for each in (logits, np.broadcast_to(same, logits.shape))
        )
        return float(1 - told / untold)

    def told(model):
        return keras.Model(
            model.inputs, IncidenceLogit(intervals.causes, name="incidence")(model.outputs[0]), name=model.name
        )

    return Objective(start.ravel().tolist(), head.loss, "d2", explained, head.outputs, intervals.targets, told, False)


def _of_classes(classed):
    outcomes, shares = classed.outcomes, np.asarray(classed.shares)
    head = (one_of if outcomes.is_exclusive else multi_task)(len(shares))
    # Where one class always holds none of them never does, and has no logarithm.
    left = np.maximum(1 - (shares.sum() if outcomes.is_exclusive else shares), LEAST_SHARE)

    def macro(target, logits, weight):
        told = np.asarray(head.estimate(ops.convert_to_tensor(logits)))
        return float(np.mean([_auroc(*each, weight) for each in zip(target.T, told.T)]))

    def told(model):
        if not outcomes.is_exclusive:
            return model
        return keras.Model(model.inputs, ClassLogit(name="classes")(model.outputs[0]), name=model.name)

    def targets(label, observed_days):
        return outcomes.holding(label).astype(np.float32)

    start = np.log(shares / left).tolist()
    return Objective(start, head.loss, "macro_auroc", macro, head.outputs, targets, told, False)


def _of_quantiles(quantiled, mean):
    levels, everybody = list(quantiled.levels), np.asarray(quantiled.of_everybody) / mean
    head = quantiles(levels)
    # What softplus makes the steps of.
    steps = np.log(np.expm1(np.maximum(np.diff(everybody), LEAST_STEP)))

    def loss(label, outputs):
        return head.loss(label[:, None] / mean, outputs)

    def explained(label, outputs, weight):
        from sklearn.dummy import DummyRegressor
        from sklearn.metrics import mean_pinball_loss

        nothing = np.zeros((label.size, 0))
        told = mean * np.asarray(head.estimate(ops.convert_to_tensor(outputs))).T
        lost, of_same = 0.0, 0.0
        for level, each in zip(levels, told):
            same = DummyRegressor(strategy="quantile", quantile=level).fit(nothing, label, weight).predict(nothing)
            lost += mean_pinball_loss(label, each, sample_weight=weight, alpha=level)
            of_same += mean_pinball_loss(label, same, sample_weight=weight, alpha=level)
        return float(1 - lost / of_same)

    def told(model):
        layer = Quantiles(mean, levels.index(MEDIAN), name="quantiles")
        return keras.Model(model.inputs, layer(model.outputs[0]), name=model.name)

    start = [float(everybody[0]), *steps.tolist()]
    return Objective(start, loss, "d2_pinball", explained, head.outputs, told=told, is_flat=False)


def _auroc(label, logit, weight):
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(label, logit, sample_weight=weight))
