"""Free text without what rules can find: dates, telephones, mail and web addresses, ids, and given names.

Rules find forms, not meanings. A name that the record does not carry, an address in words, a rare story: they stay
(docs/privacy.md). What is found gives way to its kind in square brackets, so that a reader knows what stood there.
"""

from functools import reduce

from pyspark.sql import Column
from pyspark.sql import functions as F

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


def without_names(text: Column, names: Column) -> Column:
    """``text`` without ``names``, the names (array of strings) of its person that the record itself carries.

    A name is a name whatever its case. In scripts that part words it counts as a whole word only, so that Ann stays
    out of "annual"; a name of one letter is none.
    """
    boundary = r"[\p{IsLatin}\p{IsCyrillic}\p{IsGreek}\p{N}]"

    def without(left, name):
        quoted = F.concat(F.lit(r"\Q"), F.replace(F.trim(name), F.lit("\\"), F.lit("")), F.lit(r"\E"))
        pattern = F.concat(
            F.lit(f"(?iu)(?<!{boundary})"),
            quoted,
            F.lit(f"(?!{boundary})"),
        )
        return F.when(F.length(F.trim(name)) > 1, F.regexp_replace(left, pattern, F.lit("[NAME]"))).otherwise(left)

    known = F.array_sort(F.array_compact(names), lambda a, b: F.length(b) - F.length(a))
    return F.when(text.isNotNull(), F.aggregate(F.coalesce(known, F.array().cast("array<string>")), text, without))
