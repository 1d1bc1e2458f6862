"""Reasons: a person's largest contributions, with what stands behind each in their record.

A model has several inputs for one feature (its scaled value, and a flag that it is missing); what they add to the
logit is added up, and the person reads of the feature once. So it is for the events of one code, told by the one
of them that contributed most, and for the days of one channel. Everything is built as flat arrays: no loop over people.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from salus.timelines.blocks import DAYS, EVENT_CODES, EVENT_VALUES, INPUTS, PADDING
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


def by_code(contributions: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Contributions of events added up to those of their codes, each at the place of the event that gave most.

    Args:
        contributions: (people, length), of each event.
        codes: int32 (people, length); PADDING = no event.

    Returns:
        float64 (people, length), 0 at the places of a code's other events and in padding.
    """
    person, place = np.nonzero(codes != PADDING)
    size = contributions[person, place].astype(np.float64)
    order = np.lexsort((place, -np.abs(size), codes[person, place], person))
    person, place, size = person[order], place[order], size[order]
    code = codes[person, place]
    first = np.ones(person.size, bool)
    first[1:] = (person[1:] != person[:-1]) | (code[1:] != code[:-1])
    merged = np.zeros(codes.shape)
    if person.size:
        merged[person[first], place[first]] = np.add.reduceat(size, np.flatnonzero(first))
    return merged


def by_reason(contributions: Mapping[str, np.ndarray], raw: Mapping[str, np.ndarray], spec: FeatureSpec) -> np.ndarray:
    """Contributions of all inputs added up to what a person can be told of.

    Args:
        contributions: blocks (people, *shape) of those that the model reads.
        raw: the raw blocks.
        spec: the features.

    Returns:
        float64 (people, features + places of the sequence + daily channels), 0 where the model does not read a block.
    """
    people = len(raw[INPUTS])
    parts = [by_feature(contributions[INPUTS], spec)]
    if spec.sequence is not None:
        events = np.zeros((people, spec.sequence.length))
        if EVENT_CODES in contributions:
            events = contributions[EVENT_CODES] + contributions[EVENT_VALUES].sum(axis=2)
        parts.append(by_code(events, raw[EVENT_CODES]))
    if spec.daily is not None:
        channels = len(spec.daily.channels)
        days = contributions[DAYS].sum(axis=1) if DAYS in contributions else np.zeros((people, 2 * channels))
        parts.append((days[:, :channels] + days[:, channels:]).astype(np.float64))
    return np.concatenate(parts, axis=1)


def by_name(contributions: np.ndarray, raw: Mapping[str, np.ndarray], spec: FeatureSpec) -> np.ndarray:
    """What ``by_reason`` gave, of each of ``names_told``: float64 (people, names), an event's at its code."""
    features, sequence = len(spec.features), spec.sequence
    if sequence is None:
        return contributions
    after = features + sequence.length
    of_codes = np.zeros((len(contributions), len(sequence.codes) + 1))  # PADDING first
    np.add.at(of_codes, (np.arange(len(of_codes))[:, None], raw[EVENT_CODES]), contributions[:, features:after])
    return np.concatenate([contributions[:, :features], of_codes[:, 1:], contributions[:, after:]], axis=1)


def reasons(
    contributions: np.ndarray,
    raw: Mapping[str, np.ndarray],
    last_times: np.ndarray,
    as_of: int,
    spec: FeatureSpec,
    event_times: np.ndarray | None = None,
) -> pa.ListArray:
    """Each person's top reasons as the ``scores`` table holds them.

    Args:
        contributions: float64, on the logit: what ``by_reason`` gave.
        raw: raw blocks (people, *shape); NaN = missing.
        last_times: int64 (people, groups), when the last visible event of each code group happened.
        as_of: the prediction time, microseconds since the epoch.
        spec: the features.
        event_times: int64 (people, length), when each event of the sequence happened; None = there is no sequence.

    Returns:
        list<struct> (people,). ``time`` is null where no event stands behind the value: a feature without a code
        group, a window that holds none, or a daily series.
    """
    reason, offsets = largest(contributions)
    counts = np.diff(offsets)
    person = np.repeat(np.arange(len(contributions)), counts)
    name, value, time = _told(reason, person, raw, last_times, event_times, as_of, spec)
    labels, codes, units = zip(*names_told(spec))
    contribution = contributions[person, reason]
    columns = [
        pa.array(np.arange(reason.size) - np.repeat(offsets[:-1], counts) + 1, pa.int32()),
        _named(labels, name),
        _named(codes, name),
        pa.array(value, mask=np.isnan(value)),
        _named(units, name),
        pa.array(time, pa.timestamp("us"), mask=time == STATIC),
        _named(["lowers", "raises"], (contribution > 0).astype(np.int64)),
        pa.array(contribution),
    ]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.StructArray.from_arrays(columns, fields=list(REASON_TYPE)))


def names_told(spec: FeatureSpec) -> list[tuple[str, str, str | None]]:
    """Label, code and unit of everything that can be a reason: features, then codes, then channels."""
    names: list[tuple[str, str, str | None]] = [(each.label, each.code, each.unit) for each in spec.features]
    if spec.sequence is not None:
        names += [(f"{label}: event", code, None) for label, code in zip(spec.sequence.labels, spec.sequence.codes)]
    if spec.daily is not None:
        names += [
            (f"{each.label}: days of the last {spec.daily.days}", each.name, each.unit) for each in spec.daily.channels
        ]
    return names


def _told(reason, person, raw, last_times, event_times, as_of, spec):
    """Of each reason: its place among ``names_told``, its value, and its time; STATIC = no event stands behind it."""
    features = len(spec.features)
    name, value = reason.copy(), np.full(reason.size, np.nan)
    time = np.full(reason.size, STATIC)
    is_feature = reason < features
    value[is_feature] = raw[INPUTS][person[is_feature], reason[is_feature]]
    time[is_feature] = _time_behind(reason[is_feature], person[is_feature], last_times, as_of, spec)
    places = codes = 0
    if spec.sequence is not None:
        places, codes = spec.sequence.length, len(spec.sequence.codes)
        is_event = ~is_feature & (reason < features + places)
        where = person[is_event], reason[is_event] - features
        name[is_event] = features + raw[EVENT_CODES][where] - 1
        value[is_event] = raw[EVENT_VALUES][(*where, 0)]
        time[is_event] = event_times[where]
    is_channel = reason >= features + places
    if spec.daily is not None and is_channel.any():
        channel = reason[is_channel] - features - places
        days = raw[DAYS][person[is_channel], :, channel]
        worn = ~np.isnan(days)
        total = np.where(worn, days, 0).sum(axis=1, dtype=np.float64)
        value[is_channel] = np.where(worn.any(axis=1), total / np.maximum(1, worn.sum(axis=1)), np.nan)
        name[is_channel] = features + codes + channel
    return name, value, time


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
