"""The files of an extract: lines appended to numbered files of at most 128 MB, the same bytes each time."""

from pathlib import Path

import numpy as np
import pyarrow as pa

LIMIT_BYTES = 128_000_000


class Extract:
    """Numbered files of one kind, such as ``ehr/Observation.000.ndjson``.

    Copies, which a real system redelivers later, are held aside on disk and become the last numbers.
    """

    def __init__(self, folder: Path, name: str, ending: str, header: str = "", limit: int = LIMIT_BYTES):
        self.folder, self.name, self.ending, self.limit = folder, name, ending, limit
        self.header = f"{header}\n".encode() if header else b""
        self.counts: dict[str, int] = {}  # lines without the header, by file name
        self._sizes = [0, 0]
        self._files: list = [None, None]
        self._names: list[list[str]] = [[], []]
        if header:
            self._open(False)  # a table without rows still has its header

    def write(self, lines: pa.Array, copy: bool = False) -> None:
        """Append lines, each ending in a line feed; ``copy`` puts them among the redelivered."""
        offsets = np.frombuffer(lines.buffers()[1], dtype=np.int32)[lines.offset : lines.offset + len(lines) + 1]
        text = memoryview(lines.buffers()[2]) if len(lines) else b""
        at = 0
        while at < len(lines):
            if self._files[copy] is None:
                self._open(copy)
            room = self.limit - self._sizes[copy]
            upto = int(np.searchsorted(offsets, offsets[at] + room, side="right")) - 1
            if upto <= at and self._sizes[copy] > len(self.header):
                self._close(copy)
                continue
            upto = min(max(upto, at + 1), len(lines))
            self._files[copy].write(text[offsets[at] : offsets[upto]])
            self._sizes[copy] += int(offsets[upto] - offsets[at])
            self.counts[self._names[copy][-1]] += upto - at
            at = upto

    def close(self) -> dict[str, int]:
        """Finish the files; the number of lines by file name, in order."""
        for copy in (False, True):
            if self._files[copy]:
                self._close(copy)
        for held in self._names[True]:
            final = self._name(len(self._names[False]), "")
            (self.folder / held).rename(self.folder / final)
            self.counts[final] = self.counts.pop(held)
            self._names[False].append(final)
        self._names[True] = []
        return {name: self.counts[name] for name in self._names[False]}

    def _name(self, number, prefix):
        return f"{prefix}{self.name}.{number:03d}.{self.ending}"

    def _open(self, copy):
        name = self._name(len(self._names[copy]), ".copies." if copy else "")
        self._names[copy].append(name)
        self.counts[name] = 0
        self._files[copy] = (self.folder / name).open("wb", buffering=1 << 20)
        self._files[copy].write(self.header)
        self._sizes[copy] = len(self.header)

    def _close(self, copy):
        self._files[copy].close()
        self._files[copy] = None
