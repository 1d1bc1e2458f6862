"""A record's own columns as its source's YAML words them: ids, texts of times, its events as one array of texts.

What is worked out here is worked out once a record; nothing is read as a time or a number yet.
"""

from salus.privacy.scrub import without_names
from salus.privacy.settings import Policy
from salus.sources import contents
from salus.sources.declaration import Source
from salus.sources.record_parts import Event, Note
from salus.sources.record_type import Record
from salus.storage.query import literal

NAMED_ELSEWHERE = "SALUS_CODE_OF"
"""Stands for the code of an event until the record that defines it is looked up."""

NOTHING = "CAST(NULL AS STRING)"
"""What a column says of which the YAML says nothing: whatever follows from it need not be planned."""

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


def raw_columns(source: Source, record: Record, policy: Policy) -> dict[str, str]:
    """The columns, name to Spark SQL expression, of a record of ``source``.

    ``_x`` are as they stay; ``t_x`` are texts of times, ``m_x`` of money and ``n_x`` of numbers.
    """
    columns = {
        "_refused": _refused(source, record),
        "_id": _unless_blank(source, record.id),
        "_subject": _unless_blank(source, record.id if record.is_nobodys else record.subject),
        **{f"_owner_{kind}": _unless_blank(source, owner) for kind, owner in record.subject_of.items()},
        "_visit": _unless_blank(source, record.visit),
        "_definition": _unless_blank(source, next((text for _, text in record.codes_of), None)),
        "_day_one": _unless_blank(source, record.counted_from.id if record.counted_from else None),
        "_replaces": _unless_blank(source, record.replaces),
        "_version": _text(source, record.version),
        "_void": f"coalesce({_sql(source, record.void)}, false)",
        "_declares": _declares_subject(source, record),
        "t_time": _text(source, record.time),
        "t_available": _text(source, record.available_time),
        "t_lag_from": _text(source, record.lag_from),
        "_events": _events(source, record),
        "_identifiers": _identifiers(source, record),
    }
    if source.link and record.linkage:
        columns["_linkage"] = _linkage(source, record)
    for part, columns_of in ((record.person, _person), (record.coverage, _coverage), (record.cost, _cost)):
        columns |= columns_of(source, part) if part else {}
    columns |= _note(source, record, policy) if record.note else {}
    return columns | contents.raw_columns(record, lambda expression: _sql(source, expression))


def shared_columns(source: Source, record: Record) -> dict[str, str]:
    """What the expressions of ``record`` name beside its own columns, name to Spark SQL expression."""
    return {name: _sql(source, text) for name, text in record.shared.items()}


def _person(source, person) -> dict[str, str]:
    return {
        "t_birth": _text(source, person.birth),
        "t_death": _text(source, person.death),
        "_sex": _text(source, person.sex),
        "_race": _text(source, person.race),
        "_ethnicity": _text(source, person.ethnicity),
        "_care_site": _text(source, person.care_site),
        "_tells_person": f"coalesce({_sql(source, person.when)}, false)",
    }


def _coverage(source, coverage) -> dict[str, str]:
    return {
        "t_coverage_start": _text(source, coverage.start),
        "t_coverage_end": _text(source, coverage.end),
        "_payer": _text(source, coverage.payer),
        "_plan": _text(source, coverage.plan),
        "_kind": _text(source, coverage.kind),
    }


def _cost(source, cost) -> dict[str, str]:
    return {
        "t_incurred": _text(source, cost.incurred),
        "t_paid": _text(source, cost.paid),
        "_domain": _text(source, cost.domain),
        "_currency": _text(source, cost.currency),
        "_revenue_code": _text(source, cost.revenue_code),
        "_drg": _text(source, cost.drg),
        **{f"m_{name}": _text(source, getattr(cost, name)) for name in MONEY_COLUMNS},
    }


def _note(source, record, policy) -> dict[str, str]:
    return {
        "t_note": _text(source, record.note.time or record.time),
        "_note_text": _note_text(source, record.note, policy),
        "_note_kind": _text(source, record.note.kind),
        "_language": _text(source, record.note.language),
    }


def _sql(source: Source, text: str | None) -> str:
    return f"({source.macro.expand(text)})" if text else "NULL"


def _text(source: Source, expression: str | None) -> str:
    return f"CAST({_sql(source, expression)} AS STRING)"


def _unless_blank(source: Source, expression: str | None) -> str:
    return f"nullif({_text(source, expression)}, '')" if expression else NOTHING


def _refused(source, record) -> str:
    """The first of the source's own rules that the record breaks, after those that the parser saw."""
    rules = [
        f"CASE WHEN NOT coalesce({_sql(source, condition)}, false) THEN {literal(rule)} END"
        for rule, condition in record.accept.items()
    ]
    return f"coalesce({', '.join(['_broken', *rules])})"


def _declares_subject(source, record) -> str:
    """Whether a record makes its subject known: a compound, which is its own, does."""
    if isinstance(record.declares_subject, str):
        return f"coalesce({_sql(source, record.declares_subject)}, false)"
    return str(record.declares_subject or record.is_nobodys).lower()


def _note_text(source, note: Note, policy: Policy) -> str:
    """The text of a note; where it is to be scrubbed, without the names that its record carries."""
    text = _text(source, note.text)
    if note.names and policy.notes == "scrub":
        return without_names(text, _sql(source, note.names))
    return text


def _events(source, record) -> str:
    """All events of a record as one array of raw structs, in the order of the YAML."""
    single = [_event(source, event) for event in record.events.values() if not event.each]
    parts = [f"array({', '.join(single)})"] if single else []
    parts += [
        f"coalesce(transform({_sql(source, event.each)}, item -> {_event(source, event)}), array())"
        for event in record.events.values()
        if event.each
    ]
    every = f"concat({', '.join(parts)})" if len(parts) > 1 else parts[0] if parts else "array()"
    return f"CAST({every} AS array<{RAW_EVENT}>)"


def _event(source, event: Event) -> str:
    def text(expression):
        return _text(source, expression)

    code = text(event.code)
    for other in event.code_of.values():
        code = f"coalesce({code}, CASE WHEN nullif({text(other)}, '') IS NOT NULL THEN '{NAMED_ELSEWHERE}' END)"
    return (
        f"named_struct('code', {code}, 'time', {text(event.time)}, 'at_end', {event.at == 'end'}, "
        f"'static', {event.static}, "
        f"'known', {event.static or event.known == 'always'}, 'available', {text(event.available_time)}, "
        f"'number', {text(event.numeric_value)}, 'text_value', {text(event.text_value)}, 'unit', {text(event.unit)})"
    )


def _identifiers(source, record) -> str:
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
    return f"filter(concat({', '.join(parts)}), one -> one IS NOT NULL)" if parts else "CAST(NULL AS array<string>)"


def _linkage(source, record) -> str:
    """What the record says of its person for linkage: letters and figures alone, whatever their case."""
    other = literal(r"[^\p{L}\p{N}]")
    told = [
        f"named_struct('name', {literal(name)}, 'text', "
        f"nullif(upper(regexp_replace({_text(source, text)}, {other}, '')), ''))"
        for name, text in record.linkage.items()
    ]
    return f"filter(array({', '.join(told)}), one -> one.text IS NOT NULL)"
