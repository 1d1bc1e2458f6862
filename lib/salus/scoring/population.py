"""The whole population through the model: a Spark pandas function over Arrow batches.

``mapInArrow`` is the Arrow form of Spark's pandas UDFs: the same workers and the same batches, without a pandas
frame in between. A worker process loads the package once, from the bytes that Spark broadcast, and keeps it for
all its batches and, as Spark reuses workers, for the jobs that follow. TensorFlow runs on one thread a task,
because Spark already runs one task a core.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark import Broadcast
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from salus.errors import Refused
from salus.evaluation.calibration import Calibration
from salus.evaluation.predictions import opened
from salus.scoring.outcome import OUTCOME, Night
from salus.timelines.blocks import INPUTS

if TYPE_CHECKING:
    from salus.scoring.scorer import Scorer

TIMELINE_COLUMNS = [
    "subject_id",
    "birth",
    "death",
    "death_available",
    "sex",
    "time",
    "available",
    "superseded",
    "code",
    "value",
    "coverage_start",
    "coverage_end",
    "coverage_available",
    "coverage_superseded",
    "events_dropped",
    "values_without_unit",
]
OUTCOME_SCHEMA = from_arrow_schema(OUTCOME, prefer_timestamp_ntz=True)


def outcomes(timelines: DataFrame, package: "Broadcast[bytes]", night: Night) -> DataFrame:
    """One row of ``OUTCOME`` for each person of ``timelines``.

    Args:
        timelines: one row a person, with ``TIMELINE_COLUMNS``.
        package: what ``package_bytes`` packed.
        night: as of when, for whom, and with which calibration.
    """
    return timelines.select(*TIMELINE_COLUMNS).mapInArrow(_over(package, night), OUTCOME_SCHEMA)


def score_udf(package: "Broadcast[bytes]", calibration: Calibration) -> Callable:
    """A pandas UDF for notebooks: standardised windowed inputs, ``spec.width`` a row, to a probability.

    The column is a block as ``export`` writes it (binary: little-endian float32), or array<float>, which is slower.
    It is for models that read nothing else; a model of sequences is asked through ``outcomes``.
    """

    @F.pandas_udf("double")  # type: ignore[call-overload]  # pyspark reads the kind from the annotations
    def probability(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        """The calibrated probabilities of each batch's rows, in their order."""
        scorer = loaded(package.value)
        if scorer.network.names != [INPUTS]:
            raise Refused(
                f"Received a model that reads {', '.join(scorer.network.names)}; expected one of windowed inputs only. "
                "Score timelines with `outcomes`."
            )
        for inputs in batches:
            rows = _matrix(inputs.to_numpy())
            yield pd.Series(calibration.calibrated(scorer.network.logits({INPUTS: rows})))

    return probability


def _matrix(values: np.ndarray) -> np.ndarray:
    """The rows of a column of arrays, or of blocks as bytes; float32 of shape (rows, width)."""
    is_block = isinstance(values[0], bytes)
    flat = np.frombuffer(b"".join(values), "<f4") if is_block else np.concatenate(values).astype(np.float32)
    return flat.reshape(len(values), -1)


def _over(package, night):
    def over(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        scorer = loaded(package.value)
        for batch in batches:
            yield scorer.outcomes(batch, night)

    return over


@lru_cache(maxsize=2)
def loaded(archive: bytes) -> "Scorer":
    """The scorer of a packed package, made once a process; TensorFlow is imported here, on workers only."""
    package = opened(archive)
    from salus.scoring.scorer import Scorer

    return Scorer(package)
