"""Who was who at every moment, against a slow union of sets at that moment."""

from datetime import date
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from salus.sources.histories import ALWAYS, NEVER, Apart, Span, components, histories

MOMENTS = [ALWAYS, 10, 20, 30, NEVER]
SUBJECTS = st.integers(0, 5)
BORN = [None, date(1950, 1, 1), date(1950, 1, 2)]


ABOUT = st.tuples(st.integers(1, 2), st.sampled_from(BORN), st.none())
TOLD = st.lists(
    st.tuples(SUBJECTS, st.integers(100, 103), st.sampled_from(MOMENTS[:-1]), st.sampled_from(MOMENTS[1:])), max_size=20
)


@st.composite
def links(draw):
    """Spans of up to six subjects; each carries its own id from its first moment on."""
    about = [draw(ABOUT) for _ in range(6)]
    spans = [Span(who, what, since, until, *about[who]) for who, what, since, until in draw(TOLD) if since < until]
    first = {one.source_subject_id: one.since for one in sorted(spans, key=lambda one: -one.since)}
    return spans + [Span(who, who, since, NEVER, *about[who]) for who, since in first.items()]


def slowly(spans, at):
    """The definition: sets that share an identifier at ``at`` are one, unless they were born twice; and an identifier
    that is carried by people of two birth dates is shared by nobody."""
    now = [one for one in spans if one.since <= at < one.until]
    about = {one.source_subject_id: one for one in now}
    births = {one.identifier_id: set() for one in now}
    for one in now:
        births[one.identifier_id] |= {one.birth} - {None}
    now = [one for one in now if len(births[one.identifier_id]) < 2]
    groups = [({one.source_subject_id}, {one.identifier_id}) for one in now]
    merged = True
    while merged:
        merged = False
        for one in groups:
            other = next(
                (group for group in groups if group is not one and (group[0] & one[0] or group[1] & one[1])), None
            )
            if other:
                one[0].update(other[0])
                one[1].update(other[1])
                groups.remove(other)
                merged = True
                break
    named = {}
    for members, _ in groups:
        is_apart = len({about[one].birth for one in members} - {None}) > 1
        first = min(members, key=lambda one: (about[one].priority, one))
        named |= {one: one if is_apart else first for one in members}
    return named


@given(links())
def test_at_every_moment_people_are_those_whom_the_links_of_that_moment_join(spans):
    rows, _ = histories(spans)
    for at in MOMENTS[:-1]:
        found = [row for row in rows if row.known_from <= at < row.known_until]
        assert {row.source_subject_id: row.subject_id for row in found} == slowly(spans, at)
        assert len(found) == len({row.source_subject_id for row in found})


@given(links(), st.randoms())
def test_the_order_of_the_links_changes_nothing_and_no_row_repeats_the_one_before(spans, random):
    rows, conflicts = histories(spans)
    shuffled = random.sample(spans, len(spans))
    again, conflicts_again = histories(shuffled)
    assert (sorted(again), sorted(conflicts_again)) == (sorted(rows), sorted(conflicts))
    told = sorted((row.source_subject_id, row.known_from, row.subject_id) for row in rows)
    assert all((one[0], one[2]) != (other[0], other[2]) for one, other in pairwise(told))


def test_a_link_that_comes_and_goes_leaves_both_in_the_history():
    spans = [Span(1, 1, ALWAYS, NEVER, 1, None, None), Span(2, 2, 10, NEVER, 2, None, None)]
    spans += [Span(1, 100, ALWAYS, NEVER, 1, None, None), Span(2, 100, 20, 30, 2, None, None)]
    rows, conflicts = histories(spans)
    assert sorted(rows) == [(1, 1, ALWAYS, NEVER), (2, 1, 20, 30), (2, 2, 10, 20), (2, 2, 30, NEVER)]
    assert conflicts == []


def test_people_who_cannot_be_one_are_reported_for_each_reason():
    spans = [
        Span(number, identifier, ALWAYS, NEVER, number, born, sex)
        for number, born, sex in ((1, BORN[1], 8507), (2, BORN[2], 8532))
        for identifier in (number, 100)
    ]
    rows, conflicts = histories(spans)
    assert [(row.source_subject_id, row.subject_id) for row in sorted(rows)] == [(1, 1), (2, 2)]
    assert conflicts == [Apart("two_birth_dates", (1, 2)), Apart("two_sexes", (1, 2))]


def test_an_identifier_with_two_holders_parts_them_and_nobody_from_themselves():
    """Each of two people is known to two systems by a number of their own; all four records carry one licence."""
    one, other, licence = 100, 101, 102
    about = {1: (BORN[1], one), 2: (BORN[1], one), 3: (BORN[2], other), 4: (BORN[2], other)}
    spans = [
        Span(subject, identifier, ALWAYS, NEVER, subject, born, None)
        for subject, (born, number) in about.items()
        for identifier in (subject, number, licence)
    ]
    rows, conflicts = histories(spans)
    assert [(row.source_subject_id, row.subject_id) for row in sorted(rows)] == [(1, 1), (2, 1), (3, 3), (4, 3)]
    assert conflicts == [Apart("two_birth_dates", (1, 2, 3, 4))]


def test_people_who_contradict_each_other_through_a_third_stay_apart_all_three():
    about = {1: (BORN[1], [100]), 2: (None, [100, 101]), 3: (BORN[2], [101])}
    spans = [
        Span(subject, identifier, ALWAYS, NEVER, subject, born, None)
        for subject, (born, shared) in about.items()
        for identifier in (subject, *shared)
    ]
    rows, conflicts = histories(spans)
    assert [(row.source_subject_id, row.subject_id) for row in sorted(rows)] == [(1, 1), (2, 2), (3, 3)]
    assert conflicts == [Apart("two_birth_dates", (1, 2, 3))]


def test_whose_own_id_is_carried_by_another_is_still_found_by_a_match():
    about = {1: BORN[1], 2: BORN[2], 3: BORN[1]}
    spans = [Span(subject, subject, ALWAYS, NEVER, subject, born, None) for subject, born in about.items()]
    spans += [
        Span(2, 1, ALWAYS, NEVER, 2, BORN[2], None),
        Span(3, 1, ALWAYS, NEVER, 3, BORN[1], None, weight=12.0),
    ]
    rows, conflicts = histories(spans)
    assert [(row.source_subject_id, row.subject_id) for row in sorted(rows)] == [(1, 1), (2, 2), (3, 1)]
    assert conflicts == [Apart("two_birth_dates", (1, 2))]


def test_a_subject_and_an_identifier_of_one_number_are_not_one():
    assert sorted(map(sorted, components([(1, 7), (7, 8)]))) == [[1], [7]]
