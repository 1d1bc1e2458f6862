"""Data quality over a tiny warehouse into which faults of every kind were planted, and counted."""

from datetime import date, datetime, timedelta

import pytest
from pyspark.sql import functions as F

import nightly
import quality as quality_job
from salus.errors import Held
from salus.quality.declaration import load_checks
from salus.quality.findings import EXAMPLES
from salus.quality.quality import found
from salus.quality.results import judged
from salus.storage.tables import Tables

DELIVERED = datetime(2026, 6, 30, 6)
NOON = datetime(2026, 3, 2, 12)
EHR, PAYER = 1, 2
PEOPLE = range(100, 140)
DEAD, UNBORN, NO_BIRTH, NO_SEX, OLD, STRANGER, SECOND_ID = 100, 101, 102, 103, 104, 999, 500
WEEKS_FEED = [date(2026, 3, 2) + timedelta(days=n) for n in range(90)]
DROPPED = date(2026, 5, 25)


class Planted:
    """Rows of the landed tables, with record ids given in turn."""

    def __init__(self):
        self.rows = {name: [] for name in ("events", "persons", "coverage", "records", "identity", "ingested_files")}

    def record(self, subject, file=EHR, version=1, record_id=None, **changes):
        keys = {
            "source_subject_id": subject,
            "record_id": record_id or len(self.rows["records"]) + 1,
            "version": version,
            "file_id": file,
            "record": 0,
        }
        record = {"record_type": "t", "content_hash": 0, "available_time": NOON, "is_void": False}
        self.rows["records"].append(keys | record | changes)
        return keys

    def event(self, subject, code, time=NOON, file=EHR, **values):
        keys = self.record(subject, file, **{key: values.pop(key) for key in ("version", "record_id") if key in values})
        self.rows["events"].append(
            keys | {"ordinal": 0, "time": time, "available_time": time, "code": code, "text_value": None} | values
        )
        return keys["record_id"]

    def person(self, subject, birth=date(1960, 5, 5), sex=8532, **changes):
        year, month, day = (birth.year, birth.month, birth.day) if birth else (None, None, None)
        columns = {"year_of_birth": year, "month_of_birth": month, "day_of_birth": day, "gender_concept_id": sex}
        self.rows["persons"].append(self.record(subject) | {"ordinal": 0} | columns | changes)

    def span(self, subject, start, end, plan="a"):
        columns = {"payer_plan_period_start_date": start, "payer_plan_period_end_date": end}
        more = {"payer_source_value": "p", "plan_source_value": plan, "ordinal": 0, "available_time": NOON}
        self.rows["coverage"].append(self.record(subject, PAYER) | columns | more)


