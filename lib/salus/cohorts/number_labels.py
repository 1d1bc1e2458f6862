"""Labels that are numbers: the days on which something happens, or the money that is spent, in [T, T + horizon).

Both are sums of amounts by day, over the newest version of everything. They may look ahead; nothing else may. A death
ends the sum, which is whole then; whoever leaves the insurer before has none, and others are weighted up for them: the
weighted complete cases of Bang and Tsiatis (Estimating medical costs with censored data, Biometrika 2000;87:329-343).
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import pyarrow as pa

from salus.cohorts.label import Label
from salus.timelines.clocks import MICROSECONDS_PER_DAY, NEVER, STATIC
from salus.timelines.entries import happened, lists

NUMBER_STEPS = ("alive at the prediction, by what is known today", "enrolled until the death or the horizon")
"""What each step asks, in order; the last step's losses are censored, and others are weighted up for them."""

TEN_THOUSANDTHS = 10_000
"""Of a currency unit: amounts are whole numbers of them, so that a sum does not depend on its order."""


class Amounts(NamedTuple):
    """Amounts by day, a segment a row of the batch, ascending in time within it; all int64."""

    offsets: np.ndarray
    time: np.ndarray
    amount: np.ndarray


class Numbers(NamedTuple):
    """One entry a sample."""

    lost_at: np.ndarray
    """int8: 0 = labelled, i = lost at the i-th of ``NUMBER_STEPS``."""
    value: np.ndarray
    """float64: days or currency units; at least 0. Of an event 1 or 0. It means nothing without a label."""
    observed_days: np.ndarray
    """int32: whole days from the prediction to the death, the horizon or the censoring; -1 = not at risk."""


@dataclass(frozen=True)
class NumberLabeller:
    """Labels samples by a count or a cost.

    Attributes:
        label: the task's label.
        codes: int64, hashes of the codes that are counted; empty for a cost.
        largest_gap_days: a gap in coverage of at most so many days is no disenrolment.
    """

    label: Label
    codes: np.ndarray
    largest_gap_days: int

    steps: ClassVar[tuple[str, ...]] = NUMBER_STEPS

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of ``timelines``, with ``with_costs`` for a cost, that labels look at."""
        amounts = ("time", "superseded", "code") if self.label.cost is None else ("cost_time", "cost_amount")
        return ("death", *amounts, "coverage_start", "coverage_end", "coverage_superseded")

    def samples(self, batch: pa.RecordBatch, sample_row: np.ndarray, prediction_times: np.ndarray) -> Numbers:
        """The label of each sample, or the step at which it is lost.

        Args:
            batch: rows of ``timelines`` with at least ``columns``.
            sample_row: int64 (samples,), the row of ``batch`` that each sample is about.
            prediction_times: int64 (samples,), microseconds since the epoch, 00:00 UTC.
        """
        death = batch.column("death").fill_null(NEVER).to_numpy(zero_copy_only=False)[sample_row]
        horizon = prediction_times + self.label.horizon_days * MICROSECONDS_PER_DAY
        censored = np.full(sample_row.size, NEVER)
        if self.label.censor_at_disenrolment:
            from salus.cohorts.censoring import enrolled_until

            censored = enrolled_until(batch, sample_row, prediction_times, self.largest_gap_days)
        lost_at = np.where(death <= prediction_times, 1, 0).astype(np.int8)
        lost_at[(lost_at == 0) & (censored <= death) & (censored < horizon)] = 2
        # What is dated later than the day of death is left out, as of events.
        last = np.where(death < NEVER, death - death % MICROSECONDS_PER_DAY + MICROSECONDS_PER_DAY, NEVER)
        found = summed(self._amounts(batch), sample_row, prediction_times, np.minimum(horizon, last))
        observed = (np.minimum(np.minimum(death, censored), horizon) - prediction_times) // MICROSECONDS_PER_DAY
        scale = 1 if self.label.cost is None else TEN_THOUSANDTHS
        return Numbers(lost_at, np.maximum(found, 0) / scale, np.where(lost_at == 1, -1, observed).astype(np.int32))

    def _amounts(self, batch):
        return days_of(batch, self.codes) if self.label.cost is None else costs_of(batch)


def days_of(batch: pa.RecordBatch, codes: np.ndarray) -> Amounts:
    """An amount of 1 for each day on which an event of ``codes`` happens, by its newest version.

    Several sources may record one visit, so a day counts once.
    """
    offsets, code = lists(batch, "code")
    time, superseded = lists(batch, "time")[1], lists(batch, "superseded")[1]
    kept = np.flatnonzero(np.isin(code, codes) & (superseded == NEVER) & (time != STATIC))
    row = np.searchsorted(offsets, kept, side="right") - 1
    day = time[kept] // MICROSECONDS_PER_DAY * MICROSECONDS_PER_DAY
    is_first = np.ones(kept.size, bool)
    is_first[1:] = (row[1:] != row[:-1]) | (day[1:] != day[:-1])
    kept, day = kept[is_first], day[is_first]
    return Amounts(np.searchsorted(kept, offsets), day, np.ones(day.size, np.int64))


def costs_of(batch: pa.RecordBatch) -> Amounts:
    """The lists of ``with_costs``: ten-thousandths of a currency unit by the day on which they were incurred."""
    offsets, time = lists(batch, "cost_time")
    return Amounts(offsets, time, lists(batch, "cost_amount")[1])


def summed(amounts: Amounts, sample_row: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The sum of each sample's amounts in [start, end): int64 (samples,); 0 where ``end`` is not after ``start``."""
    so_far = np.concatenate([[0], np.cumsum(amounts.amount)])

    def before(bound):
        return so_far[happened(amounts.time, amounts.offsets, sample_row, bound - 1)[1]]

    return before(np.maximum(start, end)) - before(start)
