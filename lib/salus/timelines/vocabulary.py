"""Which code groups an event belongs to, found from its code's 64-bit hash.

The hashes are uniform already, so their own low bits address a table of them. Measured on 4 million codes against
a vocabulary of 600: 4 times as fast as ``pyarrow.compute.index_in``, 10 times as fast as a binary search.
"""

from collections.abc import Mapping, Sequence

import numpy as np

SLOTS_A_CODE = 8


class Members:
    """Which of some groups each code of a vocabulary belongs to: a code may belong to none, or to several."""

    def __init__(self, code: np.ndarray, group: np.ndarray, codes: int):
        order = np.argsort(code, kind="stable")
        self.groups = group[order]
        sizes = np.bincount(code, minlength=codes)
        self.starts = np.cumsum(sizes) - sizes
        self.sizes = np.append(sizes, 0)  # code -1 finds the last: it belongs to none
        self.is_single = bool(self.sizes.max() <= 1)

    def of(self, code: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions (ascending) of the events whose code is of some group, and the group: one pair each group."""
        position = np.flatnonzero(self.sizes[code])
        code = code[position]
        if self.is_single or not position.size:
            return position, self.groups[self.starts[code]]
        times = self.sizes[code]
        nth = np.arange(times.sum()) - np.repeat(np.cumsum(times) - times, times)
        return np.repeat(position, times), self.groups[np.repeat(self.starts[code], times) + nth]


class Vocabulary:
    """The codes of groups of several kinds."""

    def __init__(self, members: Mapping[str, Sequence[Sequence[int]]]):
        """``members`` holds, for each kind, the code hashes of each group, whose number is its place."""
        listed = [
            (kind, group, code)
            for kind, groups in members.items()
            for group, codes in enumerate(groups)
            for code in codes
        ]
        hashes = np.array([code for _, _, code in listed], np.int64)
        self.hashes, code = np.unique(hashes, return_inverse=True)
        group = np.array([group for _, group, _ in listed], np.int32)
        kinds = np.array([kind for kind, _, _ in listed], object)
        self.members = {kind: Members(code[kinds == kind], group[kinds == kind], self.hashes.size) for kind in members}
        self.mask = (1 << (SLOTS_A_CODE * max(1, self.hashes.size) - 1).bit_length()) - 1
        self.table = self._table()

    def _table(self):
        """Open addressing: a code lies in its own slot, or in the next that was free."""
        table = np.full(self.mask + 1, -1, np.int32)
        for code, slot in enumerate((self.hashes & self.mask).tolist()):
            while table[slot] >= 0:
                slot = (slot + 1) & self.mask
            table[slot] = code
        return table

    def code_of(self, hashes: np.ndarray) -> np.ndarray:
        """int32, like ``hashes``: the number of each code of the vocabulary, or -1."""
        if not self.hashes.size:
            return np.full(hashes.size, -1, np.int32)
        slot = hashes & self.mask
        code = self.table[slot]
        other = np.flatnonzero((self.hashes[code] != hashes) & (code >= 0))
        while other.size:
            slot = (slot[other] + 1 if slot.size == hashes.size else slot + 1) & self.mask
            found = self.table[slot]
            code[other] = found
            unlike = (self.hashes[found] != hashes[other]) & (found >= 0)
            other, slot = other[unlike], slot[unlike]
        return code
