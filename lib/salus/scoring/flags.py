"""Data-quality flags: what a reader of a score should mind about the data behind it."""

import numpy as np
import pyarrow as pa

from salus.cohorts.task import Eligibility
from salus.timelines.spec import ANY_EVENT, FeatureSpec

MEANING = {
    "single_source": "known to one source only",
    "no_lab_in_a_year": "no numeric result in the last 365 days",
    "no_event_in_half_a_year": "nothing at all in the last 182 days",
    "enrolment_gap": "days without insurance in the look-back",
    "events_dropped": "more events than are kept: the oldest were left out",
    "values_without_unit": "numbers that came without a unit were taken to be in the usual one",
}


def quality_flags(
    raw: np.ndarray,
    enrolled_days: np.ndarray,
    events_dropped: np.ndarray,
    values_without_unit: np.ndarray,
    rules: Eligibility,
    spec: FeatureSpec,
) -> pa.ListArray:
    """The flags of ``MEANING`` that are raised for each person: list<string> (people,).

    Args:
        raw: float32 (people, features), raw model inputs; NaN = missing.
        enrolled_days: int32 (people,), within the look-back.
        events_dropped: int32 (people,).
        values_without_unit: int32 (people,).
        rules: the task's eligibility, for the look-back.
        spec: the features.
    """
    raised = np.column_stack(
        [
            _of(spec, raw, "source", "known").sum(axis=1) == 1,
            _none_within(_of(spec, raw, "numeric", "days_since_last"), 365),
            ~(raw[:, [spec.names.index(f"{ANY_EVENT}.days_since_last")]] <= 182).any(axis=1),
            enrolled_days < rules.look_back_days,
            events_dropped > 0,
            values_without_unit > 0,
        ]
    )
    offsets = np.concatenate([[0], np.cumsum(raised.sum(axis=1))]).astype(np.int32)
    names = pa.array(list(MEANING), pa.string())
    return pa.ListArray.from_arrays(pa.array(offsets), names.take(pa.array(np.nonzero(raised)[1], pa.int64())))


def _of(spec, raw, kind, statistic):
    groups = {group.name for group in spec.of_kind(kind)}
    columns = [i for i, each in enumerate(spec.features) if each.group in groups and each.statistic == statistic]
    return raw[:, columns]


def _none_within(days_since, limit):
    """Whether no column is within ``limit`` days; where a spec has no such columns there is nothing to mind."""
    return ~(days_since <= limit).any(axis=1) if days_since.shape[1] else np.zeros(len(days_since), bool)
