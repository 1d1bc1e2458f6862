"""Attrition: at which step how many person and prediction-time pairs were lost, in the order of the steps."""

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from salus.cohorts.task import Task


def attrition(samples: DataFrame, task: Task, criteria: Sequence[str]) -> list[dict]:
    """One row of the table ``attrition`` a step, step 0 being the pairs that were looked at.

    Args:
        samples: subject_id, step_lost (0 = kept) and is_positive (null where no label was asked for).
        task: whose attrition it is.
        criteria: what each step asks, the first being step 0.
    """
    kept = F.lit(len(criteria))
    lost_at = {
        row["step_lost"]: row
        for row in samples.groupBy("step_lost")
        .agg(
            F.count("*").alias("pairs"),
            F.count_if("is_positive").alias("positives"),
            F.count("is_positive").alias("labelled"),
        )
        .collect()
    }
    furthest = {
        row["furthest"]: row["people"]
        for row in (
            samples.groupBy("subject_id")
            .agg(F.max(F.when(F.col("step_lost") == 0, kept).otherwise(F.col("step_lost"))).alias("furthest"))
            .groupBy("furthest")
            .agg(F.count("*").alias("people"))
            .collect()
        )
    }
    left = sum(row["pairs"] for row in lost_at.values())
    positives = lost_at[0]["positives"] if 0 in lost_at else 0
    is_labelled = any(row["labelled"] for row in lost_at.values())
    rows = []
    for step, criterion in enumerate(criteria):
        lost = lost_at[step]["pairs"] if step and step in lost_at else 0
        rows.append(
            {
                "task_id": task.id,
                "step": step,
                "criterion": criterion,
                "rows_before": left,
                "rows_lost": lost,
                "people_left": sum(people for reached, people in furthest.items() if reached > step),
                "events_left": positives if is_labelled and step == len(criteria) - 1 else None,
            }
        )
        left -= lost
    return rows
