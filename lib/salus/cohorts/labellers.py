"""Which labeller makes a task's labels: ACES those of events, and labellers of ours all
others: sums by day numbers, first days times to event, days covered adherence, and a table what others said.

All look at shards of whole people. A labeller travels to the workers, and ACES, which takes seconds to import, is
imported where an event's is asked and nowhere else.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame

from salus.cohorts.adherence_labels import ADHERENCE_STEPS, AdherenceLabeller, adherence_labeller
from salus.cohorts.label import Label
from salus.cohorts.named_codes import named_codes
from salus.cohorts.number_labels import NUMBER_STEPS, NumberLabeller
from salus.cohorts.table_labels import TABLE_STEPS, TableLabeller
from salus.cohorts.time_labels import TIME_STEPS, TimeLabeller

if TYPE_CHECKING:
    from salus.cohorts.labels import Labels


@dataclass(frozen=True)
class EventLabeller:
    """Labels samples by the label's ACES configuration.

    Attributes:
        label: the task's label.
        codes: hash to code, of ``label_codes``.
        largest_gap_days: a gap in coverage of at most so many days is no disenrolment.
    """

    label: Label
    codes: dict[int, str]
    largest_gap_days: int

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of ``timelines`` that labels look at."""
        from salus.cohorts.labels import COLUMNS

        return COLUMNS

    @property
    def steps(self) -> tuple[str, ...]:
        """What each step asks."""
        return label_steps(self.label)

    def samples(self, batch: pa.RecordBatch, sample_row: np.ndarray, prediction_times: np.ndarray) -> "Labels":
        """What ``label_samples`` gives."""
        from salus.cohorts.labels import label_samples

        return label_samples(batch, sample_row, prediction_times, self.label, self.codes, self.largest_gap_days)


Labeller = NumberLabeller | TimeLabeller | AdherenceLabeller | TableLabeller


def labeller(label: Label, codes: DataFrame, largest_gap_days: int) -> EventLabeller | Labeller:
    """What labels samples by ``label``: its ``columns``, its ``steps`` and its ``samples``.

    Args:
        label: the task's.
        codes: table ``codes``, of the size of the vocabulary, looked up on the driver.
        largest_gap_days: a gap in coverage of at most so many days is no disenrolment.
    """
    if label.time_to_event is not None:
        return TimeLabeller(label, named_codes(codes, label.time_to_event.codes), largest_gap_days)
    if label.adherence is not None:
        return adherence_labeller(label, label.adherence, codes, largest_gap_days)
    if label.table is not None:
        return TableLabeller(label, named_codes(codes, [label.table.code]))
    if label.aces is None:
        return NumberLabeller(label, named_codes(codes, label.count.codes if label.count else ()), largest_gap_days)
    import polars as pl

    from salus.cohorts.labels import label_codes

    vocabulary = pl.DataFrame(
        codes.select("code", "code_hash").collect(),
        schema=["code", "code_hash"],
        orient="row",
        schema_overrides={"code": pl.String, "code_hash": pl.Int64},
    )
    return EventLabeller(label, label_codes(label, vocabulary), largest_gap_days)


def label_steps(label: Label) -> tuple[str, ...]:
    """What each step of labelling asks, in order; the last step's losses are censored."""
    if label.time_to_event is not None:
        return TIME_STEPS
    if label.adherence is not None:
        return ADHERENCE_STEPS
    if label.table is not None:
        return TABLE_STEPS
    if label.aces is None:
        return NUMBER_STEPS
    from salus.cohorts.labels import LABEL_STEPS

    return LABEL_STEPS
