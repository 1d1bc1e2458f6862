"""What a person gets wrong: one clear line, the exit code of docs/operations.md, and no half-written table."""

import fcntl
import gzip
import json
import shutil

import pytest

import evaluate
import export
import ingest
import report
import salus.settings
import score
import train
from salus.job import run
from salus.storage import Tables
from salus.storage.lock import LOCK_FILE

PATIENT = {"resourceType": "Patient", "id": "p1", "gender": "female", "birthDate": "1970-01-01"}
CONDITION = {
    "resourceType": "Condition",
    "id": "c1",
    "subject": {"reference": "Patient/p1"},
    "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "E11.9"}]},
    "onsetDateTime": "2025-02-03",
    "recordedDate": "2025-02-03",
}


@pytest.fixture
def landing(tmp_path):
    """A folder of two good files."""
    folder = tmp_path / "landing"
    folder.mkdir()
    for record in (PATIENT, CONDITION):
        (folder / f"{record['resourceType']}.ndjson").write_text(json.dumps(record) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def conf(tmp_path, monkeypatch):
    """A copy of conf/ that a test may spoil."""
    copy = tmp_path / "conf"
    shutil.copytree(salus.settings.conf_dir(), copy)
    monkeypatch.setenv("SALUS_CONF", str(copy))
    return copy


@pytest.fixture
def ends(spark, tmp_path, capsys):
    """``ends(job, *arguments)``: its exit code and its one line on stderr; nothing may be visible afterwards."""
    warehouse = tmp_path / "warehouse"

    def end(job, *arguments):
        code = run(lambda: job.main([f"--warehouse={warehouse}", *map(str, arguments)]))
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("salus: ")]
        assert len(lines) == 1
        tables = Tables(spark, str(warehouse))
        assert tables.published == {}
        return code, lines[0]

    return end


def take_in(folder, source="fhir_r4"):
    return ingest, f"--source={source}", f"--input={folder}", "--create-key"


def test_a_folder_that_does_not_exist(ends, tmp_path):
    code, line = ends(*take_in(tmp_path / "nowhere"))
    assert code == 2
    assert f"{tmp_path}/nowhere; expected a folder" in line


def test_an_empty_folder(ends, tmp_path):
    (tmp_path / "empty").mkdir()
    code, line = ends(*take_in(tmp_path / "empty"))
    assert code == 2
    assert "holds no file; expected at least one" in line


def test_a_source_that_does_not_exist(ends, landing):
    code, line = ends(*take_in(landing, "fhir_r5"))
    assert code == 2
    assert "Received the source `fhir_r5`; expected one of " in line
    assert ", ".join(sorted(path.stem for path in (salus.settings.conf_dir() / "sources").glob("*.yml"))) in line


def test_a_misspelt_key_of_a_source_is_named_with_its_line(ends, landing, conf):
    path = conf / "sources" / "fhir_r4.yml"
    lines = path.read_text(encoding="utf-8").splitlines()
    number = next(place for place, text in enumerate(lines) if text.lstrip().startswith("accept:"))
    lines[number] = lines[number].replace("accept:", "acept:")
    path.write_text("\n".join(lines), encoding="utf-8")
    code, line = ends(*take_in(landing))
    assert code == 2
    assert f"{path}:{number + 1}: received `" in line
    assert "acept`" in line


def test_a_misspelt_key_of_a_task_is_named_with_its_line(ends, conf):
    path = conf / "tasks" / "admission_90d.yml"
    lines = path.read_text(encoding="utf-8").splitlines()
    number = next(place for place, text in enumerate(lines) if text.lstrip().startswith("horizon_days:"))
    lines[number] = lines[number].replace("horizon_days", "horizon_day")
    path.write_text("\n".join(lines), encoding="utf-8")
    code, line = ends(score, "--as-of=2026-06-30")
    assert code == 2
    assert f"{path}:{number + 1}: received `label.horizon_day`" in line


def test_a_truncated_gzip(ends, landing):
    whole = gzip.compress((json.dumps(CONDITION) + "\n").encode() * 1000)
    (landing / "Condition.ndjson.gz").write_bytes(whole[: len(whole) // 2])
    code, line = ends(*take_in(landing))
    assert code == 2
    assert "Received Condition.ndjson.gz, which " in line
    assert "expected a whole file" in line


def test_a_file_that_is_not_what_its_name_says(ends, landing):
    (landing / "Observation.ndjson").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40)
    code, line = ends(*take_in(landing))
    assert code == 3
    assert "first in Observation.ndjson; expected at most" in line


def test_a_warehouse_that_another_run_holds(ends, landing, tmp_path):
    (tmp_path / "warehouse").mkdir()
    with open(tmp_path / "warehouse" / LOCK_FILE, "w+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write('{"job": "nightly", "pid": 4711}')
        file.flush()
        code, line = ends(*take_in(landing))
    assert code == 4
    assert "which another run holds (job nightly, process 4711); expected a free one" in line


def test_a_key_file_that_is_missing(ends, landing):
    code, line = ends(ingest, "--source=fhir_r4", f"--input={landing}")
    assert code == 2
    assert "expected the site's key there" in line


@pytest.mark.parametrize("job", [score, export, train, evaluate, report])
def test_a_task_that_does_not_exist(ends, job):
    dated = ["--as-of=2026-06-30"] if job in (score, report) else []
    code, line = ends(job, "--task=admission_9d", *dated)
    assert code == 2
    assert "Received the task 'admission_9d'; expected one of " in line


def test_good_files_beside_a_bad_one_are_taken_in_once_it_is_gone(ends, spark, landing, tmp_path):
    bad = landing / "Condition.1.ndjson.gz"
    bad.write_bytes(gzip.compress(b"{}\n" * 1000)[:20])
    assert ends(*take_in(landing))[0] == 2
    bad.unlink()
    job, *arguments = take_in(landing)
    assert run(lambda: job.main([f"--warehouse={tmp_path / 'warehouse'}", *arguments])) == 0
    events = Tables(spark, str(tmp_path / "warehouse")).read("events")
    assert events.where("code = 'ICD10CM/E11.9'").count() == 1
