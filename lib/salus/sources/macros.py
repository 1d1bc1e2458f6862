"""Textual macros: ``fhir_code(code)`` in a source's YAML is written out before Spark parses the expression.

Spark's own SQL functions fail inside ``inline`` and on lambda variables, and cast structs by position, which is
silently wrong; text has none of that. An argument stands in brackets where it is put, so that it stays one operand.
"""

import re
from collections.abc import Iterator, Mapping

NAME_OR_LITERAL = re.compile(
    r"""(?P<name>[A-Za-z_]\w*)|(?P<quote>['"`])(?:\\.|(?!(?P=quote))[^\\])*(?:(?P=quote)|\\?\Z)""", re.DOTALL
)
SIGNATURE = re.compile(r"\s*([A-Za-z_]\w*)\s*\(([\w\s,]*)\)\s*$")
PATH = re.compile(r"[A-Za-z_][\w.]*$")
DEEPEST = 20
NUMBERED = "numbered"

BUILT_IN = {
    "vocabulary(system)": """
        CASE system
            WHEN 'http://loinc.org' THEN 'LOINC'
            WHEN 'http://snomed.info/sct' THEN 'SNOMED'
            WHEN 'http://hl7.org/fhir/sid/icd-10-cm' THEN 'ICD10CM'
            WHEN 'http://www.nlm.nih.gov/research/umls/rxnorm' THEN 'RxNorm'
            WHEN 'http://hl7.org/fhir/sid/cvx' THEN 'CVX'
            WHEN 'http://hl7.org/fhir/sid/ndc' THEN 'NDC'
            WHEN 'http://www.ama-assn.org/go/cpt' THEN 'CPT'
            WHEN 'http://hl7.org/fhir/sid/icd-9-cm' THEN 'ICD9CM'
            WHEN 'http://hl7.org/fhir/sid/icd-10' THEN 'ICD10'
            WHEN 'https://bluebutton.cms.gov/resources/codesystem/hcpcs' THEN 'HCPCS'
            WHEN 'http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets' THEN 'HCPCS'
            WHEN 'http://www.cms.gov/Medicare/Coding/ICD10' THEN 'ICD10PCS'
            WHEN 'http://www.ada.org/cdt' THEN 'CDT'
            ELSE nullif(regexp_extract(system, '([^/:]+)$', 1), '') END""",
    "coding_rank(system)": """
        CASE system WHEN 'http://hl7.org/fhir/sid/icd-10-cm' THEN 0 WHEN 'http://snomed.info/sct' THEN 2 ELSE 1 END""",
    "coded(coding)": "vocabulary(coding.system) || '/' || coding.code",
    "fhir_coding(codings)": """
        CASE WHEN get(codings, 1) IS NULL THEN coded(get(codings, 0))
             ELSE array_min(transform(filter(codings, c -> c.code IS NOT NULL),
                                      c -> struct(coding_rank(c.system) AS rank, coded(c) AS code))).code END""",
    "fhir_code(concept)": "fhir_coding(concept.coding)",
    "fhir_reference(reference)": "nullif(regexp_extract(reference, '^(?:.*[/:])?([A-Za-z0-9.-]+)$', 1), '')",
    "when_known()": "'when known'",
    "study_day(day)": r"""
        CASE WHEN filled(day) RLIKE '^-?[0-9]+([.]0+)?$' THEN 'study day ' || split_part(filled(day), '.', 1) END""",
    "file_name()": "element_at(split(_path, '/'), -1)",
    "filled(text)": "nullif(trim(text), '')",
    "once(value, name, result)": "get(transform(array(value), name -> result), 0)",
    "total(amounts)": """
        once(amounts, them,
            CASE WHEN exists(them, a -> filled(a) IS NOT NULL AND try_cast(a AS DECIMAL(18, 4)) IS NULL) THEN 'no sum'
                 ELSE CAST(aggregate(them, CAST(0 AS DECIMAL(18, 4)), (sum, a) ->
                           CAST(sum + coalesce(try_cast(a AS DECIMAL(18, 4)), 0) AS DECIMAL(18, 4))) AS STRING) END)""",
    "icd9cm(code)": "'ICD9CM/' || regexp_replace(code, '^(E.{3}|[^E].{2})(.+)$', '$1.$2')",
    "icd9proc(code)": "'ICD9Proc/' || regexp_replace(code, '^(.{2})(.+)$', '$1.$2')",
    "icd10cm(code)": "CASE WHEN length(code) > 3 THEN 'ICD10CM/' || left(code, 3) || '.' || substring(code, 4) "
    "ELSE 'ICD10CM/' || code END",
}
"""The helpers that every source may use; a source's ``macros`` add to them."""


