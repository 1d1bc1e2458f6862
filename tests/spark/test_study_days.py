"""What a trial dates by study days alone has its days once somebody knows day 1, whichever record comes first."""

import shutil
from datetime import date, datetime, timedelta

import pytest
from pyspark.sql import functions as F

from salus.privacy.pseudonyms import create_key
from salus.settings import conf_dir
from salus.sources.ingest import ingest
from salus.sources.study_days import DAY_ONE, STUDY_DAY
from salus.sources.values import Times

DM = "STUDYID,USUBJID,RFSTDTC,RFXSTDTC,DTHDTC,BRTHDTC,SEX,RACE,ETHNIC,ARMCD,DMDTC,DMDY\n"
VS = "STUDYID,USUBJID,VSSEQ,VSTESTCD,VSSTRESC,VSSTRESN,VSSTRESU,VSSTAT,VSDTC,VSDY\n"


def dm(start):
    return f"{DM}S1,ann,{start},,,1950-01-01,F,,,Pbo,2014-01-01,\n"


def vs(*days):
    return VS + "".join(f"S1,ann,{days[0]}{number},SYSBP,{day},,mmHg,,,{day}\n" for number, day in enumerate(days))


@pytest.fixture
def deliver(job_in, tmp_path, monkeypatch):
    """Puts files into a warehouse's folder and ingests it; its pulses by study day, and what waits."""
    shutil.copytree(conf_dir(), tmp_path / "conf")
    source = tmp_path / "conf" / "sources" / "sdtm.yml"
    source.write_text(source.read_text().replace("refuse_above: 0.05", "refuse_above: 1"))
    monkeypatch.setenv("SALUS_CONF", str(tmp_path / "conf"))

    def run(warehouse, **files):
        folder = tmp_path / f"{warehouse}-input"
        folder.mkdir(exist_ok=True)
        for name, content in files.items():
            (folder / f"{name.replace('_', '.')}.csv").write_text(content)
        with job_in(tmp_path / warehouse, "ingest") as job:
            ingest(job, "sdtm", str(folder), create_key(tmp_path / "key"), delivered_at=datetime(2021, 6, 1))
        rows = job.tables.read("events").where("code = 'VS/SYSBP'").collect()
        waiting = job.tables.read("quarantine").select("rule").collect()
        days = {int(row["numeric_value"]): (row["time"], row["available_time"]) for row in rows}
        return days, sorted(row["rule"] for row in waiting)

    return run


def day(text):
    start = datetime.fromisoformat(text)
    return start, start + timedelta(days=1)


def test_the_days_are_the_same_in_whatever_order_the_files_come(deliver):
    expected = {-1: day("2014-02-28"), 1: day("2014-03-01"), 2: day("2014-03-02")}
    assert deliver("at_once", dm=dm("2014-03-01"), vs=vs(-1, 1, 2)) == (expected, [])
    assert deliver("vs_first", vs=vs(-1, 1, 2)) == ({}, ["unknown_day_one"] * 3)
    assert deliver("vs_first", dm=dm("2014-03-01T08:30")) == (expected, [])
    later = deliver("vs_first", vs_2=vs(366))
    assert later == (expected | {366: day("2015-03-01")}, [])


def test_a_start_of_which_only_the_month_is_known_dates_nothing(deliver):
    assert deliver("warehouse", dm=dm("2014-03"), vs=vs(3)) == ({}, ["unknown_day_one"])


def test_a_study_day_is_as_many_days_from_day_one_and_there_is_no_day_zero(spark):
    days = [-99_999, -2, -1, 0, 1, 2, 99_999]
    times = Times([STUDY_DAY])
    rows = spark.createDataFrame([(number, f"study day {number}") for number in days], "number long, told string")
    read = rows.withColumn("format", F.expr(times.format_of("told"))).withColumn(
        "at", F.expr(times.start("told", "format"))
    )
    found = {row["number"]: row["at"] and row["at"].date() for row in read.coalesce(1).collect()}
    assert found == {number: DAY_ONE + timedelta(days=number - (number > 0)) if number else None for number in days}
    assert (found[-1], found[1]) == (date(999, 12, 31), date(1000, 1, 1))
