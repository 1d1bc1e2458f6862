"""Raw records in quarantine: kept where conf/privacy says so of the source, of what is refused, and nowhere else."""

import shutil
from datetime import datetime
from pathlib import Path

import pytest

from decoded import holders
from salus.privacy.pseudonyms import create_key
from salus.settings import conf_dir
from salus.sources.batch import Batch
from salus.sources.files import found, inspected
from salus.sources.ingest import ingest
from salus.sources.loading import load_source
from salus.sources.raw_records import BYTES_AT_MOST, raw_records

DATA = Path(__file__).resolve().parents[1] / "data"
CANARY = "Kanarienvogel"
REFUSED = {
    1: f"l2,{CANARY},2021-13-01,2021-01-02,6",
    2: f"l3,{CANARY}",
    3: f'l4,ann,2021-01-01,2021-01-02,"{CANARY}\n, of two lines"',
}
LABS = "\n".join(
    [
        "lab,person,day,released,result",
        'l1,ann,2021-01-01,2021-01-02,"5"',
        *REFUSED.values(),
        f"l5,ann,2021-01-01,2021-01-02,{CANARY}{'x' * BYTES_AT_MOST}",
        "",
    ]
)


def test_a_refused_record_is_kept_where_the_policy_says_so_until_it_passes(job_in, tmp_path, monkeypatch):
    shutil.copytree(conf_dir(), tmp_path / "conf")
    monkeypatch.setenv("SALUS_CONF", str(tmp_path / "conf"))
    source, landing = tmp_path / "conf" / "sources" / "registry.yml", tmp_path / "landing"
    source.write_text((DATA / "registry.yml").read_text().replace("refuse_above: 0.5", "refuse_above: 1"))
    landing.mkdir()
    (landing / "person.csv").write_text("person,born\nann,1950-01-01\n")
    (landing / "lab.csv").write_text(LABS)

    def kept(retry_quarantine=False):
        with job_in(tmp_path / "warehouse", "ingest") as job:
            key = create_key(job.settings.key_path)
            ingest(job, "registry", str(landing), key, None, datetime(2021, 6, 1), retry_quarantine)
        return {row["record"]: row["raw"] for row in job.tables.read("quarantine").collect()}

    assert kept() == dict.fromkeys((1, 2, 3, 4))
    assert holders(landing, [CANARY])
    assert holders(tmp_path / "warehouse", [CANARY]) == {}

    (tmp_path / "conf" / "privacy" / "registry.yml").write_text("keeps_refused: true\n")
    assert kept() == REFUSED | {4: None}
    files = holders(tmp_path / "warehouse", [CANARY])[CANARY]
    assert {file.partition("/")[0] for file in files} == {"quarantine"}

    mended = source.read_text().replace("try_cast(text AS DATE)", "\"try_cast(replace(text, '-13-', '-12-') AS DATE)\"")
    source.write_text(mended.replace("    subject: person\n    time: day", "    subject: \"'ann'\"\n    time: day"))
    assert kept(retry_quarantine=True) == {2: REFUSED[2], 3: REFUSED[3], 4: None}


@pytest.mark.parametrize("name", ["wearable_daily", "fhir_r4", "hl7v2", "meds"])
def test_every_record_of_lines_entries_code_and_tables_has_its_raw_text(spark, name):
    """As many as the files' bytes hold; of a line it is that line, less a byte order mark that it begins with."""
    source = load_source(name)
    folder = DATA / name / "input"
    files = inspected(spark, source, found(spark, source, str(folder)))
    batch = Batch(source, "main", "", files, None, 0)
    rows = raw_records(spark, batch, {file.file_id for file in batch.mapped}).collect()
    raw = {(row["file_id"], row["record"]): row["raw"] for row in rows}
    assert len(raw) == len(rows) == sum(file.records for file in batch.mapped)
    for file in batch.mapped:
        own = [raw[file.file_id, record] for record in range(file.records)]
        if file.reading == "lines":
            lines = Path(file.path).read_bytes().decode("utf-8-sig", "replace").split("\n")
            lines = [line for line in lines if line.strip(" \t\r")][source.format == "csv" :]
            assert own == [line.removeprefix("\ufeff") for line in lines]
        else:
            assert all(text.startswith("{") for text in own)
    assert {file.reading for file in batch.mapped} & {"lines", "bundle", "code", "table"}
