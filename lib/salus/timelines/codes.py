"""The codes that events carry, their 64-bit hashes and what they mean."""

import csv
from functools import cache

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from salus.errors import Refused
from salus.schemas import CODES, VOID_CODE
from salus.settings import conf_dir
from salus.storage.small import small_frame


def codes(events: DataFrame, code_map: DataFrame) -> DataFrame:
    """One ``CODES`` row a code of ``events``.

    Its description is that of conf/codesets/descriptions.csv, else the vocabulary's.

    Args:
        events: ``code`` of whatever stands in a timeline, such as table ``events``.
        code_map: table ``code_map``; empty where no vocabulary was given.
    """
    return described(counted(events), code_map)


def counted(events: DataFrame) -> DataFrame:
    """``code, events``: how many of ``events`` carry each code; a void carries none."""
    return events.where(F.col("code") != VOID_CODE).groupBy("code").agg(F.count("*").alias("events"))


def described(counts: DataFrame, code_map: DataFrame) -> DataFrame:
    """``CODES`` of ``counted`` codes."""
    told = small_frame(counts.sparkSession, descriptions(), "code STRING, described STRING")
    is_other = F.col("concept") != F.col("code")
    mapped = code_map.groupBy("code").agg(
        F.max(F.when(~is_other, F.col("name"))).alias("name"),
        F.sort_array(F.collect_set(F.when(is_other, F.col("concept")))).alias("ancestors"),
    )
    return (
        counts.join(F.broadcast(told), "code", "left")
        .join(F.broadcast(mapped), "code", "left")
        .withColumn("description", F.coalesce("described", "name"))
        .withColumn("code_hash", F.xxhash64("code"))
        .select(*CODES.names)
    )


def unmapped(table: DataFrame, code_map: DataFrame) -> dict[str, int]:
    """How many codes of a ``CODES`` table, and events with them, the vocabulary does not know; they keep their own."""
    left = table.join(code_map.select("code").distinct(), "code", "left_anti")
    [row] = left.agg(F.count("*").alias("codes"), F.coalesce(F.sum("events"), F.lit(0)).alias("events")).collect()
    return {"codes_unmapped": row["codes"], "events_unmapped": row["events"]}


def refuse_collisions(table: DataFrame) -> None:
    """Check that no two codes of a ``CODES`` table share a hash.

    Raises:
        Refused: two do; timelines could not tell them apart.
    """
    by_hash = table.groupBy("code_hash").agg(F.sort_array(F.collect_set("code")).alias("codes"))
    if (found := by_hash.where(F.size("codes") > 1).head()) is not None:
        raise Refused(
            f"Received the codes {' and '.join(found['codes'])}, which have the same 64-bit hash; expected one hash a "
            "code. Rename one of them in its source's mapping."
        )


@cache
def descriptions() -> list[tuple[str, str]]:
    """(code, description) of conf/codesets/descriptions.csv."""
    path = conf_dir() / "codesets" / "descriptions.csv"
    with path.open(encoding="utf-8", newline="") as lines:
        return [(row["code"], row["description"]) for row in csv.DictReader(lines)]
