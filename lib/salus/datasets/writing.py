"""The Spark step of an export: samples and timelines in, a finished data set out.

Rows are counted in the cohort before anything is written, so every task knows which row groups are its own, and a
row that a join lost or doubled is an error, not a gap.
"""

import math
from collections.abc import Mapping
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from salus.datasets.folder import Folder
from salus.datasets.groups import group_bounds, rows_a_group
from salus.datasets.manifest import MANIFEST, SPEC, stated
from salus.datasets.shards import WRITTEN_DDL, Inputs, Plan, shard_writer, straddling_writer
from salus.storage.small import small_frame
from salus.timelines.blocks import Block

ROWS_A_SHARD = 16_384
STAGING = "_writing"
"""One writer a warehouse (the lock), so one name; what an export that died left in it is removed by the next."""

OUTCOMES = ("label", "weight", "observed_days")
SPLITS = ("train", "tuning", "calibration", "held_out")


def write_dataset(
    samples: DataFrame,
    timelines: DataFrame,
    inputs: Inputs,
    datasets: str,
    blocks: Mapping[str, Block],
    facts: Mapping[str, Any],
    spec_json: str,
    multiple: int,
    seed: int = 0,
) -> Folder:
    """Write a data set and commit its manifest; returns its folder, ``<datasets>/<SHA-256 of the manifest>``.

    Args:
        samples: subject_id, prediction_time (long, microseconds), label (float), weight (float), observed_days
            (float), split.
        timelines: one row a person of ``samples``, of the schema TIMELINES.
        inputs: makes the inputs of samples.
        datasets: folder of data sets, on storage that all nodes share.
        blocks: of the inputs.
        facts: what else the manifest says, such as the task.
        spec_json: the feature spec, kept beside the manifest.
        multiple: the number of row groups of a split is a multiple of this.
        seed: mixes rows within shards.
    """
    staging = Folder(f"{datasets}/{STAGING}")
    staging.clear()
    shards = _shards(samples)
    sharded = samples.withColumn("shard", _shard_of(shards)).cache()
    counts = sharded.groupBy("split", "shard").count().collect()
    plan = _plan(staging.url, {(row["split"], row["shard"]): row["count"] for row in counts}, multiple, seed, blocks)
    people = (
        sharded.repartition(shards, "subject_id")
        .groupBy("subject_id", "split", "shard")
        .agg(F.sort_array(F.collect_list(F.struct("prediction_time", *OUTCOMES))).alias("samples"))
    )
    joined = people.join(timelines.repartition(shards, "subject_id"), "subject_id")
    files = joined.mapInArrow(shard_writer(plan, inputs), WRITTEN_DDL).collect()
    sharded.unpersist()
    fragments = {
        split: [file["name"] for file in files if file["is_fragment"] and file["split"] == split]
        for split in plan.bounds
    }
    broken = [split for split, names in fragments.items() if names]
    if broken:
        rows = small_frame(samples.sparkSession, [(split,) for split in broken], "split string")
        files += rows.repartition(len(broken)).mapInArrow(straddling_writer(plan, fragments), WRITTEN_DDL).collect()
    manifest = _manifest(plan, [file for file in files if not file["is_fragment"]], facts)
    return _commit(staging, Folder(datasets), manifest, spec_json)


def _shard_of(shards: int):
    """The hash class of a person; it is also Spark's own hash partition, so that a task gets whole shards."""
    return F.expr(f"pmod(hash(subject_id), {shards})")


def _shards(samples):
    partitions = samples.sparkSession.sparkContext.defaultParallelism
    return max(partitions, math.ceil(samples.count() / ROWS_A_SHARD))


def _plan(url, rows, multiple, seed, blocks):
    first, bounds = {}, {}
    for split in SPLITS:
        position = 0
        for shard in sorted(shard for name, shard in rows if name == split):
            first[split, shard] = position
            position += rows[split, shard]
        bounds[split] = group_bounds(position, multiple, rows_a_group(sum(block.size for block in blocks.values())))
    return Plan(url, bounds, first, rows, seed, blocks)


def _manifest(plan, files, facts):
    splits = {}
    for split in SPLITS:
        mine = sorted((file for file in files if file["split"] == split), key=lambda file: file["name"])
        rows = sum(file["rows"] for file in mine)
        if rows != plan.bounds[split][-1]:
            raise ValueError(f"The split {split} got {rows} rows; expected {plan.bounds[split][-1]} from the cohort.")
        splits[split] = {
            "rows": rows,
            "positives": sum(file["positives"] for file in mine),
            "label_sum": sum(file["label_sum"] for file in mine),
            "files": [
                {"name": file["name"], "sha256": file["sha256"], "bytes": file["bytes"], "groups": list(file["groups"])}
                for file in mine
            ],
        }
    return {"format": 4, "blocks": stated(plan.blocks), **facts, "splits": splits}


def _commit(staging: Folder, datasets: Folder, manifest: dict[str, Any], spec_json: str) -> Folder:
    """Move what was staged to its final name, the manifest's SHA-256; the manifest goes last."""
    staging.write(SPEC, spec_json.encode())
    final = datasets / staging.write_json(MANIFEST, manifest)
    if not final.has(MANIFEST):
        final.clear()
        for split, content in manifest["splits"].items():
            for file in content["files"]:
                (staging / split).move(file["name"], final / split)
        for name in (SPEC, MANIFEST):
            staging.move(name, final)
    staging.clear()
    return final
