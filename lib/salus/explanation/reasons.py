"""Reasons: a person's largest contributions, with what stands behind each in their record.

A model has several inputs for one feature (its scaled value, and a flag that it is missing); what they add to the
logit is added up, and the person reads of the feature once. Everything is built as flat arrays: no loop over people.
"""

import numpy as np
import pyarrow as pa

from salus.timelines.clocks import MICROSECONDS_PER_DAY, STATIC
from salus.timelines.spec import FeatureSpec

MOST = 5

METHOD = "integrated_gradients"
"""``reason_method`` of every score that has reasons."""

REASON_TYPE = pa.struct(
    [
        ("rank", pa.int32()),
        ("feature", pa.string()),
        ("code", pa.string()),
        ("value", pa.float64()),
        ("unit", pa.string()),
        ("time", pa.timestamp("us")),
        ("direction", pa.string()),
        ("contribution", pa.float64()),
    ]
)


def by_feature(contributions: np.ndarray, spec: FeatureSpec) -> np.ndarray:
    """Contributions of inputs (people, spec.width) added up to those of features: float64 (people, features)."""
    merged = contributions[:, : len(spec.names)].astype(np.float64)
    for flag, feature in enumerate(spec.feature_of_input[len(spec.names) :], start=len(spec.names)):
        merged[:, feature] += contributions[:, flag]
    return merged


def largest(contributions: np.ndarray, most: int = MOST) -> tuple[np.ndarray, np.ndarray]:
    """The features that contribute most to each person, by size; equal ones in the spec's order.

    Args:
        contributions: float64 (people, features).
        most: at most so many a person; features that contribute nothing are left out.

    Returns:
        int64 (reasons,) the feature of each reason, people after people, largest first; and int32 (people + 1,) the
        offsets of each person's.
    """
    size = np.abs(contributions)
    first = np.argsort(-size, axis=1, kind="stable")[:, :most]
    counts = np.take_along_axis(size, first, axis=1) > 0
    offsets = np.concatenate([[0], np.cumsum(counts.sum(axis=1))]).astype(np.int32)
    return first[counts], offsets


def reasons(
    contributions: np.ndarray, raw: np.ndarray, last_times: np.ndarray, as_of: int, spec: FeatureSpec
) -> pa.ListArray:
    """Each person's top reasons as the ``scores`` table holds them.

    Args:
        contributions: float64 (people, features), on the logit.
        raw: float32 (people, features), raw model inputs; NaN = missing.
        last_times: int64 (people, groups), when the last visible event of each code group happened.
        as_of: the prediction time, microseconds since the epoch.
        spec: the features.

    Returns:
        list<struct> (people,). ``time`` is null where no event stands behind the value: a feature without a code
        group, or a window that holds none.
    """
    feature, offsets = largest(contributions)
    counts = np.diff(offsets)
    person = np.repeat(np.arange(len(contributions)), counts)
    contribution, value = contributions[person, feature], raw[person, feature].astype(np.float64)
    time = _time_behind(feature, person, last_times, as_of, spec)
    columns = [
        pa.array(np.arange(feature.size) - np.repeat(offsets[:-1], counts) + 1, pa.int32()),
        _named([each.label for each in spec.features], feature),
        _named([each.code for each in spec.features], feature),
        pa.array(value, mask=np.isnan(value)),
        _named([each.unit for each in spec.features], feature),
        pa.array(time, pa.timestamp("us"), mask=time == STATIC),
        _named(["lowers", "raises"], (contribution > 0).astype(np.int64)),
        pa.array(contribution),
    ]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.StructArray.from_arrays(columns, fields=list(REASON_TYPE)))


def _time_behind(feature, person, last_times, as_of, spec):
    number = {group.name: index for index, group in enumerate(spec.groups)}
    group = np.array([number.get(each.group, -1) for each in spec.features], np.int64)[feature]
    oldest = np.array(
        [as_of - each.window_days * MICROSECONDS_PER_DAY if each.window_days else STATIC for each in spec.features],
        np.int64,
    )[feature]
    if not last_times.shape[1]:
        return np.full(feature.size, STATIC)
    time = np.where(group >= 0, last_times[person, np.maximum(group, 0)], STATIC)
    return np.where(time >= oldest, time, STATIC)


def _named(names, index):
    return pa.array(names, pa.string()).take(pa.array(index, pa.int64()))
