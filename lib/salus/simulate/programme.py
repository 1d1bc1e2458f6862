"""A planted treatment: care management for people at the top of a risk list, but for some whom chance leaves untreated.

A score that is acted on hides the risk that it told: who is treated for it has fewer events, so the score looks too
high, and whoever learns from the treated learns too low a risk (Lenert, Matheny and Walsh, JAMIA 2019;26:1645-50;
Pajouheshnia et al., BMC Med Res Methodol 2017;17:103; van Geloven et al., Eur J Epidemiol 2020;35:619-30). Here, from a
date on, a list is drawn up on the first of each month: of the adults whom the EHR knows, those with the highest risk by
what is slow (``risk.Slow``, so by facts of 91 days before). Whoever is on it, and was not offered a place in the last
``LASTS`` days, is offered one that day, and a coin decides whether they get it. Both are in the records: those enrolled
by a procedure of care management, those left to usual care by the programme's own code.

The lists look at nothing that happens in the 90 days after them, and the coins at nothing at all. So what any list does
to the hazards is settled before any prediction that it touches, as all that is slow is, and the truth stays exact.

It is asked for (``simulate --plant treatment``). Without it nothing here is drawn; with it a generator of its own does.
"""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from salus.simulate.clock import DAYS_PER_YEAR, MINUTES, Clock
from salus.simulate.course import Course
from salus.simulate.ehr import coding, meta
from salus.simulate.names import ehr_id
from salus.simulate.people import People
from salus.simulate.risk import Slow
from salus.simulate.rows import Rows
from salus.simulate.text import digits, instants, joined, picked

LISTS = 17  # the last so many firsts of a month
TOP = 0.10  # share of the adults whom the EHR knows, on each list
ADULT = 18  # years
UNTREATED = 0.05  # share of those offered a place whom chance leaves to usual care
ODDS_RATIO = 0.5  # of an unplanned admission on a day, of whoever is in the programme
WEEKS_TREATED = 13  # the first begins within a week after the enrolment
LASTS = 7 * WEEKS_TREATED  # days from an offer until there can be another
ENROLMENT = 600  # minutes after midnight
CPT = "http://www.ama-assn.org/go/cpt"
PROGRAMME = "urn:salus:programme"  # the programme's own code system
GIVEN = coding(CPT, "99490", "Chronic care management")
WITHHELD = coding(PROGRAMME, "usual-care", "Left to usual care by randomisation")


@dataclass(frozen=True)
class Offers(Rows):
    """Places that were offered; arrays over offers, by day, then person."""

    row: np.ndarray  # int64, the person
    day: np.ndarray  # int64
    is_given: np.ndarray  # bool; False = left to usual care by chance


def list_days(clock: Clock) -> np.ndarray:
    """int64 (``LISTS``,), the days on which a list is drawn up: index dates, so predictions are at their 00:00."""
    firsts = [day for day, when in zip(clock.index_days, clock.index_dates, strict=True) if when.day == 1]
    return np.array(firsts[-LISTS:])


def draw_offers(rng: np.random.Generator, people: People, settled: Slow, days: np.ndarray) -> Offers:
    """The offers of the lists of ``days`` to ``people``, dead by then or not."""
    last = np.full(len(people), days[0] - LASTS)
    made = []
    for day in days:
        coin = rng.random(len(people))
        may = people.in_ehr & (day - people.birth_day >= ADULT * DAYS_PER_YEAR)
        if not may.any():
            continue
        risk = settled.admission[:, day // 7]
        offered = may & (risk >= np.quantile(risk[may], 1 - TOP)) & (last + LASTS <= day)
        row = np.flatnonzero(offered)
        last[row] = day
        made.append((row, np.full(row.size, day), coin[row] >= UNTREATED))
    if not made:
        return Offers(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, bool))
    return Offers(*(np.concatenate(part) for part in zip(*made, strict=True)))


def with_programme(settled: Slow, offers: Offers) -> Slow:
    """``settled`` with what treatment takes off the hazard, in the whole weeks after an enrolment."""
    given = offers.take(np.flatnonzero(offers.is_given))
    week = given.day[:, None] // 7 + 1 + np.arange(WEEKS_TREATED)
    admission = settled.admission.copy()
    admission[given.row[:, None], week] += np.float32(np.log(ODDS_RATIO))
    return replace(settled, admission=admission)


def untreated_from(course: Course, offers: Offers, day: int) -> Course:
    """``course`` as its hazards would be if nobody were enrolled from ``day`` on; its states until then stay."""
    later = (
        with_programme(course.slow, offers.take(np.flatnonzero(offers.day >= day))).admission - course.slow.admission
    )
    return replace(course, slow=replace(course.slow, admission=course.slow.admission - later))


def enrolment_lines(clock: Clock, course: Course, offers: Offers, first: int) -> pa.Array:
    """One Procedure line an offer."""
    when = instants(clock, offers.day * MINUTES + ENROLMENT)
    return joined(
        '{"resourceType":"Procedure","id":"pg-',
        digits(first + np.arange(len(offers))),
        '",',
        meta("1", when),
        '"status":"completed","code":{"coding":[',
        picked([WITHHELD, GIVEN], offers.is_given),
        ']},"subject":{"reference":"Patient/',
        ehr_id(course.people.number[offers.row]),
        '"},"performedDateTime":"',
        when,
        '"}\n',
    )
