"""Free text without what rules can find: dates, telephones, mail and web addresses, ids, and given names.

Rules find forms, not meanings. A name that the record does not carry, an address in words, a rare story: they stay
(docs/privacy.md). What is found gives way to its kind in square brackets, so that a reader knows what stood there.
"""

from functools import reduce

from pyspark.sql import Column
from pyspark.sql import functions as F

from salus.storage.query import literal

MONTH = (
    "(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    "|nov(?:ember)?|dec(?:ember)?)"
)
RULES = (
    ("MAIL", r"[\p{L}\p{N}._%+-]+@[\p{L}\p{N}-]+(?:\.[\p{L}\p{N}-]+)+"),
    ("WEB", r"(?i)\b(?:https?://|www\.)[^\s<>\"']+"),
    (
        "DATE",
        r"(?<![\d.])(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}(?:[T ]\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?"
        r"|\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2}))(?![\d.]*\d)",
    ),
    ("DATE", rf"(?i)\b(?:{MONTH}\.? \d{{1,2}}(?:st|nd|rd|th)?,? \d{{4}}|\d{{1,2}}\.? {MONTH}\.?,? \d{{4}})\b"),
    ("DATE", r"(?:\d{4}年)?\d{1,2}月\d{1,2}[日号]|\d{4}年"),
    ("ADDRESS", r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])"),
    ("ID", r"\b\d{3}-\d{2}-\d{4}\b"),
    (
        "TELEPHONE",
        r"(?<![\p{L}\d.])(?:\+\d{1,3}[ .-]?)?(?:\(\d{2,4}\)[ ]?|\d{2,4}[ .-])\d{3,4}[ .-]?\d{4}(?!\d)"
        r"|(?<![\p{L}\d.])\+\d{1,3}(?:[ .-]?\d{2,4}){2,4}(?!\d)|(?<!\d)1[3-9]\d{9}(?!\d)",
    ),
    ("ID", r"(?i)\b(?:mrn|ssn|id|no|nr|acct|account|policy|member)[.:#]*\s*[:#]\s*[\p{L}\d][\p{L}\d-]{3,}"),
    ("ID", r"(?<![\p{L}\d.,])(?=[\p{Lu}\d-]*\d{5})[\p{Lu}\d][\p{Lu}\d-]{6,}(?![\p{L}\d.,]*\d)"),
)
"""What a finding is called, and its pattern (java.util.regex), in the order in which they are taken out."""


def scrubbed(text: Column) -> Column:
    """``text`` without what ``RULES`` find; null where it is null."""
    return reduce(lambda left, rule: F.regexp_replace(left, rule[1], f"[{rule[0]}]"), RULES, text)


def without_names(text: str, names: str) -> str:
    """The expression ``text`` without ``names``, those of its person that the record itself carries (array of strings).

    A name is a name whatever its case. In scripts that part words it counts as a whole word only, so that Ann stays
    out of "annual"; a name of one letter is none. Both expressions, and what is given, are Spark SQL.
    """
    boundary = r"[\p{IsLatin}\p{IsCyrillic}\p{IsGreek}\p{N}]"
    before, after = literal(rf"(?iu)(?<!{boundary})\Q"), literal(rf"\E(?!{boundary})")
    pattern = f"concat({before}, replace(trim(name), {literal(chr(92))}, ''), {after})"
    without = f"CASE WHEN length(trim(name)) > 1 THEN regexp_replace(said, {pattern}, '[NAME]') ELSE said END"
    known = f"array_sort(array_compact({names}), (a, b) -> length(b) - length(a))"
    every = f"coalesce({known}, CAST(array() AS ARRAY<STRING>))"
    return f"CASE WHEN {text} IS NOT NULL THEN aggregate({every}, {text}, (said, name) -> {without}) END"
