"""What a network's last numbers mean: a probability, several, a count, a cost, quantiles, or a hazard over time.

A head says how many numbers a sample it needs, what loss makes them right, and what they say in the end. Every
architecture can carry every head: ``build(..., outputs=head.outputs)``.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from keras import ops

TWEEDIE_POWER = 1.5
"""Of the variance function mean ** power: between 1 (Poisson) and 2 (gamma), a mass at 0 and a long tail."""

NOTHING = -1e9
"""The logarithm of what does not count; finite, or its gradient would not be a number."""


class Head(NamedTuple):
    """A kind of outcome.

    Attributes:
        outputs: numbers a sample, (samples, outputs).
        loss: (labels, outputs) to the loss of each sample, (samples,).
        estimate: outputs to what is told, (samples, outputs), in the label's own units.
    """

    outputs: int
    loss: Callable[[Any, Any], Any]
    estimate: Callable[[Any], Any]


def multi_task(tasks: int) -> Head:
    """Several yes-or-no outcomes of one person, learnt together.

    Caruana, Multitask Learning, Mach Learn 1997;28:41-75. Labels are (samples, tasks), NaN where an outcome is not
    known; the loss is the mean over those that are.
    """

    def loss(labels, logits):
        known = ops.logical_not(ops.isnan(labels))
        label = ops.where(known, labels, 0.0)
        each = ops.where(known, ops.softplus(logits) - label * logits, 0.0)
        return ops.sum(each, axis=-1) / ops.maximum(ops.sum(ops.cast(known, each.dtype), axis=-1), 1.0)

    return Head(tasks, loss, ops.sigmoid)


def one_of(classes: int) -> Head:
    """Several classes of which at most one holds: the multinomial logit of each against none of them.

    Labels are (samples, classes), 0 or 1; the loss is the cross-entropy of the softmax over them and none. The estimate
    is the probability of each class; none has the rest.
    """

    def loss(labels, logits):
        return of_all_causes(logits[..., None])[:, 0] - ops.sum(labels * logits, axis=-1)

    return Head(classes, loss, lambda logits: ops.sigmoid(against_the_rest(logits)))


def against_the_rest(logits: Any) -> Any:
    """Logits of each class against none of them to those against everything else: (samples, classes) to the same."""
    size = logits.shape[-1]
    every = ops.concatenate([logits, ops.zeros_like(logits[:, :1])], axis=1)[:, None]
    return logits - ops.logsumexp(ops.where(np.eye(size, size + 1, dtype=bool), NOTHING, every), axis=-1)


def count() -> Head:
    """A number of events, such as emergency visits: Poisson regression with a log link. Labels are (samples, 1)."""

    def loss(labels, log_mean):
        return (ops.exp(log_mean) - labels * log_mean)[:, 0]

    return Head(1, loss, ops.exp)


def cost(power: float = TWEEDIE_POWER) -> Head:
    """An amount that is nothing for many and huge for few: Tweedie regression with a log link. Labels are (samples, 1).

    Jørgensen, Exponential Dispersion Models, J R Stat Soc B 1987;49:127-162; the loss is the deviance without what
    depends on the label alone.
    """

    def loss(labels, log_mean):
        by_label = labels * ops.exp((1 - power) * log_mean) / (1 - power)
        return (ops.exp((2 - power) * log_mean) / (2 - power) - by_label)[:, 0]

    return Head(1, loss, ops.exp)


def quantiles(levels: Sequence[float]) -> Head:
    """Quantiles of a quantity that never cross: the first, and what each adds to the one before.

    Koenker and Bassett, Regression Quantiles, Econometrica 1978;46:33-50. Labels are (samples, 1).
    """
    asked = np.array(levels, np.float32)

    def loss(labels, outputs):
        missed = labels - ascending(outputs)
        return ops.mean(ops.maximum(asked * missed, (asked - 1) * missed), axis=1)

    return Head(len(levels), loss, ascending)


def ascending(outputs: Any) -> Any:
    """A first number and the steps to the next ones, (samples, levels), as the numbers themselves."""
    steps = ops.concatenate([outputs[:, :1], ops.softplus(outputs[:, 1:])], axis=1)
    return ops.cumsum(steps, axis=1)


def hazard(intervals: int, causes: int = 1) -> Head:
    """Time to an event, in intervals: the hazard of each cause in each, given that nothing has happened before.

    Gensheimer and Narasimhan, A scalable discrete-time survival model for neural networks, PeerJ 2019;7:e6257. With a
    cause that competes, hazards are of a multinomial logit against going on (Tutz and Schmid, Modeling Discrete
    Time-to-Event Data, Springer 2016, chapter 8), so that together they never exceed 1. Outputs are (samples, causes x
    intervals), the event's intervals first. Labels are (samples, 2): the number of intervals that the person went
    through without anything, and which cause it then was in the next, 0 where nothing more is known. The estimate is
    the cumulative incidence of the first cause at the end of each interval.
    """
    place = np.arange(intervals, dtype=np.float32)

    def loss(labels, logits):
        survived, cause = labels[:, :1], labels[:, 1:]
        each = by_cause(logits, causes)
        through = ops.cast(place < survived, logits.dtype)
        here = ops.cast(ops.equal(place, survived), logits.dtype)
        happened = ops.cast(cause > 0, logits.dtype) * here
        told = ops.stack([here * ops.cast(ops.equal(cause, c + 1), logits.dtype) for c in range(causes)], axis=1)
        return ops.sum((through + happened) * of_all_causes(each), axis=1) - ops.sum(told * each, axis=(1, 2))

    return Head(causes * intervals, loss, lambda logits: ops.sigmoid(incidence_logit(logits, causes)))


def by_cause(logits: Any, causes: int) -> Any:
    """Logits (samples, causes x intervals) as (samples, causes, intervals)."""
    return ops.reshape(logits, (-1, causes, logits.shape[-1] // causes))


def of_all_causes(logits: Any) -> Any:
    """Minus the logarithm of going on without any: (samples, causes, intervals) to (samples, intervals)."""
    return ops.logsumexp(ops.concatenate([ops.zeros_like(logits[:, :1]), logits], axis=1), axis=1)


def incidence_logit(logits: Any, causes: int) -> Any:
    """The logit of the first cause's cumulative incidence at the end of each interval, (samples, intervals).

    It is had from logarithms throughout, so that neither a tiny incidence nor one near 1 is lost.
    """
    each = by_cause(logits, causes)
    gone_on = ops.cumsum(of_all_causes(each), axis=1)
    had = _so_far(each - gone_on[:, None])
    others = [*(had[:, cause] for cause in range(1, causes)), -gone_on]
    return had[:, 0] - ops.logsumexp(ops.stack(others, axis=1), axis=1)


def _so_far(logs: Any) -> Any:
    """The logarithm of the running sum along the last axis of what ``logs`` are the logarithms of."""
    size = logs.shape[-1]
    is_past = np.tril(np.ones((size, size), bool))
    return ops.logsumexp(ops.where(is_past, logs[..., None, :], NOTHING), axis=-1)
