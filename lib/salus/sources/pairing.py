"""Which matches join people: pairs that a linkage model holds for one person, where nothing speaks against it.

A match is weaker than a shared identifier. It never parts people whom identifiers join, and is set aside where it would
join two birth dates, two sexes, two people of one dataset, or too many; where somebody matches two people of a
dataset, neither is chosen. The heaviest match comes first, so that the order of deliveries changes nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import NamedTuple


class Match(NamedTuple):
    """Two source subjects whom the model holds for one person, with the weight of the evidence, in bits."""

    one: int
    other: int
    weight: float


class Traits(NamedTuple):
    """What tells a source subject from others; None = not known. A dataset names each of its people once."""

    birth: date | None
    sex: int | None
    dataset: str | None


class Aside(NamedTuple):
    """Two who match and cannot be one."""

    reason: str
    members: tuple[int, int]


def paired(
    groups: Sequence[set[int]], matches: Iterable[Match], traits: Mapping[int, Traits], most: int
) -> tuple[list[set[int]], list[Aside]]:
    """``groups``, joined by those of ``matches`` that hold, and the matches that do not.

    Args:
        groups: source subjects whom identifiers join, those without others among them.
        matches: between members of ``groups``; the others are passed over.
        traits: of every member.
        most: how many source subjects matches may make one person of.
    """
    home = {member: number for number, members in enumerate(groups) for member in members}
    heaviest: dict[tuple[int, int], Match] = {}
    for match in sorted(matches, key=lambda one: (-one.weight, one)):
        if match.one in home and match.other in home and home[match.one] != home[match.other]:
            pair = sorted((home[match.one], home[match.other]))
            heaviest.setdefault((pair[0], pair[1]), match)
    told = [_Group(members, [traits[member] for member in members]) for members in groups]
    aside = {pair: reason for pair in heaviest if (reason := _why_not(told[pair[0]], told[pair[1]], most))}
    candidates: dict[tuple[int, str], set[int]] = {}
    for one, other in heaviest.keys() - aside.keys():
        for group, by in ((one, other), (other, one)):
            for dataset in told[by].datasets:
                candidates.setdefault((group, dataset), set()).add(by)
    for one, other in heaviest.keys() - aside.keys():
        choices = [(one, dataset) for dataset in told[other].datasets]
        choices += [(other, dataset) for dataset in told[one].datasets]
        if any(len(candidates[choice]) > 1 for choice in choices):
            aside[one, other] = "match_of_two_people"
    roots = list(range(len(groups)))
    for (one, other), _ in heaviest.items():
        if (one, other) in aside:
            continue
        first, second = sorted((_root(roots, one), _root(roots, other)))
        if first == second:
            continue
        if reason := _why_not(told[first], told[second], most):
            aside[one, other] = reason
            continue
        roots[second] = first
        told[first] = _Group(told[first].members | told[second].members, told[first].traits + told[second].traits)
    kept = [told[number].members for number, root in enumerate(roots) if number == root]
    return kept, [
        Aside(reason, (min(match[:2]), max(match[:2])))
        for pair, match in heaviest.items()
        if (reason := aside.get(pair))
    ]


class _Group(NamedTuple):
    members: set[int]
    traits: list[Traits]

    @property
    def datasets(self) -> set[str]:
        return {one.dataset for one in self.traits if one.dataset is not None}


def _why_not(one: _Group, other: _Group, most: int) -> str | None:
    """Why two groups cannot be one person; None = they can."""
    both = one.traits + other.traits
    if len({each.birth for each in both} - {None}) > 1:
        return "match_of_two_birth_dates"
    if len({each.sex for each in both} - {None}) > 1:
        return "match_of_two_sexes"
    if one.datasets & other.datasets:
        return "match_of_two_people"
    return "match_joins_too_many" if len(both) > most else None


def _root(roots: list[int], number: int) -> int:
    while roots[number] != number:
        number = roots[number]
    return number
