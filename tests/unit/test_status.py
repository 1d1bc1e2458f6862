"""When a delivery is due, and what a status says of it."""

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from salus.sources.declaration import Expected
from salus.sources.expected import next_due, timing
from salus.sources.status import Status, sources_status

LAST = datetime(2021, 1, 31, 6)


@pytest.mark.parametrize(
    ("every", "due"),
    [("day", date(2021, 2, 1)), ("week", date(2021, 2, 7)), ("month", date(2021, 2, 28))],
)
def test_a_delivery_is_due_one_period_after_the_last(every, due):
    expected = Expected(every=every, grace_days=2)
    told = [timing(expected, LAST, due + timedelta(days=days)) for days in (-1, 0, 2, 3)]
    assert [one.state for one in told] == ["in time", "due", "due", "late"]
    assert [one.is_missing for one in told] == [False, False, False, True]
    assert told[3].days_late == 3
    assert {one.next_expected for one in told} == {due}


@given(st.dates(date(1999, 1, 1), date(2100, 1, 1)))
def test_a_month_later_is_the_next_month_and_never_a_day_that_does_not_exist(day):
    due = next_due(day, "month")
    assert (due.year * 12 + due.month) - (day.year * 12 + day.month) == 1
    is_last = (due + timedelta(days=1)).day == 1
    assert due.day == day.day or (is_last and due.day < day.day)


def test_a_status_lists_who_delivered_and_who_should_have():
    row = {"source": "payer", "site": "main", "last_delivery": LAST, "files": 2, "records": 12345, "refused": 7}
    declared = {"payer": Expected(every="week"), "fhir": Expected(every="day"), "trial": None}
    lines = sources_status([row], declared, date(2021, 2, 17))
    assert [(one.source, one.state, one.days_late) for one in lines] == [("payer", "late", 10), ("fhir", "never", 0)]
    snapshot = {"snapshot_id": "s", "published_at": LAST, "run_id": "ingest-1", "versions": {"events": 3}}
    runs = [{"run_id": "ingest-1", "job": "ingest", "at": LAST, "status": "succeeded", "seconds": 1.0}]
    text = Status("warehouse", lines, snapshot, runs).as_text().splitlines()
    assert " ".join(text[1].split()) == "payer main 2021-01-31 06:00 2 12,345 7 2021-02-07 late, 10 days"
    assert " ".join(text[2].split()) == "fhir - - 0 0 0 - never"
    assert "2021-01-31 06:00 by ingest-1, 1 tables" in text[4]
    assert " ".join(text[-1].split()) == "2021-01-31 06:00 succeeded ingest-1"


def test_an_empty_warehouse_has_a_status_too():
    text = Status("warehouse", [], None, []).as_text()
    assert "Nothing was delivered yet" in text
    assert "No job ran yet" in text
