"""Text by its bytes: unpacked, in UTF-8 whatever its encoding, cut into records, and counted, in bounded memory.

A record is a line that holds more than blanks; in quoted text a line break within quotes ends no record. A quote opens
where a field begins; within a field that began without one it is a character like any other, as spreadsheets read it.
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


class Quotes:
    """Follows quoted text through its bytes: which quotes open or close a field, and whether it is within one now."""

    def __init__(self, quote: str, delimiter: str):
        self.is_open = False
        self._quote, self._before = quote.encode(), NEWLINE
        self._begins = np.isin(np.arange(256), [NEWLINE, delimiter.encode()[-1]])

    def feed(self, chunk: bytes) -> np.ndarray:
        """Where the quotes among the next bytes stand that open or close."""
        if self._quote not in chunk:
            self._before = chunk[-1] if chunk else self._before
            return np.empty(0, np.int64)
        values, quote = np.frombuffer(chunk, np.uint8), self._quote[0]
        quotes = np.flatnonzero(values == quote)
        before = np.where(quotes > 0, values[quotes - 1], self._before)
        may_open = self._begins[before]
        is_outside = (np.arange(quotes.size) + self.is_open) % 2 == 0
        if (is_outside & ~may_open & (before != quote)).any():
            quotes = self._that_count(quotes, may_open)
        self.is_open ^= bool(quotes.size % 2)
        is_plain = chunk[-1] == quote and not (quotes.size and quotes[-1] == len(chunk) - 1)
        self._before = 0 if is_plain else chunk[-1]  # a quote that is a character is not the first half of two
        return quotes

    def _that_count(self, quotes, may_open):
        """One by one: after a quote that is a character, another turn is each one's."""
        kept, is_open, closed = [], self.is_open, -1 if self._before == self._quote[0] else -2
        for place, opens in zip(quotes.tolist(), may_open.tolist(), strict=True):
            if is_open or opens or place == closed + 1:
                kept.append(place)
                is_open, closed = not is_open, place
        return np.array(kept, np.int64)


class RecordCounter:
    """Counts the lines that hold more than blanks; in quoted text, a line break within quotes ends no row."""

    def __init__(self, quote: str = "", delimiter: str = ","):
        self.wrapped = False
        self.longest = 0
        self._quotes = Quotes(quote, delimiter) if quote else None
        self._first, self._pending, self._records, self._length = True, False, 0, 0

    def feed(self, chunk: bytes) -> None:
        """Count on through the next bytes."""
        if self._first and chunk:
            chunk, self._first = chunk.removeprefix(BOM), False
        values = np.frombuffer(chunk, np.uint8)
        ends = np.flatnonzero(values == NEWLINE)
        if self._quotes:
            was_open = self._quotes.is_open
            inside = (was_open + np.searchsorted(self._quotes.feed(chunk), ends)) % 2 == 1
            self.wrapped |= bool(inside.any())
            ends = ends[~inside]
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
        return self._quotes is not None and self._quotes.is_open

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


def records_in(
    chunks: Iterable[bytes], quote: str = "", largest: int = LARGEST_RECORD, delimiter: str = ","
) -> Iterator[bytes | None]:
    """The records of a text; None in place of one of more than ``largest`` bytes, which is never held."""
    quotes = Quotes(quote, delimiter) if quote else None
    held, size, is_filled, is_open, is_first = [], 0, False, False, True
    for line, is_ended in _pieces(chunks):
        if is_first:
            line, is_first = line.removeprefix(BOM), False
        is_filled = is_filled or bool(line.strip(b" \t\r"))
        if quotes:
            quotes.feed(line + b"\n" if is_ended else line)
            is_open = quotes.is_open
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
