"""What conf/quality may say, and how a day's volume is judged; no Spark."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from salus.errors import Held, Refused
from salus.quality.declaration import VolumeDrop, load_checks
from salus.quality.findings import Finding
from salus.quality.results import hold, judged
from salus.quality.volume import judged as judged_days
from salus.sources.units import read_units, units_path

FIRST = date(2026, 1, 5)
DROP = VolumeDrop(kind="volume_drop", means="", share_at_most=0, days=7, weeks=3, falls_by=0.5, events_at_least=10)
AFTER_DEATH = "kind: after_death, means: late, share_at_most: 0.1, days: 60"


def declared(folder, **files):
    for name, text in files.items():
        (folder / f"{name}.yml").write_text(text)
    return load_checks(folder)


def test_a_range_is_in_the_unit_that_numbers_of_the_code_are_kept_in():
    units = read_units(units_path())
    [values] = [check for check in load_checks().checks.values() if check.kind == "value_range"]
    for code, one in values.ranges.items():
        if code in units:
            assert {kept for kept, _, _ in units[code].values()} == {one.unit}, code


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"plausibilty": f"checks:\n  a: {{{AFTER_DEATH}}}"}, "expected conformance.yml, completeness.yml"),
        ({"plausibility": "checks:\n  a: {kind: after_deth, means: late, share_at_most: 0.1}"}, "yml:2: .*after_deth"),
        ({"plausibility": f"checks:\n  a: {{{AFTER_DEATH}, weeks: 2}}"}, "yml:2: .*weeks"),
        (
            {"completeness": f"checks:\n  a: {{{AFTER_DEATH}}}", "plausibility": f"checks:\n  a: {{{AFTER_DEATH}}}"},
            "plausibility.yml:2: received a second check a",
        ),
    ],
)
def test_a_wrong_declaration_is_refused_with_its_line(tmp_path, files, says):
    with pytest.raises(Refused, match=says):
        declared(tmp_path, **files)


def test_a_check_falls_short_above_its_threshold_and_is_not_judged_on_too_few(tmp_path):
    checks = declared(tmp_path, plausibility=f"checks:\n  a: {{{AFTER_DEATH}, judged_from: 20}}")
    findings = [Finding("a", "x", 2, 20), Finding("a", "y", 3, 20, (7,)), Finding("a", "z", 19, 19)]
    results = judged(findings, checks)
    assert [(one.object, one.status) for one in results] == [("y", "short"), ("x", "met"), ("z", "too few")]
    with pytest.raises(Held, match=r"a y; expected of a y at most 10\.00% to fail, and 3 of 20 did"):
        hold(results)
    hold(results[1:])


@given(st.dictionaries(st.integers(0, 60), st.integers(0, 100), min_size=1))
def test_a_day_is_compared_with_its_weekday_of_the_weeks_before(events):
    counts = {FIRST + timedelta(days=day): number for day, number in events.items()}
    days = {one.day: one for one in judged_days("s", counts, DROP)}
    first, last = min(counts), max(counts)
    assert list(days) == [first + timedelta(days=n) for n in range((last - first).days + 1)]
    for day, one in days.items():
        before = sorted(counts.get(day - timedelta(weeks=week), 0) for week in (1, 2, 3))
        has_history = day - timedelta(weeks=3) >= first
        is_recent = 1 <= (last - day).days <= 7
        usual = before[1] if has_history and is_recent and before[1] >= 10 else None
        assert (one.events, one.expected) == (counts.get(day, 0), usual)
        assert one.is_drop == (usual is not None and one.events < usual / 2)
