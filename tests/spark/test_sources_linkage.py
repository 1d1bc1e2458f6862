"""People whom no identifier joins are linked by what their records say: as Splink weighs it, in whatever order."""

import random
import shutil
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest

from decoded import holders
from salus.errors import Held
from salus.privacy.erase import erase
from salus.privacy.pseudonyms import create_key, pseudonym
from salus.schemas import LINKAGE, MATCHES
from salus.settings import conf_dir
from salus.sources import identity, matching
from salus.sources.ingest import ingest
from salus.sources.linkage_model import model_path, read_model
from salus.sources.matching import matches

FIRST, LATER = datetime(2021, 1, 1), datetime(2021, 7, 1)
SOURCE = """\
format: csv
system: {name}
system_priority: {rank}
clock: live
link: splink
link_above: 0.99
refuse_above: 0
times:
  - {{matches: '\\d{{4}}-\\d{{2}}-\\d{{2}}', reads: try_cast(text AS DATE), lasts: day}}
records:
  person:
    files: ['*.csv']
    schema: id, family, given, born, sex, zip, said
    id: id
    version: said
    void: family = 'withdrawn'
    subject: id
    declares_subject: true
    time: born
    available_time: said
    person: {{birth: born, sex: sex}}
    linkage:
      family: family
      family_sound: soundex(family)
      given: given
      given_sound: soundex(given)
      birth_date: born
      birth_month: left(born, 7)
      sex: sex
      zip3: left(zip, 3)
"""
HEADER = "id,family,given,born,sex,zip,said\n"
CLINIC = [
    "c1,Quetzalcoatl,Ximena,1950-02-03,female,02139,2020-01-01",
    "c2,Okonkwo,Adaeze,1961-05-06,female,02139,2020-01-01",
    "c3,Okonkwo,Adaora,1961-05-06,female,02139,2020-01-01",
    "c4,Zabriskie,Bartholomew,1970-07-08,male,02139,2020-01-01",
    "c5,Vandersloot,Ignatius,1980-09-10,male,02139,2020-01-01",
]
PAYER = [
    "p1,QUETZALCOATL,ximena,1950-02-03,female,02141,2020-02-01",
    "p2,Okonkwo,,1961-05-06,female,02139,2020-02-01",  # which of the twins?
    "p4,Zabriskie,Bartholomew,1970-07-08,female,02139,2020-02-01",  # another sex
    "p5,Vandersloot,Ignatius,1980-09-01,male,02139,2020-02-01",  # another day
]


@pytest.fixture
def conf(tmp_path, monkeypatch):
    """Settings with the two sources ``clinic`` and ``payer``."""
    shutil.copytree(conf_dir(), tmp_path / "conf")
    for rank, name in enumerate(("clinic", "payer"), 50):
        (tmp_path / "conf" / "sources" / f"{name}.yml").write_text(SOURCE.format(name=name, rank=rank))
    monkeypatch.setenv("SALUS_CONF", str(tmp_path / "conf"))
    return tmp_path


def deliver(job_in, conf, warehouse, source, number, rows, at):
    """Take in ``rows`` of ``source`` as its delivery ``number``."""
    folder = conf / "input" / warehouse / source / str(number)
    folder.mkdir(parents=True)
    (folder / f"{source}{number}.csv").write_text(HEADER + "".join(f"{row}\n" for row in rows))
    with job_in(conf / warehouse, "ingest") as job:
        ingest(job, source, str(folder), create_key(conf / "site.key"), delivered_at=at)
    return job.tables


def told(tables, conf):
    """Who was who and since when, by their sources' own ids; the reported conflicts; the links with their weights."""
    key = create_key(conf / "site.key")
    names = {
        pseudonym(key, "main", source, f"{source[0]}{number}"): f"{source[0]}{number}"
        for source in ("clinic", "payer")
        for number in range(1, 9)
    }
    people = sorted(
        (names[row["source_subject_id"]], names[row["subject_id"]], str(row["known_from"]), str(row["known_until"]))
        for row in tables.read("identity").collect()
    )
    conflicts = sorted(
        (row["reason"], *sorted(names[one] for one in row["source_subject_ids"]))
        for row in tables.read("identity_conflicts").collect()
    )
    pairs = {
        tuple(sorted((names[row["source_subject_id"]], names[row["other_subject_id"]]))): (
            row["is_link"],
            round(row["match_weight"], 6),
        )
        for row in tables.read("matches").where("known_until IS NULL").collect()
    }
    return people, conflicts, pairs


