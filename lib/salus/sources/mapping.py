"""From a record's fields to the rows that it becomes: one query a record type, written out by the source's YAML.

The order matters for cost. A record's own columns are computed once, beside its events as raw texts; the array of
events is exploded; only then are times and numbers read, by generated code and never inside a lambda.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from salus.privacy.door import admitted
from salus.privacy.pseudonyms import pseudonym_of
from salus.privacy.settings import Policy
from salus.schemas import LINKAGE, VOID_CODE
from salus.sources import contents
from salus.sources.declaration import Source
from salus.sources.landing import PAYLOAD_TABLES
from salus.sources.parsing import PLACE
from salus.sources.payloads import NOT_DECLARED, PAYLOADS, available, is_lag_assumed, payload, payload_type, times_of
from salus.sources.raw_columns import MONEY_COLUMNS, NOTHING, RAW_EVENT, raw_columns, shared_columns
from salus.sources.record_type import Record
from salus.sources.study_days import STUDY_DAY
from salus.sources.units import conversion_of
from salus.sources.values import Times, money, number, or_when_known
from salus.storage.query import Query, literal, views

NOT_CONTENT = {*PLACE, "_has_bom", "_refused", "_rule", "_id", "_version", "_void", "_declares"}
NOT_CONTENT |= {"t_available", "t_lag_from"}
"""What may differ between two versions that say the same: their numbers, and when they were released."""

STAGED = [
    *PLACE,
    "_of_block",
    "record_type",
    "has_bom",
    "rule",
    "is_head",
    "is_void",
    "withdraws_another",
    "declares_subject",
    "source_subject_id",
    "owner_id",
    "definition_id",
    "day_one_id",
    "record_id",
    "version",
    "content_hash",
    "record_available",
    "visit_id",
    "ordinal",
    "time",
    "available_time",
    "is_lag_assumed",
    "code",
    "numeric_value",
    "text_value",
    "unit",
    "identifiers",
    "linkage",
]
"""What a mapped record is: a row for each of its events, the first of which (``is_head``) carries all else, such as
those of ``PAYLOADS`` that its record type has.

