"""A result: a finding beside its threshold, as the table ``quality`` keeps it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from salus.errors import Held
from salus.quality.declaration import Checks
from salus.quality.findings import SHORT, Finding
from salus.storage.tables import Tables


@dataclass(frozen=True)
class Result:
    """A row of ``quality``; ``salus.schemas`` says what each column is."""

    category: str
    check: str
    object: str
    means: str
    failed: int
    of: int
    share: float
    share_at_most: float
    status: str
    examples: tuple[int, ...]

    @property
    def falls_short(self) -> bool:
        """Whether more fail than is borne."""
        return self.status == SHORT

    @property
    def name(self) -> str:
        """The check, and what it is about."""
        return f"{self.check} {self.object}".strip()

    @property
    def row(self) -> dict:
        """The row of the table."""
        return asdict(self) | {"examples": list(self.examples)}


def judged(findings: Sequence[Finding], checks: Checks) -> list[Result]:
    """``findings`` beside what ``checks`` bear, in the order in which they are read."""
    results = []
    for one in findings:
        check = checks.checks[one.check]
        results.append(
            Result(
                checks.categories[one.check],
                one.check,
                one.object,
                check.means,
                one.failed,
                one.of,
                one.share,
                check.share_at_most,
                one.status(check),
                one.examples,
            )
        )
    return in_order(results)


def in_order(results: Sequence[Result]) -> list[Result]:
    """What falls short first, then by category, check and object."""
    return sorted(results, key=lambda one: (not one.falls_short, one.category, one.check, one.object))


def results(tables: Tables) -> list[Result]:
    """What the newest check of the data found; empty where it was never checked."""
    rows = tables.read("quality").collect()
    return in_order([Result(**(row.asDict() | {"examples": tuple(row["examples"] or ())})) for row in rows])


def hold(found: Sequence[Result]) -> None:
    """Hold what comes after where a check falls short.

    Raises:
        Held: one does; each is named.
    """
    short = [one for one in found if one.falls_short]
    if not short:
        return
    first = short[0]
    raise Held(
        f"Received {len(short)} quality checks that fall short: {', '.join(one.name for one in short)}; expected of "
        f"{first.name} at most {first.share_at_most:.2%} to fail, and {first.failed:,} of {first.of:,} did. Look at "
        "the report's page on data quality; have the source mended, or its threshold in conf/quality."
    )


def table(found: Sequence[Result]) -> str:
    """``found`` as lines of text for a terminal; no person is in it."""
    lines = [("", "category", "check", "of", "failed", "out of", "share", "at most")]
    lines += [
        (
            one.status,
            one.category,
            one.check,
            one.object,
            f"{one.failed:,}",
            f"{one.of:,}",
            f"{one.share:.2%}",
            f"{one.share_at_most:.2%}",
        )
        for one in found
    ]
    widths = [max(map(len, column)) for column in zip(*lines)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place < 4 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths))
        ).rstrip()
        for line in lines
    )
