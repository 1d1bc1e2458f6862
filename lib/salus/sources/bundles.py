"""FHIR Bundles: one JSON document a file, each ``entry`` a record of the type that its resource names.

A Bundle is read as a stream: one entry is in memory at a time. Its resource leaves as the text that it is written in,
so that the same mapping reads it that reads a line of NDJSON. Source: https://hl7.org/fhir/R4/bundle.html.
"""

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from salus.sources.text import LARGEST_RECORD

LARGEST_MEMBER = 4 * LARGEST_RECORD
"""Characters; where one value is longer, the file is taken for broken rather than searched for the value's end."""

BLANKS = re.compile(r"[ \t\r\n]*")
DECODER = json.JSONDecoder(parse_float=str, parse_int=str)


class Entry(NamedTuple):
    """One entry of a Bundle.

    Attributes:
        kind: the type of its resource; "" where it has none.
        resource: the resource as it is written; None where there is none, or one larger than ``LARGEST_RECORD``.
        broken: the rule that the entry breaks; None = it is a record.
    """

    kind: str
    resource: bytes | None
    broken: str | None


class NotABundle(ValueError):
    """The file is not one JSON document that is a Bundle."""


def entries(chunks: Iterable[bytes]) -> Iterator[Entry]:
    """The entries of the Bundle that ``chunks`` hold, in their order.

    Raises:
        NotABundle: the document is no Bundle, or breaks off; the entries before the break were given.
    """
    document, kind = _Document(chunks), None
    try:
        for key in document.members():
            if key == "entry":
                for _ in document.elements():
                    yield _entry(document)
            else:
                value, _ = document.value()
                kind = value if key == "resourceType" else kind
        document.end()
    except (UnicodeDecodeError, RecursionError) as error:
        raise NotABundle("is not a JSON document in UTF-8") from error
    if kind != "Bundle":
        raise NotABundle("is of another resourceType than Bundle")


def _entry(document) -> Entry:
    kind, written = "", None
    for key in document.members():
        value, text = document.value()
        if key == "resource" and isinstance(value, dict):
            kind, written = str(value.get("resourceType", "")), text.encode()
    if written is None:
        return Entry("", None, "no_resource")
    return Entry(kind, None, "record_too_large") if len(written) > LARGEST_RECORD else Entry(kind, written, None)


class _Document:
    """A JSON document of which a part is in memory: what lies before ``_at`` was read."""

    def __init__(self, chunks: Iterable[bytes]):
        self._chunks = iter(chunks)
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._text, self._at = "", 0

    def members(self) -> Iterator[str]:
        """The keys of the object that begins here; its reader takes each value before it asks for the next key."""
        yield from self._several("{", "}", self._key)

    def elements(self) -> Iterator[None]:
        """A turn for each element of the array that begins here; its reader takes the element in its turn."""
        yield from self._several("[", "]", lambda: None)

    def value(self) -> tuple[Any, str]:
        """The value that begins here, and how it is written."""
        self._peek()
        while True:
            try:
                value, end = DECODER.raw_decode(self._text, self._at)
            except ValueError as error:
                if not self._more():
                    raise NotABundle("breaks off, or is not JSON") from error
                continue
            if end < len(self._text) or not self._more():
                text, self._at = self._text[self._at : end], end
                return value, text

    def end(self) -> None:
        """Make sure that nothing follows."""
        if self._peek():
            raise NotABundle("goes on after its end")

    def _several(self, opening, closing, read):
        self._take(opening)
        if self._peek() == closing:
            self._take(closing)
            return
        while True:
            yield read()
            if self._take(f",{closing}") == closing:
                return

    def _key(self):
        key, _ = self.value()
        self._take(":")
        return key

    def _peek(self) -> str:
        """The next character that is no blank; "" at the end."""
        while True:
            blanks = BLANKS.match(self._text, self._at)
            assert blanks is not None
            self._at = blanks.end()
            if self._at < len(self._text) or not self._more():
                return self._text[self._at : self._at + 1]

    def _take(self, expected: str) -> str:
        found = self._peek()
        if not found or found not in expected:
            raise NotABundle("is not one JSON object with an array of entries")
        self._at += 1
        return found

    def _more(self) -> bool:
        """Read on, at least as much again as is unread; False at the end of the file."""
        unread = self._text[self._at :]
        if len(unread) > LARGEST_MEMBER:
            raise NotABundle("is broken, or holds a value of more than 64 MiB")
        parts, size, is_end = [unread], 0, True
        for chunk in self._chunks:
            parts.append(self._decoder.decode(chunk))
            size, is_end = size + len(parts[-1]), False
            if size and size >= len(unread):
                break
        else:
            parts.append(self._decoder.decode(b"", final=True))
        self._text, self._at = "".join(parts), 0
        return not is_end or len(self._text) > len(unread)
