"""X12's syntax: an interchange's segments, and whether its envelopes are whole.

The separators are those that each interchange's ISA states, whose length is fixed (X12.5). Bytes are read as Latin-1:
separators and codes are ASCII, a byte of a name in whatever encoding can then do no harm, and names are not kept.
"""

from collections.abc import Iterator
from dataclasses import dataclass

CHUNK_BYTES = 1 << 20
LONGEST_SEGMENT = 1 << 20
"""Characters; the longest that a guide allows is a few thousand, so more is text whose terminator never comes."""

ISA_BYTES = 106
ELEMENT_AT, COMPONENT_AT, TERMINATOR_AT = 3, 104, 105
BLANKS = " \t\r\n"
TRAILERS = {"IEA": "ISA", "GE": "GS", "SE": "ST"}
PARENTS = {"ISA": None, "GS": "ISA", "ST": "GS"}
CONTROL = {"ISA": 13, "GS": 6, "ST": 2}
"""The element of a header that its trailer's second element repeats."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment: ``segment[2]`` is its second element, ``""`` where it has none."""

    elements: list[str]
    separator: str

    @property
    def tag(self) -> str:
        """Which segment it is, e.g. ``CLM``."""
        return self.elements[0]

    def __getitem__(self, number: int) -> str:
        return self.elements[number].strip() if number < len(self.elements) else ""

    def __len__(self) -> int:
        return len(self.elements) - 1

    def parts(self, number: int) -> list[str]:
        """The components of an element."""
        return [part.strip() for part in self[number].split(self.separator)]

    def part(self, number: int, component: int) -> str:
        """A component of an element, from 1; ``""`` where there is none."""
        parts = self.parts(number)
        return parts[component - 1] if component <= len(parts) else ""


def segments(path: str) -> Iterator[Segment]:
    """The segments of the file ``path``, a chunk in memory at a time.

    Text that begins no interchange where one must begin is given as one segment, which no envelope allows.
    """
    with open(path, "rb") as file:
        rest, is_last, separators = "", False, None
        while not is_last:
            chunk = file.read(CHUNK_BYTES)
            is_last = not chunk
            rest = (rest + chunk.decode("latin-1")).lstrip(BLANKS)
            while True:
                if separators is None:
                    if len(rest) < ISA_BYTES and not is_last:
                        break
                    separators = _separators(rest)
                    if separators is None:
                        if rest:
                            yield Segment([rest[:ISA_BYTES]], "")
                        return
                element, component, terminator = separators
                segment, found, after = rest.partition(terminator)
                if not found:
                    is_last = is_last or len(rest) > LONGEST_SEGMENT
                    break
                rest = after.lstrip(BLANKS)
                yield Segment(segment.split(element), component)
                if segment.startswith(f"IEA{element}"):
                    separators = None
        if rest:
            yield Segment([rest], "")


def _separators(text: str) -> tuple[str, str, str] | None:
    """Element separator, component separator and segment terminator, of the ISA that ``text`` starts with."""
    isa = text[:ISA_BYTES]
    if not isa.startswith("ISA") or len(isa) < ISA_BYTES or isa.count(isa[ELEMENT_AT]) != 16:
        return None
    return isa[ELEMENT_AT], isa[COMPONENT_AT], isa[TERMINATOR_AT]


def envelope_fault(path: str, transaction: str, versions: tuple[str, ...]) -> str | None:
    """The rule that the envelopes of ``path`` break, or None.

    Every header needs its trailer with the same control number, in the order of X12.5. The trailers' counts are not
    compared: see docs/clarifications.md.

    Args:
        path: a file of interchanges.
        transaction: the only transaction set that the file may hold, e.g. ``837``.
        versions: the implementation guides that are read, e.g. ``005010X222``.
    """
    opened: list[tuple[str, str]] = []
    version, has_any = "", False
    for segment in segments(path):
        tag = segment.tag
        if tag in PARENTS:
            if (opened[-1][0] if opened else None) != PARENTS[tag]:
                return "broken_envelope"
            opened.append((tag, segment[CONTROL[tag]]))
            version = segment[8] if tag == "GS" else version
            if tag == "ST":
                has_any = True
                if segment[1] != transaction or not (segment[3] or version).startswith(versions):
                    return "unknown_transaction"
        elif tag in TRAILERS:
            if not opened or opened.pop() != (TRAILERS[tag], segment[2]):
                return "broken_envelope"
        elif not opened or opened[-1][0] not in ("ST", "ISA"):
            return "broken_envelope"
    return None if has_any and not opened else "broken_envelope"


def date_range(qualifier: str, text: str) -> tuple[str | None, str | None]:
    """First and last day of what a DTP segment's format ``qualifier`` (D8, RD8, DT) and ``text`` say."""
    if qualifier == "RD8":
        first, _, last = text.partition("-")
        return first or None, last or first or None
    return text or None, text or None
