"""Gates: what must hold of a cohort's labels before anything is learnt from them."""

from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from salus.cohorts.label import Label
from salus.cohorts.splits import HELD_OUT
from salus.cohorts.task import SPLITS, Task
from salus.errors import Held

Figures = Mapping[str, Mapping[str, Any]]
"""Of each split: rows, people, positives and the sum of the labels; of classes the rows of each."""


def figures_of(rows: DataFrame, label: Label) -> dict[str, dict[str, Any]]:
    """Rows, people, positives and the sum of the labels in each split of ``rows`` (``COHORT``), and the rows of each
    class."""
    kind, names = label.kind, label.outcomes.names if label.outcomes else ()
    return {
        row["split"]: row.asDict()
        for row in rows.groupBy("split")
        .agg(
            F.count("*").alias("rows"),
            F.countDistinct("subject_id").alias("people"),
            F.count_if(F.expr(kind.is_positive)).alias("positives"),
            F.sum(F.expr(kind.value).cast("double")).alias("total"),
            *(F.count_if(F.expr(f"classes[{place}].value")).alias(name) for place, name in _of_class(names)),
        )
        .collect()
    }


def _of_class(names):
    """Each class's place, and what the number of its rows is called."""
    return [(place, f"positives_{name}") for place, name in enumerate(names)]


def _fewest(figures: Sequence[Mapping[str, Any]], label: Label) -> int:
    """Positives of ``figures`` together; of classes those of the rarest, so that what is asked is asked of each."""
    names = [name for _, name in _of_class(label.outcomes.names)] if label.outcomes else ["positives"]
    return min(sum(figure[name] for figure in figures) for name in names)


def totals(figures: Figures, label: Label) -> dict[str, float]:
    """What the ledger and the job's last line say of all splits."""
    if label.outcomes is not None:
        names = ("rows", "people", *(name for _, name in _of_class(label.outcomes.names)))
        return {name: sum(figure[name] for figure in figures.values()) for name in names}
    kind = label.kind
    rows, people, positives, total = (
        sum(figure[name] for figure in figures.values()) for name in ("rows", "people", "positives", "total")
    )
    told = {"above_nought": positives, "mean": total / rows} if kind.is_number else {"positives": positives}
    share = {"prevalence": positives / rows} if kind.is_event else {}
    return {"rows": rows, "people": people, **told, **share}


def on_both_sides(rows: DataFrame, task: Task) -> dict[str, int]:
    """How many people of ``rows`` (``COHORT``) are in several ``splits``, and how many in several ``folds``.

    A task that holds out by time means to hold out people whom it has learnt from (``splits``): of its splits only the
    others are looked at.
    """
    split = F.when(F.col("split") != HELD_OUT, F.col("split")) if task.splits.by == "time" else F.col("split")
    of_people = rows.groupBy("subject_id").agg(
        (F.min(split) != F.max(split)).alias("splits"), (F.min("fold") != F.max("fold")).alias("folds")
    )
    return of_people.agg(F.count_if("splits").alias("splits"), F.count_if("folds").alias("folds")).collect()[0].asDict()


def check_people(task: Task, found: Mapping[str, int]) -> None:
    """Hold the cohort where a person is on both sides of a split, or of a fold.

    Args:
        task: whose cohort.
        found: of ``on_both_sides``.

    Raises:
        Held: somebody is; how many is told, and never who.
    """
    if any(found.values()):
        raise Held(
            f"Received {found['splits']:,} people of the task {task.id} in several splits and {found['folds']:,} in "
            "several folds; expected each person in one: a model would be measured on people whom it has learnt from. "
            "Make timelines and cohort anew, and report it if it stays so."
        )


def check_gates(task: Task, figures: Figures, steps: Sequence[Mapping[str, Any]]) -> None:
    """Hold the cohort where its labels can teach nothing.

    Args:
        task: whose gates.
        figures: of ``figures_of``.
        steps: the attrition, which says where the labels were lost.

    Raises:
        Held: nobody was looked at, or there are no labels, none that is more than nought, none that is less (unless
            they are numbers), or fewer than the gates ask for.
    """
    kind = task.label.kind
    rows = sum(figure["rows"] for figure in figures.values())
    positives = _fewest(list(figures.values()), task.label)
    if not steps[0]["rows_before"]:
        raise Held(
            f"Received nobody to look at for the task {task.id}; expected {steps[0]['criterion']}. Look at how the "
            "codes of index.event begin, at its within_days, and at the sources that were ingested."
        )
    if not positives or (positives == rows and not kind.is_number):
        all_of_them = "nought" if kind.is_number else "positive" if positives else "negative"
        found = f"{rows:,} labels, all {all_of_them}" if rows else "no labels at all"
        expected = "some above nought" if kind.is_number else "both classes"
        worst = max(steps, key=lambda step: step["rows_lost"])
        raise Held(
            f"Received {found} for the task {task.id}; expected {expected}. Look at the codes or costs that its "
            f"label names, and at the step that lost most, {worst['rows_lost']:,} of "
            f"{steps[0]['rows_before']:,}: {worst['criterion']}."
        )
    if positives < task.gates.positives_at_least:
        raise Held(
            f"Received {positives:,} {kind.positives} for the task {task.id}; its gates expect at least "
            f"{task.gates.positives_at_least:,}. Bring more data, or widen the index or the eligibility."
        )
    for split in SPLITS:
        found_here = _fewest([figures[split]] if split in figures else [], task.label)
        if found_here < task.gates.positives_in_each_split_at_least:
            raise Held(
                f"Received {found_here:,} {kind.positives} in the split {split} of the task {task.id}; its gates "
                f"expect at least {task.gates.positives_in_each_split_at_least:,}. Bring more data."
            )
