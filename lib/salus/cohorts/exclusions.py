"""The codes whose history excludes a person."""

import numpy as np
from pyspark.sql import DataFrame

from salus.cohorts.named_codes import named_codes
from salus.cohorts.task import Eligibility


def excluded_codes(codes: DataFrame, rules: Eligibility) -> np.ndarray:
    """int64, ascending: hashes of the codes of ``codes`` (``CODES``) that ``rules.no_history_of`` names."""
    return named_codes(codes, rules.no_history_of)
