"""Files that were derived from people: data sets for training, and reports. Those that hold an erased person go whole.

They can be made again without the person, and a data set whose rows were picked out would no longer be the one that
its hash names.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import functions as F

from salus.storage.tables import Tables

DATASETS, REPORTS = "_datasets", "_reports"
TRAINED = "training.json"
"""What a model's package says of how it was trained, the encoder that it began from among it (``pretrained``)."""
PLACE = re.compile(rf"{DATASETS}/(?P<task>[^/]+)/(?P<hash>[^/]+)/(?P<split>[^/]+)/[^/]+$")


@dataclass(frozen=True)
class Dataset:
    """A data set that holds the person: its task, its hash, and the splits in which."""

    task: str
    hash: str
    splits: tuple[str, ...]

    @property
    def folder(self) -> str:
        """Where it lies, under the warehouse."""
        return f"{DATASETS}/{self.task}/{self.hash}"


def datasets_with(tables: Tables, subjects: Sequence[int]) -> list[Dataset]:
    """The data sets that hold a row of ``subjects``."""
    if not tables.holds_file(DATASETS):
        return []
    rows = (
        tables.spark.read.schema("subject_id long")
        .option("recursiveFileLookup", "true")
        .option("pathGlobFilter", "*.parquet")
        .parquet(f"{tables.warehouse}/{DATASETS}")
        .where(F.col("subject_id").isin(*subjects))
    )
    places = [
        PLACE.search(row["file"])
        for row in rows.select(F.col("_metadata.file_path").alias("file")).distinct().collect()
    ]
    splits: dict[tuple[str, str], set[str]] = {}
    for place in filter(None, places):
        splits.setdefault((place["task"], place["hash"]), set()).add(place["split"])
    return [Dataset(task, hash_, tuple(sorted(found))) for (task, hash_), found in sorted(splits.items())]


def reports_with(tables: Tables, subjects: Sequence[int]) -> list[str]:
    """The reports, as paths under the warehouse, that name one of ``subjects``."""
    if not tables.holds_file(REPORTS):
        return []
    lines = tables.spark.read.option("recursiveFileLookup", "true").text(f"{tables.warehouse}/{REPORTS}")
    named = lines.where(F.col("value").rlike(rf"(?<!\d)({'|'.join(map(str, subjects))})(?!\d)"))
    files = named.select(F.col("_metadata.file_path").alias("file")).distinct().collect()
    return sorted(row["file"][row["file"].rindex(f"/{REPORTS}/") + 1 :] for row in files)


def encoders_of(tables: Tables, packages: Sequence[str]) -> dict[str, str]:
    """The hash of the encoder that the model of each package began from; without those that began from none.

    ``packages`` are paths under the warehouse; one that is gone tells nothing any more.
    """
    files = {f"{tables.warehouse}/{package}/{TRAINED}": package for package in packages}
    there = [file for file, package in files.items() if tables.holds_file(f"{package}/{TRAINED}")]
    if not there:
        return {}
    text = tables.spark.read.text(there, wholetext=True)
    began = F.get_json_object("value", "$.pretrained.package_hash")
    rows = text.select(F.col("_metadata.file_path").alias("file"), began.alias("encoder")).where("encoder IS NOT NULL")
    encoders = [(row["file"], row["encoder"]) for row in rows.collect()]
    return {files[f]: encoder for f in there for file, encoder in encoders if file.endswith(f"/{files[f]}/{TRAINED}")}


def drop(tables: Tables, paths: Sequence[str]) -> None:
    """Remove files and folders, given as paths under the warehouse, and what exports that died left behind."""
    leftovers = [f"{DATASETS}/{task}/_writing" for task in tables.names_in(DATASETS)]
    for path in (*paths, *leftovers, "_staging"):
        tables.remove(path)
