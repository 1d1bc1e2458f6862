"""How rows become row groups: equal ones, a multiple of the ranks, and no row lost.

A rank whose share ends early would leave the others waiting for ever in an allreduce, so every rank must get the
same number of row groups, of sizes that differ by one row at most. Whole shards of people are not equal, so a
group is a range of the split's rows in shard order: groups that lie within one shard are written by its task, and
those that straddle shards are put together from the shards' ends in a second, small pass.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

BYTES_A_GROUP = 2_500_000
"""Large enough to read fast, and small enough that what a rank has in memory is small and stays in Arrow's hands:
it gives larger pieces back to the system at once, and fetching them anew takes longer than reading."""

ROWS_AT_MOST = 4096

RANKS_SERVED = 12
"""Groups come in multiples of this, so that 1, 2, 3, 4, 6 or 12 ranks share them evenly."""


def multiple_for(ranks: int) -> int:
    """What the number of groups must be a multiple of, so that ``ranks`` (and the usual numbers) share evenly."""
    return math.lcm(RANKS_SERVED, ranks)


def rows_a_group(numbers: int) -> int:
    """Rows of the largest group, at ``numbers`` of four bytes a row."""
    return min(ROWS_AT_MOST, max(1, BYTES_A_GROUP // (4 * numbers)))


def group_bounds(rows: int, multiple: int, rows_a_group: int) -> list[int]:
    """Where the groups of ``rows`` rows begin, and where the last one ends.

    Args:
        rows: rows of the split.
        multiple: the number of groups is a multiple of this, or every row is a group where there are fewer rows.
        rows_a_group: no group is larger.

    Returns:
        groups + 1 ascending positions, from 0 to ``rows``; neighbours' distances differ by one at most.
    """
    if rows == 0:
        return [0]
    groups = min(rows, math.ceil(rows / (rows_a_group * multiple)) * multiple)
    return [group * rows // groups for group in range(groups + 1)]


@dataclass(frozen=True)
class Piece:
    """The part of group ``group`` that one shard holds: its rows [start, end); ``whole`` = the whole group."""

    group: int
    start: int
    end: int
    whole: bool


def pieces_of(bounds: Sequence[int], first: int, rows: int) -> list[Piece]:
    """The groups, or parts of groups, among a shard's rows.

    Args:
        bounds: what ``group_bounds`` gave for the split.
        first: position within the split of the shard's first row.
        rows: rows of the shard.
    """
    pieces = []
    for group, (start, end) in enumerate(pairwise(bounds)):
        low, high = max(start, first), min(end, first + rows)
        if low < high:
            pieces.append(Piece(group, low - first, high - first, (low, high) == (start, end)))
    return pieces
