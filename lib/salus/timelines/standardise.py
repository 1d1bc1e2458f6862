"""Raw model inputs made finite and comparable: what a network multiplies."""

from collections.abc import Mapping

import numpy as np

from salus.timelines.blocks import (
    DAYS,
    EVENT_CODES,
    EVENT_COLUMNS,
    EVENT_NUMBERS,
    EVENT_VALUES,
    INPUTS,
    PADDING,
    DailyMatrix,
    EventSequence,
)
from salus.timelines.clocks import DAYS_PER_YEAR
from salus.timelines.spec import FeatureSpec

CLIP = 5.0
"""Standard deviations beyond which an input tells a model nothing but that it is extreme."""

LOG_YEAR = float(np.log1p(DAYS_PER_YEAR))
"""Gaps of a sequence are on a log scale on which a year is 1."""


def standardise(raw: Mapping[str, np.ndarray], spec: FeatureSpec) -> dict[str, np.ndarray]:
    """Inputs scaled by the training statistics, missing ones at the training mean, with flags beside them.

    Args:
        raw: the blocks that ``model_inputs`` makes by ``spec``; NaN = missing.
        spec: the fitted spec.

    Returns:
        The blocks of ``spec.blocks``, each (samples, *shape), finite.

    Raises:
        ValueError: the spec is not fitted, or the inputs are not of its features.
    """
    inputs = raw[INPUTS]
    if spec.statistics is None or inputs.shape[1] != len(spec.names) or set(raw) != set(spec.blocks):
        raise ValueError(
            f"Received {inputs.shape[1]} raw features in the blocks {', '.join(raw)} for a spec of {len(spec.names)} "
            f"({'fitted' if spec.statistics else 'not fitted'}); expected a fitted spec and its own features. "
            "Fit the spec, or make the inputs with it."
        )
    blocks = {INPUTS: _windowed(inputs, spec)}
    if spec.sequence is not None:
        blocks[EVENT_CODES] = raw[EVENT_CODES]
        age, spread = spec.statistics.mean[0], spec.statistics.std[0]
        blocks[EVENT_VALUES] = _events(raw[EVENT_CODES], raw[EVENT_VALUES], spec.sequence, age, spread)
    if spec.daily is not None:
        blocks[DAYS] = _daily(raw[DAYS], spec.daily)
    return blocks


def on_model_scale(inputs: np.ndarray, spec: FeatureSpec) -> np.ndarray:
    """A copy of the raw features with log1p taken of counts and of days: the scale of the training statistics."""
    scaled = np.array(inputs, np.float32)
    is_log = np.array([feature.is_log for feature in spec.features])
    scaled[:, is_log] = np.log1p(scaled[:, is_log])
    return scaled


def baseline(spec: FeatureSpec) -> dict[str, np.ndarray]:
    """One sample of ``spec.blocks``: an unknown person without events, from whom contributions to a score count.

    Age and sex are at the training mean, every count is 0, what events would have told is flagged as missing, the
    sequence holds padding only, and no day has a value.
    """
    raw = {INPUTS: np.array([[np.nan if feature.absence else 0.0 for feature in spec.features]], np.float32)}
    for name, block in spec.blocks.items():
        if name == EVENT_CODES:
            raw[name] = np.full((1, *block.shape), PADDING, np.int32)
        elif name == EVENT_VALUES:
            raw[name] = np.full((1, block.shape[0], len(EVENT_NUMBERS)), np.nan, np.float32)
        elif name == DAYS:
            raw[name] = np.full((1, block.shape[0], block.shape[1] // 2), np.nan, np.float32)
    person = {name: block[0] for name, block in standardise(raw, spec).items()}
    for flag, absence in enumerate(spec.absences, start=len(spec.names)):
        if absence in ("age", "sex"):
            person[INPUTS][flag] = 0.0
    return person


def _windowed(inputs, spec):
    scaled = on_model_scale(inputs, spec)
    missing = np.isnan(scaled)
    scaled -= np.array(spec.statistics.mean, np.float32)
    scaled /= np.array(spec.statistics.std, np.float32)
    np.clip(scaled, -CLIP, CLIP, out=scaled)
    scaled[missing] = 0.0
    flags = missing[:, spec.feature_of_input[len(spec.names) :]]
    return np.concatenate([scaled, flags], axis=1, dtype=np.float32)


def _events(codes: np.ndarray, raw: np.ndarray, sequence: EventSequence, age: float, spread: float) -> np.ndarray:
    """float32 (samples, length, len(EVENT_COLUMNS)); ages are scaled as the age at the prediction is."""
    mean = np.array([0.0, *sequence.mean], np.float32)[codes]
    std = np.array([1.0, *sequence.std], np.float32)[codes]
    value = (raw[..., 0] - mean) / std
    events = np.empty((*codes.shape, len(EVENT_COLUMNS)), np.float32)
    events[..., 0] = np.clip(value, -CLIP, CLIP)
    events[..., 1] = ~np.isnan(value)
    events[..., 2:4] = np.log1p(raw[..., 1:3]) * np.float32(1 / LOG_YEAR)
    events[..., 4] = np.clip((raw[..., 3] - np.float32(age)) * np.float32(1 / spread), -CLIP, CLIP)
    events[..., 5] = codes != PADDING
    return np.nan_to_num(events, copy=False, nan=0.0)


def _daily(raw: np.ndarray, daily: DailyMatrix) -> np.ndarray:
    """float32 (samples, days, 2 x channels): the channels' numbers, then a flag for each that is missing."""
    channels = len(daily.channels)
    days = np.empty((*raw.shape[:2], 2 * channels), np.float32)
    mean = np.array([channel.mean for channel in daily.channels], np.float32)
    std = np.array([channel.std for channel in daily.channels], np.float32)
    days[..., :channels] = np.clip((raw - mean) / std, -CLIP, CLIP)
    days[..., channels:] = np.isnan(raw)
    return np.nan_to_num(days, copy=False, nan=0.0)
