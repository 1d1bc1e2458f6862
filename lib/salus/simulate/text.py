"""Columns of text, joined by Arrow: a million lines a second, where a JSON writer makes fifty thousand."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from salus.simulate.clock import MINUTES, TIMES_OF_DAY, Clock


def joined(*pieces: pa.Array | str) -> pa.Array:
    """One text a row out of columns and constants; a line's constant end holds its line feed."""
    return pc.binary_join_element_wise(*pieces, "")


def picked(texts: Sequence[str], index: np.ndarray) -> pa.Array:
    """``texts[index]`` as a column."""
    return pa.array(texts, pa.string()).take(pa.array(np.asarray(index, dtype=np.int64)))


def digits(numbers: np.ndarray) -> pa.Array:
    """Whole numbers as text."""
    return pa.array(np.asarray(numbers, dtype=np.int64)).cast(pa.string())


def fixed(values: np.ndarray, decimals: int) -> pa.Array:
    """Values >= 0 as text with exactly so many decimals, such as amounts of money."""
    scaled = np.rint(np.asarray(values, dtype=np.float64) * 10**decimals).astype(np.int64)
    if not decimals:
        return digits(scaled)
    whole, part = np.divmod(scaled, 10**decimals)
    return joined(digits(whole), ".", picked([f"{n:0{decimals}d}" for n in range(10**decimals)], part))


def given(flags: np.ndarray, column: pa.Array | str, otherwise: pa.Array | str = "") -> pa.Array:
    """The column's text where the flag is set, else the other."""
    return pc.if_else(pa.array(flags), column, otherwise)


def instants(clock: Clock, minutes: np.ndarray) -> pa.Array:
    """Text ``YYYY-MM-DDTHH:MM:00Z`` of minutes since day 0."""
    day, minute = np.divmod(minutes, MINUTES)
    return joined(clock.dates(day), TIMES_OF_DAY.take(pa.array(minute)))