``_of_block`` stands for the record's file and block: a number, which rows are joined by more quickly than by a path.
``rule`` is what the record broke, seen so far; ``owner_id`` is the record whose person it is of, where it does not name
the person itself; ``code`` is null where a row is no event, and ``NAMED_ELSEWHERE`` where the record ``definition_id``
defines it; ``day_one_id`` is the record whose day 1 its study days count from.
"""

OF_BLOCK = "xxhash64(_path, _block)"
WHOLE_NUMBER = r"^\d{1,18}$"
NO_ID = "CAST(NULL AS BIGINT)"
NO_EVENTS = f"CAST(array() AS array<{RAW_EVENT}>)"
WITHDRAWN = (
    f"CAST(array(named_struct('code', {literal(VOID_CODE)}, 'time', NULL, 'at_end', false, 'static', false, "
    f"'known', false, 'available', NULL, 'number', NULL, 'text_value', NULL, 'unit', NULL)) AS array<{RAW_EVENT}>)"
)


def mapped(
    rows: DataFrame, source: Source, kind: str, site: str, pads: DataFrame, units: DataFrame, policy: Policy
) -> DataFrame:
    """``parsed`` rows of record type ``kind`` as ``STAGED`` rows.

    Args:
        rows: what ``parsed`` gives.
        source: the source that they come from.
        kind: their record type.
        site: the site that they come from.
        pads: the key, as ``salus.privacy.pseudonyms.pads`` gives it.
        units: what ``salus.sources.units.conversions`` gives.
        policy: what may pass.
    """
    record = source.records[kind]
    times = Times([*source.times, STUDY_DAY] if record.counted_from else source.times)
    with views(rows.sparkSession, rows, pads, units) as (records, key, scales):
        own = {name: name for name in (*PLACE, "_has_bom")}
        said = raw_columns(source, record, policy)
        raw = Query.of_view(records, own | said, shared_columns(source, record))
        timed = _with_times(raw, said, times)
        if record.dates_when_known and record.person:
            timed = timed.with_columns({f"{part}_death": or_when_known("t_death", f"{part}_death") for part in "se"})
        ruled = timed.with_columns({"_rule": _record_rule(record)})
        named = _with_ids(ruled.beside(key, *pads.columns), said, source, kind, record, site)
        events = named.exploded(_events_or_void(record), "_position", "_event")
        staged = _with_values(events, kind, record, times, scales)
        mapped_rows = rows.sparkSession.sql(staged.text)
    filled = {column: table for table, (column, _) in PAYLOAD_TABLES.items() if column in mapped_rows.columns}
    return admitted(mapped_rows, policy, filled)


def with_every_payload(rows: DataFrame) -> DataFrame:
    """``STAGED`` rows with a null for each of ``PAYLOADS`` that none of their record types has."""
    missing = [name for name in PAYLOADS if name not in rows.columns]
    return rows.withColumns({name: F.lit(None).cast(payload_type(name)) for name in missing})


def refused(rows: DataFrame, staged: StructType) -> DataFrame:
    """Records of no declared type as ``staged`` rows: what they broke, and where they lie."""
    known = {
        **{name: F.col(name) for name in PLACE},
        "_of_block": F.expr(OF_BLOCK),
        "record_type": F.lit("unknown"),
        "has_bom": F.col("_has_bom"),
        "rule": F.col("_broken"),
        "is_head": F.lit(True),
        "is_void": F.lit(False),
        "withdraws_another": F.lit(False),
        "declares_subject": F.lit(False),
        "ordinal": F.lit(0),
    }
    return rows.select(
        *[known.get(column.name, F.lit(None)).cast(column.dataType).alias(column.name) for column in staged]
    )


def _with_times(raw: Query, said: dict[str, str], times: Times) -> Query:
    """``raw`` with, for each text ``t_x``, its first instant ``s_x`` and the first instant after it, ``e_x``."""
    names = [column[2:] for column in said if column.startswith("t_")]
    never = {f"{part}_{name}": NOT_DECLARED for name in names for part in "se" if said[f"t_{name}"] == NOTHING}
    texts = {name: f"t_{name}" for name in names if said[f"t_{name}"] != NOTHING}
    texts |= {"version": "_version"} if said["_version"] != NOTHING else {}
    formats = {f"f_{name}": times.format_of(text) for name, text in texts.items()}
    starts = {f"s_{name}": times.start(text, f"f_{name}") for name, text in texts.items()}
    ends = {f"e_{name}": times.end(f"s_{name}", f"f_{name}") for name in texts if name != "version"}
    return raw.with_columns(formats).with_columns(starts).with_columns(ends | never)


def _record_rule(record: Record) -> str:
    """The first rule that the record itself breaks; what its events break comes later."""
    times = ["time", "available", "lag_from"]
    times += ["birth", "death"] if record.person else []
    times += ["coverage_start", "coverage_end"] if record.coverage else []
    times += ["incurred", "paid"] if record.cost else []
    times += ["note"] if record.note else []
    times += [key for key in contents.held(record) if key in contents.TIMES]
    unread = " OR ".join(f"(t_{name} IS NOT NULL AND s_{name} IS NULL)" for name in times)
    rules = [
        "_refused IS NOT NULL THEN _refused",
        f"coalesce({', '.join(['_subject', *_owners(record)])}) IS NULL THEN "
        + literal("no_id" if record.is_nobodys else "no_subject"),
        "_id IS NULL THEN 'no_id'",
        f"{unread} THEN 'not_a_time'",
    ]
    if record.version:
        rules.append(f"_version IS NOT NULL AND {_version()} IS NULL THEN 'not_a_time'")
    amounts = [(f"m_{name}", money) for name in MONEY_COLUMNS if record.cost]
    amounts += [(name, number) for name in contents.numbers(record)]
    if amounts:
        unread = " OR ".join(f"({text} IS NOT NULL AND {reading(text)} IS NULL)" for text, reading in amounts)
        rules.append(f"{unread} THEN 'not_a_number'")
    return f"CASE {' '.join(f'WHEN {rule}' for rule in rules)} END"


def _owners(record: Record) -> list[str]:
    """The columns that name the records whose person this one is of."""
    return [f"_owner_{kind}" for kind in record.subject_of]


def _version() -> str:
    whole = f"CASE WHEN _version RLIKE {literal(WHOLE_NUMBER)} THEN try_cast(_version AS BIGINT) END"
    return f"coalesce({whole}, unix_micros(CAST(s_version AS TIMESTAMP)))"


def _with_ids(rows: Query, said: dict[str, str], source: Source, kind: str, record: Record, site: str) -> Query:
    """Pseudonyms for all that names somebody or something, and a hash of what the record says."""

    def of_record(type_: str | None, own_id: str) -> str:
        known = type_ and said[own_id] != NOTHING
        return pseudonym_of(site, f"record:{source.name}/{type_}", own_id) if known else NO_ID

    keyed = ("_inner_pad", "_outer_pad")
    content = [
        column
        for column in rows.columns
        if column not in (*NOT_CONTENT, *keyed) and column[:2] not in ("f_", "s_", "e_")
    ]
    own = f"record:{source.name}/{kind}"
    owners = [of_record(owner, f"_owner_{owner}") for owner in record.subject_of]
    defines = next((other for other, _ in record.codes_of), None)
    named = {
        *keyed,
        "_identifiers",
        "_linkage",
        "_definition",
        "_day_one",
        "_subject",
        "_id",
        "_visit",
        *_owners(record),
    }
    kept = [column for column in rows.columns if column not in named and column[:2] not in ("f_", "t_")]
    return rows.select(
        {column: column for column in kept}
        | {
            "source_subject_id": pseudonym_of(site, own if record.is_nobodys else source.system, "_subject"),
            "owner_id": f"coalesce({', '.join([NO_ID, *owners])})",
            "definition_id": of_record(defines, "_definition"),
            "day_one_id": of_record(record.counted_from.record if record.counted_from else None, "_day_one"),
            "record_id": of_record(kind, "_id"),
            "visit_id": of_record(record.visit_type or kind, "_visit"),
            "content_hash": f"CASE WHEN _void THEN 0L ELSE xxhash64(to_json(struct({', '.join(content)}))) END",
            "_replaces": of_record(kind, "_replaces"),
            "identifiers": f"transform(_identifiers, one -> {pseudonym_of('', 'identifier', 'one')})",
            "linkage": _tokens(rows),
        }
    )


def _tokens(rows: Query) -> str:
    """``LINKAGE.fields``: keyed hashes that hold for every site, so that people of two sites can be compared."""
    if "_linkage" not in rows.columns:
        return f"CAST(NULL AS {LINKAGE['fields'].dataType.simpleString()})"
    token = pseudonym_of("", "linkage", "concat(one.name, ':', one.text)")
    return f"transform(_linkage, one -> named_struct('name', one.name, 'token', {token}))"


def _events_or_void(record: Record) -> str:
    """The events to explode: those of the record, one that withdraws it, or none where it is refused.

    The last is one that withdraws another record, which this one replaces.
    """
    said = f"CASE WHEN _void THEN {NO_EVENTS if record.is_nobodys else WITHDRAWN} ELSE _events END"
    if record.replaces:
        said = f"CASE WHEN _replaces != record_id THEN concat({said}, {WITHDRAWN}) ELSE {said} END"
    return f"CASE WHEN _rule IS NOT NULL THEN {NO_EVENTS} ELSE {said} END"


def _with_values(rows: Query, kind: str, record: Record, times: Times, scales: str) -> Query:
    """The exploded rows with times, numbers and units read, and the head's payloads built: ``STAGED``."""
    fields = rows.where("_position IS NULL OR _position = 0 OR _event.code IS NOT NULL").with_columns(
        {
            "code": "_event.code",
            "t_event": "_event.time",
            "t_known": "_event.available",
            "_number": "_event.number",
            "_unit": "nullif(trim(_event.unit), '')",
            "_ordinal": "coalesce(_position, 0)",
            "_withdraws": f"coalesce(_event.code = {literal(VOID_CODE)} AND _position > 0, false)",
        }
    )
    said = {"event": [event.time for event in record.events.values()]}
    said["known"] = [event.available_time for event in record.events.values()]
    told = [name for name, texts in said.items() if any(texts)]
    read = fields.with_columns({f"f_{name}": times.format_of(f"t_{name}") for name in told})
    never = {f"s_{name}": NOT_DECLARED for name in said if name not in told}
    read = read.with_columns({f"s_{name}": times.start(f"t_{name}", f"f_{name}") for name in told} | never)
    if record.dates_when_known:
        read = read.with_columns({"s_event": or_when_known("t_event", "s_event")})
    ends = {name: times.end(f"s_{name}", f"f_{name}") if name in told else NOT_DECLARED for name in said}
    has_text = "_event.time IS NOT NULL"
    read = read.with_columns(
        {
            "e_event": f"CASE WHEN {has_text} THEN {ends['event']} ELSE e_time END",
            "s_event": f"CASE WHEN {has_text} THEN s_event ELSE s_time END",
            "e_known": ends["known"],
        }
    )
    read = read.with_columns(
        {
            "time": "CASE WHEN _event.static THEN NULL WHEN _event.at_end THEN e_event ELSE s_event END",
            "_value": number("_number"),
            "_always": "coalesce(_event.known, false) AND NOT _void",
        }
    )
    if any(event.unit for event in record.events.values()):
        read = read.beside(scales, "_slopes", on="code")
    else:
        read = read.with_columns(
            {"_slopes": "CAST(NULL AS map<string,struct<unit:string,slope:double,offset:double>>)"}
        )
    read = read.with_columns({"_scale": f"CASE WHEN _value IS NOT NULL THEN {conversion_of('_unit')} END"})
    return _staged(read, kind, record)


