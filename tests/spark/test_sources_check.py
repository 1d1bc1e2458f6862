"""``ingest --check``, on the documentation's own example: what it says is what the ingest then does."""

import re
import shutil
from datetime import datetime

import pytest

import ingest
from salus.errors import Refused
from salus.privacy.pseudonyms import create_key, pseudonym
from salus.settings import conf_dir
from salus.sources.check import check_source
from salus.sources.loading import read_source

BLOCK = re.compile(r"^```\w+ (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TOLD = re.compile(r"^```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
GUIDE = (conf_dir().resolve().parent / "docs" / "sources.md").read_text(encoding="utf-8")
SHOWN = """\
file          record  code                   time                 available_time       numeric_value  unit  text_value
labs.csv      0       LOINC/718-7            2024-01-10 00:00:00  2024-01-12 00:00:00  13.1           g/dL
labs.csv      1       REGISTRY/grip          2024-01-10 00:00:00  2024-01-13 00:00:00  27             kg
outcomes.csv  0       REGISTRY/OUTCOME/fall  2024-03-01 00:00:00  2024-07-01 00:00:00
outcomes.csv  1       MEDS_DEATH             2024-04-02 00:00:00  2024-07-01 00:00:00
people.csv    0       MEDS_BIRTH             1951-03-07 00:00:00  1951-03-07 00:00:00
people.csv    1       MEDS_BIRTH             1948-11-01 00:00:00  1948-11-01 00:00:00

7 records: 1 not_a_time
"""


@pytest.fixture
def example(spark, tmp_path, monkeypatch):
    """The files of the guide's example where its reader would put them."""
    conf, landing = tmp_path / "conf", tmp_path / "landing"
    shutil.copytree(conf_dir(), conf)
    landing.mkdir()
    monkeypatch.setenv("SALUS_CONF", str(conf))
    for name, text in BLOCK.findall(GUIDE):
        (tmp_path / name if name.startswith("conf/") else landing / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_the_guide_s_example_is_checked_shown_and_taken_in(example, capsys, tables):
    landing, warehouse = example / "landing", example / "warehouse"
    ingest.main(["--source=registry", "--check", f"--input={landing}", f"--warehouse={warehouse}"])
    (told,) = TOLD.findall(GUIDE)
    assert capsys.readouterr().out == f"{told}\n{SHOWN}"
    assert not warehouse.exists()

    ingest.main(["--source=registry", f"--input={landing}", f"--warehouse={warehouse}", "--create-key"])
    key = create_key(example / "warehouse.key")
    found = type(tables)(tables.spark, str(warehouse))
    names = {row["file_id"]: row["file"] for row in found.read("ingested_files").collect()}
    events = found.read("events").orderBy("time").collect()
    shown = {tuple(re.split(r"  +", line))[:5] for line in SHOWN.splitlines()[1:7]}
    assert {
        (names[row["file_id"]], str(row["record"]), row["code"], str(row["time"]), str(row["available_time"]))
        for row in events
    } == shown
    assert {row["source_subject_id"] for row in events} == {
        pseudonym(key, "main", "registry", person) for person in ("r1", "r2")
    }
    (held,) = found.read("quarantine").collect()
    assert (names[held["file_id"]], held["record"], held["rule"]) == ("labs.csv", 2, "not_a_time")
    assert found.read("persons").where("year_of_birth = 1951 AND gender_concept_id = 8532").count() == 1
    assert events[0]["time"] == datetime(1948, 11, 1)


@pytest.mark.parametrize(
    ("sound", "wrong", "why"),
    [
        ("available_time: released", "available_time: relased", "relased"),
        ("{code: test_code(test), numeric_value: result", "{code: test_code(test), numeric_value: reslt", "reslt"),
        ("has_test: test IS NOT NULL", "has_test: test IS NOTT NULL", "IS"),
        ("version: released", "version: realise(released)", "realise"),
        ("    version: released", "    shared: {told: realise(released)}\n    version: told", "realise"),
        ("try_cast(text AS DATE), lasts: day", "try_cast(txt AS DATE), lasts: day", "txt"),
    ],
)
def test_an_expression_that_spark_refuses_is_named_with_its_line(spark, example, sound, wrong, why):
    path = example / "conf" / "sources" / "registry.yml"
    text = path.read_text()
    assert sound in text
    line = text[: text.index(sound)].count("\n") + 1
    path.write_text(text.replace(sound, wrong))
    with pytest.raises(Refused, match=why) as refused:
        check_source(spark, read_source(path), path)
    assert f"registry.yml:{line}: " in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("path", sorted((conf_dir() / "sources").glob("*.yml")), ids=lambda path: path.stem)
def test_every_declared_source_is_sound(spark, path):
    assert check_source(spark, read_source(path), path) >= 9
