"""Times to event: how long until something first happens in [T, T + horizon), and what ended the time if it did not.

Nobody is left out for leaving: whoever leaves the insurer is known to have had no event until then, and that is what
their row says. The horizon cuts the time of everybody else. Death is the event, ends the time for good (it competes:
nobody has the event after it), or counts as the event, as the task says. Times are of the newest version of
everything; they may look ahead, nothing else may.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import pyarrow as pa

from salus.cohorts.censoring import enrolled_until
from salus.cohorts.label import Label
from salus.cohorts.number_labels import Amounts, days_of
from salus.timelines.clocks import MICROSECONDS_PER_DAY, NEVER
from salus.timelines.entries import happened

TIME_STEPS = (
    "alive at the prediction, by what is known today",
    "enrolled at the prediction, by what is known today",
)
"""What each step asks, in order. Nobody else is lost: who leaves later is known until then."""

EVENT, COMPETING, NOTHING = 1, -1, 0
"""What ended a time: labels above 0 are events, as of every other kind of label."""


class Times(NamedTuple):
    """One entry a sample."""

    lost_at: np.ndarray
    """int8: 0 = labelled, i = lost at the i-th of ``TIME_STEPS``."""
    value: np.ndarray
    """float64: ``EVENT``, ``COMPETING`` or ``NOTHING``; it means nothing where there is no label."""
    observed_days: np.ndarray
    """int32: whole days from the prediction to the event, the death, the horizon or the censoring; -1 = no label."""


@dataclass(frozen=True)
class TimeLabeller:
    """Labels samples by the time to an event.

    Attributes:
        label: the task's label.
        codes: int64, hashes of the codes of the event; empty where it is death.
        largest_gap_days: a gap in coverage of at most so many days is no disenrolment.
    """

    label: Label
    codes: np.ndarray
    largest_gap_days: int

    steps: ClassVar[tuple[str, ...]] = TIME_STEPS
    columns: ClassVar[tuple[str, ...]] = (
        "death",
        "time",
        "superseded",
        "code",
        "coverage_start",
        "coverage_end",
        "coverage_superseded",
    )

    def samples(self, batch: pa.RecordBatch, sample_row: np.ndarray, prediction_times: np.ndarray) -> Times:
        """The time of each sample, or the step at which it is lost.

        Args:
            batch: rows of ``timelines`` with at least ``columns``.
            sample_row: int64 (samples,), the row of ``batch`` that each sample is about.
            prediction_times: int64 (samples,), microseconds since the epoch, 00:00 UTC.
        """
        death = batch.column("death").fill_null(NEVER).to_numpy(zero_copy_only=False)[sample_row]
        censored = np.full(sample_row.size, NEVER)
        if self.label.censor_at_disenrolment:
            censored = enrolled_until(batch, sample_row, prediction_times, self.largest_gap_days)
        lost_at = np.where(death <= prediction_times, 1, 0).astype(np.int8)
        lost_at[(lost_at == 0) & (censored <= prediction_times)] = 2
        event = first_day(days_of(batch, self.codes), sample_row, prediction_times)
        # What is dated later than the day of death is left out, as of events; on that day the event comes first.
        event[event > death] = NEVER
        ended = np.minimum(event, death)
        cut = np.minimum(censored, prediction_times + self.label.horizon_days * MICROSECONDS_PER_DAY)
        is_death = event == NEVER
        value = np.where(is_death & (self.label.death == "competing"), COMPETING, EVENT)
        value = np.where(ended < cut, value, NOTHING)
        observed = (np.minimum(ended, cut) - prediction_times) // MICROSECONDS_PER_DAY
        return Times(lost_at, value.astype(np.float64), np.where(lost_at > 0, -1, observed).astype(np.int32))


def first_day(days: Amounts, sample_row: np.ndarray, prediction_times: np.ndarray) -> np.ndarray:
    """The first of each sample's ``days`` at or after its prediction time: int64 (samples,); ``NEVER`` = none."""
    after = happened(days.time, days.offsets, sample_row, prediction_times - 1)[1]
    is_there = after < days.offsets[sample_row + 1]
    return np.where(is_there, np.append(days.time, NEVER)[np.minimum(after, days.time.size)], NEVER)