def _event_rule() -> str:
    """The first rule that an event breaks, after those of its record."""
    void = literal(VOID_CODE)
    rules = {
        "not_a_time": "t_event IS NOT NULL AND s_event IS NULL OR t_known IS NOT NULL AND s_known IS NULL",
        "no_time": f"time IS NULL AND NOT _always AND code != {void} AND NOT _event.static",
        "not_a_number": "_number IS NOT NULL AND _value IS NULL",
        "unknown_unit": "_value IS NOT NULL AND _slopes IS NOT NULL AND _unit IS NOT NULL AND _scale IS NULL",
    }
    broken = [f"WHEN code IS NOT NULL AND ({breaks}) THEN {literal(rule)}" for rule, breaks in rules.items()]
    return f"CASE WHEN _rule IS NOT NULL THEN _rule {' '.join(broken)} END"


def _staged(rows: Query, kind: str, record: Record) -> Query:
    declared = f"coalesce({', '.join(['s_time', *(f's_{name}' for name in times_of(record))])})"
    known = available(record, NOT_DECLARED, declared, f"coalesce(e_time, {declared})")
    built = rows.with_columns(
        {"_event_rule": _event_rule(), "_record_available": NOT_DECLARED if record.known == "always" else known}
    )
    is_whole = "_ordinal = 0 AND _event_rule IS NULL AND NOT _void"
    columns = {name: name for name in STAGED} | {
        "_of_block": OF_BLOCK,
        "record_type": literal(kind),
        "has_bom": "_has_bom",
        "rule": "_event_rule",
        "is_head": "_ordinal = 0",
        "is_void": "_void",
        "declares_subject": "_declares",
        "version": _version() if record.version else NO_ID,
        "record_available": "_record_available",
        "withdraws_another": "_withdraws",
        "record_id": "CASE WHEN _withdraws THEN _replaces ELSE record_id END",
        "ordinal": "CASE WHEN _withdraws THEN 0 ELSE _ordinal END",
        "text_value": "_event.text_value",
        "available_time": f"CASE WHEN code = {literal(VOID_CODE)} THEN _record_available WHEN _always THEN time "
        f"WHEN time IS NOT NULL THEN {available(record, 'e_known', 'time', 'e_event')} END",
        "is_lag_assumed": f"{is_lag_assumed(record, 'e_known')} AND NOT _always",
        "numeric_value": "CAST(CASE WHEN _scale IS NOT NULL THEN _value * _scale.slope + _scale.offset ELSE _value END "
        "AS FLOAT)",
        "unit": "coalesce(_scale.unit, _unit)",
        "identifiers": f"CASE WHEN {is_whole} THEN identifiers END",
        "linkage": f"CASE WHEN {is_whole} THEN linkage END",
    }
    columns |= {name: payload(name, record, is_whole) for name in PAYLOADS if getattr(record, name) is not None}
    return built.select(columns)
