"""Deliveries over time: repeated, late, out of order, broken; the tables say the same in the end."""

import gzip
import os
import shutil
from datetime import date, datetime
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from salus.errors import Held, Refused
from salus.privacy.pseudonyms import create_key, pseudonym
from salus.settings import conf_dir
from salus.sources.ingest import ingest
from salus.sources.status import status

REGISTRY = Path(__file__).resolve().parents[1] / "data" / "registry.yml"
PEOPLE = "person,born\nann,1950-01-01\nbob,1960-01-01\n"
LABS = "lab,person,day,released,result\nl1,ann,2021-01-01,2021-01-02,5\nl2,bob,2021-01-01,2021-01-02,6\n"


@pytest.fixture
def deliver(job_in, tmp_path, monkeypatch):
    """``deliver(name=content, ...)`` puts files into a folder and ingests it; the job."""
    conf = tmp_path / "conf"
    shutil.copytree(conf_dir(), conf)
    shutil.copy(REGISTRY, conf / "sources")
    monkeypatch.setenv("SALUS_CONF", str(conf))

    def run(folder="landing", at=datetime(2021, 6, 1), retry_quarantine=False, **files):
        (tmp_path / folder).mkdir(exist_ok=True)
        for name, content in files.items():
            path = tmp_path / folder / (f"{name}.csv" if isinstance(content, str) else f"{name}.csv.gz")
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        with job_in(tmp_path / "warehouse", "ingest") as job:
            key = create_key(job.settings.key_path)
            ingest(job, "registry", str(tmp_path / folder), key, None, at, retry_quarantine)
        job.lab = {pseudonym(key, "main", "record:registry/lab", f"l{number}"): f"l{number}" for number in range(9)}
        return job

    return run


@pytest.fixture
def declare(tmp_path):
    """``declare((old, new), ...)`` changes the registry's YAML, each text where it stands first."""

    def change(*changes):
        path = tmp_path / "conf" / "sources" / "registry.yml"
        text = path.read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        path.write_text(text)

    return change


def results(job):
    """Every event of a lab: its name, version's day, value (None = withdrawn)."""
    rows = job.tables.read("events").where(F.col("code") != "MEDS_BIRTH").collect()
    return sorted(
        (
            job.lab[row["record_id"]],
            datetime.utcfromtimestamp(row["version"] / 1e6).day,
            None if row["code"] == "SALUS_VOID" else row["numeric_value"],
        )
        for row in rows
    )


def counts(job):
    """The figures of each file; where one name came several times, of the last."""
    return {
        row["file"]: (row["rows_read"], row["rows_accepted"], row["rows_quarantined"], row["rows_unchanged"])
        for row in job.tables.read("ingested_files").orderBy("batch_id").collect()
    }


def test_the_same_folder_again_writes_nothing(deliver):
    first = deliver(person=PEOPLE, lab=LABS)
    again = deliver(lab_under_another_name=LABS)
    assert again.skipped
    assert again.tables.published == first.tables.published
    assert again.figures["files_repeated"] == 1
    assert counts(first) == {"person.csv": (2, 2, 0, 0), "lab.csv": (2, 2, 0, 0)}


def test_a_record_whose_person_comes_later_is_accepted_then(deliver):
    late = LABS + "l3,cy,2021-01-01,2021-01-02,7\nl4,dee,2021-01-01,2021-01-02,8\n"
    first = deliver(person=PEOPLE, lab=late)
    assert counts(first)["lab.csv"] == (4, 2, 2, 0)
    assert [row["record"] for row in first.tables.read("quarantine").orderBy("record").collect()] == [2, 3]
    second = deliver(person_2="person,born\ncy,1970-01-01\n")
    assert counts(second)["lab.csv"] == (4, 3, 1, 0)
    assert [(row["record"], row["rule"]) for row in second.tables.read("quarantine").collect()] == [
        (3, "unknown_person")
    ]
    assert results(second) == [("l1", 2, 5), ("l2", 2, 6), ("l3", 2, 7)]
    assert second.figures["accepted_again"] == 1


@pytest.mark.slow  # four ingests
def test_a_record_of_another_folder_is_accepted_once_its_person_comes(deliver, tmp_path):
    late = LABS + "l3,cy,2021-01-01,2021-01-02,7\nl4,dee,2021-01-01,2021-01-02,8\n"
    deliver("monday", person=PEOPLE, lab=late)
    deliver("tuesday", lab_2=LABS.replace("l1,ann", "l5,eve").replace("l2,", "l6,"))
    tmp_path.joinpath("tuesday", "lab_2.csv").write_text("rewritten\n")
    last = deliver("wednesday", at=datetime(2021, 6, 3), person_2="person,born\ncy,1970-01-01\neve,1980-01-01\n")
    assert last.figures["accepted_again"] == 1
    assert results(last) == [("l1", 2, 5), ("l2", 2, 6), ("l3", 2, 7), ("l6", 2, 6)]
    told = {
        "person.csv": (2, 2, 0, 0),
        "lab.csv": (4, 3, 1, 0),
        "lab_2.csv": (2, 1, 1, 0),
        "person_2.csv": (2, 2, 0, 0),
    }
    assert counts(last) == told
    assert last.tables.read("quarantine").where("rule != 'unknown_person'").isEmpty()
    assert deliver("wednesday").skipped


