"""Eligibility: who could be predicted for at T, judged by what was available at T and by nothing else.

The same function decides for the training cohort and for tonight's scores, so whom a model learns from is whom it
is used on. What the future holds (an enrolment that ends, a death not yet known) excludes nobody.
"""

import numpy as np
import pyarrow as pa

from salus.cohorts.task import Eligibility

MICROSECONDS_PER_DAY = 86_400_000_000
DAYS_PER_YEAR = 365.25

COLUMNS = ("birth", "death", "death_available", "coverage_start", "coverage_end", "coverage_available",
           "coverage_superseded")
"""The columns of ``timelines`` that eligibility looks at."""


def eligibility_steps(rules: Eligibility) -> list[str]:
    """What each step asks, in order; a person lost at the first step has the reason code 1."""
    gap = "any" if rules.largest_gap_days is None else f"at most {rules.largest_gap_days}"
    return [
        "birth date known, born before the prediction",
        f"age at least {rules.age_at_least or 0:g} years",
        "not known to have died" if rules.alive else "alive or not",
        "enrolled at the prediction" if rules.enrolled_at_prediction else "enrolled or not",
        f"enrolled at least {rules.enrolled_days_at_least} of the last {rules.look_back_days} days",
        f"gaps of {gap} days in the last {rules.look_back_days}",
    ]


def eligibility(
    batch: pa.RecordBatch, sample_row: np.ndarray, prediction_times: np.ndarray, rules: Eligibility,
) -> tuple[np.ndarray, np.ndarray]:
    """At which step each sample is lost, and how long it was enrolled.

    Args:
        batch: rows of ``timelines``, with at least ``COLUMNS``.
        sample_row: int64 (samples,), the row of ``batch`` that each sample is about.
        prediction_times: int64 (samples,), microseconds since the epoch, UTC.
        rules: the task's eligibility.

    Returns:
        int8 (samples,), 0 = eligible, i = lost at the i-th of ``eligibility_steps``; and int32 (samples,), days
        enrolled within the look-back, by what was available.
    """
    birth, has_birth = _longs(batch, "birth")
    death, has_death = _longs(batch, "death")
    death_available, _ = _longs(batch, "death_available")
    born = has_birth[sample_row] & (birth[sample_row] <= prediction_times)
    years = (prediction_times - birth[sample_row]) / (DAYS_PER_YEAR * MICROSECONDS_PER_DAY)
    died = has_death[sample_row] & (np.maximum(death, death_available)[sample_row] <= prediction_times)
    look_back = rules.look_back_days * MICROSECONDS_PER_DAY
    enrolled, covered, gap = _enrolment(batch, sample_row, prediction_times, look_back)
    enrolled_days = (covered // MICROSECONDS_PER_DAY).astype(np.int32)
    passes = [
        born,
        years >= (rules.age_at_least or 0),
        ~died if rules.alive else np.ones_like(died),
        enrolled if rules.enrolled_at_prediction else np.ones_like(enrolled),
        enrolled_days >= rules.enrolled_days_at_least,
        np.ones_like(enrolled) if rules.largest_gap_days is None
        else gap <= rules.largest_gap_days * MICROSECONDS_PER_DAY,
    ]
    lost_at = np.zeros(sample_row.size, np.int8)
    for step in range(len(passes), 0, -1):
        lost_at[~passes[step - 1]] = step
    return lost_at, enrolled_days


def _enrolment(batch, sample_row, prediction_times, look_back):
    """Whether T is covered; microseconds covered in [T - look-back, T); the longest stretch there without cover.

    Spans overlap and repeat, so each sample's visible spans are sorted by start and only what reaches beyond the
    furthest end so far counts.
    """
    most = np.iinfo(np.int64).max // (look_back + 1) - 1
    if sample_row.size > most:
        parts = [_enrolment(batch, sample_row[at:at + most], prediction_times[at:at + most], look_back)
                 for at in range(0, sample_row.size, most)]
        return tuple(np.concatenate(part) for part in zip(*parts))
    sample, start, end = _visible_spans(batch, sample_row, prediction_times)
    at = prediction_times[sample]
    enrolled = np.zeros(sample_row.size, bool)
    enrolled[sample[(start <= at) & (at < end)]] = True
    opens = np.maximum(start, at - look_back) - (at - look_back)
    closes = np.minimum(end, at) - (at - look_back)
    held = closes > opens
    sample, opens, closes = sample[held], opens[held], closes[held]
    order = np.lexsort((opens, sample))
    sample, opens, closes = sample[order], opens[order], closes[order]
    # Each sample gets its own stretch of the number line, so that one running maximum serves them all.
    base = sample * (look_back + 1)
    reached = np.maximum.accumulate(base + closes) if sample.size else closes
    before = np.empty_like(reached)
    before[1:] = reached[:-1]
    first = np.ones(sample.size, bool)
    first[1:] = sample[1:] != sample[:-1]
    before[first] = base[first]
    covered = np.zeros(sample_row.size, np.int64)
    np.add.at(covered, sample, np.maximum(0, base + closes - np.maximum(base + opens, before)))
    gap = np.zeros(sample_row.size, np.int64)
    np.maximum.at(gap, sample, base + opens - before)
    until = np.zeros(sample_row.size, np.int64)
    np.maximum.at(until, sample, closes)
    return enrolled, covered, np.maximum(gap, look_back - until)


def _visible_spans(batch, sample_row, prediction_times):
    """Every (sample, coverage span) pair that was visible at the sample's prediction time."""
    offsets = batch.column("coverage_start").offsets.to_numpy()
    spans = np.diff(offsets)[sample_row]
    sample = np.repeat(np.arange(sample_row.size), spans)
    within = np.arange(sample.size) - np.repeat(np.cumsum(spans) - spans, spans)
    span = offsets[sample_row][sample] + within
    start, end, available, superseded = (
        batch.column(name).values.to_numpy(zero_copy_only=False)[span]
        for name in ("coverage_start", "coverage_end", "coverage_available", "coverage_superseded"))
    at = prediction_times[sample]
    seen = (available <= at) & (at < superseded)
    return sample[seen], start[seen], end[seen]


def _longs(batch, name):
    """A nullable column of longs as numbers (0 where null) and whether each is there."""
    column = batch.column(name)
    return column.fill_null(0).to_numpy(zero_copy_only=False), ~column.is_null().to_numpy(zero_copy_only=False)
