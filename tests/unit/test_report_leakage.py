"""Leakage's price in the report: the difference, and the two figures that it is the difference of."""

import pytest

from salus.report.leakage import leakage
from salus.report.measured import Measure
from salus.report.page import Missing


def figures(**values):
    return {("model", name): Measure(value, value - 0.01, value + 0.01, 700, 12_000) for name, value in values.items()}


@pytest.mark.parametrize(("of", "metric"), [("AUROC", "auroc"), ("the deviance explained", "d2")])
def test_it_says_what_was_promised_by_either_clock(of, metric):
    clocks = {f"{metric}_by_time": 0.834, f"{metric}_by_available_time": 0.8}
    text = leakage(figures(leakage_price=0.034, **clocks), of, metric).text
    assert text.startswith(f"Leakage's price: 0.034 (0.024 to 0.044) of {of}.")
    assert "things happened (0.834) instead" in text
    assert text.endswith("could be known (0.800).")


def test_a_price_alone_is_told_alone_and_none_is_missing():
    assert leakage(figures(leakage_price=0.034), "AUROC", "auroc").text.endswith("could be known.")
    assert isinstance(leakage({}, "AUROC", "auroc"), Missing)
