"""From a record's fields to the rows that it becomes: one expression a column, written out by the source's YAML.

The order matters for cost. A record's own columns are computed once, beside its events as raw texts; the array of
events is exploded; only then are times and numbers read, by generated code and never inside a lambda.
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from salus.privacy.door import admitted
from salus.privacy.pseudonyms import pseudonym_of
from salus.privacy.scrub import without_names
from salus.privacy.settings import Policy
from salus.schemas import COSTS, COVERAGE, LINKAGE, NOTES, PERSONS, VOID_CODE
from salus.schemas.landed import PROVENANCE
from salus.sources import contents
from salus.sources.declaration import Event, Note, Record, Source
from salus.sources.landing import PAYLOAD_TABLES
from salus.sources.parsing import PLACE
from salus.sources.units import conversion_of
from salus.sources.values import Times, money, number

NAMED_ELSEWHERE = "SALUS_CODE_OF"
"""Stands for the code of an event until the record that defines it is looked up."""

RAW_EVENT = (
    "struct<code:string,time:string,at_end:boolean,static:boolean,known:boolean,available:string,"
    "number:string,text_value:string,unit:string>"
)
MONEY_COLUMNS = (
    "total_charge",
    "total_paid",
    "amount_allowed",
    "paid_by_payer",
    "paid_by_patient",
    "paid_patient_copay",
    "paid_patient_coinsurance",
    "paid_patient_deductible",
)
NOT_CONTENT = {*PLACE, "_has_bom", "_refused", "_rule", "_id", "_version", "_void", "_declares"}
NOT_CONTENT |= {"t_available", "t_lag_from"}
"""What may differ between two versions that say the same: their numbers, and when they were released."""

PROVIDED = {column.name for column in PROVENANCE}
PAYLOADS = {"person": PERSONS, "coverage": COVERAGE, "cost": COSTS, "note": NOTES, **contents.CONTENTS}
"""The tables that a record fills beside events: its mapping's key, and the schema."""

STATED_BY = {"coverage": "coverage_start", "cost": "incurred"}
"""The time without which a record has no such row: a claim's line that repeats the claim's amounts has none."""

STAGED = [
    *PLACE,
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
    "record_id",
    "version",
    "content_hash",
    "record_available",
    "visit_id",
    "ordinal",
    "time",
    "available_time",
    "code",
    "numeric_value",
    "text_value",
    "unit",
    "person",
    "coverage",
    "cost",
    "note",
    *contents.CONTENTS,
    "identifiers",
    "linkage",
]
"""What a mapped record is: a row for each of its events, the first of which (``is_head``) carries all else.

``rule`` is what the record broke, seen so far; ``owner_id`` is the record whose person it is of, where it does not name
the person itself; ``code`` is null where a row is no event, and ``NAMED_ELSEWHERE`` where the record ``definition_id``
defines it.
"""


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
    record, times = source.records[kind], Times(source.times)
    raw = rows.select(*PLACE, "_has_bom", *_raw_columns(source, record, policy))
    timed = _with_times(raw, times)
    ruled = timed.withColumn("_rule", _record_rule(record))
    named = _with_ids(ruled, source, kind, record, site, pads)
    events = named.select("*", F.posexplode_outer(_events_or_void(record)).alias("_position", "_event"))
    staged = _with_values(events, kind, record, times, units)
    return admitted(staged, policy, {column: table for table, (column, _) in PAYLOAD_TABLES.items()})


