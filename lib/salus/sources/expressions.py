"""Every expression of a source, with where it stands in its YAML."""

from salus.settings import Strict
from salus.sources.declaration import Source
from salus.sources.record_parts import PAYLOADS
from salus.sources.record_type import EXPRESSIONS


def expressions(source: Source) -> list[tuple[tuple, str]]:
    """Every expression of ``source`` with where it stands."""
    found: list[tuple[tuple, str]] = []
    for kind, record in source.records.items():
        at: tuple = ("records", kind)
        found += [((*at, "shared", name), text) for name, text in record.shared.items()]
        found += [((*at, "accept", rule), text) for rule, text in record.accept.items()]
        found += [((*at, "subject_of", kind), text) for kind, text in record.subject_of.items()]
        found += [((*at, "linkage", field), text) for field, text in record.linkage.items()]
        if record.counted_from:
            found.append(((*at, "counted_from", "id"), record.counted_from.id))
        for key in EXPRESSIONS:
            found += [((*at, key), text) for text in [getattr(record, key)] if text and isinstance(text, str)]
        parts: dict[tuple, Strict | None] = {("events", name): event for name, event in record.events.items()}
        parts |= {(key,): getattr(record, key) for key in PAYLOADS}
        parts |= {("identifiers", number): one for number, one in enumerate(record.identifiers)}
        for place, part in parts.items():
            if part is not None:
                found += [
                    ((*at, *place, key), text)
                    for key, text in part.model_dump().items()
                    if isinstance(text, str) and key not in ("at", "known")
                ]
                for other, text in getattr(part, "code_of", {}).items():
                    found.append(((*at, *place, "code_of", other), text))
    return found
