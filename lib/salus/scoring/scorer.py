"""One batch of people as of one instant: who is eligible, what the model says of them, and why.

Plain numpy over Arrow, without Spark: a Spark worker, a notebook and a test call the same method. Eligibility and
model inputs are the functions that made the training samples.
"""

import numpy as np
import pyarrow as pa

from salus.cohorts.eligibility import eligibility, lacks_supply
from salus.cohorts.index import index_samples
from salus.evaluation.inference import Network
from salus.explanation.integrated_gradients import IntegratedGradients
from salus.explanation.reasons import by_reason, reasons
from salus.scoring.flags import quality_flags
from salus.scoring.outcome import CLASSES, NO_DATA, NO_SUPPLY, NOT_FINITE, OUTCOME, TOLD, Night
from salus.timelines.blocks import INPUTS, taken
from salus.timelines.clocks import STATIC
from salus.timelines.entries import lists
from salus.timelines.model_inputs import last_times, model_inputs, sequence_times
from salus.timelines.spec import ANY_EVENT
from salus.timelines.standardise import baseline, standardise
from salus.training.package import Package


class Scorer:
    """A loaded package, ready to score batches of ``timelines``; made once a process."""

    def __init__(self, package: Package):
        self.spec = package.spec
        self.network = Network(package.model)
        self.gradients = IntegratedGradients(package.model, baseline(self.spec))

    def outcomes(self, batch: pa.RecordBatch, night: Night) -> pa.RecordBatch:
        """One ``OUTCOME`` row for each row of ``batch``; all but the first two columns are null where not eligible."""
        row, at = index_samples(batch, np.array([night.as_of]), night.index)
        excluded, fills = (np.array(codes, np.int64) for codes in (night.excluded, night.fills))
        lost_at, enrolled_days = eligibility(batch, row, at, night.rules, excluded, fills)
        lacks = lacks_supply(lost_at, night.rules)
        kept = (lost_at == 0) | lacks
        row, at, enrolled_days, lacks = (each[kept] for each in (row, at, enrolled_days, lacks))
        raw = model_inputs(batch, row, at, self.spec)
        columns = {
            **self._scores(batch, row, at, raw, lacks, night),
            "data_available_through": _instants(np.full(row.size, newest_fact(batch, night.as_of))),
            "enrolled_days": pa.array(enrolled_days),
            "data_quality_flags": quality_flags(
                raw[INPUTS],
                enrolled_days,
                batch.column("events_dropped").to_numpy()[row],
                batch.column("values_without_unit").to_numpy()[row],
                night.rules,
                self.spec,
            ),
        }
        place = np.full(batch.num_rows, -1)
        place[row] = np.arange(row.size)
        is_eligible = place >= 0
        place = pa.array(place, mask=~is_eligible)
        spread = {name: column.take(place) for name, column in columns.items()}
        spread |= {"subject_id": batch.column("subject_id"), "is_eligible": pa.array(is_eligible)}
        return pa.RecordBatch.from_arrays(
            [spread[name].cast(OUTCOME.field(name).type) for name in OUTCOME.names], schema=OUTCOME
        )

    def _scores(self, batch, row, at, raw, lacks, night):
        """Columns of the eligible: a score with its reasons, or why there is none."""
        days = raw[INPUTS][:, self.spec.names.index(f"{ANY_EVENT}.days_since_last")]
        has_data = days <= night.rules.look_back_days
        inputs = standardise(raw, self.spec)
        asked = has_data & ~lacks
        said = self.network.curves(taken(inputs, asked))
        curves = np.full((row.size, said.shape[1]), np.nan)
        curves[asked] = said
        logits = curves[:, -1]
        scored = np.isfinite(logits)
        contributions = self.gradients.contributions(taken(inputs, scored), logits[scored])
        why = self._reasons(batch, row[scored], at[scored], taken(raw, scored), contributions, night)
        place = np.full(row.size, -1)
        place[scored] = np.arange(scored.sum())
        told = dict(zip(("", "_low", "_high"), night.calibration.told(curves)))
        numbers = {"score_raw": logits} | {f"{night.calibration.tells}{which}": each for which, each in told.items()}
        nothing = {f"{name}{which}": pa.nulls(row.size, pa.float64()) for name in TOLD for which in told}
        return {
            **nothing,
            **{name: pa.array(values, mask=~scored) for name, values in numbers.items()},
            "classes": _classes(night.calibration.of_classes(curves[scored]), int(scored.sum())).take(
                pa.array(place, mask=place < 0)
            ),
            "not_scored_reason": pa.array(
                np.select([~has_data, lacks], [NO_DATA, NO_SUPPLY], NOT_FINITE).astype(object), mask=scored
            ),
            "reasons": why.take(pa.array(place, mask=place < 0)),
            "days_since_last_event": pa.array(days.astype(np.float64), mask=np.isnan(days)),
        }

    def _reasons(self, batch, row, at, raw, contributions, night):
        when = None if self.spec.sequence is None else sequence_times(batch, row, at, self.spec)
        last = last_times(batch, row, at, self.spec)
        return reasons(by_reason(contributions, raw, self.spec), raw, last, night.as_of, self.spec, when)


def _classes(probability, people):
    """``probability``, class to (people,), as lists, the most probable first; nulls where there are no classes."""
    if not probability:
        return pa.nulls(people, CLASSES)
    names, told = pa.array(probability, pa.string()), np.column_stack(list(probability.values()))
    order = np.argsort(-told, axis=1, kind="stable")
    of_each = [names.take(pa.array(order.ravel())), pa.array(np.take_along_axis(told, order, axis=1).ravel())]
    offsets = np.arange(len(told) + 1, dtype=np.int32) * len(names)
    return pa.ListArray.from_arrays(
        pa.array(offsets), pa.StructArray.from_arrays(of_each, fields=list(CLASSES.value_type))
    )


def newest_fact(batch: pa.RecordBatch, as_of: int) -> int:
    """When the newest fact about anybody of ``batch`` that ``as_of`` can see became available; STATIC = none did.

    A night's rows all carry the newest of the night: it says how far the data reach, not when a person was seen last.
    """
    available = lists(batch, "available")[1]
    return int(available.max(initial=STATIC, where=available <= as_of))


def _instants(micros):
    return pa.array(micros, pa.timestamp("us"), mask=micros == STATIC)
