"""The one function between timelines and models: raw model inputs of any people at any times.

Training samples and tonight's scores both come from here, out of what was available at each prediction time.
"""

from itertools import chain

import numpy as np
import pyarrow as pa

from salus.timelines.blocks import DAYS, EVENT_CODES, EVENT_VALUES, INPUTS
from salus.timelines.clocks import DAYS_PER_YEAR, MICROSECONDS_PER_DAY, STATIC
from salus.timelines.daily import daily_matrix
from salus.timelines.enrolment import enrolled_days
from salus.timelines.entries import chunks, entries, lists, reach, visible_pairs
from salus.timelines.numerics import numeric_aggregates, outside_range
from salus.timelines.recency import days_since_last_event
from salus.timelines.sequence import event_sequence, newest
from salus.timelines.sources import known_sources
from salus.timelines.spec import OUT_OF_RANGE, FeatureSpec
from salus.timelines.windows import windowed_counts, windowed_sums


def model_inputs(
    batch: pa.RecordBatch,
    sample_row: np.ndarray,
    prediction_times: np.ndarray,
    spec: FeatureSpec,
    clock: str = "available",
) -> dict[str, np.ndarray]:
    """Raw inputs of each sample, from what was visible at its prediction time.

    Args:
        batch: rows of table ``timelines``.
        sample_row: int64 (samples,), the batch's row of each sample.
        prediction_times: int64 (samples,), microseconds since the epoch, UTC.
        spec: the features.
        clock: ``available`` is the rule; ``time`` prices the leak of ignoring it (see ``visible``).

    Returns:
        Named blocks, in readable units; NaN = missing.
        ``inputs``: float32 (samples, len(spec.names)), in the units of ``spec.features``. Where the spec asks for a
        sequence, ``event_codes`` and ``event_values`` (see ``event_sequence``); where it asks for a daily matrix,
        ``days`` (see ``daily_matrix``).
    """
    sample_row = np.asarray(sample_row, np.int64)
    prediction_times = np.asarray(prediction_times, np.int64)
    code = spec.vocabulary.code_of(lists(batch, "code")[1])
    where = (batch, code, sample_row, prediction_times, spec, clock)
    return {INPUTS: _windowed(*where), **_sequence(*where), **_daily(*where)}


def last_times(batch: pa.RecordBatch, sample_row, prediction_times, spec: FeatureSpec) -> np.ndarray:
    """When the last visible event of each group happened.

    Returns:
        int64 (samples, len(spec.groups)), microseconds since the epoch; STATIC = there was none.
    """
    sample_row = np.asarray(sample_row, np.int64)
    prediction_times = np.asarray(prediction_times, np.int64)
    events = entries(batch, spec.vocabulary.code_of(lists(batch, "code")[1]), spec.vocabulary.members["any"])
    groups = len(spec.groups)
    last = np.full((sample_row.size, groups), STATIC)
    first, end = reach(events, sample_row, prediction_times)
    for part in chunks(end - first, groups):
        pairs = visible_pairs(events, first[part], end[part], prediction_times[part], "available")
        last[part][pairs.sample, events.group[pairs.entry]] = events.time[pairs.entry]
    return last


def sequence_times(batch: pa.RecordBatch, sample_row, prediction_times, spec: FeatureSpec) -> np.ndarray:
    """When each event of the sequences happened.

    Returns:
        int64 (samples, spec.sequence.length), microseconds since the epoch; STATIC = padding.
    """
    assert spec.sequence is not None
    sample_row = np.asarray(sample_row, np.int64)
    prediction_times = np.asarray(prediction_times, np.int64)
    events = entries(batch, spec.vocabulary.code_of(lists(batch, "code")[1]), spec.vocabulary.members["sequence"])
    entry = newest(events, sample_row, prediction_times, spec.sequence.length, "available")
    times = np.full(entry.shape, STATIC)
    times[entry >= 0] = events.time[entry[entry >= 0]]
    return times