def planted():
    """The rows, and what each check must find in them: {(check, object): (failed, of, examples)}."""
    made = Planted()
    made.person(DEAD, death_datetime=datetime(2026, 1, 1))
    made.person(UNBORN, birth=date(2026, 3, 4))
    made.person(NO_BIRTH, birth=None)
    made.person(NO_SEX, sex=0)
    made.person(OLD, birth=date(1874, 1, 1), death_datetime=datetime(1870, 1, 1))
    for subject in PEOPLE[5:]:
        made.person(subject, sex=8507 if subject % 2 else 8532)
    visit = {"code": "ENCOUNTER/AMB"}
    # 40 glucoses: 3 out of range, 2 without a unit, one out of range that was corrected, one withdrawn.
    for number, subject in enumerate(PEOPLE):
        value = 1e6 if number in (10, 11, 12) else 90.0
        unit = None if number in (20, 21) else "mg/dL"
        made.event(subject, "LOINC/2345-7", numeric_value=value, unit=unit)
    corrected = made.event(110, "LOINC/2345-7", numeric_value=-5.0, unit="mg/dL", version=1)
    made.event(110, "LOINC/2345-7", numeric_value=95.0, unit="mg/dL", version=2, record_id=corrected)
    withdrawn = made.event(111, "LOINC/2345-7", numeric_value=-5.0, unit="mg/dL", version=1)
    void = made.record(111, version=2, record_id=withdrawn, is_void=True)
    made.rows["events"].append(void | {"ordinal": 0, "code": "SALUS_VOID", "time": None, "available_time": NOON})
    # A result of nothing; a code that no LOINC is, known after an assumed lag; a local code; a stranger; the future.
    made.event(112, "LOINC/2160-0")
    made.event(113, "LOINC/HbA1c", numeric_value=7.0, is_lag_assumed=True)
    made.event(114, "LOCAL/7", numeric_value=7.0)
    made.event(STRANGER, **visit)
    made.event(115, **visit, time=datetime(2026, 7, 2))
    # DEAD's glucose lies on the 60th day after the death, the last that is borne; UNBORN's two days before the birth.
    made.event(DEAD, **visit, time=datetime(2026, 3, 2, 23, 59))
    made.event(DEAD, **visit, time=datetime(2026, 3, 3))
    # A pregnancy of a man, a prostate of a woman, and one of each where it belongs.
    for subject, code in ((117, "O80"), (116, "O80"), (118, "C61"), (119, "C61")):
        made.event(subject, f"ICD10CM/{code}")
    # Visits: one that ends before it starts, one sound, one open.
    for subject, hours in ((120, -3), (121, 3)):
        keys = made.event(subject, "ENCOUNTER/IMP")
        made.rows["events"].append(
            {
                **made.rows["events"][-1],
                "code": "ENCOUNTER_END/IMP",
                "ordinal": 1,
                "time": NOON + timedelta(hours=hours),
            }
        )
        assert keys
    made.event(122, "ENCOUNTER/IMP")
    # A feed of the payer: 200 a day, but on one day of the last 28.
    for day in WEEKS_FEED:
        for number in range(20 if day == DROPPED else 210):
            made.rows["events"].append(
                {
                    "source_subject_id": 139,
                    "record_id": 10**6 + number + 1000 * day.toordinal(),
                    "version": 1,
                    "ordinal": 0,
                    "file_id": PAYER,
                    "record": 0,
                    "time": datetime.combine(day, datetime.min.time()),
                    "available_time": datetime.combine(day, datetime.min.time()),
                    "code": "CLAIM/PROFESSIONAL",
                }
            )
    # Coverage: negative; overlapping the day that the other ends; another plan; after the end; 139 under two ids.
    made.span(123, date(2026, 2, 1), date(2026, 1, 1))
    made.span(124, date(2026, 1, 1), date(2026, 3, 31))
    made.span(124, date(2026, 3, 31), None)
    made.span(124, date(2026, 2, 1), None, plan="b")
    made.span(125, date(2026, 1, 1), date(2026, 3, 31))
    made.span(125, date(2026, 4, 1), None)
    made.span(139, date(2026, 1, 1), None)
    made.span(SECOND_ID, date(2026, 5, 1), None)
    made.rows["identity"] += [
        {"source_subject_id": subject, "subject_id": 139 if subject == SECOND_ID else subject}
        for subject in (*PEOPLE, SECOND_ID)
    ]
    for file, source, refused in ((EHR, "ehr", 3), (PAYER, "payer", 0)):
        made.rows["ingested_files"].append(
            {
                "file_id": file,
                "file": source,
                "source": source,
                "site": "main",
                "record_type": "t",
                "bytes": 1,
                "rows_read": 100,
                "rows_accepted": 100 - refused,
                "rows_quarantined": refused,
                "rows_unchanged": 0,
                "events_written": 1,
                "mapping_hash": "m",
                "delivered_at": DELIVERED,
                "batch_id": 0,
            }
        )
    # One record version twice.
    made.rows["records"].append({**made.rows["records"][0]})
    return made.rows


EHR_EVENTS = 40 + 1 + 1 + 1 + 1 + 1 + 1 + 2 + 4 + 4 + 1
FEED = 89 * 210 + 20
RECORDS = 40 + EHR_EVENTS + 2 + 1 - 2 + 8 + 1