def test_weights_are_those_that_splink_itself_gives(spark, tables):
    """Splink's own linker, on DuckDB, over the same tokens; every pair that more speaks for than against."""
    import splink

    draw, fields = random.Random(3), read_model().fields
    people = [
        {
            "unique_id": number,
            "source_dataset": draw.choice(["main/clinic", "main/payer", "main/trial"]),
            **{field: draw.choice([None, 1, 2, 3, 3]) for field in fields},
        }
        for number in range(120)
    ]
    rows = [
        (one["unique_id"], one["source_dataset"], [(f, one[f]) for f in fields if one[f]], 0.999, number, 1, None, 0, 0)
        for number, one in enumerate(people)
    ]
    found = matches(spark.createDataFrame(rows, LINKAGE), read_model())
    assert found.schema.names == MATCHES.names
    ours = {
        (row["source_subject_id"], row["other_subject_id"]): (row["match_weight"], row["match_probability"])
        for row in found.collect()
    }
    settings = model_path().read_text().replace("`", '\\"').replace('"spark"', '"duckdb"')
    frame = pd.DataFrame(people).astype(dict.fromkeys(fields, "Int64"))
    by_dataset = [part for _, part in frame.groupby("source_dataset")]
    (conf_file := Path(tables.warehouse).parent / "duckdb.json").write_text(settings)
    linker = splink.Linker(by_dataset, str(conf_file), splink.DuckDBAPI())
    theirs = linker.inference.predict(threshold_match_weight=0).as_pandas_dataframe()
    expected = {
        tuple(sorted((row.unique_id_l, row.unique_id_r))): (row.match_weight, row.match_probability)
        for row in theirs.itertuples()
        if row.match_weight > 0
    }
    assert len(expected) > 20
    assert ours.keys() == expected.keys()
    for pair, both in ours.items():
        assert both == pytest.approx(expected[pair], abs=1e-4)


@pytest.mark.parametrize("few", [identity.FEW, pytest.param(0, marks=pytest.mark.slow)], ids=["driver", "tasks"])
def test_people_without_a_shared_identifier_are_linked_and_conflicts_stay_apart(conf, job_in, monkeypatch, few):
    monkeypatch.setattr(identity, "FEW", few)
    deliver(job_in, conf, "warehouse", "clinic", 1, CLINIC, FIRST)
    tables = deliver(job_in, conf, "warehouse", "payer", 1, PAYER, FIRST)
    people, conflicts, pairs = told(tables, conf)
    current = {one: person for one, person, _, until in people if until == "None"}
    alone = {one: one for one in ("c1", "c2", "c3", "c4", "c5", "p2", "p4", "p5")}
    assert current == alone | {"p1": "c1"}
    assert conflicts == [
        ("match_of_two_birth_dates", "c5", "p5"),
        ("match_of_two_people", "c2", "p2"),
        ("match_of_two_people", "c3", "p2"),
        ("match_of_two_sexes", "c4", "p4"),
    ]
    assert {pair: is_link for pair, (is_link, _) in pairs.items()} == dict.fromkeys(
        [("c1", "p1"), ("c2", "p2"), ("c3", "p2"), ("c4", "p4"), ("c5", "p5")], True
    )
    # Names are in no table, even as a source wrote them; a control finds them in the input.
    names = ["Quetzalcoatl", "QUETZALCOATL", "Zabriskie", "Vandersloot", "Ximena"]
    assert set(holders(conf / "input", names)) == set(names)
    assert holders(Path(tables.warehouse), names) == {}


@pytest.mark.slow
def test_the_order_of_deliveries_changes_nothing_and_a_new_name_unlinks(conf, job_in):
    """p1 changes her name and her postcode, later; who was who on each night is told alike in every order."""
    deliveries = [
        ("clinic", CLINIC, FIRST),
        ("payer", PAYER, FIRST),
        ("payer", ["p1,Papadopoulos,Yolanda,1950-02-03,female,90210,2020-03-01"], LATER),
    ]
    found = []
    for number, order in enumerate([(0, 1, 2), (2, 1, 0)]):
        for step in order:
            source, rows, at = deliveries[step]
            tables = deliver(job_in, conf, f"warehouse{number}", source, step, rows, at)
        found.append(told(tables, conf))
    assert found[0] == found[1]
    people, _, pairs = found[0]
    assert [one for one in people if one[0] == "p1"] == [
        ("p1", "c1", "2021-01-01 00:00:00", "2021-07-01 00:00:00"),
        ("p1", "p1", "2021-07-01 00:00:00", "None"),
    ]
    assert ("c1", "p1") not in pairs


def test_a_placeholder_that_thousands_share_holds_the_batch(spark, monkeypatch):
    monkeypatch.setattr(matching, "MOST_IN_A_BLOCK", 5)
    fields = [("birth_date", 1), ("family_sound", 1)]
    rows = [(number, f"main/{number}", fields, 0.999, number, 1, None, 0, 0) for number in range(6)]
    with pytest.raises(Held, match="6 records"):
        matches(spark.createDataFrame(rows, LINKAGE), read_model())
    assert matches(spark.createDataFrame(rows[:5], LINKAGE), read_model()).isEmpty()  # a birthday alone is no match


def test_who_is_erased_leaves_the_matches_too(conf, job_in):
    deliver(job_in, conf, "warehouse", "clinic", 1, CLINIC[:2], FIRST)
    deliver(job_in, conf, "warehouse", "payer", 1, PAYER[:1], FIRST)
    key = create_key(conf / "site.key")
    with job_in(conf / "warehouse", "erase") as job:
        erase(job, [pseudonym(key, "main", "payer", "p1")], key)
    assert job.tables.read("matches").isEmpty()
    kept = {row["source_subject_id"] for row in job.tables.read("linkage").collect()}
    assert kept == {pseudonym(key, "main", "clinic", "c2")}
    tables = deliver(job_in, conf, "warehouse", "clinic", 2, CLINIC[4:], LATER)
    assert tables.read("matches").isEmpty()