class MacroError(ValueError):
    """A macro that is called or declared wrongly."""


class Macros:
    """Named texts with parameters, expanded until none is left."""

    def __init__(self, declared: Mapping[str, str]):
        self._bodies = {}
        for signature, body in {**BUILT_IN, **declared}.items():
            parsed = SIGNATURE.match(signature)
            if not parsed:
                raise MacroError(f"`{signature}` is no signature; expected name(parameter, ...)")
            parameters = [name.strip() for name in parsed.group(2).split(",") if name.strip()]
            self._bodies[parsed.group(1)] = (parameters, body.strip())

    def expand(self, text: str) -> str:
        """``text`` with every macro written out.

        Raises:
            MacroError: a call has the wrong number of arguments, a bracket stays open, or macros call one another
                in a ring.
        """
        for _ in range(DEEPEST):
            expanded = self._once(text)
            if expanded == text:
                return text
            text = expanded
        raise MacroError("macros call one another in a ring")

    def _once(self, text):
        parts, position = [], 0
        for start, end, name in names_in(text):
            if text[end : end + 1] != "(" or start < position or (name not in self._bodies and name != NUMBERED):
                continue
            arguments, after = _arguments(text, end)
            if name == NUMBERED:
                parts += [text[position:start], _numbered(arguments)]
                position = after
                continue
            parameters, body = self._bodies[name]
            if len(arguments) != len(parameters):
                raise MacroError(f"{name} received {len(arguments)} arguments; expected {len(parameters)}")
            parts += [text[position:start], f"({_put(body, dict(zip(parameters, arguments, strict=True)))})"]
            position = after
        return "".join([*parts, text[position:]])


def _numbered(arguments):
    """``numbered(3, DX_#)`` as ``array(DX_1, DX_2, DX_3)``: a file's numbered columns as one array."""
    if len(arguments) != 2 or not arguments[0].isdigit() or "#" not in arguments[1]:
        raise MacroError(f"{NUMBERED} received {', '.join(arguments)}; expected how many and an expression with a #")
    return f"array({', '.join(arguments[1].replace('#', str(number + 1)) for number in range(int(arguments[0])))})"


def _put(body, values):
    """``body`` with its parameters replaced by ``values``, wherever they stand as names of their own."""
    parts, position = [], 0
    for start, end, name in names_in(body):
        if name in values and (start == 0 or body[start - 1] != "."):
            value = values[name]
            parts += [body[position:start], value if PATH.match(value) else f"({value})"]
            position = end
    return "".join([*parts, body[position:]])


def names_in(text) -> Iterator[tuple[int, int, str]]:
    """Every name in ``text`` outside string literals: where it starts, where it ends, and itself."""
    for found in NAME_OR_LITERAL.finditer(text):
        if found["name"]:
            yield found.start(), found.end(), found["name"]


def _after_literal(text, start):
    quote, position = text[start], start + 1
    while position < len(text) and text[position] != quote:
        position += 2 if text[position] == "\\" else 1
    return position + 1


def _arguments(text, opening):
    """The arguments of the call whose bracket opens at ``opening``, and where the call ends."""
    depth, start, position, found = 0, opening + 1, opening, []
    while position < len(text):
        character = text[position]
        if character in "'\"`":
            position = _after_literal(text, position)
            continue
        depth += (character in "([{") - (character in ")]}")
        if depth == 0 or (depth == 1 and character == ","):
            found.append(text[start:position].strip())
            start = position + 1
        if depth == 0:
            return [argument for argument in found if argument], position + 1
        position += 1
    raise MacroError("a bracket stays open")
