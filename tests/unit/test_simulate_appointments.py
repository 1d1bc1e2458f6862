"""Simulated appointments: told as they were known, missed as often as was planted, and drawn beside everything else."""

import json
from collections import Counter, defaultdict
from datetime import date

import numpy as np
import pytest

from salus.simulate import appointments, population
from salus.simulate.appointments import AHEAD, CALLED_OFF, FULFILLED, MISSED, draw_appointments, no_show_probability
from salus.simulate.clock import DAYS, MINUTES
from salus.simulate.visits import AMBULATORY
from salus.simulate.writer import simulate
from written_files import hashes

AS_OF = date(2026, 6, 30)


@pytest.fixture(scope="module")
def chunk():
    return next(population.chunks(4000, 5))


def test_every_other_file_is_what_it_is_without_appointments(tmp_path, monkeypatch):
    with_them = simulate(150, 7, AS_OF, tmp_path / "with")
    # Without them, and without a single draw from the stream that they are handed.
    monkeypatch.setattr(
        population,
        "draw_appointments",
        lambda _, *drawn: draw_appointments(np.random.default_rng(0), *drawn).take(np.arange(0)),
    )
    simulate(150, 7, AS_OF, tmp_path / "without")
    mine, others = hashes(tmp_path / "with"), hashes(tmp_path / "without")
    differ = {name for name in mine.keys() | others.keys() if mine.get(name) != others.get(name)}
    assert differ == {"ehr/Appointment.000.ndjson", "manifest.json"}
    assert with_them["planted"]["appointments booked"] > 0


def test_bookings_are_missed_as_often_as_was_planted(chunk):
    """In every tenth of the planted risk, within four standard errors."""
    made = chunk.appointments
    over = made.take(np.flatnonzero((made.outcome == FULFILLED) | (made.outcome == MISSED)))
    day = np.minimum(over.start // MINUTES, DAYS - 1)
    # A booking before a missed one may lie weeks before the visit whose week decides the risk: of few it has changed.
    planted = no_show_probability(chunk.course, over.row, over.start // MINUTES - over.booked // MINUTES, day)
    missed = over.outcome == MISSED
    for tenth in np.array_split(np.argsort(planted), 10):
        expected = planted[tenth].mean()
        error = np.sqrt(expected * (1 - expected) / tenth.size)
        assert abs(missed[tenth].mean() - expected) < 4 * error + 0.01
    assert 0.12 < missed.mean() < 0.22
    called_off = (made.outcome == CALLED_OFF).sum() / (made.outcome != AHEAD).sum()
    assert abs(called_off - appointments.CALLED_OFF_SHARE) < 0.01


@pytest.mark.parametrize("term", [term for term in appointments.NO_SHOW if term != "intercept"])
def test_each_term_raises_the_risk(chunk, monkeypatch, term):
    row, lead, day = np.arange(4000), np.full(4000, 20), np.full(4000, 1000)
    whole = no_show_probability(chunk.course, row, lead, day)
    monkeypatch.setitem(appointments.NO_SHOW, term, 0.0)
    assert (no_show_probability(chunk.course, row, lead, day) != whole).any()


def test_what_is_attended_is_a_visit_and_what_is_booked_lies_ahead(chunk):
    made, visits = chunk.appointments, chunk.visits
    assert set(chunk.course.people.site[made.row]) == {appointments.BOOKING_SITE}
    attended = made.take(np.flatnonzero(made.outcome == FULFILLED))
    there = set(zip(visits.row[visits.kind == AMBULATORY], visits.start[visits.kind == AMBULATORY], strict=True))
    assert set(zip(attended.row, attended.start, strict=True)) <= there
    assert len(set(zip(attended.row, attended.start, strict=True))) == len(attended)
    assert (made.booked < np.minimum(made.start, DAYS * MINUTES)).all()
    is_ahead = made.start >= DAYS * MINUTES
    assert is_ahead.sum() > 50
    assert (made.outcome[is_ahead] == AHEAD).all()
    called_off = made.outcome == CALLED_OFF
    assert ((made.told > made.booked) & (made.told < made.start))[called_off].all()
    assert (made.told > made.start)[(made.outcome == FULFILLED) | (made.outcome == MISSED)].all()
    assert (made.told < DAYS * MINUTES)[~is_ahead & (made.outcome != AHEAD)].all()


def test_the_files_tell_a_booking_first_and_its_outcome_later(tmp_path):
    manifest = simulate(200, 7, AS_OF, tmp_path)
    versions = defaultdict(list)
    for line in (tmp_path / "ehr" / "Appointment.000.ndjson").read_text().splitlines():
        one = json.loads(line)
        versions[one["id"]].append((one["meta"]["versionId"], one["meta"]["lastUpdated"], one["status"], one))
    statuses = Counter()
    for of_one in versions.values():
        (number, updated, status, booked), *later = of_one
        assert (number, updated, status) == ("1", booked["created"], "booked")
        assert len(later) <= 1
        for number, told, _, outcome in later:
            assert (number, told > updated) == ("2", True)
            assert {**outcome, "meta": 0, "status": 0} == {**booked, "meta": 0, "status": 0}
        statuses[of_one[-1][2]] += 1
        assert max(version[1] for version in of_one) < AS_OF.isoformat()
    planted = manifest["planted"]
    assert len(versions) == planted["appointments booked"]
    assert statuses["noshow"] == planted["appointments missed"] > 0
    assert statuses["cancelled"] == planted["appointments called off"] > 0
    assert statuses["booked"] == planted["appointments not over yet"] > 0
