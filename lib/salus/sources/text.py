"""Text by its bytes: unpacked, in UTF-8 whatever its encoding, cut into records, and counted, in bounded memory.

A record is a line that holds more than blanks; in quoted text a line break within quotes ends no record.
"""

import bz2
import codecs
import gzip
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

CHUNK_BYTES = 1 << 20
LARGEST_RECORD = 16 << 20
"""Bytes; a longer record is refused, and never held in memory."""

BOM = b"\xef\xbb\xbf"
NEWLINE = 10
BLANK_BYTES = b" \t\r\n"
BLANKS = np.isin(np.arange(256), list(BLANK_BYTES))
NO_CHARACTER = "\udc80"
"""Stands for bytes that are no text in the file's encoding; in UTF-8 it becomes a byte that is no text either."""


def _marked(error):
    return NO_CHARACTER, error.end


codecs.register_error("salus_marked", _marked)


def is_utf8(encoding: str) -> bool:
    """Whether text in ``encoding`` is UTF-8 as it stands."""
    return codecs.lookup(encoding).name in ("utf-8", "ascii")


def text_of(path: str, encoding: str = "utf-8") -> Iterator[bytes]:
    """The text in the file ``path`` in chunks of UTF-8; what is no text in ``encoding`` is no text in them either."""
    if is_utf8(encoding):
        yield from decompressed(path)
        return
    decoder = codecs.getincrementaldecoder(encoding)("salus_marked")
    for chunk in decompressed(path):
        yield decoder.decode(chunk).encode("utf-8", "surrogateescape")
    yield decoder.decode(b"", final=True).encode("utf-8", "surrogateescape")


def decompressed(path: str) -> Iterator[bytes]:
    """The bytes of the file ``path`` in chunks, unpacked where its name says that it is packed.

    Raises:
        OSError, EOFError, zlib.error: it is not what its name says, or breaks off.
    """
    if path.endswith(".zst"):
        opened = pa.input_stream(path, compression="zstd")
    else:
        opened = (gzip.open if path.endswith(".gz") else bz2.open if path.endswith(".bz2") else open)(path, "rb")
    with opened as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


class RecordCounter:
    """Counts the lines that hold more than blanks; in quoted text, a line break within quotes ends no row."""

    def __init__(self, quote: str = ""):
        self.wrapped = False
        self.longest = 0
        self._quote = quote.encode()
        self._first, self._open, self._pending, self._records, self._length = True, 0, False, 0, 0

    def feed(self, chunk: bytes) -> None:
        """Count on through the next bytes."""
        if self._first and chunk:
            chunk, self._first = chunk.removeprefix(BOM), False
        values = np.frombuffer(chunk, np.uint8)
        ends = np.flatnonzero(values == NEWLINE)
        if self._quote and self._quote in chunk:
            quotes = np.flatnonzero(values == self._quote[0])
            inside = (self._open + np.searchsorted(quotes, ends)) % 2 == 1
            self.wrapped |= bool(inside.any())
            ends, self._open = ends[~inside], (self._open + quotes.size) % 2
        elif self._open:
            self.wrapped |= ends.size > 0
            ends = ends[:0]
        self._measure(ends, values.size)
        if ends.size:
            self._count(chunk, values, ends)
        self._pending |= bool(chunk[int(ends[-1]) + 1 if ends.size else 0 :].strip(BLANK_BYTES))

    def _count(self, chunk, values, ends):
        """Most lines begin with what is no blank: only the others are looked at as a whole."""
        starts = np.concatenate([[0], ends[:-1] + 1])
        filled = ~BLANKS[values[starts]]
        for line in np.flatnonzero(~filled):
            filled[line] = bool(chunk[starts[line] : ends[line]].strip(BLANK_BYTES))
        filled[0] |= self._pending
        self._records += int(filled.sum())
        self._pending = False

    def _measure(self, ends, size):
        if ends.size:
            within = int(np.diff(ends).max()) if ends.size > 1 else 0
            self.longest = max(self.longest, self._length + int(ends[0]), within)
            self._length = size - int(ends[-1]) - 1
        else:
            self._length += size
        self.longest = max(self.longest, self._length)

    @property
    def is_open(self) -> bool:
        """Whether the bytes so far end within quotes."""
        return self._open == 1

    def total(self) -> int:
        """The records so far, with an unended last one."""
        return self._records + self._pending


class Utf8Check:
    """Whether bytes are UTF-8 throughout; most are ASCII, which is seen at the speed of memory."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._is_valid = True

    def feed(self, chunk: bytes) -> None:
        """Look on through the next bytes."""
        is_within_character = self._decoder.getstate()[0]
        if self._is_valid and (is_within_character or not chunk.isascii()):
            self._decode(chunk)

    def is_valid(self) -> bool:
        """Whether all bytes so far are, with no character left unended."""
        self._decode(b"", final=True)
        return self._is_valid

    def _decode(self, chunk, final=False):
        try:
            self._decoder.decode(chunk, final)
        except UnicodeDecodeError:
            self._is_valid = False


def records_in(chunks: Iterable[bytes], quote: str = "", largest: int = LARGEST_RECORD) -> Iterator[bytes | None]:
    """The records of a text; None in place of one of more than ``largest`` bytes, which is never held."""
    mark, held, size, is_filled, is_open, is_first = quote.encode(), [], 0, False, False, True
    for line, is_ended in _pieces(chunks):
        if is_first:
            line, is_first = line.removeprefix(BOM), False
        is_filled = is_filled or bool(line.strip(b" \t\r"))
        is_open ^= bool(mark) and line.count(mark) % 2 == 1
        if is_ended and is_open:
            line += b"\n"
        size += len(line)
        held.append(line)
        if size > largest:
            held.clear()
        if is_ended and not is_open:
            if is_filled:
                yield b"".join(held) if size <= largest else None
            held, size, is_filled = [], 0, False
    if is_filled:
        yield b"".join(held) if size <= largest else None


def _pieces(chunks) -> Iterator[tuple[bytes, bool]]:
    """The parts of lines, in their order, and whether each ends its line."""
    for chunk in chunks:
        lines = chunk.split(b"\n")
        yield from ((line, True) for line in lines[:-1])
        if lines[-1]:
            yield lines[-1], False
