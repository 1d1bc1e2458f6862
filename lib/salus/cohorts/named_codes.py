"""Codes that a task names by how they begin: looked up once, on the driver, among the codes that there are."""

from collections.abc import Sequence

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def named_codes(codes: DataFrame, prefixes: Sequence[str], systems: Sequence[str] = ()) -> np.ndarray:
    """Hashes of the codes of ``codes`` (``CODES``) that begin as one of ``prefixes``, or an ancestor of which does.

    A prefix that ends with ``$`` is a whole code, as in a codeset. Where ``systems`` are given, such as ``NDC``, only
    codes of these count.

    Returns:
        int64, ascending; empty where no prefix is given.
    """
    if not prefixes:
        return np.empty(0, np.int64)

    def named(code):
        whole = F.concat(code, F.lit("$"))
        return F.array_contains(F.array(*[F.startswith(whole, F.lit(prefix)) for prefix in prefixes]), True)

    is_named = named(F.col("code")) | F.exists(F.coalesce("ancestors", F.array().cast("array<string>")), named)
    if systems:
        is_named &= F.substring_index("code", "/", 1).isin(*systems)
    found = codes.where(is_named).select("code_hash").collect()
    return np.array(sorted(row["code_hash"] for row in found), np.int64)
