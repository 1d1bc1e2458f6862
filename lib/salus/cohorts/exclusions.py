"""The codes that eligibility asks for: whose history excludes a person, and which fills need a days' supply."""

import numpy as np
from pyspark.sql import DataFrame

from salus.cohorts.named_codes import named_codes
from salus.cohorts.task import Eligibility


def excluded_codes(codes: DataFrame, rules: Eligibility) -> np.ndarray:
    """int64, ascending: hashes of the codes of ``codes`` (``CODES``) that ``rules.no_history_of`` names."""
    return named_codes(codes, rules.no_history_of)


def fill_codes(codes: DataFrame, rules: Eligibility) -> np.ndarray:
    """int64, ascending: hashes of the codes of ``codes`` (``CODES``) that ``rules.days_supply_of`` names."""
    fills = rules.days_supply_of
    return named_codes(codes, fills.codes, fills.systems) if fills else named_codes(codes, ())
