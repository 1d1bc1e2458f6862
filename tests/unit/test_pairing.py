"""Matches join people where nothing speaks against it, and whatever the order in which they come."""

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from salus.sources.histories import ALWAYS, NEVER, Apart, Span, histories
from salus.sources.pairing import Aside, Match, Traits, paired

BORN = [None, date(1950, 1, 1), date(1950, 1, 2)]
NOBODY = Traits(None, None, None)
MEMBERS = range(8)
TRAITS = st.builds(Traits, st.sampled_from(BORN), st.sampled_from([None, 8507]), st.sampled_from([None, "a", "b"]))
MATCHES = st.lists(
    st.tuples(st.sampled_from(MEMBERS), st.sampled_from(MEMBERS), st.sampled_from([10.0, 12.0, 14.0])).filter(
        lambda one: one[0] < one[1]
    ),
    max_size=10,
)


def alone(traits):
    return [{member} for member in traits]


def people(groups):
    return sorted(map(sorted, groups))


@given(st.lists(TRAITS, min_size=8, max_size=8), MATCHES, st.randoms())
def test_no_person_has_two_birth_dates_or_two_ids_of_a_dataset_and_order_changes_nothing(traits, told, random):
    about, matches = dict(enumerate(traits)), [Match(*one) for one in told]
    groups, aside = paired(alone(about), matches, about, 4)
    assert sorted(member for group in groups for member in group) == list(MEMBERS)
    for group in groups:
        of_dataset = [about[member].dataset for member in group if about[member].dataset]
        assert len({about[member].birth for member in group} - {None}) < 2
        assert len(of_dataset) == len(set(of_dataset))
        assert len(group) <= 4
    again, aside_again = paired(alone(about), random.sample(matches, len(matches)), about, 4)
    assert (people(again), sorted(aside_again)) == (people(groups), sorted(aside))


@given(st.lists(TRAITS, min_size=8, max_size=8), MATCHES)
def test_a_match_that_joins_nobody_is_told_and_every_other_joins(traits, told):
    about, matches = dict(enumerate(traits)), [Match(*one) for one in told]
    groups, aside = paired(alone(about), matches, about, 4)
    home = {member: number for number, group in enumerate(groups) for member in group}
    set_aside = {one.members for one in aside}
    for match in matches:
        assert (home[match.one] == home[match.other]) or (match.one, match.other) in set_aside


def test_a_lighter_match_never_parts_those_whom_identifiers_join():
    about = {1: Traits(BORN[1], None, "a"), 2: Traits(None, None, "b"), 3: Traits(BORN[2], None, "c")}
    groups, aside = paired([{1, 2}, {3}], [Match(2, 3, 20.0)], about, 20)
    assert people(groups) == [[1, 2], [3]]
    assert aside == [Aside("match_of_two_birth_dates", (2, 3))]


def test_who_matches_two_people_of_a_dataset_is_neither():
    """Twins whom a claim without a given name fits alike; but two ids of one person are no choice."""
    about = {1: Traits(None, None, "a"), 2: Traits(None, None, "a"), 3: Traits(None, None, "b")}
    both = [Match(1, 3, 20.0), Match(2, 3, 15.0)]
    groups, aside = paired(alone(about), both, about, 20)
    assert people(groups) == [[1], [2], [3]]
    assert sorted(aside) == [Aside("match_of_two_people", (1, 3)), Aside("match_of_two_people", (2, 3))]
    groups, aside = paired([{1, 2}, {3}], both, about, 20)
    assert (people(groups), aside) == ([[1, 2, 3]], [])


def test_a_twin_who_cannot_be_meant_is_no_choice():
    about = {1: Traits(BORN[1], 8507, "a"), 2: Traits(BORN[1], 8532, "a"), 3: Traits(BORN[1], 8532, "b")}
    groups, aside = paired(alone(about), [Match(1, 3, 20.0), Match(2, 3, 15.0)], about, 20)
    assert people(groups) == [[1], [2, 3]]
    assert aside == [Aside("match_of_two_sexes", (1, 3))]


def test_the_heaviest_come_first_and_make_no_person_of_more_than_they_may():
    about = dict.fromkeys(range(6), NOBODY)
    groups, aside = paired(alone(about), [Match(one, one + 1, 20.0 - one) for one in reversed(range(5))], about, 4)
    assert people(groups) == [[0, 1, 2, 3], [4, 5]]
    assert aside == [Aside("match_joins_too_many", (3, 4))]


def test_a_match_comes_and_goes_in_the_history_and_its_conflict_is_reported():
    own = [Span(who, who, ALWAYS, NEVER, who, born, None, None, f"{who}") for who, born in ((1, BORN[1]), (2, None))]
    match = Span(2, 1, 10, 20, 2, None, None, 12.5, "2")
    rows, conflicts = histories([*own, match])
    assert sorted(rows) == [(1, 1, ALWAYS, NEVER), (2, 1, 10, 20), (2, 2, ALWAYS, 10), (2, 2, 20, NEVER)]
    assert conflicts == []
    other = [one._replace(birth=BORN[2]) if one.source_subject_id == 2 else one for one in (*own, match)]
    lasting = [one._replace(until=NEVER) for one in other]
    rows, conflicts = histories(lasting)
    assert sorted(rows) == [(1, 1, ALWAYS, NEVER), (2, 2, ALWAYS, NEVER)]
    assert conflicts == [Apart("match_of_two_birth_dates", (1, 2))]
