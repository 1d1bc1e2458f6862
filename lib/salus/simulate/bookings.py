"""Appointments as the EHR exports them: FHIR Appointment lines, a version for the booking and one for its outcome.

https://hl7.org/fhir/R4/appointment.html
"""

import numpy as np
import pyarrow as pa

from salus.simulate.appointments import AHEAD, LASTS, Appointments
from salus.simulate.clock import Clock
from salus.simulate.course import Course
from salus.simulate.ehr import meta
from salus.simulate.names import ehr_id
from salus.simulate.text import digits, instants, joined, picked

STATUS = ("fulfilled", "noshow", "cancelled")


def booked_lines(clock: Clock, course: Course, appointments: Appointments, first: int) -> pa.Array:
    """One line a booking, as it was made."""
    return _lines(clock, course, appointments, first + np.arange(len(appointments)), "1", "booked", appointments.booked)


def outcome_lines(clock: Clock, course: Course, appointments: Appointments, first: int) -> pa.Array:
    """One line for each booking that is over, as it turned out."""
    over = np.flatnonzero(appointments.outcome != AHEAD)
    told = appointments.take(over)
    return _lines(clock, course, told, first + over, "2", picked(STATUS, told.outcome), told.told)


def _lines(clock, course, appointments, ids, version, status, updated):
    start, end = (instants(clock, at) for at in (appointments.start, appointments.start + LASTS))
    return joined(
        '{"resourceType":"Appointment","id":"ap-',
        digits(ids),
        '",',
        meta(version, instants(clock, updated)),
        '"status":"',
        status,
        '","start":"',
        start,
        '","end":"',
        end,
        '","created":"',
        instants(clock, appointments.booked),
        '","participant":[{"actor":{"reference":"Patient/',
        ehr_id(course.people.number[appointments.row]),
        '"},"status":"accepted"}]}\n',
    )
