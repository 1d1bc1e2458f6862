"""What a label's ACES configuration may say, checked when the task is loaded and without loading ACES.

Prediction times enter ACES as synthetic events, so whatever depends on which events exist is refused: ACES triggers
on existing rows only, and counts a record that ends right after the trigger as a negative (es-aces 0.7.2, query.py
and aggregate.py).
"""

import re
from collections.abc import Sequence
from typing import Any

from pytimeparse import parse

PREDICTION = "prediction"
"""The predicate of the synthetic index events, which every configuration is triggered by."""

DEATH_CODE = "MEDS_DEATH"
DEATH = "salus_death"
SECONDS_PER_DAY = 86_400

_OF_THE_RECORD = ("_ANY_EVENT", "_RECORD_START", "_RECORD_END", "*")
_PREDICATE_KEYS = {"code", "value_min", "value_max", "value_min_inclusive", "value_max_inclusive", "expr"}
_WINDOW_KEYS = {"start", "end", "start_inclusive", "end_inclusive", "has", "label"}


def check_label_windows(aces: dict[str, Any], horizon_days: int, death: str, classes: Sequence[str] = ()) -> None:
    """Refuse a configuration that cannot label a prediction without leaking, or that says two horizons.

    Args:
        aces: ``predicates`` and ``windows`` as ACES writes them.
        horizon_days: how far the label looks ahead.
        death: the task's reading of death.
        classes: predicates that are classes; none = the label's window alone says what is predicted.

    Raises:
        ValueError: what was received and what was expected.
    """
    if unknown := set(aces) - {"predicates", "windows"}:
        raise ValueError(
            f"aces holds {', '.join(sorted(unknown))}; expected predicates and windows "
            f"(the trigger is always {PREDICTION!r})"
        )
    predicates, windows = aces.get("predicates") or {}, aces.get("windows") or {}
    _check_predicates(predicates)
    for name, window in windows.items():
        _check_window(name, window, predicates)
    label = label_window(aces)
    earliest, _ = _reach(windows, label, "start")
    _, latest = _reach(windows, label, "end")
    if earliest < 0:
        raise ValueError(f"window {label} begins before the prediction time; a label may only look ahead")
    if latest not in (horizon_days * SECONDS_PER_DAY, float("inf")):
        raise ValueError(
            f"window {label} ends {latest / SECONDS_PER_DAY:g} days after the prediction, horizon_days "
            f"says {horizon_days}; expected the same"
        )
    if unknown := set(classes) - set(predicates):
        raise ValueError(f"the classes {', '.join(sorted(unknown))} are not defined; expected predicates of aces")
    asked = classes or [windows[label]["label"]]
    named = {code for each in asked for name in closure(predicates, each) for code in plain_codes(predicates[name])}
    if death == "event" and DEATH_CODE not in named:
        raise ValueError(f"death: event expects the label's predicates to name {DEATH_CODE}")
    if classes and death == "no_event" and DEATH_CODE in named:
        raise ValueError(f"a class names {DEATH_CODE}; expected death: event")


def label_window(aces: dict[str, Any]) -> str:
    """The one window that carries the label."""
    labelled = [name for name, window in (aces.get("windows") or {}).items() if (window or {}).get("label")]
    if len(labelled) != 1:
        raise ValueError(f"{len(labelled)} windows carry a label; expected exactly one")
    return labelled[0]


def closure(predicates: dict[str, Any], name: str) -> list[str]:
    """``name`` and every predicate that it is derived from."""
    expression = predicates[name].get("expr")
    return [name, *(each for part in _inputs(expression) for each in closure(predicates, part))]


def plain_codes(predicate: dict[str, Any]) -> list[str]:
    """The codes that a plain predicate lists one by one; none for a regular expression or a derived predicate."""
    code = predicate.get("code")
    return [code] if isinstance(code, str) else list((code or {}).get("any") or [])


