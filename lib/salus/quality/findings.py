"""A finding: how many of a denominator fail a check, and who some of them are.

All checks of a table are counted in one aggregation over it; only where something failed is it read once more, for
the examples.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from salus.quality.declaration import Threshold

EXAMPLES = 20

EVERYTHING = ""
"""The object of a check that has a single result."""

MET, SHORT, TOO_FEW = "met", "short", "too few"


@dataclass(frozen=True)
class Finding:
    """``failed`` of ``of`` things fail ``check`` in ``object``: a code, a vocabulary, a source.

    ``examples`` holds up to ``EXAMPLES`` of the people concerned, by ``subject_id``, ascending.
    """

    check: str
    object: str
    failed: int
    of: int
    examples: tuple[int, ...] = field(default=())

    @property
    def share(self) -> float:
        """The share that fails; 0 where there is nothing to fail."""
        return self.failed / self.of if self.of else 0.0

    def status(self, threshold: Threshold) -> str:
        """``met``, ``short``, or ``too few`` where the denominator is smaller than what is judged."""
        if self.of < threshold.judged_from:
            return TOO_FEW
        return SHORT if self.share > threshold.share_at_most else MET


@dataclass(frozen=True)
class Measure:
    """How a check is counted: over rows that are ``concerned``, those that are ``faulty``, for each ``object``.

    Null is no. ``object`` is made of the columns that ``measured`` groups by.
    """

    check: str
    object: Column
    concerned: Column
    faulty: Column

    @property
    def named(self) -> Column:
        """Check and object, as ``measured`` names a finding."""
        return F.struct(F.lit(self.check).alias("check"), self.object.alias("object"))


def measured(rows: DataFrame, measures: Sequence[Measure], by: Sequence[str] = ()) -> list[Finding]:
    """Every finding of ``measures``, in their order and that of their objects.

    Args:
        rows: what is checked; ``subject_id`` says whom a row is about.
        measures: each gives a finding for each of its objects; one with a single object always gives one.
        by: the columns that objects are made of.
    """
    if not measures:
        return []
    counts = []
    for number, measure in enumerate(measures):
        counts += [
            F.count_if(measure.concerned).alias(f"of_{number}"),
            F.count_if(measure.concerned & measure.faulty).alias(f"failed_{number}"),
        ]
    each = F.explode(
        F.array(
            *[
                F.struct(
                    F.lit(number).alias("place"),
                    measure.object.alias("object"),
                    F.col(f"of_{number}").alias("of"),
                    F.col(f"failed_{number}").alias("failed"),
                )
                for number, measure in enumerate(measures)
            ]
        )
    )
    totals = (
        rows.groupBy(*by)
        .agg(*counts)
        .select(each.alias("one"))
        .select("one.*")
        .where("of > 0" if by else "true")
        .groupBy("place", "object")
        .agg(F.sum("of").alias("of"), F.sum("failed").alias("failed"))
        .orderBy("place", "object")
        .collect()
    )
    failing = {row["place"] for row in totals if row["failed"]}
    shown = _examples(rows, [measure for number, measure in enumerate(measures) if number in failing])
    return [
        Finding(
            (check := measures[row["place"]].check),
            row["object"],
            row["failed"],
            row["of"],
            shown.get((check, row["object"]), ()),
        )
        for row in totals
    ]


def _examples(rows: DataFrame, measures: Sequence[Measure]) -> dict[tuple[str, str], tuple[int, ...]]:
    """For each check and object that failed, the people of the lowest ids."""
    if not measures:
        return {}
    faults = F.explode(
        F.array_compact(F.array(*[F.when(measure.concerned & measure.faulty, measure.named) for measure in measures]))
    )
    place = F.row_number().over(Window.partitionBy("fault").orderBy("subject_id"))
    chosen = (
        rows.select(faults.alias("fault"), "subject_id")
        .distinct()
        .withColumn("place", place)
        .where(F.col("place") <= EXAMPLES)
        .groupBy("fault")
        .agg(F.sort_array(F.collect_list("subject_id")).alias("subjects"))
        .collect()
    )
    return {(row["fault"]["check"], row["fault"]["object"]): tuple(row["subjects"]) for row in chosen}
