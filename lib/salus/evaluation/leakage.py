"""Leakage's price: the AUROC that features by ``time`` would have promised, less the one that can be kept.

The same model is asked twice about the same people at the same times: once with what was available, once with
everything that had happened, known or not. The second is what a retrospective study without the second clock would
have reported. Both are ranked over the same rows, and the interval of the difference is paired.
"""

from typing import Any

import numpy as np

from salus.evaluation.bootstrap import REPLICATES, intervals
from salus.evaluation.discrimination import Ranking, auroc
from salus.evaluation.metrics import Sample

CLOCKS = ("available", "time")
ROWS = 20_000
"""Labelled rows that are asked twice, of people drawn by hash."""


def price(
    sample: Sample, by_available: np.ndarray, by_time: np.ndarray, replicates: int = REPLICATES
) -> list[dict[str, Any]]:
    """What the AUROC by ``time`` promises, what it keeps, and the difference with its paired interval.

    Args:
        sample: the rows.
        by_available, by_time: float64 (rows,), logits by either clock.
        replicates: of the bootstrap.

    Returns:
        Mappings of model_name, metric, value, low, high; none without both classes.
    """
    if not sample.has_both_classes:
        return []
    honest, leaking = Ranking.of(by_available), Ranking.of(by_time)

    def found(times: np.ndarray) -> np.ndarray:
        weights = times * sample.weights
        case, control = weights * sample.labels, weights * (1 - sample.labels)
        kept, promised = auroc(honest, case, control), auroc(leaking, case, control)
        return np.array([promised, kept, promised - kept])

    values = found(np.ones(sample.labels.size))
    low, high = intervals(found, sample.people, replicates)
    return [
        {"model_name": "model", "metric": metric, "value": value, "low": lower, "high": upper}
        for metric, value, lower, upper in zip(
            ("auroc_by_time", "auroc_by_available_time", "leakage_price"), values, low, high, strict=True
        )
    ]