def _check_predicates(predicates):
    for name, predicate in predicates.items():
        if not re.fullmatch(r"\w+", name) or name in (PREDICTION, DEATH):
            raise ValueError(f"predicate {name!r}: expected letters, digits and _, not {PREDICTION} or {DEATH}")
        if not isinstance(predicate, dict) or not set(predicate) <= _PREDICATE_KEYS:
            raise ValueError(
                f"predicate {name}: expected the keys {', '.join(sorted(_PREDICATE_KEYS))} "
                "(who is predicted for belongs in eligibility)"
            )
        if ("code" in predicate) == ("expr" in predicate):
            raise ValueError(f"predicate {name}: expected exactly one of code and expr")
        code = predicate.get("code")
        if isinstance(code, dict) and (len(code) != 1 or not set(code) <= {"any", "regex"} or not all(code.values())):
            raise ValueError(f"predicate {name}: expected code to be a code, {{any: [codes]}} or {{regex: text}}")
    for name, predicate in predicates.items():
        if "expr" in predicate:
            _check_expression(predicates, name, ())


def _check_expression(predicates, name, above):
    if name in above:
        raise ValueError(f"predicate {name} is derived from itself")
    for part in _inputs(predicates[name].get("expr")):
        if part not in predicates:
            raise ValueError(f"predicate {name} names {part}, which is not defined")
        _check_expression(predicates, part, (*above, name))


def _inputs(expression):
    if expression is None:
        return []
    found = re.fullmatch(r"(?:and|or)\((.+)\)", expression)
    parts = [part.strip() for part in found.group(1).split(",")] if found else []
    if len(parts) < 2:
        raise ValueError(f"expression {expression!r}: expected and(a, b, …) or or(a, b, …)")
    return parts


def _check_window(name, window, predicates):
    if not isinstance(window, dict) or not set(window) <= _WINDOW_KEYS:
        raise ValueError(f"window {name}: expected the keys {', '.join(sorted(_WINDOW_KEYS))}")
    missing = {"start", "end", "start_inclusive", "end_inclusive"} - {key for key in window if window[key] is not None}
    if missing:
        raise ValueError(
            f"window {name}: {', '.join(sorted(missing))} must be given (where a record ends says nothing "
            "about a prediction time)"
        )
    references = [*(window.get("has") or {}), *filter(None, [window.get("label")])]
    for bound in (window["start"], window["end"]):
        references += re.findall(r"(?:->|<-)\s*(\S+)", bound)
    for reference in references:
        if reference in _OF_THE_RECORD:
            raise ValueError(
                f"window {name} uses {reference}, which synthetic prediction events would count; "
                "name the events that matter"
            )
        if reference not in predicates:
            raise ValueError(f"window {name} names the predicate {reference}, which is not defined")


def _reach(windows, name, side, above=()):
    """The earliest and the latest that a window's start or end can lie, in seconds from the prediction."""
    if (name, side) in above:
        raise ValueError(f"window {name} is bounded by itself")
    bound = windows[name][side].strip()
    reference, operator, rest = [*re.split(r"\s*(->|<-|\+|-)\s*", bound, maxsplit=1), None, None][:3]
    earliest, latest = _reach_of(windows, name, reference, (*above, (name, side)))
    if operator is None or rest is None:
        return earliest, latest
    if operator == "->":
        return earliest, float("inf")
    if operator == "<-":
        return -float("inf"), latest
    seconds = parse(rest)
    if seconds is None:
        raise ValueError(f"window {name}: {rest!r} is not a length of time such as 90d or 12h")
    seconds = seconds if operator == "+" else -seconds
    return earliest + seconds, latest + seconds


def _reach_of(windows, name, reference, above):
    if reference == "trigger":
        return 0, 0
    if reference in ("start", "end"):
        return _reach(windows, name, reference, above)
    window, _, side = reference.partition(".")
    if window not in windows or side not in ("start", "end"):
        raise ValueError(
            f"window {name} refers to {reference}; expected trigger, start, end, window.start or window.end"
        )
    return _reach(windows, window, side, above)
