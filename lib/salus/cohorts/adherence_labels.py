"""Labels of adherence: whether the proportion of days covered of [T, T + horizon) is below the threshold.

The proportion is below it from the day on at which too many days are uncovered, so the label is an event with a day:
a death before it competes and is a negative, and whoever leaves the insurer before it has none. Like every label it is
of the newest version of everything; it may look ahead, and nothing else may.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame

from salus.cohorts.adherence import Adherence
from salus.cohorts.covered_days import nth_day_uncovered, stays_of, supplied
from salus.cohorts.label import Label
from salus.cohorts.named_codes import named_codes
from salus.cohorts.number_labels import Numbers
from salus.timelines.clocks import MICROSECONDS_PER_DAY, NEVER, STATIC
from salus.timelines.entries import lists

ADHERENCE_STEPS = (
    "alive at the prediction, by what is known today",
    "days' supply known of every fill before the horizon",
    "enrolled until too many days are uncovered, the death or the horizon",
)
"""What each step asks, in order; the last step's losses are censored, and others are weighted up for them."""


@dataclass(frozen=True)
class AdherenceLabeller:
    """Labels samples by the days that fills cover.

    Attributes:
        label: the task's label.
        adherence: of the label.
        fills, starts, ends: int64, hashes of the codes of fills, admissions and discharges.
        largest_gap_days: a gap in coverage of at most so many days is no disenrolment.
    """

    label: Label
    adherence: Adherence
    fills: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    largest_gap_days: int

    steps: ClassVar[tuple[str, ...]] = ADHERENCE_STEPS
    columns: ClassVar[tuple[str, ...]] = (
        "death",
        "time",
        "superseded",
        "code",
        "value",
        "coverage_start",
        "coverage_end",
        "coverage_superseded",
    )
    """The columns of ``timelines`` that labels look at."""

    def samples(self, batch: pa.RecordBatch, sample_row: np.ndarray, prediction_times: np.ndarray) -> Numbers:
        """The label of each sample, 1 = the proportion is below the threshold, or the step at which it is lost.

        Args:
            batch: rows of ``timelines`` with at least ``columns``.
            sample_row: int64 (samples,), the row of ``batch`` that each sample is about.
            prediction_times: int64 (samples,), microseconds since the epoch, 00:00 UTC.
        """
        death = batch.column("death").fill_null(NEVER).to_numpy(zero_copy_only=False)
        horizon = prediction_times + self.label.horizon_days * MICROSECONDS_PER_DAY
        lost_at = np.where(death[sample_row] <= prediction_times, 1, 0).astype(np.int8)
        event, lacking = self._too_many_uncovered(batch, death, sample_row, prediction_times)
        lost_at[(lost_at == 0) & (lacking < horizon)] = 2
        censored = np.full(sample_row.size, NEVER)
        if self.label.censor_at_disenrolment:
            from salus.cohorts.censoring import enrolled_until

            censored = enrolled_until(batch, sample_row, prediction_times, self.largest_gap_days)
        ended = np.minimum(event, death[sample_row])
        lost_at[(lost_at == 0) & (censored <= ended) & (censored < horizon)] = 3
        observed = (np.minimum(np.minimum(ended, censored), horizon) - prediction_times) // MICROSECONDS_PER_DAY
        at_risk = (lost_at == 0) | (lost_at == 3)
        is_positive = (lost_at == 0) & (event <= death[sample_row]) & (event < NEVER)
        return Numbers(lost_at, is_positive.astype(np.float64), np.where(at_risk, observed, -1).astype(np.int32))

    def _too_many_uncovered(self, batch, death, sample_row, prediction_times):
        """The end of the day from which on too many are uncovered, else ``NEVER``; the first fill without supply.

        Both int64 (samples,), microseconds.
        """
        row, day, supply = self._dated(batch, death, self.fills)
        lacking = np.full(batch.num_rows, NEVER)
        is_lacking = ~(supply > 0)
        np.minimum.at(lacking, row[is_lacking], day[is_lacking] * MICROSECONDS_PER_DAY)
        row, day, supply = row[~is_lacking], day[~is_lacking], np.ceil(supply[~is_lacking]).astype(np.int64)
        starts, ends = (self._dated(batch, death, codes)[:2] for codes in (self.starts, self.ends))
        stays = stays_of(starts, ends, batch.num_rows)
        number = self.adherence.days_uncovered(self.label.horizon_days)
        first = prediction_times // MICROSECONDS_PER_DAY
        found = nth_day_uncovered(
            supplied(row, day, supply, stays), stays, sample_row, first, self.label.horizon_days, number
        )
        happens = found < NEVER
        event = np.full(sample_row.size, NEVER)
        event[happens] = (found[happens] + 1) * MICROSECONDS_PER_DAY - 1
        return event, lacking[sample_row]

    def _dated(self, batch, death, codes):
        """Rows, days and values of the newest dated events of ``codes``; what is later than the day of death is out."""
        offsets, code = lists(batch, "code")
        time, superseded, value = (lists(batch, name)[1] for name in ("time", "superseded", "value"))
        kept = np.flatnonzero(np.isin(code, codes) & (superseded == NEVER) & (time != STATIC))
        row = np.searchsorted(offsets, kept, side="right") - 1
        day = time[kept] // MICROSECONDS_PER_DAY
        alive = day <= death[row] // MICROSECONDS_PER_DAY
        return row[alive], day[alive], value[kept][alive]


def adherence_labeller(
    label: Label, adherence: Adherence, codes: DataFrame, largest_gap_days: int
) -> AdherenceLabeller:
    """The labeller of ``label``, with its codes looked up in table ``codes``."""
    stays = adherence.stays
    return AdherenceLabeller(
        label=label,
        adherence=adherence,
        fills=named_codes(codes, adherence.fills.codes, adherence.fills.systems),
        starts=named_codes(codes, stays.starts if stays else ()),
        ends=named_codes(codes, stays.ends if stays else ()),
        largest_gap_days=largest_gap_days,
    )
