"""Times to event as an evaluation sees them: who was known until when, and who stands in for those who left.

Whoever leaves the insurer is known until then and not at the horizon. What is measured at the horizon is measured on
those who are known there, each weighing 1 / G(t-), G the Kaplan-Meier estimate of staying enrolled, by calendar month
of the prediction as in ``salus.cohorts.censoring`` (inverse probability of censoring weights; Gerds and Schumacher,
Biom J 2006;48:1029-1040): so the AUROC of a yes or no becomes the cumulative and dynamic AUROC at the
horizon, with those who died of something else among the controls (Blanche et al., Stat Med 2013;32:5381-5397), and the
Brier score Graf's.
"""

from dataclasses import dataclass, replace

import numpy as np

from salus.cohorts.censoring import staying_enrolled
from salus.cohorts.task import Task
from salus.evaluation.metrics import Sample
from salus.evaluation.predictions import Predicted


@dataclass(frozen=True)
class Times:
    """Times to event of rows, all (rows,).

    Attributes:
        people: int64, the person of each row.
        event_type: int64, 1 = the event, -1 = a competing death, 0 = neither.
        days: int64, whole days until then; at most ``horizon``.
        month: int64, 0 to 11, calendar month of the prediction.
        horizon: days.
        staying: float64 (12, horizon + 1), the probability of staying enrolled until just before each day.
    """

    people: np.ndarray
    event_type: np.ndarray
    days: np.ndarray
    month: np.ndarray
    horizon: int
    staying: np.ndarray

    @classmethod
    def of(cls, people: np.ndarray, labels: np.ndarray, days: np.ndarray, times: np.ndarray, horizon: int) -> "Times":
        """Of rows with ``times`` (int64, microseconds since the epoch) of prediction."""
        event_type, days = labels.astype(np.int64), days.astype(np.int64)
        month = times.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64) % 12
        is_left = (event_type == 0) & (days < horizon)
        known, left = (
            np.bincount(month[mask] * (horizon + 1) + days[mask], minlength=12 * (horizon + 1)).reshape(12, -1)
            for mask in (~is_left, is_left)
        )
        each_day = np.arange(horizon + 1)
        staying = np.stack([staying_enrolled(each_day, *of_month)[1] for of_month in zip(known, left)])
        return cls(people, event_type, days, month, horizon, staying)

    @property
    def is_known(self) -> np.ndarray:
        """bool: whether it is known what was at the horizon."""
        return (self.event_type != 0) | (self.days >= self.horizon)

    @property
    def weights(self) -> np.ndarray:
        """float64: how many rows one that is known at the horizon stands for; 0 of the others."""
        return np.where(self.is_known, 1 / np.maximum(self.staying[self.month, self.days], 1e-9), 0.0)

    def weights_on(self, day: int) -> np.ndarray:
        """float64: how many rows one that is still there just before ``day`` stands for; 0 where nobody was."""
        share = self.staying[:, day]
        return np.divide(1.0, share, out=np.zeros(12), where=share > 0)[self.month]


def times_of(predicted: Predicted, horizon: int) -> Times:
    """The times of predictions of a data set of times to event."""
    return Times.of(predicted.people, predicted.labels, predicted.days, predicted.times, horizon)


def at_horizon(task: Task, sample: Sample) -> tuple[np.ndarray, Sample]:
    """The rows of ``sample`` that are known at the horizon: their places, and the sample of yes or no that they are.

    Any other label is known in all rows, that of classes as whether the focus holds.
    """
    if task.label.outcomes is not None:
        sample = replace(sample, labels=task.label.outcomes.holding(sample.labels)[:, -1].astype(np.float64))
    if task.label.kind.name != "time_to_event":
        return np.arange(sample.labels.size), sample
    if sample.times is None or sample.days is None:
        raise ValueError("The sample has no times; expected those of its predictions, and days until their ends.")
    times = Times.of(sample.people, sample.labels, sample.days, sample.times, task.label.horizon_days)
    place = np.flatnonzero(times.is_known)
    return place, Sample(sample.people[place], (times.event_type[place] > 0).astype(np.float64), times.weights[place])


def predicted_at_horizon(task: Task, predicted: Predicted) -> Predicted:
    """The rows of ``predicted`` that are known at the horizon, with their yes or no and its weight."""
    every = Sample(predicted.people, predicted.labels, predicted.weights, None, predicted.times, predicted.days)
    place, sample = at_horizon(task, every)
    return replace(predicted[place], labels=sample.labels, weights=sample.weights)
