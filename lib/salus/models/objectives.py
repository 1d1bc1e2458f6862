"""What training makes small, for each kind of label, and what its progress is told by.

An event is learnt by the log loss and its variations (``losses``), a count and a cost by the likelihood of their heads
(``heads``). The last two are taken in units of everybody's mean: a Tweedie deviance of power p changes with the
labels' unit as unit ** (2 - p) and in no other way, so learning rate and penalties mean the same in dollars and cents.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from salus.cohorts.label import KINDS
from salus.models.heads import cost, count
from salus.models.losses import LossSettings, binary_loss


class Objective(NamedTuple):
    """How a network with one output a sample learns a kind of label.

    Attributes:
        start: what the untrained model says of everybody.
        loss: (labels, outputs), each (samples,), to the loss of each sample.
        metric: the name of what ``measure`` gives: ``auroc``, or ``d2``, the share of the deviance that is explained.
        measure: (labels, outputs, weights) as numpy arrays to the metric, larger = better.
    """

    start: float
    loss: Callable[[Any, Any], Any]
    metric: str
    measure: Callable[[np.ndarray, np.ndarray, np.ndarray], float]


def objective(kind: str, mean: float, settings: LossSettings) -> Objective:
    """The objective for labels of ``kind``.

    Args:
        kind: ``event``, ``count`` or ``cost``.
        mean: of the training labels, above 0; of an event below 1.
        settings: smoothing, weight and focus, of an event only.
    """
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


def _auroc(label, logit, weight):
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(label, logit, sample_weight=weight))
