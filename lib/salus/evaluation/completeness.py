"""Of whom is how much recorded? A lab that a subgroup's records lack tells a model less of these people.

What is missing of whom is the first of the biases that Gianfrancesco et al. (JAMA Intern Med 2018;178:1544-7) warn of
in models of health records. Ranking and level may hold all the same, because everything else stands in for the lab: so
what is recorded is counted by itself, as the share of predictions that could see a value in the longest window of
numbers. A gap to everybody else is material where its interval excludes nought and it is as wide as ``MATERIAL``.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from salus.evaluation.bootstrap import REPLICATES, intervals
from salus.timelines.spec import FeatureSpec

RECORDED, RECORDED_GAP = "recorded: ", "recorded_gap: "
"""What the metrics of a lab begin with: the share, and the subgroup's less everybody else's; then comes its label."""

MATERIAL = 0.1
"""How wide a gap matters, as a share of predictions: our choice."""


def flags_of(spec: FeatureSpec) -> dict[str, int]:
    """The label of each numeric group to the input column that is 1 where no value of it is in the longest window."""
    if not spec.numeric_windows_days:
        return {}
    days = max(spec.numeric_windows_days)
    first = len(spec.names)
    return {
        group.label: first + spec.absences.index(flag)
        for group in spec.of_kind("numeric")
        if (flag := f"{group.name}.{days}d") in spec.absences
    }


def by_completeness(
    people: np.ndarray,
    recorded: Mapping[str, np.ndarray],
    attributes: Mapping[str, np.ndarray],
    replicates: int = REPLICATES,
) -> list[dict[str, Any]]:
    """How much is recorded of each subgroup, and the gap to everybody else.

    Args:
        people: int64 (rows,), the person of each row.
        recorded: a lab's label to whether a row could see a value: bool (rows,).
        attributes: name to the value of each row, str (rows,); rows without a value are in no subgroup of it.
        replicates: of the bootstrap of people.

    Returns:
        Mappings of model_name, subgroup, metric, value, low, high, people and rows.
    """
    if not recorded:
        return []
    distinct, person = np.unique(people, return_inverse=True)
    seen, rows = np.column_stack(list(recorded.values())), []
    for attribute, values in attributes.items():
        for value in sorted(set(values) - {""}):
            inside, outside = values == value, (values != value) & (values != "")
            if not outside.any():
                continue
            parts = [_of_people(person[mask], seen[mask], distinct.size) for mask in (inside, outside)]
            named = {
                "model_name": "model",
                "subgroup": f"{attribute}: {value}",
                "people": int(np.unique(people[inside]).size),
                "rows": int(inside.sum()),
            }
            rows += [named | row for row in _measured(distinct, list(recorded), parts, replicates)]
    return rows


def _of_people(person, seen, people):
    """(people, labs + 1): of each person how many rows see each lab, and how many rows there are."""
    counted = [np.bincount(person, column, people) for column in seen.T]
    return np.column_stack([*counted, np.bincount(person, minlength=people)])


def _measured(distinct, labels, parts, replicates):
    def shares(times):
        inside, outside = (times @ part for part in parts)
        with np.errstate(invalid="ignore"):
            group, others = inside[:-1] / inside[-1], outside[:-1] / outside[-1]
        return np.r_[group, group - others]

    values = shares(np.ones(distinct.size))
    low, high = intervals(shares, distinct, replicates)
    names = [f"{begins}{label}" for begins in (RECORDED, RECORDED_GAP) for label in labels]
    return [
        {"metric": name, "value": float(values[place]), "low": low[place], "high": high[place]}
        for place, name in enumerate(names)
    ]


def is_material(value: float | None, low: float | None, high: float | None) -> bool:
    """Whether a gap is both certain and wide."""
    if value is None or low is None or high is None:
        return False
    return (low > 0 or high < 0) and abs(value) >= MATERIAL
