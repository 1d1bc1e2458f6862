"""What each person cost, day by day: the allowed amounts of the newest version of every claim line.

The allowed amount is what the provider is paid in all, by insurer and patient; charges are list prices, and the paid
amount leaves out what the patient bears. A version without a cost, such as a void, takes the older one's away.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from salus.cohorts.number_labels import TEN_THOUSANDTHS
from salus.errors import Held
from salus.timelines.clocks import STATIC
from salus.timelines.facts import clock

CURRENCIES_NAMED = 5


def current_costs(costs: DataFrame, records: DataFrame) -> DataFrame:
    """The rows of table ``costs`` whose version is the newest of their record, by table ``records``."""
    newest = (
        records.join(costs.select("record_id").distinct(), "record_id", "left_semi")
        .groupBy("record_id")
        .agg(F.max("version").alias("version"))
    )
    return costs.join(newest, ["record_id", "version"], "left_semi")


def with_costs(timelines: DataFrame, current: DataFrame, identity: DataFrame) -> DataFrame:
    """``timelines`` with each person's costs by day; empty lists where there are none.

    Args:
        timelines: one row a person.
        current: ``current_costs``.
        identity: who is who; its current rows count.

    Returns:
        The columns of ``timelines``, ``cost_time`` array<long> (00:00 UTC of the day on which it was incurred,
        microseconds since the epoch, ascending) and ``cost_amount`` array<long> (ten-thousandths of a currency unit).
    """
    others = identity.where(F.col("known_until").isNull()).select("source_subject_id", "subject_id")
    days = (
        current.where("incurred_date IS NOT NULL AND amount_allowed IS NOT NULL")
        .join(others, "source_subject_id", "left")
        .groupBy(F.coalesce("subject_id", "source_subject_id").alias("subject_id"), "incurred_date")
        .agg(F.sum((F.col("amount_allowed") * F.lit(TEN_THOUSANDTHS)).cast("long")).alias("amount"))
    )
    day = F.struct(clock("incurred_date", STATIC).alias("time"), "amount")
    people = days.groupBy("subject_id").agg(F.sort_array(F.collect_list(day)).alias("days"))
    empty = F.array().cast("array<bigint>")
    lists = {f"cost_{name}": F.coalesce(F.col(f"days.{name}"), empty) for name in ("time", "amount")}
    return timelines.join(people, "subject_id", "left").withColumns(lists).drop("days")


def checked_costs(current: DataFrame, currency: str) -> dict[str, int]:
    """How many ``current_costs`` count, and how many have no allowed amount or no date.

    Raises:
        Held: some are in another currency than ``currency``.
    """
    counts = F.col("incurred_date").isNotNull() & F.col("amount_allowed").isNotNull()
    is_other = F.col("currency") != F.lit(currency)
    others = F.slice(F.sort_array(F.collect_set(F.when(is_other, F.col("currency")))), 1, CURRENCIES_NAMED)
    [[counted, left_out, found]] = current.agg(F.count_if(counts), F.count_if(~counts), others).collect()
    if found:
        raise Held(
            f"Received costs in {', '.join(found)}; expected {currency} only, which "
            "label.cost.currency of the task names. Ingest sources of one currency into a warehouse, or mend the task."
        )
    return {"costs": counted, "costs_without_amount": left_out}