def test_versions_repetitions_and_voids_in_any_order(deliver):
    deliver(
        person=PEOPLE,
        lab="lab,person,day,released,result\nl1,ann,2021-01-01,2021-01-04,withdrawn\nl2,bob,2021-01-01,2021-01-03,6\n",
    )
    last = deliver(
        lab_2="lab,person,day,released,result\nl1,ann,2021-01-01,2021-01-02,5\nl2,bob,2021-01-01,2021-01-03,6\n"
        "l2,bob,2021-01-01,2021-01-05,6\nl2,bob,2021-01-01,2021-01-03,9\n"
    )
    assert results(last) == [("l1", 2, 5), ("l1", 4, None), ("l2", 3, 6)]
    assert counts(last)["lab_2.csv"] == (4, 3, 1, 2)
    (refused,) = last.tables.read("quarantine").collect()
    assert (refused["record"], refused["rule"]) == (3, "conflicting_version")


@pytest.mark.parametrize(
    ("name", "content", "error", "said"),
    [
        ("lab_cut", gzip.compress(LABS.encode() * 900)[:-9], Refused, "unreadable_file"),
        ("lab_short", "lab,person\nl1,ann\n", Refused, "wrong_columns"),
        ("holiday", "a,b\n1,2\n", Refused, "unknown_record_type"),
        ("lab_open", LABS + 'l5,"ann,2021-01-01,2021-01-02,6\n', Refused, "within quotes"),
        ("lab_picture", LABS.partition("\n")[0] + "\n" + "\x89PNG\x00\x01\n" * 9, Held, "not_a_row"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_stops_the_delivery(deliver, tmp_path, name, content, error, said):
    before = deliver(person=PEOPLE).tables.published
    with pytest.raises(error, match=said) as stopped:
        deliver(lab=LABS, **{name: content})
    assert name in str(stopped.value)
    assert "\n" not in str(stopped.value)
    next(tmp_path.joinpath("landing").glob(f"{name}.*")).unlink()
    tmp_path.joinpath("landing", "lab.csv").unlink()
    assert deliver().tables.published == before


def test_a_lag_that_stands_in_for_a_release_says_so_unless_the_delivery_told_more_of_event_and_cost(deliver, declare):
    declare(
        ("    version: released\n", ""),
        ("available_time: released", "available_time: nullif(released, '')\n    assumed_lag: 30 DAYS"),
        ("    events:\n      result:", "    cost: {domain: \"'Visit'\", incurred: day}\n    events:\n      result:"),
    )
    labs = LABS.replace("l2,bob,2021-01-01,2021-01-02,6", "l2,bob,2021-01-01,,6\nl3,bob,2020-12-01,,7")

    def told(job):
        events, costs = (job.tables.read(name).collect() for name in ("events", "costs"))
        assert len(costs) == 3
        of_costs = {job.lab[row["record_id"]]: (row["available_time"], row["is_lag_assumed"]) for row in costs}
        of_events = {
            job.lab.get(row["record_id"], row["code"]): (row["available_time"], row["is_lag_assumed"]) for row in events
        }
        assert of_costs.items() <= of_events.items()
        return of_events

    after = {"MEDS_BIRTH": (datetime(1960, 1, 1), False)}
    backfill = told(deliver(at=datetime(2021, 1, 10), person=PEOPLE.replace("ann,1950", "ann,1960"), lab=labs))
    assert backfill == after | {
        "l1": (datetime(2021, 1, 3), False),
        "l2": (datetime(2021, 1, 31), True),
        "l3": (datetime(2020, 12, 31), True),
    }
    declare(("refuse_above", "clock: live\nrefuse_above"))
    live = told(deliver(at=datetime(2021, 1, 10)))
    received = (datetime(2021, 1, 10), False)
    assert live == {"MEDS_BIRTH": received, "l1": received, "l2": (datetime(2021, 1, 31), True), "l3": received}


@pytest.mark.slow
def test_a_changed_mapping_maps_the_files_anew(deliver, declare):
    deliver(person=PEOPLE, lab=LABS)
    declare(("numeric_value: result}", "numeric_value: result, text_value: result}"))
    again = deliver()
    assert results(again) == [("l1", 2, 5), ("l2", 2, 6)]
    assert {row["text_value"] for row in again.tables.read("events").where("code = 'REGISTRY/A'").collect()} == {
        "5",
        "6",
    }
    assert again.tables.read("ingested_files").count() == 2


@pytest.mark.slow
def test_what_a_snapshot_lacks_is_withdrawn_once_and_comes_back(deliver, declare, tmp_path):
    declare(("refuse_above", "delivery: snapshot\nrefuse_above"), ("    version: released\n", ""))
    head = "lab,person,day,released,result\n"
    l1, l2, l3, l4 = (f"l{number},ann,2021-01-0{number},2021-01-09,{number}\n" for number in (1, 2, 3, 4))

    def snapshot(day, *rows):
        return deliver(f"of_{day}", datetime(2021, 6, day), person=PEOPLE, lab=head + "".join(rows))

    snapshot(1, l1, l2, l3)
    second = snapshot(20, l1, l3.replace(",3\n", ",33\n"))
    assert results(second) == [("l1", 1, 1), ("l2", 1, 2), ("l2", 19, None), ("l3", 1, 3), ("l3", 20, 33)]
    assert counts(second)["lab.csv"] == (2, 2, 0, 1)
    written = second.tables.read("events").groupBy("file_id").count().collect()
    told = second.tables.read("ingested_files").collect()
    assert dict(map(tuple, written)) == {row["file_id"]: row["events_written"] for row in told}
    again = deliver("of_20", datetime(2021, 6, 20))
    assert again.skipped
    assert again.tables.published == second.tables.published
    # A snapshot that comes late: what the later one did not change, holds again from there.
    late = snapshot(10, l2, l3)
    between = [("l1", 9, None), ("l1", 20, 1)]
    assert results(late) == sorted([*results(second), *between], key=lambda row: row[:2])
    with pytest.raises(Held, match="lacks 2 of the 2 records"):
        snapshot(25, l4)
    last = snapshot(28, l1, l2)
    assert [row for row in results(last) if row[1] > 20] == [("l2", 28, 2), ("l3", 27, None)]
    voids = last.tables.read("events").where("code = 'SALUS_VOID'")
    assert {(row["record"], row["time"], row["available_time"]) for row in voids.collect()} == {
        (-1, at, at) for at in (datetime(2021, 6, 10), datetime(2021, 6, 20), datetime(2021, 6, 28))
    }
    files = last.tables.read("ingested_files")
    assert files.where("rows_read != rows_accepted + rows_quarantined").isEmpty()


@pytest.mark.slow
def test_refused_records_go_through_again_once_the_mapping_is_mended(deliver, declare):
    labs = LABS + "l3,ann,2021-01-01,2021-01-02,n/a\nl4,cy,2021-01-01,2021-01-02,8\n"
    first = deliver(person=PEOPLE, lab=labs)
    assert counts(first)["lab.csv"] == (4, 2, 2, 0)
    declare(("numeric_value: result", """numeric_value: "nullif(result, 'n/a')\""""))
    mended = deliver(retry_quarantine=True)
    assert counts(mended) == {"person.csv": (2, 2, 0, 0), "lab.csv": (4, 3, 1, 0)}
    assert results(mended) == [("l1", 2, 5), ("l2", 2, 6), ("l3", 2, None)]
    assert mended.figures["accepted_again"] == 1
    (refused,) = mended.tables.read("quarantine").collect()
    assert (refused["record"], refused["rule"]) == (3, "unknown_person")
    again = deliver(retry_quarantine=True)
    assert again.skipped
    # Without the flag the mended mapping maps the files anew, to the same tables.
    anew = deliver()
    assert (counts(anew), results(anew)) == (counts(mended), results(mended))


@pytest.mark.slow
def test_a_file_that_may_still_grow_is_left_for_the_next_run(deliver, declare, tmp_path):
    declare(("refuse_above", "settle_seconds: 3600\nexpected: {every: day, grace_days: 3}\nrefuse_above"))
    left = deliver(person=PEOPLE)
    assert (left.skipped, left.figures["files_growing"]) == (True, 1)
    os.utime(tmp_path / "landing" / "person.csv", (1_600_000_000, 1_600_000_000))
    taken = deliver(lab=LABS)
    assert counts(taken) == {"person.csv": (2, 2, 0, 0)}
    assert taken.figures["files_growing"] == 1
    assert taken.figures["days_late"] > 1000
    (registry,) = [one for one in status(taken.tables, date(2021, 6, 10)).sources if one.source == "registry"]
    assert (registry.state, registry.next_expected, registry.days_late) == ("late", date(2021, 6, 2), 8)
    assert (registry.files, registry.records, registry.refused) == (1, 2, 0)


def test_an_unknown_source_and_a_missing_folder_are_refused(job_in, tmp_path):
    for source, folder, said in (
        ("nothing", tmp_path, "expected one of"),
        ("fhir_r4", tmp_path / "no", "expected a folder"),
    ):
        with pytest.raises(Refused, match=said), job_in(tmp_path / "warehouse", "ingest") as job:
            ingest(job, source, str(folder), b"k" * 32)
