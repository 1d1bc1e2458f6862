"""Usefulness: what acting on the highest probabilities would find, and what it would cost.

A programme has room for a share of the population. Of the rows with the highest probabilities: ``sensitivity`` is the
share of all events that are among them, ``ppv`` the share of them that have the event, ``lift`` how many times the
prevalence that is. Whether a programme is worth its false alarms depends on the threshold at which somebody would just
take part; net benefit (Vickers & Elkin, Medical Decision Making 26:565, 2006) counts true positives a row less the
false ones, weighed by the threshold's odds.
"""

import numpy as np

TOP_PERCENT = (1, 5, 10)
FIGURES = ("sensitivity", "ppv", "lift")
THRESHOLDS = 60
WIDEST = 5.0
"""Thresholds are drawn up to so many times the prevalence: beyond it hardly anybody would be told to act."""


def top_metric(figure: str, percent: int) -> str:
    """The metric's name in table ``evaluations``, such as ``ppv_top_5``."""
    return f"{figure}_top_{percent}"


TOP_METRICS = {top_metric(figure, percent): (figure, percent) for percent in TOP_PERCENT for figure in FIGURES}


def highest(probability: np.ndarray, weights: np.ndarray, percent: float) -> np.ndarray:
    """1 for the rows that hold the highest ``percent`` of all weight, and for their ties; float64 (rows,)."""
    order = np.argsort(-probability, kind="stable")
    held = np.cumsum(weights[order])
    last = np.searchsorted(held, percent / 100 * held[-1] * (1 - 1e-12))
    return (probability >= probability[order[last]]).astype(np.float64)


def at_top(figure: str, is_top: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    """A figure of ``FIGURES``; NaN where there is no event, or nobody at the top.

    Args:
        figure: which.
        is_top: ``highest``.
        labels: 0 or 1.
        weights: of the rows, how often their person was drawn among it.
    """
    acted_on, found = weights @ is_top, weights @ (is_top * labels)
    events = weights @ labels
    if not acted_on or not events:
        return float("nan")
    if figure == "sensitivity":
        return float(found / events)
    ppv = found / acted_on
    return float(ppv if figure == "ppv" else ppv / (events / weights.sum()))


def thresholds(labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The thresholds of a decision curve, ascending, around the prevalence; float64 (THRESHOLDS,)."""
    prevalence = np.average(labels, weights=weights)
    return np.linspace(0.05 * prevalence, min(0.95, WIDEST * prevalence), THRESHOLDS)


def net_benefit(probability: np.ndarray, labels: np.ndarray, weights: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Net benefit of acting on ``probability`` >= each threshold ``at``: true positives a row, less weighed false ones.

    Acting on everybody is a ``probability`` of 1 throughout; acting on nobody gives 0.
    """
    order = np.argsort(probability, kind="stable")
    first = np.searchsorted(probability[order], at, side="left")
    cases = np.r_[0.0, np.cumsum((weights * labels)[order][::-1])][::-1]
    others = np.r_[0.0, np.cumsum((weights * (1 - labels))[order][::-1])][::-1]
    return (cases[first] - others[first] * at / (1 - at)) / weights.sum()
