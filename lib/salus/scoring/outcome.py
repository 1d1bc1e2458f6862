"""What one night asks of a worker, and what it answers for each person; known without TensorFlow."""

from dataclasses import dataclass

import pyarrow as pa

from salus.cohorts.index import IndexCodes
from salus.cohorts.task import Eligibility
from salus.evaluation.calibration import Calibration
from salus.explanation.reasons import REASON_TYPE

NO_DATA = "no_data_in_look_back"
"""Nothing at all happened to the person in the look-back that could be seen: there is nothing to score from."""

NO_SUPPLY = "days_supply_missing"
"""The days' supply of a fill that the task asks about is not known."""

NOT_FINITE = "no_finite_score"
"""The model gave no number."""

TOLD = ("probability", "estimate")
"""The columns of which a scored person has one: ``Calibration.tells`` says which."""

CLASSES = pa.list_(pa.struct([("class", pa.string()), ("probability", pa.float64())]))
"""Of each class its probability, the most probable first."""

OUTCOME = pa.schema(
    [
        pa.field("subject_id", pa.int64(), nullable=False),
        pa.field("is_eligible", pa.bool_(), nullable=False),
        pa.field("score_raw", pa.float64()),
        pa.field("probability", pa.float64()),
        pa.field("probability_low", pa.float64()),
        pa.field("probability_high", pa.float64()),
        pa.field("classes", CLASSES),
        pa.field("estimate", pa.float64()),
        pa.field("estimate_low", pa.float64()),
        pa.field("estimate_high", pa.float64()),
        pa.field("not_scored_reason", pa.string()),
        pa.field("reasons", pa.list_(REASON_TYPE)),
        pa.field("data_available_through", pa.timestamp("us")),
        pa.field("days_since_last_event", pa.float64()),
        pa.field("enrolled_days", pa.int32()),
        pa.field("data_quality_flags", pa.list_(pa.string())),
    ]
)


@dataclass(frozen=True)
class Night:
    """What one night's scoring asks of every worker.

    Attributes:
        as_of: the prediction time, microseconds since the epoch.
        rules: the task's eligibility.
        calibration: of the model.
        excluded: hashes of the codes whose history excludes a person, of ``excluded_codes``.
        index: the event of which something new makes a person eligible, of ``index_codes``; None = everybody is.
        fills: hashes of the codes of fills whose days' supply must be known, of ``fill_codes``.
    """

    as_of: int
    rules: Eligibility
    calibration: Calibration
    excluded: tuple[int, ...] = ()
    index: IndexCodes | None = None
    fills: tuple[int, ...] = ()
