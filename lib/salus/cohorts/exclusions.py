"""The codes whose history excludes a person: looked up once, on the driver, among the codes that there are."""

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from salus.cohorts.task import Eligibility


def excluded_codes(codes: DataFrame, rules: Eligibility) -> np.ndarray:
    """Hashes of the codes of ``codes`` (``CODES``) that ``rules`` name by prefix, or an ancestor of which they name.

    A prefix that ends with ``$`` is a whole code, as in a codeset.

    Returns:
        int64, ascending; empty where nobody is excluded.
    """
    if not rules.no_history_of:
        return np.empty(0, np.int64)

    def named(code):
        whole = F.concat(code, F.lit("$"))
        return F.array_contains(F.array(*[F.startswith(whole, F.lit(prefix)) for prefix in rules.no_history_of]), True)

    is_named = named(F.col("code")) | F.exists(F.coalesce("ancestors", F.array().cast("array<string>")), named)
    found = codes.where(is_named).select("code_hash").collect()
    return np.array(sorted(row["code_hash"] for row in found), np.int64)