def _windowed(batch, code, sample_row, prediction_times, spec, clock):
    features = chain(
        _static(batch, sample_row, prediction_times),
        [days_since_last_event(batch, sample_row, prediction_times, clock)],
        (enrolled_days(batch, sample_row, prediction_times, days, clock) for days in spec.enrolment_days),
        _sources(batch, code, sample_row, prediction_times, spec, clock),
        _counts(batch, code, sample_row, prediction_times, spec, clock),
        _numerics(batch, code, sample_row, prediction_times, spec, clock),
        _amounts(batch, code, sample_row, prediction_times, spec, clock),
    )
    inputs = np.empty((sample_row.size, len(spec.names)), np.float32)
    column = 0
    for some in features:
        width = some.shape[1] if some.ndim == 2 else 1
        inputs[:, column : column + width] = some.reshape(sample_row.size, width)
        column += width
    return inputs


def _sequence(batch, code, sample_row, prediction_times, spec, clock):
    if spec.sequence is None:
        return {}
    events = entries(batch, code, spec.vocabulary.members["sequence"])
    birth = batch.column("birth").fill_null(STATIC).to_numpy(zero_copy_only=False)
    codes, numbers = event_sequence(events, birth, sample_row, prediction_times, spec.sequence.length, clock)
    return {EVENT_CODES: codes, EVENT_VALUES: numbers}


def _daily(batch, code, sample_row, prediction_times, spec, clock):
    if spec.daily is None:
        return {}
    events = entries(batch, code, spec.vocabulary.members["daily"], need_value=True)
    channels = len(spec.daily.channels)
    return {DAYS: daily_matrix(events, sample_row, prediction_times, channels, spec.daily.days, clock)}


def _static(batch, sample_row, prediction_times):
    birth = batch.column("birth")
    known = birth.is_valid().to_numpy(zero_copy_only=False)
    born = birth.fill_null(0).to_numpy(zero_copy_only=False)
    years = (prediction_times - born[sample_row]) / (MICROSECONDS_PER_DAY * DAYS_PER_YEAR)
    yield np.where(known[sample_row], years, np.nan)
    sex = batch.column("sex").to_numpy(zero_copy_only=False)
    yield np.where(sex == "female", 1.0, np.where(sex == "male", 0.0, np.nan))[sample_row]


def _sources(batch, code, sample_row, prediction_times, spec, clock):
    groups = len(spec.of_kind("source"))
    if groups:
        events = entries(batch, code, spec.vocabulary.members["source"])
        yield known_sources(events, sample_row, prediction_times, groups, clock)


def _counts(batch, code, sample_row, prediction_times, spec, clock):
    groups = len(spec.of_kind("count"))
    if not groups:
        return
    events = entries(batch, code, spec.vocabulary.members["count"])
    wanted, windows = spec.count_statistics, spec.windows_days
    found = windowed_counts(events, sample_row, prediction_times, groups, windows, wanted, clock)
    for statistic in wanted:
        if statistic == "days_since_last":
            yield found[statistic]
        else:
            yield from found["count"] > 0 if statistic == "exists" else found[statistic]


def _numerics(batch, code, sample_row, prediction_times, spec, clock):
    groups = spec.of_kind("numeric")
    if not groups:
        return
    events = entries(batch, code, spec.vocabulary.members["numeric"], need_value=True)
    wanted, windows = spec.numeric_statistics, spec.numeric_windows_days
    sex, references = batch.column("sex").to_numpy(zero_copy_only=False), [group.reference for group in groups]
    outside = outside_range(events, sex, references) if OUT_OF_RANGE in wanted else None
    aggregates = numeric_aggregates(events, sample_row, prediction_times, len(groups), windows, wanted, clock, outside)
    for statistic in wanted:
        block = aggregates[statistic]
        if statistic == OUT_OF_RANGE:
            block = block[..., [reference is not None for reference in references]]
        yield from block if block.ndim == 3 else [block]


def _amounts(batch, code, sample_row, prediction_times, spec, clock):
    groups = len(spec.of_kind("amount"))
    if groups and spec.windows_days:
        events = entries(batch, code, spec.vocabulary.members["amount"], need_value=True)
        yield from windowed_sums(events, sample_row, prediction_times, groups, spec.windows_days, clock)