EXPECTED = {
    ("refused_records", "ehr"): (3, 100, ()),
    ("refused_records", "payer"): (0, 100, ()),
    ("repeated_versions", ""): (1, RECORDS, (DEAD,)),
    ("unknown_people", "ehr"): (1, EHR_EVENTS, (STRANGER,)),
    ("unknown_people", "payer"): (0, FEED, ()),
    ("code_format", "LOINC"): (1, 43, (113,)),
    ("code_format", "ICD10CM"): (0, 4, ()),
    ("missing_units", "ehr"): (2, 41, (120, 121)),
    ("results_without_values", "ehr"): (1, 43, (112,)),
    ("assumed_lags", "ehr"): (1, EHR_EVENTS, (113,)),
    ("assumed_lags", "payer"): (0, FEED, ()),
    ("unmapped_codes", "ehr"): (1, EHR_EVENTS, (114,)),
    ("unmapped_codes", "payer"): (0, FEED, ()),
    ("birth_dates", ""): (1, 40, (NO_BIRTH,)),
    ("sexes", ""): (1, 40, (NO_SEX,)),
    ("people_without_events", ""): (0, 40, ()),
    ("after_death", "ehr"): (2, 4, (DEAD, OLD)),
    ("before_birth", "ehr"): (1, EHR_EVENTS - 2, (UNBORN,)),
    ("before_birth", "payer"): (0, FEED, ()),
    ("in_future", "ehr"): (1, EHR_EVENTS, (115,)),
    ("in_future", "payer"): (0, FEED, ()),
    ("death_before_birth", ""): (1, 2, (OLD,)),
    ("birth_years", ""): (1, 39, (OLD,)),
    ("other_sex", "female"): (1, 2, (117,)),
    ("other_sex", "male"): (1, 2, (118,)),
    ("identity_conflicts", ""): (0, 41, ()),
    ("negative_coverage", ""): (1, 8, (123,)),
    ("overlapping_coverage", ""): (2, 7, (124, 139)),
    ("negative_visits", "ehr"): (1, 2, (120,)),
    ("daily_volume", "ehr"): (0, 0, ()),
    ("daily_volume", "payer"): (1, 28, ()),
    ("values", "LOINC/2345-7"): (3, 41, (110, 111, 112)),
}


@pytest.fixture(scope="module")
def checked(spark, tmp_path_factory):
    """The planted warehouse, published, and where it lies."""
    tables = Tables(spark, str(tmp_path_factory.mktemp("quality") / "warehouse"))
    for name, rows in planted().items():
        tables.append(name, tables.frame(name, rows))
    tables.publish("planted")
    return tables


def test_each_fault_is_counted_over_its_denominator_with_those_concerned(checked):
    checks = load_checks()
    findings, volumes = found(checked, checks)
    told = {(one.check, one.object): (one.failed, one.of, one.examples) for one in findings}
    assert told == EXPECTED
    assert [volume.day for volume in volumes if volume.is_drop] == [DROPPED]
    assert sum(volume.events for volume in volumes if volume.source == "payer") == FEED
    short = {one.check for one in judged(findings, checks) if one.falls_short}
    assert {"values", "daily_volume", "repeated_versions", "negative_visits"} <= short
    assert not short & {"other_sex", "people_without_events", "identity_conflicts"}, "too few, or met"


def test_the_job_prints_its_table_keeps_its_results_and_holds_what_comes_after(checked, capsys):
    where = f"--warehouse={checked.warehouse}"
    assert quality_job.main([where]) == 0
    with pytest.raises(Held, match=r"values LOINC/2345-7") as held:
        quality_job.main([where, "--gate"])
    assert held.value.exit_code == 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:2] == ["short", "completeness"], "what falls short stands first"
    assert any(
        line.split() == ["short", "plausibility", "values", "LOINC/2345-7", "3", "41", "7.32%", "1.00%"]
        for line in lines
    )
    assert str(STRANGER) not in "".join(lines), "nobody stands on a terminal"
    after = Tables(checked.spark, checked.warehouse)
    assert after.read("quality").where(F.size("examples") > EXAMPLES).isEmpty()
    assert after.read("quality").count() == len(EXPECTED)
    statuses = {row["job"]: row["status"] for row in after.read("runs").orderBy("at").collect()}
    assert statuses["quality"] == "held"


def test_a_night_with_a_gate_scores_nobody_where_a_check_falls_short(checked):
    with pytest.raises(Held, match="quality checks that fall short: birth_dates"):
        nightly.main([f"--warehouse={checked.warehouse}", "--as-of=2026-06-30", "--gate"])
    after = Tables(checked.spark, checked.warehouse)
    assert after.version("timelines") is None
    assert after.read("runs").where("job = 'nightly' AND status = 'held'").count() == 1
