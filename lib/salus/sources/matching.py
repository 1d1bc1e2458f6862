"""Matches: pairs of source subjects whom the linkage model weighs, over keyed tokens of what their records say.

``matches`` is a function of all of ``linkage`` and of the model, whatever the order in which the rows came. A pair is
looked at where it has the fields of a blocking rule in common at one time; so a block's size bounds the work, and a
placeholder that thousands share (1 January 1900, a clinic's postcode) holds the batch instead of pairing them all.
"""

from functools import reduce
from operator import and_

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from salus.errors import Held
from salus.schemas import MATCHES
from salus.sources.histories import ALWAYS, NEVER
from salus.sources.linkage_model import LinkageModel

MOST_IN_A_BLOCK = 2_000
SLIM = ["source_subject_id", "dataset", "threshold", "since", "until"]


def matches(linkage: DataFrame, model: LinkageModel) -> DataFrame:
    """``MATCHES``: every pair that more speaks for than against, and whether it is enough to link them.

    Args:
        linkage: ``LINKAGE``, all versions.
        model: what weighs them.

    Raises:
        Held: so many records have the fields of a blocking rule in common that pairing them would not end.
    """
    told = standing(linkage, model.fields)
    rules = model.blocking_rules_to_generate_predictions
    keys = [
        F.when(
            reduce(and_, [F.col(name).isNotNull() for name in rule.fields]), F.xxhash64(F.lit(number), *rule.fields)
        ).alias(f"_key{number}")
        for number, rule in enumerate(rules)
    ]
    keyed = told.select("*", *keys).withColumn("_block", F.explode(F.array(*[f"_key{n}" for n in range(len(rules))])))
    keyed = keyed.where("_block IS NOT NULL").persist()
    _hold_large_blocks(keyed)
    one, other = (keyed.select(*[F.col(name).alias(f"{name}_{side}") for name in keyed.columns]) for side in "lr")
    pairs = one.join(other, F.col("_block_l") == F.col("_block_r"))
    pairs = pairs.where("source_subject_id_l < source_subject_id_r AND since_l < until_r AND since_r < until_l")
    if model.link_type == "link_only":
        pairs = pairs.where("dataset_l != dataset_r")
    weighed = pairs.withColumn("match_weight", F.expr(model.bits)).where("match_weight > 0")
    probability = F.lit(1.0) / (F.lit(1.0) + F.pow(F.lit(2.0), -F.col("match_weight")))
    found = weighed.withColumns(
        {
            "match_probability": probability,
            "since": F.greatest("since_l", "since_r"),
            "until": F.least("until_l", "until_r"),
        }
    )
    rows = found.groupBy("source_subject_id_l", "source_subject_id_r", "since", "until").agg(
        F.max("match_weight").alias("match_weight"),
        F.max("match_probability").alias("match_probability"),
        F.bool_or(F.col("match_probability") >= F.greatest("threshold_l", "threshold_r")).alias("is_link"),
    )
    found_rows = rows.select(
        F.col("source_subject_id_l").alias("source_subject_id"),
        F.col("source_subject_id_r").alias("other_subject_id"),
        "match_weight",
        "match_probability",
        "is_link",
        moment("since").alias("known_from"),
        moment("until").alias("known_until"),
    ).select(*MATCHES.names)
    result = found_rows.localCheckpoint()
    keyed.unpersist()
    return result


def standing(linkage: DataFrame, fields: list[str]) -> DataFrame:
    """``SLIM`` and a column of tokens a field: what each subject's records said, and for how long.

    A version replaces what its record said. Records that say the same are one row where they end together.
    """
    newer = Window.partitionBy("record_id").orderBy(F.desc("version")).rangeBetween(Window.unboundedPreceding, -1)
    since = F.coalesce(F.unix_micros(F.col("known_from").cast("timestamp")), F.lit(ALWAYS))
    told = linkage.withColumn("since", since).withColumn("until", F.coalesce(F.min("since").over(newer), F.lit(NEVER)))
    tokens = [F.try_element_at(F.map_from_entries("fields"), F.lit(name)).alias(name) for name in fields]
    rows = told.where("since < until AND size(fields) > 0").select(*SLIM, *tokens)
    same = [name for name in rows.columns if name != "since"]
    return rows.groupBy(*same).agg(F.min("since").alias("since")).select(*rows.columns)


def datasets(linkage: DataFrame) -> DataFrame:
    """``source_subject_id``, ``dataset``: of which dataset each subject is."""
    return linkage.groupBy("source_subject_id").agg(F.min("dataset").alias("dataset"))


def moment(clock: str):
    """The time of ``clock``; null where it is no bound."""
    is_bound = (F.col(clock) != ALWAYS) & (F.col(clock) != NEVER)
    return F.when(is_bound, F.timestamp_micros(F.col(clock)).cast("timestamp_ntz"))


def _hold_large_blocks(keyed: DataFrame) -> None:
    [[largest]] = keyed.groupBy("_block").count().agg(F.max("count")).collect()
    if (largest or 0) > MOST_IN_A_BLOCK:
        raise Held(
            f"Received {largest:,} records that one blocking rule of conf/linkage/splink.json takes for candidates of "
            f"one person; expected at most {MOST_IN_A_BLOCK:,}. Make the rules more specific, or let `linkage` in the "
            "source give null for what stands for an unknown value; nothing was published."
        )
