"""Labels that others made: read from what was brought in as ``LABEL/<name>`` events, at the time of the prediction.

A chart review or a registry says for whom, as of when, and yes or no (the columns of MEDS 0.4's labels). Such a table
is a source like any other (conf/sources/labels.yml): its people, versions and withdrawals are those of all sources. No
model input is ever made of it (``salus.timelines.features``). docs/adr/0016-labels-brought-in.md says why.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
from pyspark.sql import Column
from pyspark.sql import functions as F

from salus.cohorts.eligibility import pairs
from salus.cohorts.label import Label
from salus.cohorts.number_labels import Numbers
from salus.timelines.clocks import MICROSECONDS_PER_DAY, NEVER, STATIC
from salus.timelines.entries import lists

TABLE_STEPS = (
    "a label was brought in for the prediction",
    "the labels that were brought in for it agree",
    "enrolled or not: a label that was brought in is whole",
)
"""What each step asks, in order; the last loses nobody."""


@dataclass(frozen=True)
class TableLabeller:
    """Labels samples by the events of one code.

    A label belongs to the first night at or after its time: it was made as of then, and that night is the first that
    can say the same.

    Attributes:
        label: the task's label.
        codes: int64, the hash of ``LABEL/<name>``; empty where nothing was brought in.
    """

    label: Label
    codes: np.ndarray

    steps: ClassVar[tuple[str, ...]] = TABLE_STEPS
    columns: ClassVar[tuple[str, ...]] = ("time", "superseded", "code", "value")
    """The columns of ``timelines`` that labels look at."""

    def samples(self, batch: pa.RecordBatch, sample_row: np.ndarray, prediction_times: np.ndarray) -> Numbers:
        """The label of each sample, 1 or 0, or the step at which it is lost.

        Args:
            batch: rows of ``timelines`` with at least ``columns``.
            sample_row: int64 (samples,), the row of ``batch`` that each sample is about.
            prediction_times: int64 (samples,), microseconds since the epoch, 00:00 UTC.
        """
        offsets, code = lists(batch, "code")
        time, superseded, value = (lists(batch, name)[1] for name in ("time", "superseded", "value"))
        found = np.flatnonzero(np.isin(code, self.codes) & (superseded == NEVER) & (time != STATIC) & ~np.isnan(value))
        night = -(-time[found] // MICROSECONDS_PER_DAY) * MICROSECONDS_PER_DAY
        sample, entry = pairs(np.searchsorted(found, offsets), sample_row)
        is_of_it = night[entry] == prediction_times[sample]
        sample, is_yes = sample[is_of_it], value[found[entry[is_of_it]]] > 0
        yes, no = (np.bincount(sample[which], minlength=sample_row.size) > 0 for which in (is_yes, ~is_yes))
        lost_at = np.select([~(yes | no), yes & no], [1, 2], 0).astype(np.int8)
        observed = np.where(lost_at == 0, self.label.horizon_days, -1).astype(np.int32)
        return Numbers(lost_at, (lost_at == 0) * yes.astype(np.float64), observed)


def brought_in(codes: np.ndarray) -> Column:
    """Of each row of ``timelines``, how many labels were brought in, by their newest versions.

    Args:
        codes: of ``TableLabeller``.
    """
    asked = F.array(*[F.lit(int(each)) for each in codes]).cast("array<bigint>")
    events = F.arrays_zip("code", "superseded", "time")
    return F.size(
        F.filter(
            events,
            lambda event: (
                F.array_contains(asked, event["code"])
                & (event["superseded"] == F.lit(NEVER))
                & (event["time"] != F.lit(STATIC))
            ),
        )
    ).cast("long")
