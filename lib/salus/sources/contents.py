"""Content that is no event: the recording, image, compound or definition that a record holds, as a row of that table.

Samples and pixels stay in their file; the row says where they lie and how they are to be read.
"""

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


def raw_columns(record, sql) -> dict[str, str]:
    """The contents' fields as the YAML words them; ``sql`` writes an expression out."""
    columns: dict[str, str] = {}
    for key in held(record):
        said = getattr(record, key)
        columns |= {f"_{key}_{n}": f"CAST({sql(getattr(said, n))} AS STRING)" for n in TEXTS[key]}
        columns |= {f"n_{key}_{n}": f"CAST({sql(getattr(said, n))} AS STRING)" for n in NUMBERS[key]}
        columns |= {f"_{key}_{n}": f"CAST({sql(getattr(said, n))} AS {kind})" for n, kind in TYPED[key].items()}
        if key in TIMES:
            columns[f"t_{key}"] = f"CAST({sql(said.time or record.time)} AS STRING)"
    return columns


def numbers(record) -> list[str]:
    """The columns of numbers, as texts."""
    return [f"n_{key}_{name}" for key in held(record) for name in NUMBERS[key]]


def values(key: str) -> dict[str, str]:
    """The columns of the content ``key``, but for its provenance."""
    found = {name: f"_{key}_{name}" for name in [*TEXTS[key], *TYPED[key]]}
    found |= {name: number(f"n_{key}_{name}") for name in NUMBERS[key]}
    if key in TIMES:
        found[TIMES[key]] = f"s_{key}"
    if key == "recording":
        found["duration_seconds"] = found.pop("seconds")
    known = f"greatest(_record_available, s_{key})" if key in TIMES else "_record_available"
    return found | {"available_time": known}
