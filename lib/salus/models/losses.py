"""What training makes small: the log loss of a probability, and its usual variations for rare outcomes.

Label smoothing (Szegedy et al., Rethinking the Inception Architecture, CVPR 2016) asks for a little less than
certainty, which holds back a network that learns its few positives by heart. A class weight counts positives more; a
focal loss (Lin et al., Focal Loss for Dense Object Detection, ICCV 2017) counts whoever is already told apart less.
The last two move the scores away from probabilities, and calibration moves them back.
"""

from typing import Protocol

from keras import ops

LEAST_DISTANCE = 1e-7
"""Between label and probability: a root of 0 has no gradient."""


class LossSettings(Protocol):
    """What the loss may ask of a task's model settings."""

    @property
    def label_smoothing(self) -> float:
        """Share of a label that is given to the other class, half of it to its own."""

    @property
    def positive_weight(self) -> float:
        """How many negatives a positive counts as."""

    @property
    def focal_gamma(self) -> float:
        """Power of the distance between label and probability; 0 = log loss."""


def binary_loss(label, logit, settings: LossSettings):
    """The loss of each sample.

    Args:
        label: float (samples,), 0 or 1.
        logit: float (samples,).
        settings: smoothing, weight and focus.

    Returns:
        float (samples,), of the logit's type.
    """
    smoothed = label * (1 - settings.label_smoothing) + settings.label_smoothing / 2
    each = ops.softplus(logit) - smoothed * logit
    if settings.focal_gamma:
        distance = ops.maximum(ops.abs(label - ops.sigmoid(logit)), LEAST_DISTANCE)
        each = each * distance**settings.focal_gamma
    return each * (1 + (settings.positive_weight - 1) * label)
