"""The door: mapped records on their way to the tables, without what the policy does not let pass.

A column that may pass is left alone, so that a policy which lets everything pass costs nothing.
"""

from collections.abc import Mapping
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from salus.privacy.scrub import scrubbed
from salus.privacy.settings import FreeText, Policy

ALWAYS = ("available_time", "is_lag_assumed")
"""A payload's provenance, which no policy withholds."""


def admitted(rows: DataFrame, policy: Policy, tables: Mapping[str, str]) -> DataFrame:
    """``rows`` with everything emptied that ``policy`` does not let pass.

    Args:
        rows: mapped records: a row an event, with a struct for each payload.
        policy: the source's.
        tables: the table that each payload's column fills.
    """
    let = policy.passes.get("events", [])
    schema = rows.schema
    columns = {
        name: F.lit(None).cast(schema[name].dataType)
        for name in ("numeric_value", "text_value", "unit")
        if name not in let
    }
    if policy.text_values != "keep" and "text_value" not in columns:
        columns["text_value"] = _text(F.col("text_value"), policy.text_values)
    for payload, table in tables.items():
        fields = schema[payload].dataType
        assert isinstance(fields, StructType)
        withheld = [name for name in fields.names if name not in (*ALWAYS, *policy.passes.get(table, []))]
        changed = {name: F.lit(None).cast(fields[name].dataType) for name in withheld}
        if "note_text" in fields.names and policy.notes != "keep":
            changed.setdefault("note_text", _text(F.col(f"{payload}.note_text"), policy.notes))
        if changed:
            columns[payload] = reduce(lambda row, name: row.withField(name, changed[name]), changed, F.col(payload))
    return rows.withColumns(columns) if columns else rows


def _text(text: Column, asked: FreeText) -> Column:
    return scrubbed(text) if asked == "scrub" else F.lit(None).cast("string")
