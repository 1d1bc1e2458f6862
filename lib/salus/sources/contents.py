"""Content that is no event: the recording, image, compound or definition that a record holds, as a row of that table.

Samples and pixels stay in their file; the row says where they lie and how they are to be read.
"""

from pyspark.sql import Column
from pyspark.sql import functions as F

from salus.schemas import COMPOUNDS, DEFINITIONS, IMAGES, RECORDINGS
from salus.schemas.landed import CHANNELS, MEASURES
from salus.sources.values import number

CONTENTS = {"recording": RECORDINGS, "image": IMAGES, "compound": COMPOUNDS, "definition": DEFINITIONS}
"""The mapping's key, and the table's schema."""

TEXTS = {
    "recording": ["modality", "location"],
    "image": [
        "modality",
        "body_part",
        "location",
        "transfer_syntax",
        "photometric_interpretation",
        "rescale_type",
        "burned_in_annotation",
    ],
    "compound": ["dataset", "smiles", "inchi_key", "formula"],
    "definition": ["code"],
}
NUMBERS = {
    "recording": ["seconds"],
    "image": [
        "samples_per_pixel",
        "rows",
        "columns",
        "frames",
        "bits_allocated",
        "bits_stored",
        "rescale_slope",
        "rescale_intercept",
        "row_spacing",
        "column_spacing",
    ],
    "compound": ["molecular_weight"],
    "definition": [],
}
TYPED = {
    "recording": {"channels": CHANNELS.simpleString()},
    "image": dict.fromkeys(("is_compressed", "is_signed", "may_identify"), "boolean"),
    "compound": {"outcomes": MEASURES.simpleString()},
    "definition": {},
}
TIMES = {"recording": "recording_datetime", "image": "image_datetime"}
"""The column that says when."""


def held(record) -> list[str]:
    """Which contents a record type holds."""
    return [key for key in CONTENTS if getattr(record, key)]


def raw_columns(record, sql) -> list[Column]:
    """The contents' fields as the YAML words them; ``sql`` writes an expression out."""
    columns = []
    for key in held(record):
        said = getattr(record, key)
        columns += [F.expr(f"CAST({sql(getattr(said, n))} AS STRING)").alias(f"_{key}_{n}") for n in TEXTS[key]]
        columns += [F.expr(f"CAST({sql(getattr(said, n))} AS STRING)").alias(f"n_{key}_{n}") for n in NUMBERS[key]]
        columns += [F.expr(sql(getattr(said, n))).cast(kind).alias(f"_{key}_{n}") for n, kind in TYPED[key].items()]
        if key in TIMES:
            columns.append(F.expr(f"CAST({sql(said.time or record.time)} AS STRING)").alias(f"t_{key}"))
    return columns


def not_numbers(record) -> Column:
    """Whether a number of the contents is there and is none."""
    unread = F.lit(False)
    for key in held(record):
        for name in NUMBERS[key]:
            text = F.col(f"n_{key}_{name}")
            unread = unread | (text.isNotNull() & number(text).isNull())
    return unread


def values(key: str) -> dict[str, Column]:
    """The columns of the content ``key``, but for its provenance."""
    found = {name: F.col(f"_{key}_{name}") for name in [*TEXTS[key], *TYPED[key]]}
    found |= {name: number(F.col(f"n_{key}_{name}")) for name in NUMBERS[key]}
    if key in TIMES:
        found[TIMES[key]] = F.col(f"s_{key}")
    if key == "recording":
        found["duration_seconds"] = found.pop("seconds")
    at = F.col(f"s_{key}") if key in TIMES else F.lit(None).cast("timestamp_ntz")
    return found | {"available_time": F.greatest("_record_available", at)}
