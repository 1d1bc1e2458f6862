"""Eligibility: who could be predicted for at T, judged by what was available at T and by nothing else.

The same function decides for the training cohort and for tonight's scores, so whom a model learns from is whom it
is used on. What the future holds (an enrolment that ends, a death not yet known) excludes nobody.
"""

import numpy as np
import pyarrow as pa

from salus.cohorts.task import Eligibility
from salus.timelines.clocks import DAYS_PER_YEAR, MICROSECONDS_PER_DAY, NEVER
from salus.timelines.entries import lists
from salus.timelines.recency import MEDS_DEATH_HASH

SECONDS_PER_DAY = 86_400
NOTHING = np.empty(0, np.int64)

COLUMNS = (
    "birth",
    "available",
    "superseded",
    "code",
    "coverage_start",
    "coverage_end",
    "coverage_available",
    "coverage_superseded",
)
"""The columns of ``timelines`` that eligibility looks at, without a rule of fills."""


def columns_of(rules: Eligibility) -> tuple[str, ...]:
    """The columns of ``timelines`` that eligibility by ``rules`` looks at."""
    return COLUMNS if rules.days_supply_of is None else (*COLUMNS, "value")


def eligibility_steps(rules: Eligibility) -> list[str]:
    """What each step asks, in order; a person lost at the first step has the reason code 1.

    Where the rules name fills, whoever is lost at the last step is eligible, but can't be scored (``lacks_supply``).
    """
    gap = "any" if rules.largest_gap_days is None else f"at most {rules.largest_gap_days}"
    return [
        "birth date known, born before the prediction",
        f"age at least {rules.age_at_least or 0:g} years",
        "not known to have died" if rules.alive else "alive or not",
        "enrolled at the prediction" if rules.enrolled_at_prediction else "enrolled or not",
        f"enrolled at least {rules.enrolled_days_at_least} of the last {rules.look_back_days} days",
        f"gaps of {gap} days in the last {rules.look_back_days}",
        f"no history of {' or '.join(rules.no_history_of)}" if rules.no_history_of else "any history",
        *(["days' supply known of every fill"] if rules.days_supply_of is not None else []),
    ]


def lacks_supply(lost_at: np.ndarray, rules: Eligibility) -> np.ndarray:
    """Who of those judged by ``eligibility`` is eligible, but can't be scored: a fill's days' supply is missing."""
    return (rules.days_supply_of is not None) & (lost_at == len(eligibility_steps(rules)))


