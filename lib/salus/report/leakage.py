"""Leakage's price, in words: what would have been promised by the clock that nobody has on the day."""

from salus.report import words
from salus.report.measured import Measures
from salus.report.page import Missing, Text

PRICE = "leakage_price"


def leakage(measured: Measures, of: str, metric: str) -> Missing | Text:
    """The price and what it is the difference of.

    Args:
        measured: of the model.
        of: what was promised, such as ``AUROC``.
        metric: its name, such as ``auroc``.
    """
    price = measured.get(("model", PRICE))
    if price is None:
        return Missing("Leakage's price", "evaluate")
    promised, kept = (_value(measured, f"{metric}_by_{clock}") for clock in ("time", "available_time"))
    return Text(
        f"Leakage's price: {words.interval(price.value, price.low, price.high)} of {of}. So much more would have been "
        f"promised, and never kept, had the features been taken by the time at which things happened{promised} instead "
        f"of the time at which they could be known{kept}.",
        "note",
    )


def _value(measured, metric):
    found = measured.get(("model", metric))
    return "" if found is None else f" ({words.number(found.value)})"
