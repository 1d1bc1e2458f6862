"""Macros are text: what they become is what Spark is given."""

import pytest

from salus.sources.macros import MacroError, Macros, names_in


def test_an_argument_stays_one_operand():
    macros = Macros({"twice(n)": "n * 2"})
    assert macros.expand("twice(a + b)") == "((a + b) * 2)"
    assert macros.expand("twice(a.b)") == "(a.b * 2)"


def test_commas_within_brackets_and_literals_do_not_part_arguments():
    macros = Macros({"pair(a, b)": "[a|b]"})
    assert macros.expand("pair(f(x, y), ', )')") == "([(f(x, y))|(', )')])"


def test_names_within_literals_and_fields_are_left_alone():
    macros = Macros({"sum_of(code)": "x.code + code + 'code'"})
    text = "concat('sum_of(a)', sum_of(item.code))"
    assert macros.expand(text) == "concat('sum_of(a)', (x.code + item.code + 'code'))"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a 'b' c", "ac"),
        (r"'it\'s b' c", "c"),
        ("`a b`.c", "c"),
        ("a \"b\n'c'\" d", "ad"),
        ("a 'b", "a"),
        ("a 'b\\", "a"),
        ("1a", "a"),
    ],
)
def test_a_literal_ends_with_its_own_mark_or_with_the_text(text, names):
    assert [name for *_, name in names_in(text)] == list(names)


def test_an_argument_is_never_taken_for_another_parameter():
    macros = Macros({"both(a, b)": "a = b"})
    assert macros.expand("both(b, a)") == "(b = a)"


def test_macros_may_call_macros_but_not_in_a_ring():
    assert Macros({"f(x)": "g(x)", "g(x)": "x + 1"}).expand("f(a)") == "((a + 1))"
    with pytest.raises(MacroError, match="ring"):
        Macros({"f(x)": "g(x)", "g(x)": "f(x)"}).expand("f(a)")


@pytest.mark.parametrize(("text", "message"), [("f(a, b)", "2 arguments; expected 1"), ("f(a", "bracket stays open")])
def test_a_wrong_call_is_refused(text, message):
    with pytest.raises(MacroError, match=message):
        Macros({"f(x)": "x"}).expand(text)


def test_numbered_columns_become_one_array():
    assert Macros({}).expand("array_compact(numbered(3, DX_#))") == "array_compact(array(DX_1, DX_2, DX_3))"
    pairs = Macros({"f(x)": "trim(x)"}).expand("numbered(2, struct(f(D#) AS code, V# AS version))")
    assert pairs == "array(struct((trim(D1)) AS code, V1 AS version), struct((trim(D2)) AS code, V2 AS version))"


@pytest.mark.parametrize("text", ["numbered(DX_#)", "numbered(n, DX_#)", "numbered(3, DX)"])
def test_numbered_without_a_number_or_a_place_for_it_is_refused(text):
    with pytest.raises(MacroError, match="how many and an expression with a #"):
        Macros({}).expand(text)