def eligibility(
    batch: pa.RecordBatch,
    sample_row: np.ndarray,
    prediction_times: np.ndarray,
    rules: Eligibility,
    excluded: np.ndarray = NOTHING,
    fills: np.ndarray = NOTHING,
) -> tuple[np.ndarray, np.ndarray]:
    """At which step each sample is lost, and how long it was enrolled.

    Args:
        batch: rows of ``timelines``, with at least ``columns_of(rules)``.
        sample_row: int64 (samples,), the row of ``batch`` that each sample is about.
        prediction_times: int64 (samples,), microseconds since the epoch, UTC.
        rules: the task's eligibility.
        excluded: int64, the hashes of the codes that ``rules.no_history_of`` names, of ``excluded_codes``.
        fills: int64, those of ``rules.days_supply_of``, of ``fill_codes``.

    Returns:
        int8 (samples,), 0 = eligible, i = lost at the i-th of ``eligibility_steps``; and int32 (samples,), days
        enrolled within the look-back, by what was available.
    """
    birth = batch.column("birth").fill_null(NEVER).to_numpy(zero_copy_only=False)[sample_row]
    born = birth <= prediction_times
    years = (prediction_times - np.minimum(birth, prediction_times)) / (DAYS_PER_YEAR * MICROSECONDS_PER_DAY)
    code = lists(batch, "code")[1]
    died = _is_known(batch, sample_row, prediction_times, code == MEDS_DEATH_HASH)
    enrolled, covered, gap = _enrolment(batch, sample_row, prediction_times, rules.look_back_days)
    enrolled_days = (covered // SECONDS_PER_DAY).astype(np.int32)
    passes = [
        born,
        years >= (rules.age_at_least or 0),
        ~died if rules.alive else np.ones_like(died),
        enrolled if rules.enrolled_at_prediction else np.ones_like(enrolled),
        enrolled_days >= rules.enrolled_days_at_least,
        np.ones_like(enrolled) if rules.largest_gap_days is None else gap <= rules.largest_gap_days * SECONDS_PER_DAY,
        ~_is_known(batch, sample_row, prediction_times, np.isin(code, excluded)),
    ]
    if rules.days_supply_of is not None:
        is_lacking = np.isin(code, fills)
        is_lacking[is_lacking] = ~(lists(batch, "value")[1][is_lacking] > 0)
        passes.append(~_is_known(batch, sample_row, prediction_times, is_lacking))
    lost_at = np.zeros(sample_row.size, np.int8)
    for step in range(len(passes), 0, -1):
        lost_at[~passes[step - 1]] = step
    return lost_at, enrolled_days


def _is_known(batch, sample_row, prediction_times, is_asked):
    """Whether one of the asked events was known at T; what the timeline says of it today may be newer."""
    known = np.zeros(sample_row.size, bool)
    found = np.flatnonzero(is_asked)
    if not found.size:
        return known
    offsets = lists(batch, "code")[0]
    available, superseded = (lists(batch, name)[1][found] for name in ("available", "superseded"))
    sample, entry = pairs(np.searchsorted(found, offsets), sample_row)
    at = prediction_times[sample]
    known[sample[(available[entry] <= at) & (at < superseded[entry])]] = True
    return known


def _enrolment(batch, sample_row, prediction_times, look_back_days):
    """Whether T is covered; seconds covered in [T - look-back, T); the longest stretch there without cover.

    Spans overlap and repeat, so each sample's visible spans are sorted by start and only what reaches beyond the
    furthest end so far counts.
    """
    sample, start, end = _visible_spans(batch, sample_row, prediction_times)
    at = prediction_times[sample]
    enrolled = np.zeros(sample_row.size, bool)
    enrolled[sample[(start <= at) & (at < end)]] = True
    # Whole seconds: each sample gets its own stretch of the number line, so that one running maximum serves all.
    look_back = look_back_days * SECONDS_PER_DAY
    begin = at - look_back * 1_000_000
    opens = (np.maximum(start, begin) - begin) // 1_000_000
    closes = (np.minimum(end, at) - begin) // 1_000_000
    held = closes > opens
    sample, opens, closes = sample[held], opens[held], closes[held]
    order = np.lexsort((opens, sample))
    sample, opens, closes = sample[order], opens[order], closes[order]
    base = sample * (look_back + 1)
    reached = np.maximum.accumulate(base + closes) if sample.size else base
    first = np.diff(sample, prepend=-1) > 0
    before = np.where(first, base, np.roll(reached, 1))
    covered = np.zeros(sample_row.size, np.int64)
    np.add.at(covered, sample, np.maximum(0, base + closes - np.maximum(base + opens, before)))
    gap = np.zeros(sample_row.size, np.int64)
    np.maximum.at(gap, sample, base + opens - before)
    until = np.zeros(sample_row.size, np.int64)
    np.maximum.at(until, sample, closes)
    return enrolled, covered, np.maximum(gap, look_back - until)


def _visible_spans(batch, sample_row, prediction_times):
    """Every (sample, coverage span) pair that was visible at the sample's prediction time."""
    offsets, start = lists(batch, "coverage_start")
    end, available, superseded = (lists(batch, f"coverage_{name}")[1] for name in ("end", "available", "superseded"))
    sample, span = pairs(offsets, sample_row)
    at = prediction_times[sample]
    seen = (available[span] <= at) & (at < superseded[span])
    return sample[seen], start[span[seen]], end[span[seen]]


def pairs(offsets: np.ndarray, sample_row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every pair of a sample and an entry of its row: int64 (pairs,) twice, samples ascending.

    Args:
        offsets: int64 (rows + 1,), between which each row's entries lie.
        sample_row: int64 (samples,), the row that each sample is about.
    """
    sizes = np.diff(offsets)[sample_row]
    sample = np.repeat(np.arange(sample_row.size), sizes)
    return sample, np.arange(sample.size) + np.repeat(offsets[sample_row] - (np.cumsum(sizes) - sizes), sizes)
