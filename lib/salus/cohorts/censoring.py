"""Censoring: whoever leaves the insurer before the label's end has no label, and those who stayed stand in for them.

Each labelled row weighs 1 / G(t-), G the Kaplan-Meier estimate of staying enrolled beyond day t (Robins and
Finkelstein, Biometrics 56, 2000), by the calendar month of the prediction, because people change insurers in January.
On a day with both, events come before censorings.
"""

import numpy as np
import polars as pl
import pyarrow as pa

from salus.timelines.clocks import MICROSECONDS_PER_DAY, NEVER
from salus.timelines.entries import lists


def enrolled_until(
    batch: pa.RecordBatch,
    sample_row: np.ndarray,
    prediction_times: np.ndarray,
    largest_gap_days: int,
) -> np.ndarray:
    """When the enrolment that holds each prediction time ended, by the newest spans of coverage.

    Args:
        batch: rows of ``timelines`` with their coverage.
        sample_row: int64 (samples,), the row of ``batch`` that each sample is about.
        prediction_times: int64 (samples,), microseconds since the epoch, UTC.
        largest_gap_days: spans that are at most so many days apart are one enrolment.

    Returns:
        int64 (samples,), microseconds: the first instant no longer covered; the prediction time itself where the
        newest spans do not cover it; ``NEVER`` where the enrolment is open.
    """
    offsets, start = lists(batch, "coverage_start")
    end, superseded = lists(batch, "coverage_end")[1], lists(batch, "coverage_superseded")[1]
    spans = pl.DataFrame({"row": np.repeat(np.arange(batch.num_rows), np.diff(offsets)), "start": start, "end": end})
    samples = pl.DataFrame({"row": sample_row, "at": prediction_times, "sample": np.arange(sample_row.size)})
    apart = largest_gap_days * MICROSECONDS_PER_DAY
    reached = pl.col("end").cum_max().shift(1).over("row")
    enrolments = (
        spans.filter((superseded == NEVER) & (end > start))
        .sort("row", "start")
        .with_columns(begins=(reached.is_null() | (pl.col("start") - apart > reached)).cum_sum())
        .group_by("begins")
        .agg(pl.col("row").first(), pl.col("start").min(), pl.col("end").max())
        .drop("begins")
    )
    held = samples.sort("row", "at").join_asof(
        enrolments.sort("row", "start"),
        left_on="at",
        right_on="start",
        by="row",
        strategy="backward",
        check_sortedness=False,
    )
    until = np.empty(sample_row.size, np.int64)
    until[held["sample"].to_numpy()] = np.maximum(held["end"].fill_null(np.iinfo(np.int64).min), held["at"]).to_numpy()
    return until


def staying_enrolled(days: np.ndarray, known: np.ndarray, censored: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The Kaplan-Meier estimate of staying enrolled, just before each day.

    Args:
        days: int (n,), distinct days since the prediction, in any order.
        known: int (n,), how many became known on that day: event, death or horizon.
        censored: int (n,), how many were censored on that day.

    Returns:
        The days, ascending, and the probability of being enrolled until just before each.
    """
    order = np.argsort(days)
    days, known, censored = days[order], known[order], censored[order]
    left = np.cumsum((known + censored)[::-1])[::-1] - known
    share = np.divide(censored, left, out=np.zeros(days.size), where=left > 0)
    after = np.cumprod(1 - share)
    return days, np.concatenate([[1.0], after[:-1]])
