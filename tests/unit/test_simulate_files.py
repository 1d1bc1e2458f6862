"""What simulate leaves on disk: the same bytes each time, every line accounted for, nothing of the future."""

import csv
import json
from collections import Counter
from datetime import date
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from salus.errors import Refused
from salus.simulate import population, writer
from salus.simulate.clock import NO_DAY, Clock
from salus.simulate.files import Extract
from salus.simulate.text import digits, fixed
from salus.simulate.writer import simulate
from written_files import hashes

AS_OF = date(2026, 6, 30)
PEOPLE = 300


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("simulated") / "out"
    return out, simulate(PEOPLE, 7, AS_OF, out)


def lines(out, pattern):
    return [line for p in sorted(out.glob(pattern)) for line in p.read_text().splitlines()]


def good_rows(out, pattern):
    """Rows of CSV files that have as many fields as the header."""
    return [row for p in sorted(out.glob(pattern)) for row in csv.DictReader(p.open()) if None not in row.values()]


def resources(out, kind):
    parsed = []
    for line in lines(out, f"ehr/{kind}.*.ndjson"):
        try:
            parsed.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return parsed


def test_another_seed_gives_other_bytes_in_the_same_files(made, tmp_path):
    out, _ = made
    simulate(PEOPLE, 8, AS_OF, tmp_path / "other")
    mine, other = hashes(out), hashes(tmp_path / "other")
    assert mine.keys() == other.keys()
    assert not mine.items() & other.items()


def test_a_chunk_does_not_depend_on_how_many_follow(tmp_path, monkeypatch):
    for module in (population, writer):
        monkeypatch.setattr(module, "CHUNK", 60)
    simulate(60, 7, AS_OF, tmp_path / "one")
    simulate(120, 7, AS_OF, tmp_path / "two")
    for file in ("ehr/Encounter.000.ndjson", "payer/eligibility.000.csv", "wearable/sleepDay_merged.000.csv"):
        one, two = ((tmp_path / name / file).read_bytes() for name in ("one", "two"))
        assert two.startswith(one)
        assert len(two) > len(one)


def test_a_population_that_is_there_already_is_left_alone(made):
    out, _ = made
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*")}
    assert simulate(PEOPLE, 7, AS_OF, out) is None
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*")} == before


