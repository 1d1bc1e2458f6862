"""Code map: what OMOP's vocabulary files say of the codes that events carry.

Events stay what the source said. Beside them stands, for each code that the vocabulary knows, its standard code
(``NDC`` or a branded drug to RxNorm, ``ICD10CM`` to SNOMED) and that one's ancestors (RxNorm ingredients, ATC classes,
SNOMED concepts). Code groups look at a code and at its ancestors, so one list serves sources of several vocabularies.

The files are Athena's (https://athena.ohdsi.org): ``CONCEPT.csv``, ``CONCEPT_RELATIONSHIP.csv`` and
``CONCEPT_ANCESTOR.csv``, in any case, separated by tabs or commas.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from salus.errors import Refused
from salus.schemas import CODE_MAP

FILES = {
    "concept": ("concept_id", "concept_name", "vocabulary_id", "concept_class_id", "standard_concept", "concept_code"),
    "concept_relationship": ("concept_id_1", "concept_id_2", "relationship_id", "invalid_reason"),
    "concept_ancestor": ("ancestor_concept_id", "descendant_concept_id", "min_levels_of_separation"),
}
"""The files that are read, and the columns that they must have."""

OWN_NAMES = {"CPT4": "CPT"}
"""OMOP's vocabulary names where events use another."""

ITSELF, MAPS_TO, ANCESTOR = "itself", "maps_to", "ancestor"


def vocabulary_files(folder: str) -> dict[str, Path]:
    """Where each of ``FILES`` lies in ``folder``.

    Raises:
        Refused: one is missing, or lacks a column.
    """
    lying = {path.name.lower(): path for path in Path(folder).glob("*")}
    found = {}
    for name, columns in FILES.items():
        path = lying.get(f"{name}.csv")
        if path is None:
            raise Refused(
                f"Received the vocabulary {folder}, which has no {name}.csv; expected {', '.join(FILES)} as .csv. "
                "Unpack the download of athena.ohdsi.org there, or name another folder."
            )
        with path.open(encoding="utf-8") as file:
            header = file.readline()
        missing = set(columns) - set(header.strip().lower().split(_separator(header)))
        if missing:
            raise Refused(
                f"Received {path}, which lacks the columns {', '.join(sorted(missing))}; expected OMOP CDM 5.4's "
                f"{name}. Have it downloaded again."
            )
        found[name] = path
    return found


def vocabulary_key(folder: str | None) -> str | None:
    """What tells one release of the vocabulary from another without reading it: sizes and times of its files."""
    if folder is None:
        return None
    return release_of(vocabulary_files(folder))


def release_of(files: Mapping[str, Path], also: str = "") -> str:
    """What tells one release of ``files`` from another without reading them; ``also`` is what they are read by."""
    stats = [(name, path.stat().st_size, path.stat().st_mtime_ns) for name, path in files.items()]
    return hashlib.sha256((repr(stats) + also).encode()).hexdigest()


def code_map(codes: DataFrame, folder: str) -> DataFrame:
    """``CODE_MAP`` rows of those of ``codes`` that the vocabulary in ``folder`` knows.

    Args:
        codes: the column ``code``, each once.
        folder: of the vocabulary's files.

    Raises:
        Refused: a file is missing, or lacks a column.
    """
    files = vocabulary_files(folder)
    concepts = _read(codes.sparkSession, files["concept"]).select(
        "concept_id",
        F.concat(_own_name(F.col("vocabulary_id")), F.lit("/"), "concept_code").alias("concept"),
        F.col("concept_name").alias("name"),
        "vocabulary_id",
        "concept_class_id",
        (F.col("standard_concept") == "S").alias("is_standard"),
    )
    relations = _read(codes.sparkSession, files["concept_relationship"])
    valid = F.coalesce(F.trim("invalid_reason"), F.lit("")) == ""
    maps_to = relations.where((F.col("relationship_id") == "Maps to") & valid).select(
        F.col("concept_id_1").alias("concept_id"), F.col("concept_id_2").alias("standard_id")
    )
    named = codes.select("code", F.col("code").alias("concept"))
    carried = concepts.join(named, "concept").drop("concept")
    standard = (
        carried.join(maps_to, "concept_id")
        .select("code", "standard_id")
        .unionByName(carried.where("is_standard").select("code", F.col("concept_id").alias("standard_id")))
        .distinct()
    )
    above = _read(codes.sparkSession, files["concept_ancestor"]).select(
        F.col("ancestor_concept_id").alias("concept_id"),
        F.col("descendant_concept_id").alias("standard_id"),
        F.col("min_levels_of_separation").cast("int").alias("levels"),
    )
    is_kept = F.col("vocabulary_id").isin("ATC", "SNOMED") | (F.col("concept_class_id") == "Ingredient")
    itself = carried.select("code", F.col("code").alias("concept"), "name", F.lit(ITSELF).alias("relation"), _levels(0))
    mapped = (
        standard.withColumnRenamed("standard_id", "concept_id")
        .join(concepts, "concept_id")
        .where("concept != code")
        .select("code", "concept", "name", F.lit(MAPS_TO).alias("relation"), _levels(0))
    )
    ancestors = (
        standard.join(above, "standard_id")
        .where("levels > 0")
        .join(concepts.where(is_kept), "concept_id")
        .groupBy("code", "concept", "name")
        .agg(F.min("levels").alias("levels"))
        .select("code", "concept", "name", F.lit(ANCESTOR).alias("relation"), "levels")
    )
    return itself.unionByName(mapped).unionByName(ancestors).select(*CODE_MAP.names)


def _levels(number: int) -> Column:
    return F.lit(number).cast("int").alias("levels")


def _own_name(vocabulary: Column) -> Column:
    named = vocabulary
    for theirs, ours in OWN_NAMES.items():
        named = F.when(vocabulary == theirs, ours).otherwise(named)
    return named


def _read(spark: SparkSession, path: Path) -> DataFrame:
    """A vocabulary file with lower-case column names, all texts; Athena's tabs know no quotes."""
    with path.open(encoding="utf-8") as file:
        separator = _separator(file.readline())
    quote = "" if separator == "\t" else '"'
    frame = spark.read.csv(str(path.resolve()), header=True, sep=separator, quote=quote, escape=quote)
    return frame.toDF(*[name.lower() for name in frame.columns])


def _separator(header: str) -> str:
    return "\t" if "\t" in header else ","