def refused(rows: DataFrame, staged: StructType) -> DataFrame:
    """Records of no declared type as ``staged`` rows: what they broke, and where they lie."""
    known = {
        **{name: F.col(name) for name in PLACE},
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


def _sql(source: Source, text: str | None, default: str = "NULL") -> str:
    return f"({source.macro.expand(text)})" if text else default


def _raw_columns(source, record, policy) -> list[Column]:
    """The record's own columns as its YAML words them: texts still."""

    def text(expression, name):
        return F.expr(f"CAST({_sql(source, expression)} AS STRING)").alias(name)

    def unless_blank(expression, name):
        return F.expr(f"nullif(CAST({_sql(source, expression)} AS STRING), '')").alias(name)

    refused = F.col("_broken")
    for rule, condition in record.accept.items():
        refused = F.coalesce(
            refused, F.expr(f"CASE WHEN NOT coalesce({_sql(source, condition)}, false) THEN '{rule}' END")
        )
    columns = [
        refused.alias("_refused"),
        unless_blank(record.id, "_id"),
        unless_blank(record.id if record.is_nobodys else record.subject, "_subject"),
        *[unless_blank(owner, f"_owner_{kind}") for kind, owner in record.subject_of.items()],
        unless_blank(record.visit, "_visit"),
        unless_blank(next((text for _, text in record.codes_of), None), "_definition"),
        unless_blank(record.replaces, "_replaces"),
        text(record.version, "_version"),
        F.expr(f"coalesce({_sql(source, record.void)}, false)").alias("_void"),
        _declares_subject(source, record).alias("_declares"),
        text(record.time, "t_time"),
        text(record.available_time, "t_available"),
        text(record.lag_from, "t_lag_from"),
        _events(source, record).alias("_events"),
        _identifiers(source, record).alias("_identifiers"),
    ]
    if source.link and record.linkage:
        columns.append(_linkage(source, record).alias("_linkage"))
    person, coverage, cost, note = record.person, record.coverage, record.cost, record.note
    if person:
        columns += [
            text(person.birth, "t_birth"),
            text(person.death, "t_death"),
            text(person.sex, "_sex"),
            text(person.race, "_race"),
            text(person.ethnicity, "_ethnicity"),
            text(person.care_site, "_care_site"),
            F.expr(f"coalesce({_sql(source, person.when)}, false)").alias("_tells_person"),
        ]
    if coverage:
        columns += [
            text(coverage.start, "t_coverage_start"),
            text(coverage.end, "t_coverage_end"),
            text(coverage.payer, "_payer"),
            text(coverage.plan, "_plan"),
            text(coverage.kind, "_kind"),
        ]
    if cost:
        columns += [
            text(cost.incurred, "t_incurred"),
            text(cost.paid, "t_paid"),
            text(cost.domain, "_domain"),
            text(cost.currency, "_currency"),
            text(cost.revenue_code, "_revenue_code"),
            text(cost.drg, "_drg"),
        ]
        columns += [text(getattr(cost, name), f"m_{name}") for name in MONEY_COLUMNS]
    if note:
        columns += [
            text(note.time or record.time, "t_note"),
            _note_text(source, note, policy).alias("_note_text"),
            text(note.kind, "_note_kind"),
            text(note.language, "_language"),
        ]
    return columns + contents.raw_columns(record, lambda expression: _sql(source, expression))


def _declares_subject(source: Source, record: Record) -> Column:
    """Whether a record makes its subject known: a compound, which is its own, does."""
    if isinstance(record.declares_subject, str):
        return F.expr(f"coalesce({_sql(source, record.declares_subject)}, false)")
    return F.lit(record.declares_subject or record.is_nobodys)


def _note_text(source: Source, note: Note, policy: Policy) -> Column:
    """The text of a note; where it is to be scrubbed, without the names that its record carries."""
    text = F.expr(f"CAST({_sql(source, note.text)} AS STRING)")
    if note.names and policy.notes == "scrub":
        return without_names(text, F.expr(_sql(source, note.names)))
    return text


def _events(source: Source, record: Record) -> Column:
    """All events of a record as one array of raw structs, in the order of the YAML."""
    single = [_event(source, event) for event in record.events.values() if not event.each]
    parts = [f"array({', '.join(single)})"] if single else []
    parts += [
        f"coalesce(transform({_sql(source, event.each)}, item -> {_event(source, event)}), array())"
        for event in record.events.values()
        if event.each
    ]
    if not parts:
        return F.expr(f"CAST(array() AS array<{RAW_EVENT}>)")
    return F.expr(f"concat({', '.join(parts)})" if len(parts) > 1 else parts[0]).cast(f"array<{RAW_EVENT}>")


def _event(source, event: Event) -> str:
    def text(expression):
        return f"CAST({_sql(source, expression)} AS STRING)"

    code = text(event.code)
    for other in event.code_of.values():
        code = f"coalesce({code}, CASE WHEN nullif({text(other)}, '') IS NOT NULL THEN '{NAMED_ELSEWHERE}' END)"
    return (
        f"named_struct('code', {code}, 'time', {text(event.time)}, 'at_end', {event.at == 'end'}, "
        f"'static', {event.static}, "
        f"'known', {event.static or event.known == 'always'}, 'available', {text(event.available_time)}, "
        f"'number', {text(event.numeric_value)}, 'text_value', {text(event.text_value)}, 'unit', {text(event.unit)})"
    )


def _identifiers(source, record) -> Column:
    """The record's identifiers as texts that name system and value without a doubt."""

    def named(one):
        system, value = _sql(source, one.system), _sql(source, one.value)
        return f"length({system}) || ':' || {system} || nullif(trim({value}), '')"

    parts = [
        f"coalesce(transform({_sql(source, one.each)}, item -> {named(one)}), array())"
        if one.each
        else f"array({named(one)})"
        for one in record.identifiers
    ]
    return F.expr(
        f"filter(concat({', '.join(parts)}), one -> one IS NOT NULL)" if parts else "CAST(NULL AS array<string>)"
    )


def _linkage(source, record) -> Column:
    """What the record says of its person for linkage: letters and figures alone, whatever their case."""
    told = [
        F.struct(
            F.lit(name).alias("name"),
            F.nullif(
                F.upper(F.regexp_replace(F.expr(f"CAST({_sql(source, text)} AS STRING)"), r"[^\p{L}\p{N}]", "")),
                F.lit(""),
            ).alias("text"),
        )
        for name, text in record.linkage.items()
    ]
    return F.filter(F.array(*told), lambda one: one["text"].isNotNull())


def _with_times(raw: DataFrame, times: Times) -> DataFrame:
    """``raw`` with, for each text ``t_x``, its first instant ``s_x`` and the first instant after it, ``e_x``."""
    names = [column[2:] for column in raw.columns if column.startswith("t_")]
    formats = {f"f_{name}": times.format_of(F.col(f"t_{name}")) for name in names}
    formats["f_version"] = times.format_of(F.col("_version"))
    starts = {f"s_{name}": times.start(f"t_{name}", f"f_{name}") for name in names}
    starts["s_version"] = times.start("_version", "f_version")
    ends = {f"e_{name}": times.end(f"s_{name}", f"f_{name}") for name in names}
    return raw.withColumns(formats).withColumns(starts).withColumns(ends)


def _record_rule(record: Record) -> Column:
    """The first rule that the record itself breaks; what its events break comes later."""
    times = ["time", "available", "lag_from"]
    times += ["birth", "death"] if record.person else []
    times += ["coverage_start", "coverage_end"] if record.coverage else []
    times += ["incurred", "paid"] if record.cost else []
    times += ["note"] if record.note else []
    times += [key for key in contents.held(record) if key in contents.TIMES]
    unread = F.lit(False)
    for name in times:
        unread = unread | (F.col(f"t_{name}").isNotNull() & F.col(f"s_{name}").isNull())
    rule = (
        F.when(F.col("_refused").isNotNull(), F.col("_refused"))
        .when(F.coalesce("_subject", *_owners(record)).isNull(), "no_id" if record.is_nobodys else "no_subject")
        .when(F.col("_id").isNull(), "no_id")
        .when(unread, "not_a_time")
    )
    if record.version:
        rule = rule.when(F.col("_version").isNotNull() & _version().isNull(), "not_a_time")
    if record.cost:
        unpaid = F.lit(False)
        for name in MONEY_COLUMNS:
            unpaid = unpaid | (F.col(f"m_{name}").isNotNull() & money(F.col(f"m_{name}")).isNull())
        rule = rule.when(unpaid, "not_a_number")
    if contents.held(record):
        rule = rule.when(contents.not_numbers(record), "not_a_number")
    return rule


def _owners(record: Record) -> list[str]:
    """The columns that name the records whose person this one is of."""
    return [f"_owner_{kind}" for kind in record.subject_of]


def _version() -> Column:
    whole = F.when(F.col("_version").rlike(r"^\d{1,18}$"), F.col("_version").try_cast("bigint"))
    return F.coalesce(whole, F.unix_micros(F.col("s_version").cast("timestamp")))


def _with_ids(rows: DataFrame, source: Source, kind: str, record: Record, site: str, pads: DataFrame) -> DataFrame:
    """Pseudonyms for all that names somebody or something, and a hash of what the record says."""
    content = [column for column in rows.columns if column not in NOT_CONTENT and column[:2] not in ("f_", "s_", "e_")]
    visit, own = f"{source.name}/{record.visit_type or kind}", f"record:{source.name}/{kind}"
    return (
        rows.crossJoin(F.broadcast(pads))
        .withColumns(
            {
                "source_subject_id": pseudonym_of(site, own if record.is_nobodys else source.system, F.col("_subject")),
                "owner_id": F.coalesce(
                    F.lit(None).cast("bigint"),
                    *[
                        pseudonym_of(site, f"record:{source.name}/{owner}", F.col(f"_owner_{owner}"))
                        for owner in record.subject_of
                    ],
                ),
                "definition_id": _definition(source, record, site),
                "record_id": pseudonym_of(site, own, F.col("_id")),
                "visit_id": pseudonym_of(site, f"record:{visit}", F.col("_visit")),
                "content_hash": F.when(F.col("_void"), F.lit(0)).otherwise(F.xxhash64(F.to_json(F.struct(*content)))),
                "_replaces": pseudonym_of(site, own, F.col("_replaces")),
                "identifiers": F.transform("_identifiers", lambda one: pseudonym_of("", "identifier", one)),
                "linkage": _tokens(rows),
            }
        )
        .drop(
            "_inner_pad",
            "_outer_pad",
            "_identifiers",
            "_linkage",
            "_definition",
            "_subject",
            "_id",
            "_visit",
            *_owners(record),
        )
    )


def _definition(source: Source, record: Record, site: str) -> Column:
    """The record that defines this one's code, where it does not say it itself."""
    for other, _ in record.codes_of:
        return pseudonym_of(site, f"record:{source.name}/{other}", F.col("_definition"))
    return F.lit(None).cast("bigint")


def _tokens(rows: DataFrame) -> Column:
    """``LINKAGE.fields``: keyed hashes that hold for every site, so that people of two sites can be compared."""
    if "_linkage" not in rows.columns:
        return F.lit(None).cast(LINKAGE["fields"].dataType)
    return F.transform(
        "_linkage",
        lambda one: F.struct(
            one["name"].alias("name"),
            pseudonym_of("", "linkage", F.concat(one["name"], F.lit(":"), one["text"])).alias("token"),
        ),
    )


def _events_or_void(record: Record) -> Column:
    """The events to explode: those of the record, one that withdraws it, or none where it is refused.

    The last is one that withdraws another record, which this one replaces.
    """
    nothing = F.expr(f"CAST(array() AS array<{RAW_EVENT}>)")
    withdrawn = F.expr(
        f"array(named_struct('code', '{VOID_CODE}', 'time', CAST(NULL AS STRING), 'at_end', false, "
        "'static', false, 'known', false, 'available', CAST(NULL AS STRING), 'number', CAST(NULL AS STRING), "
        "'text_value', CAST(NULL AS STRING), 'unit', CAST(NULL AS STRING)))"
    ).cast(f"array<{RAW_EVENT}>")
    gone = nothing if record.is_nobodys else withdrawn
    said = F.when(F.col("_void"), gone).otherwise(F.col("_events"))
    if record.replaces:
        said = F.when(_replaces_another(), F.concat(said, withdrawn)).otherwise(said)
    return F.when(F.col("_rule").isNotNull(), nothing).otherwise(said)


def _replaces_another() -> Column:
    return F.coalesce(F.col("_replaces") != F.col("record_id"), F.lit(False))


def _with_values(rows: DataFrame, kind: str, record: Record, times: Times, units: DataFrame) -> DataFrame:
    """The exploded rows with times, numbers and units read, and the head's payloads built: ``STAGED``."""
    has_text = F.col("_event.time").isNotNull()
    fields = rows.where("_position IS NULL OR _position = 0 OR _event.code IS NOT NULL").withColumns(
        {
            "code": F.col("_event.code"),
            "t_event": F.col("_event.time"),
            "t_known": F.col("_event.available"),
            "_number": F.col("_event.number"),
            "_unit": F.nullif(F.trim("_event.unit"), F.lit("")),
            "_ordinal": F.coalesce("_position", F.lit(0)),
            "_withdraws": F.coalesce((F.col("_event.code") == VOID_CODE) & (F.col("_position") > 0), F.lit(False)),
        }
    )
    read = fields.withColumns(
        {"f_event": times.format_of(F.col("t_event")), "f_known": times.format_of(F.col("t_known"))}
    )
    read = read.withColumns(
        {"s_event": times.start("t_event", "f_event"), "s_known": times.start("t_known", "f_known")}
    )
    read = read.withColumns(
        {
            "e_event": F.when(has_text, times.end("s_event", "f_event")).otherwise(F.col("e_time")),
            "s_event": F.when(has_text, F.col("s_event")).otherwise(F.col("s_time")),
            "e_known": times.end("s_known", "f_known"),
        }
    )
    read = read.withColumns(
        {
            "time": F.when(F.col("_event.static"), None)
            .when(F.col("_event.at_end"), F.col("e_event"))
            .otherwise(F.col("s_event")),
            "_value": number(F.col("_number")),
            "_always": F.coalesce(F.col("_event.known"), F.lit(False)) & ~F.col("_void"),
        }
    )
    if any(event.unit for event in record.events.values()):
        read = read.join(F.broadcast(units), "code", "left")
    else:
        read = read.withColumns(
            {"_slopes": F.lit(None).cast("map<string,struct<unit:string,slope:double,offset:double>>")}
        )
    read = read.withColumn("_scale", F.when(F.col("_value").isNotNull(), conversion_of(F.col("_unit"))))
    return _staged(read, kind, record)


def _available(record: Record, declared: Column, time: Column, time_end: Column) -> Column:
    """When something could first be known: what was declared, else the assumed lag, else the end of its own time."""
    assumed = time_end
    if record.assumed_lag:
        since = F.coalesce(F.col("s_lag_from"), time)
        assumed = since + F.expr(f"INTERVAL {record.assumed_lag}")
    released = F.coalesce(declared, F.col("s_available" if record.available_at == "start" else "e_available"), assumed)
    return F.greatest(released, time)


def _staged(rows, kind, record) -> DataFrame:
    is_event = F.col("code").isNotNull()
    rule = (
        F.when(F.col("_rule").isNotNull(), F.col("_rule"))
        .when(
            is_event
            & (
                F.col("t_event").isNotNull() & F.col("s_event").isNull()
                | F.col("t_known").isNotNull() & F.col("s_known").isNull()
            ),
            "not_a_time",
        )
        .when(
            is_event
            & F.col("time").isNull()
            & ~F.col("_always")
            & (F.col("_event.code") != VOID_CODE)
            & ~F.col("_event.static"),
            "no_time",
        )
        .when(is_event & F.col("_number").isNotNull() & F.col("_value").isNull(), "not_a_number")
        .when(
            is_event
            & F.col("_value").isNotNull()
            & F.col("_slopes").isNotNull()
            & F.col("_unit").isNotNull()
            & F.col("_scale").isNull(),
            "unknown_unit",
        )
    )
    declared_time = F.coalesce(F.col("s_time"), *[F.col(f"s_{name}") for name in _payload_times(record)])
    record_available = (
        F.lit(None).cast("timestamp_ntz")
        if record.known == "always"
        else _available(
            record, F.lit(None).cast("timestamp_ntz"), declared_time, F.coalesce(F.col("e_time"), declared_time)
        )
    )
    head = (F.col("_ordinal") == 0) & rule.isNull() & ~F.col("_void")
    value = F.when(
        F.col("_scale").isNotNull(), F.col("_value") * F.col("_scale.slope") + F.col("_scale.offset")
    ).otherwise(F.col("_value"))
    columns = {
        "record_type": F.lit(kind),
        "has_bom": F.col("_has_bom"),
        "rule": rule,
        "is_head": F.col("_ordinal") == 0,
        "is_void": F.col("_void"),
        "declares_subject": F.col("_declares"),
        "version": _version() if record.version else F.lit(None).cast("bigint"),
        "record_available": record_available,
        "withdraws_another": F.col("_withdraws"),
        "record_id": F.when(F.col("_withdraws"), F.col("_replaces")).otherwise(F.col("record_id")),
        "ordinal": F.when(F.col("_withdraws"), 0).otherwise(F.col("_ordinal")),
        "text_value": F.col("_event.text_value"),
        "available_time": F.when(F.col("_event.code") == VOID_CODE, record_available)
        .when(F.col("_always"), F.col("time"))
        .when(F.col("time").isNotNull(), _available(record, F.col("e_known"), F.col("time"), F.col("e_event"))),
        "numeric_value": value.cast("float"),
        "unit": F.coalesce(F.col("_scale.unit"), F.col("_unit")),
        "identifiers": F.when(head, F.col("identifiers")),
        "linkage": F.when(head, F.col("linkage")),
    }
    built = rows.withColumn("_record_available", record_available)
    for name, schema in PAYLOADS.items():
        columns[name] = F.when(head & _is_stated(name, record), _payload(name, schema, record))
    return built.select(*[columns.get(name, F.col(name)).alias(name) for name in STAGED])


def _is_stated(name, record) -> Column:
    """Whether a record has a row of that table at all."""
    part = getattr(record, name)
    if part is not None and name == "person":
        return F.col("_tells_person")
    if part is None or name not in STATED_BY or (name == "cost" and not part.incurred):
        return F.lit(True)
    return F.col(f"s_{STATED_BY[name]}").isNotNull()


def _payload_times(record):
    return [*(["coverage_start"] if record.coverage else []), *(["incurred"] if record.cost else [])]


def _payload(name, schema, record) -> Column:
    """The head's row of another table, without its provenance; null where the mapping names none."""
    columns = [column for column in schema if column.name not in PROVIDED and column.name != "visit_id"]
    kind = (
        "struct<available_time:timestamp_ntz,"
        + ",".join(f"{c.name}:{c.dataType.simpleString()}" for c in columns)
        + ">"
    )
    if getattr(record, name) is None:
        return F.lit(None).cast(kind)
    own = {"person": _person, "coverage": _coverage, "cost": _cost, "note": _note}
    values = own[name](record) if name in own else contents.values(name)
    return F.struct(*[values[c].alias(c) for c in ["available_time", *(column.name for column in columns)]]).cast(kind)


def _person(record) -> dict[str, Column]:
    sex = F.lower("_sex")
    whole = F.col("e_birth") <= F.col("s_birth") + F.expr("INTERVAL 1 DAY")
    month = F.col("e_birth") <= F.col("s_birth") + F.expr("INTERVAL 1 MONTH")
    return {
        "available_time": F.when(
            F.col("s_death").isNotNull(),
            _available(record, F.lit(None).cast("timestamp_ntz"), F.col("s_death"), F.col("e_death")),
        ),
        "gender_concept_id": F.when(sex.isin("male", "m"), 8507).when(sex.isin("female", "f"), 8532).otherwise(0),
        "year_of_birth": F.year("s_birth"),
        "month_of_birth": F.when(month, F.month("s_birth")),
        "day_of_birth": F.when(whole, F.dayofmonth("s_birth")),
        "birth_datetime": F.when(whole, F.col("s_birth")),
        "death_datetime": F.col("s_death"),
        "race_source_value": F.col("_race"),
        "ethnicity_source_value": F.col("_ethnicity"),
        "gender_source_value": F.col("_sex"),
        "care_site_source_value": F.col("_care_site"),
    }


def _coverage(_) -> dict[str, Column]:
    return {
        "available_time": F.col("_record_available"),
        "payer_plan_period_start_date": F.col("s_coverage_start").cast("date"),
        "payer_plan_period_end_date": F.col("s_coverage_end").cast("date"),
        "payer_source_value": F.col("_payer"),
        "plan_source_value": F.col("_plan"),
        "family_source_value": F.col("_kind"),
    }


def _cost(_) -> dict[str, Column]:
    amounts = {name: money(F.col(f"m_{name}")) for name in MONEY_COLUMNS}
    return amounts | {
        "available_time": F.col("_record_available"),
        "cost_domain_id": F.col("_domain"),
        "incurred_date": F.col("s_incurred").cast("date"),
        "paid_date": F.col("s_paid").cast("date"),
        "currency": F.col("_currency"),
        "revenue_code_source_value": F.col("_revenue_code"),
        "drg_source_value": F.col("_drg"),
    }


def _note(_) -> dict[str, Column]:
    return {
        "available_time": F.greatest("_record_available", "s_note"),
        "note_datetime": F.col("s_note"),
        "note_class_source_value": F.col("_note_kind"),
        "note_text": F.col("_note_text"),
        "language": F.col("_language"),
    }