def test_the_same_seed_gives_the_same_bytes_also_after_a_run_that_died(made, tmp_path, monkeypatch):
    out, _ = made
    monkeypatch.setattr(writer, "outcome", lambda course, day: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        simulate(PEOPLE, 7, AS_OF, tmp_path / "again")
    assert list((tmp_path / "again" / "ehr").iterdir())
    assert not (tmp_path / "again" / "manifest.json").exists()
    monkeypatch.undo()
    simulate(PEOPLE, 7, AS_OF, tmp_path / "again")
    assert hashes(tmp_path / "again") == hashes(out)


def test_a_folder_with_something_else_is_refused(made, tmp_path):
    out, _ = made
    with pytest.raises(Refused, match="expected an empty folder"):
        simulate(PEOPLE, 8, AS_OF, out)
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(Refused, match="expected an empty folder"):
        simulate(PEOPLE, 7, AS_OF, tmp_path)
    with pytest.raises(Refused, match="at least 1"):
        simulate(0, 7, AS_OF, tmp_path / "none")


def test_the_manifest_counts_every_file_and_line(made):
    out, manifest = made
    listed = {f["path"]: f for f in manifest["files"]}
    on_disk = [p for folder in ("ehr", "payer", "wearable") for p in (out / folder).iterdir()]
    assert sorted(listed) == sorted(str(p.relative_to(out)) for p in on_disk)
    totals = Counter()
    for path in on_disk:
        entry = listed[str(path.relative_to(out))]
        content = path.read_bytes()
        assert content.endswith(b"\n")
        assert entry["bytes"] == len(content)
        assert entry["records"] == content.count(b"\n") - (path.suffix == ".csv")
        totals[path.parent.name] += entry["records"]
    assert manifest["records"] == totals
    assert json.loads((out / "manifest.json").read_text()) == manifest


def test_every_line_parses_but_the_planted_ones(made):
    out, manifest = made
    refused = 0
    for path in (out / "ehr").iterdir():
        for line in path.read_text().splitlines():
            try:
                assert json.loads(line)["resourceType"] == path.name.split(".")[0]
            except json.JSONDecodeError:
                refused += 1
    assert refused == manifest["quarantine"]["ehr"]["not_one_json_object"]


def test_the_quarantine_can_be_counted_from_the_files(made):
    out, manifest = made
    patients = {p["id"] for p in resources(out, "Patient")}
    found = Counter()
    for o in resources(out, "Observation"):
        found["unknown_person"] += o["subject"]["reference"].removeprefix("Patient/") not in patients
        found["not_a_number"] += isinstance(o.get("valueQuantity", {}).get("value", 0.0), str)
        found["not_a_time"] += o["effectiveDateTime"].startswith("2024-02-30")
    assert found.items() <= manifest["quarantine"]["ehr"].items()

    members = {row["member_id"] for row in good_rows(out, "payer/eligibility.*.csv")}
    found = Counter()
    for path in out.glob("payer/medical_claim.*.csv"):
        for row in csv.DictReader(path.open()):
            found["not_a_row"] += None in row.values()
            if None in row.values():
                continue
            found["no_subject"] += not row["member_id"]
            found["unknown_person"] += bool(row["member_id"]) and row["member_id"] not in members
            found["not_a_time"] += row["claim_start_date"] == "2024-13-40"
            found["not_a_number"] += row["paid_amount"].endswith("x")
    assert found == manifest["quarantine"]["payer"]

    found = Counter()
    for row in csv.DictReader(line for p in sorted(out.glob("wearable/dailyActivity*.000.csv")) for line in p.open()):
        found["not_a_row"] += None in row.values()
        if None in row.values():
            continue
        found["no_subject"] += not row["Id"]
        found["not_a_time"] += row["ActivityDate"].startswith("13/40")
        found["not_a_number"] += "o" in row["TotalSteps"]
    assert found == manifest["quarantine"]["wearable"]


def test_later_versions_and_copies_are_counted(made):
    out, manifest = made
    planted = manifest["planted"]
    statuses, seen = Counter(), Counter()
    last = sorted(out.glob("ehr/Observation.*.ndjson"))[-1]
    assert len(last.read_text().splitlines()) == planted["Observation delivered in two files"]
    copied = set(last.read_text().splitlines())
    for line in lines(out, "ehr/Observation.000.ndjson"):
        seen[line in copied] += 1
        if '"status":"corrected"' in line or '"status":"entered-in-error"' in line:
            version = json.loads(line)
            assert version["meta"]["versionId"] == "2"
            assert version["issued"] == version["meta"]["lastUpdated"]
            statuses[version["status"]] += 1
    assert seen[True] == planted["Observation delivered in two files"]
    assert statuses == {
        "corrected": planted["Observation corrected"],
        "entered-in-error": planted["Observation entered in error"],
    }

    voided, later = set(), Counter()
    for row in good_rows(out, "payer/pharmacy_claim.000.csv"):
        later[row["claim_id"]] += 1
        if row["days_supply"] == "0":
            voided.add(row["claim_id"])
            assert row["paid_amount"] == row["charge_amount"] == "0.00"
    assert len(voided) == planted["pharmacy claim voided"]
    assert sum(n - 1 for n in later.values()) == planted["pharmacy claim voided"] + planted["pharmacy claim corrected"]


def test_a_voided_claim_has_no_units_and_nothing_else_looks_like_one(made):
    out, manifest = made
    versions: dict[tuple, list] = {}
    for row in good_rows(out, "payer/medical_claim.000.csv"):
        if row["member_id"] and not row["claim_id"].startswith("CLX"):
            versions.setdefault((row["claim_id"], row["claim_line_number"]), []).append(row)
    claims, void = set(), set()
    for rows in versions.values():
        claims.add(rows[0]["claim_id"])
        if any(r["service_unit_quantity"] == "0" for r in rows):
            void.add(rows[0]["claim_id"])
            newest = max(rows, key=lambda r: r["file_date"])
            assert newest["charge_amount"] == newest["paid_amount"] == newest["allowed_amount"] == "0.00"
            assert newest["service_unit_quantity"] == "0"
        for older, newer in pairwise(sorted(rows, key=lambda r: r["file_date"])):
            assert older["paid_date"] < newer["paid_date"] < newer["file_date"]
        assert all(r["charge_amount"] != "0.00" or r["service_unit_quantity"] == "0" for r in rows)
    assert len(void) == manifest["planted"]["medical claim voided"] > 0
    assert len(claims) == manifest["planted"]["medical claim originals, paid after the service"]


def test_a_claim_is_paid_between_5_and_60_days_after_the_service(made):
    out, _ = made
    first: dict[str, int] = {}
    for row in good_rows(out, "payer/medical_claim.000.csv"):
        if not row["claim_id"].startswith("CLX"):
            waited = (date.fromisoformat(row["paid_date"]) - date.fromisoformat(row["claim_end_date"])).days
            first[row["claim_id"]] = min(waited, first.get(row["claim_id"], 999))
    assert min(first.values()) == 5
    assert 40 < max(first.values()) <= 60


def test_the_files_hold_nothing_that_came_later_than_the_as_of_date(made):
    out, _ = made
    cut = AS_OF.isoformat()
    for kind in writer.EHR:
        assert max(r["meta"]["lastUpdated"] for r in resources(out, kind)) < f"{cut}T01", kind
    for name in ("eligibility", "medical_claim", "pharmacy_claim"):
        assert max(row["file_date"] for row in good_rows(out, f"payer/{name}.*.csv")) <= cut
    newest = max(
        tuple(int(x) for x in row["ActivityDate"].split("/"))[::-1][:1]
        for row in good_rows(out, "wearable/dailyActivity_merged.*.csv")
        if row["ActivityDate"] != "13/40/2024"
    )
    assert newest <= (AS_OF.year,)


def test_one_site_reports_in_other_units(made):
    out, manifest = made
    site = {p["id"]: p["identifier"][0]["system"][-1] for p in resources(out, "Patient")}
    molar = Counter()
    for o in resources(out, "Observation"):
        code, unit = o["code"]["coding"][0]["code"], o.get("valueQuantity", {}).get("code")
        person = o["subject"]["reference"].removeprefix("Patient/")
        if code in ("2345-7", "2160-0") and person in site:
            assert (unit in ("mmol/L", "umol/L")) == (site[person] == "3")
            molar[code] += unit in ("mmol/L", "umol/L")
    copies = len(lines(out, "ehr/Observation.001.ndjson"))
    planted = manifest["planted"]["glucose in other units at one site"]
    assert planted <= molar["2345-7"] <= planted + copies


def test_the_truth_names_each_person_as_the_sources_do(made):
    out, _ = made
    truth = pq.read_table(out / "truth" / "truth.000.parquet").to_pydict()
    patients = {p["id"]: {i["system"]: i["value"] for i in p["identifier"]} for p in resources(out, "Patient")}
    members = {r["member_id"] for r in good_rows(out, "payer/eligibility.*.csv") if r["enrollment_start_date"] > "2025"}
    assert len(set(truth["as_of"])) == 31
    assert len(set(zip(truth["person"], truth["as_of"], strict=True))) == len(truth["person"])
    for ehr, member, wearable in zip(truth["ehr_patient_id"], truth["member_id"], truth["wearable_id"], strict=True):
        assert ehr or member or wearable
        if ehr:
            assert patients[ehr].get("urn:salus:member-id") == member
            assert patients[ehr].get("urn:salus:wearable-id") == wearable
    assert members
    assert members <= set(truth["member_id"])
    passed = [a.toordinal() + 90 > AS_OF.toordinal() for a in truth["as_of"]]
    assert [o is None for o in truth["outcome"]] == passed
    for name in ("true_probability", "attainable_probability"):
        assert all(0 < p < 1 for p, d in zip(truth[name], truth["as_of"], strict=True))


def test_the_outcome_can_be_found_in_the_records(made):
    """Every first admission of the truth stands in the EHR as an unplanned stay that began in the 90 days."""
    out, _ = made
    stays: dict[str, list[date]] = {}
    for e in resources(out, "Encounter"):
        if e["class"]["code"] == "IMP" and e["priority"]["coding"][0]["code"] in ("EM", "UR"):
            person = e["subject"]["reference"].removeprefix("Patient/")
            stays.setdefault(person, []).append(date.fromisoformat(e["period"]["start"][:10]))
    truth = pq.read_table(out / "truth" / "truth.000.parquet").to_pydict()
    for person, as_of, happened in zip(truth["ehr_patient_id"], truth["as_of"], truth["outcome"], strict=True):
        if person and happened is not None:
            assert happened == any(0 <= (day - as_of).days < 90 for day in stays.get(person, []))


@pytest.mark.real_data
def test_the_columns_are_those_of_the_real_files(made, real_data):
    out, _ = made
    for mine, theirs in (
        ("payer/eligibility", "claims/tuva_10_members/eligibility_seed"),
        ("payer/medical_claim", "claims/tuva_10_members/medical_claim_seed"),
        ("payer/pharmacy_claim", "claims/tuva_10_members/pharmacy_claim_seed"),
        ("wearable/dailyActivity_merged", "device/fitbit/dailyActivity_merged"),
        ("wearable/sleepDay_merged", "device/fitbit/sleepDay_merged"),
        ("wearable/weightLogInfo_merged", "device/fitbit/weightLogInfo_merged"),
    ):
        with (out / f"{mine}.000.csv").open() as ours, (real_data / f"{theirs}.csv").open(encoding="utf-8-sig") as real:
            assert ours.readline().strip() == real.readline().strip()


def test_files_are_rolled_by_size_and_copies_come_last(tmp_path):
    extract = Extract(tmp_path, "Thing", "csv", header="a", limit=20)
    extract.write(pa.array(["1234567\n", "2234567\n", "3234567\n"]).slice(0, 2))
    extract.write(pa.array(["copy\n"]), copy=True)
    extract.write(pa.array(["3234567\n", "a line that is longer than the limit is\n"]))
    assert extract.close() == {"Thing.000.csv": 2, "Thing.001.csv": 1, "Thing.002.csv": 1, "Thing.003.csv": 1}
    assert (tmp_path / "Thing.000.csv").read_text() == "a\n1234567\n2234567\n"
    assert (tmp_path / "Thing.002.csv").read_text() == "a\na line that is longer than the limit is\n"
    assert (tmp_path / "Thing.003.csv").read_text() == "a\ncopy\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"Thing.{n:03d}.csv" for n in range(4)]


def test_numbers_and_days_become_text():
    values = np.array([0.0, 7.2, 0.05, 1234.567])
    assert fixed(values, 2).to_pylist() == ["0.00", "7.20", "0.05", "1234.57"]
    assert fixed(values, 0).to_pylist() == ["0", "7", "0", "1235"]
    assert digits(np.array([-3, 12])).to_pylist() == ["-3", "12"]
    clock = Clock(AS_OF)
    days = np.array([clock.day(date(1931, 2, 3)), clock.day(date(2024, 2, 29)), NO_DAY])
    assert clock.dates(days).to_pylist() == ["1931-02-03", "2024-02-29", ""]
    assert clock.american_dates(days[1:2]).to_pylist() == ["2/29/2024"]
    assert [d.isoformat() for d in clock.index_dates[:2]] == ["2024-01-01", "2024-02-01"]
    assert clock.index_dates[-2:] == [date(2026, 6, 1), AS_OF]


def test_the_job_tells_what_it_wrote_and_then_that_nothing_is_new(tmp_path, capsys):
    import simulate as job

    argv = ["--people", "20", "--seed", "3", "--out", str(tmp_path / "out")]
    assert job.main(argv) == 0
    assert "20 people" in capsys.readouterr().out
    assert job.main(argv) == 0
    assert "nothing new" in capsys.readouterr().out
    assert Path(tmp_path / "out" / "manifest.json").is_file()
