"""Raw model inputs made finite and comparable: what a network multiplies."""

import numpy as np

from salus.timelines.spec import FeatureSpec

CLIP = 5.0
"""Standard deviations beyond which an input tells a model nothing but that it is extreme."""


def standardise(inputs: np.ndarray, spec: FeatureSpec) -> np.ndarray:
    """Inputs scaled by the training statistics, missing ones at the training mean, and a flag for each absence.

    Args:
        inputs: float32 (samples, len(spec.names)), raw features; NaN = missing.
        spec: the fitted spec.

    Returns:
        float32 (samples, spec.width), finite.

    Raises:
        ValueError: the spec is not fitted, or the inputs are not of its features.
    """
    if spec.statistics is None or inputs.shape[1] != len(spec.names):
        raise ValueError(
            f"Received {inputs.shape[1]} raw features for a spec of {len(spec.names)} "
            f"({'fitted' if spec.statistics else 'not fitted'}); expected a fitted spec and its own features. "
            "Fit the spec, or make the inputs with it."
        )
    scaled = on_model_scale(inputs, spec)
    missing = np.isnan(scaled)
    scaled -= np.array(spec.statistics.mean, np.float32)
    scaled /= np.array(spec.statistics.std, np.float32)
    np.clip(scaled, -CLIP, CLIP, out=scaled)
    scaled[missing] = 0.0
    flags = missing[:, spec.feature_of_input[len(spec.names) :]]
    return np.concatenate([scaled, flags], axis=1, dtype=np.float32)


def on_model_scale(inputs: np.ndarray, spec: FeatureSpec) -> np.ndarray:
    """A copy of the raw features with log1p taken of counts and of days: the scale of the training statistics."""
    scaled = np.array(inputs, np.float32)
    is_log = np.array([feature.is_log for feature in spec.features])
    scaled[:, is_log] = np.log1p(scaled[:, is_log])
    return scaled


def baseline(spec: FeatureSpec) -> np.ndarray:
    """float32 (spec.width,): an unknown person without events, from whom contributions to a score are counted.

    Age and sex are at the training mean, every count is 0, and what events would have told is flagged as missing.
    """
    raw = np.array([np.nan if feature.absence else 0.0 for feature in spec.features], np.float32)
    inputs = standardise(raw[None, :], spec)[0]
    for flag, absence in enumerate(spec.absences, start=len(spec.names)):
        if absence in ("age", "sex"):
            inputs[flag] = 0.0
    return inputs
