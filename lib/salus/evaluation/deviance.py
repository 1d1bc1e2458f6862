"""The share of a number's deviance that a model explains (D squared), fast enough for every bootstrap replicate.

Deviance is to a count or a cost what the log loss is to an event: twice the log likelihood that is lost against knowing
every label. D squared is 1 less the model's over that of telling everybody the mean (Hastie, Tibshirani and Wainwright,
Statistical Learning with Sparsity, 2015, ch. 3.2), as scikit-learn's ``d2_tweedie_score`` has it; the tests hold both
equal.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import xlogy

LEAST_MEAN = 1e-300
"""An estimate that underflowed to 0 has no deviance."""


@dataclass(frozen=True)
class Deviance:
    """Labels with what every replicate needs again.

    Attributes:
        labels: float64 (rows,), at least 0.
        power: of the variance, 1 or between 1 and 2.
        own: float64 (rows,), what a label's log likelihood is by itself.
    """

    labels: np.ndarray
    power: float
    own: np.ndarray

    @classmethod
    def of(cls, labels: np.ndarray, power: float) -> "Deviance":
        """The deviance of ``labels``."""
        if power == 1:
            return cls(labels, power, xlogy(labels, labels) - labels)
        return cls(labels, power, labels ** (2 - power) / ((1 - power) * (2 - power)))

    def unit(self, mean: np.ndarray) -> np.ndarray:
        """Half the deviance of each row, float64 (rows,), from its estimate ``mean`` (rows,)."""
        mean = np.maximum(mean, LEAST_MEAN)
        if self.power == 1:
            return self.own - xlogy(self.labels, mean) + mean
        power = self.power
        return self.own - self.labels * mean ** (1 - power) / (1 - power) + mean ** (2 - power) / (2 - power)

    def explained(self, unit: np.ndarray, weights: np.ndarray) -> float:
        """The share that is explained.

        Args:
            unit: what ``unit`` gave for the model.
            weights: float64 (rows,), of the rows.

        Returns:
            At most 1; 0 = no better than the mean of these rows; NaN where all labels in weight are 0.
        """
        total = weights.sum()
        mean = weights @ self.labels / total if total else 0.0
        if mean <= 0:
            return float("nan")
        if self.power == 1:
            of_mean = weights @ self.own - total * (xlogy(mean, mean) - mean)
        else:
            of_mean = weights @ self.own - total * mean ** (2 - self.power) / ((1 - self.power) * (2 - self.power))
        return float(1 - weights @ unit / of_mean) if of_mean > 0 else float("nan")
