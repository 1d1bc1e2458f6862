"""The rows of other tables that a record fills beside its events: who the person is, cover, costs, a note, contents."""

from salus.schemas import COSTS, COVERAGE, NOTES, PERSONS
from salus.schemas.landed import PROVENANCE
from salus.sources import contents
from salus.sources.raw_columns import MONEY_COLUMNS
from salus.sources.record_type import Record
from salus.sources.values import money

PROVIDED = {column.name for column in PROVENANCE} | {"visit_id"}
"""Columns of those tables that are the record's own, whatever it fills."""

PAYLOADS = {"person": PERSONS, "coverage": COVERAGE, "cost": COSTS, "note": NOTES, **contents.CONTENTS}
"""The mapping's key, and the table's schema."""

STATED_BY = {"coverage": "coverage_start", "cost": "incurred"}
"""The time without which a record has no such row: a claim's line that repeats the claim's amounts has none."""


def times_of(record: Record) -> list[str]:
    """The times, by the ends of their columns' names, at which what a record fills was so."""
    return [*(["coverage_start"] if record.coverage else []), *(["incurred"] if record.cost else [])]


def payload_type(name: str) -> str:
    """The type of a row of the table ``name`` (a key of ``PAYLOADS``), as a struct without its provenance."""
    return f"struct<{','.join(f'{column}:{type_}' for column, type_ in _columns(name).items())}>"


def payload(name: str, record: Record, is_whole: str) -> str:
    """The row of the table ``name``, of ``payload_type``; null where there is none.

    Args:
        name: a key of ``PAYLOADS`` that ``record`` has.
        record: the record type.
        is_whole: whether the record has rows at all.
    """
    own = {"person": _person, "coverage": _coverage, "cost": _cost, "note": _note}
    values = own[name](record) if name in own else contents.values(name)
    row = ", ".join(f"'{column}', {values[column]}" for column in _columns(name))
    is_stated = f"{is_whole} AND {_is_stated(name, record)}"
    return f"CASE WHEN {is_stated} THEN CAST(named_struct({row}) AS {payload_type(name)}) END"


def _columns(name) -> dict[str, str]:
    columns = [column for column in PAYLOADS[name] if column.name not in PROVIDED]
    return {"available_time": "timestamp_ntz"} | {column.name: column.dataType.simpleString() for column in columns}


def _is_stated(name, record) -> str:
    """Whether a record has a row of that table at all."""
    if name == "person":
        return "_tells_person"
    if name == "note" and record.note.time:
        return "s_note IS NOT NULL"
    if name not in STATED_BY or (name == "cost" and not record.cost.incurred):
        return "true"
    return f"s_{STATED_BY[name]} IS NOT NULL"


def available(record: Record, declared: str, time: str, time_end: str) -> str:
    """When something could first be known: what was declared, else the assumed lag, else the end of its own time.

    No lag ends before what it is counted from, and what it is of, are over: a year is longer than a lag of 30 days.
    """
    assumed = time_end
    if record.assumed_lag:
        lagging = f"coalesce(s_lag_from, {time}) + INTERVAL {record.assumed_lag}"
        assumed = f"greatest({lagging}, e_lag_from, {time_end})"
    return f"greatest(coalesce({declared}, {_stated(record)}, {assumed}), {time})"


def is_lag_assumed(record: Record, declared: str) -> str:
    """Whether ``available`` reckoned with the assumed lag, because nothing told when it could first be known."""
    return f"coalesce({declared}, {_stated(record)}) IS NULL" if record.assumed_lag else "false"


def _stated(record) -> str:
    return "s_available" if record.available_at == "start" else "e_available"


NOT_DECLARED = "CAST(NULL AS TIMESTAMP_NTZ)"


def _person(record) -> dict[str, str]:
    died = available(record, NOT_DECLARED, "s_death", "e_death")
    is_whole = "e_birth <= s_birth + INTERVAL 1 DAY"
    return {
        "available_time": f"CASE WHEN s_death IS NOT NULL THEN {died} END",
        "gender_concept_id": "CASE WHEN lower(_sex) IN ('male', 'm') THEN 8507 "
        "WHEN lower(_sex) IN ('female', 'f') THEN 8532 ELSE 0 END",
        "year_of_birth": "year(s_birth)",
        "month_of_birth": "CASE WHEN e_birth <= s_birth + INTERVAL 1 MONTH THEN month(s_birth) END",
        "day_of_birth": f"CASE WHEN {is_whole} THEN dayofmonth(s_birth) END",
        "birth_datetime": f"CASE WHEN {is_whole} THEN s_birth END",
        "death_datetime": "s_death",
        "race_source_value": "_race",
        "ethnicity_source_value": "_ethnicity",
        "gender_source_value": "_sex",
        "care_site_source_value": "_care_site",
    }


def _coverage(_) -> dict[str, str]:
    return {
        "available_time": "_record_available",
        "payer_plan_period_start_date": "CAST(s_coverage_start AS DATE)",
        "payer_plan_period_end_date": "CAST(s_coverage_end AS DATE)",
        "payer_source_value": "_payer",
        "plan_source_value": "_plan",
        "family_source_value": "_kind",
    }


def _cost(record) -> dict[str, str]:
    return {name: money(f"m_{name}") for name in MONEY_COLUMNS} | {
        "available_time": "_record_available",
        "is_lag_assumed": is_lag_assumed(record, NOT_DECLARED),
        "cost_domain_id": "_domain",
        "incurred_date": "CAST(s_incurred AS DATE)",
        "paid_date": "CAST(s_paid AS DATE)",
        "currency": "_currency",
        "revenue_code_source_value": "_revenue_code",
        "drg_source_value": "_drg",
    }


def _note(_) -> dict[str, str]:
    return {
        "available_time": "greatest(_record_available, s_note)",
        "note_datetime": "s_note",
        "note_class_source_value": "_note_kind",
        "note_text": "_note_text",
        "language": "_language",
    }
