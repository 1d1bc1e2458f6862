"""At the door: free text loses what rules can find, and what the policy does not let pass lands empty."""

import shutil
from datetime import datetime

import pytest
from pyspark.sql import functions as F

from salus.privacy.door import admitted
from salus.privacy.scrub import scrubbed, without_names
from salus.privacy.settings import policy_of
from salus.settings import conf_dir
from salus.sources.batch import Batch, staged_rows
from salus.sources.files import found, inspected
from salus.sources.loading import load_source

FOUND = {
    "Seen on 2021-03-04 and 3/4/21.": "Seen on [DATE] and [DATE].",
    "Admitted 2021-03-04T10:11:12Z, left March 9th, 2021": "Admitted [DATE], left [DATE]",
    "born 9. Sept 1950": "born [DATE]",
    "2021年3月4日入院": "[DATE]入院",
    "call (555) 123-4567 or 555.123.4567": "call [TELEPHONE] or [TELEPHONE]",
    "Tel. +49 221 1234567, 13812345678": "Tel. [TELEPHONE], [TELEPHONE]",
    "write to ann.o'neil+x@mail.example.org": "write to ann.o'[MAIL]",
    "see https://ehr.example/p?id=7 now": "see [WEB] now",
    "SSN 999-12-3456": "SSN [ID]",
    "MRN: 00412345, policy # AB-1234": "[ID], [ID]",
    "chart S99912345 from 10.0.0.12": "chart [ID] from [ADDRESS]",
}
LEFT = [
    "BP 120/80, HbA1c 6.5 %, platelets 150000/uL, ratio 3.5-4.0",
    "LOINC 4548-4, ICD E11.9, grade 2/3, T4N1M0",
    "May improve; 10 mg 3 times a day for 14 days",
    "Went home. Zufrieden, äh.",
    "血压120/80，体温36.5",
]


def test_what_the_rules_find_gives_way_to_its_kind_and_the_rest_stays(spark):
    texts = [*FOUND, *LEFT]
    rows = spark.createDataFrame([(text,) for text in [*texts, None]], "text string")
    found = {
        row["text"]: row["scrubbed"] for row in rows.select("text", scrubbed(F.col("text")).alias("scrubbed")).collect()
    }
    assert found == FOUND | {text: text for text in LEFT} | {None: None}


def test_names_that_the_record_carries_go_from_its_text_as_whole_words(spark):
    cases = [
        (
            "Ann Lee came; ann's annual check. ANN-MARIE LEE",
            ["Ann", "Lee"],
            "[NAME] [NAME] came; [NAME]'s annual check. [NAME]-MARIE [NAME]",
        ),
        ("Ann Marie and Ann", ["Ann", "Ann Marie"], "[NAME] and [NAME]"),
        ("王小明今日入院", ["王小明"], "[NAME]今日入院"),
        ("cost $1 \\E (a+b)", [" (a+b) ", "x", None, ""], "cost $1 \\E [NAME]"),
        ("Zoë Ζωή", ["ZOË", "ζωή"], "[NAME] [NAME]"),
        ("nobody", None, "nobody"),
        (None, ["Ann"], None),
    ]
    rows = spark.createDataFrame([(text, names) for text, names, _ in cases], "text string, names array<string>")
    found = [row[0] for row in rows.coalesce(1).select(F.expr(without_names("text", "names"))).collect()]
    assert found == [expected for *_, expected in cases]


def test_a_policy_that_lets_everything_pass_changes_no_plan(spark):
    rows = spark.createDataFrame(
        [], "numeric_value float, text_value string, unit string, note struct<note_text:string>"
    )
    assert admitted(rows, policy_of("any"), {"note": "notes"}) is rows


@pytest.mark.parametrize("asked", ["scrub", "drop"])
def test_a_delivery_passes_the_door_of_its_own_policy(spark, tmp_path, monkeypatch, asked):
    """The letters carry names beside their text; what its policy withholds lands empty, in every table."""
    shutil.copytree(conf_dir(), tmp_path / "conf")
    monkeypatch.setenv("SALUS_CONF", str(tmp_path / "conf"))
    (tmp_path / "conf" / "sources" / "letters.yml").write_text(LETTERS)
    (tmp_path / "conf" / "privacy" / "letters.yml").write_text(
        f"notes: {asked}\ntext_values: {asked}\nwithholds: {{notes: [language], events: [unit]}}\n"
    )
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "letters.csv").write_text(
        "chart,first_name,last_name,day,words,score\nc1,Ann,Lee,2021-03-04,Ann Lee is better (555-123-4567),5\n"
    )
    source = load_source("letters")
    files = inspected(spark, source, found(spark, source, str(tmp_path / "in")))
    batch = Batch(source, "main", "0" * 64, files, datetime(2021, 12, 1), 0)
    every = staged_rows(spark, batch, b"k" * 32)
    _, row = every.orderBy("_line_id").collect()  # the header's row comes first
    scrub = asked == "scrub"
    assert row["note"]["note_text"] == ("[NAME] [NAME] is better ([TELEPHONE])" if scrub else None)
    assert row["text_value"] == ("Ann Lee is better ([TELEPHONE])" if scrub else None)
    assert (row["unit"], row["note"]["language"]) == (None, None)
    assert (row["numeric_value"], row["note"]["note_datetime"]) == (5, datetime(2021, 3, 4))


LETTERS = """\
format: csv
system: letters
system_priority: 4
times:
  - {matches: '\\d{4}-\\d{2}-\\d{2}', reads: try_cast(text AS DATE), lasts: day}
records:
  letter:
    files: ['letters*']
    schema: chart, day, words, score
    id: chart
    subject: chart
    declares_subject: true
    time: day
    note: {text: words, names: "array(first_name, last_name)"}
    events:
      letter: {code: "'NOTE/1'", text_value: words, numeric_value: score, unit: "'{score}'"}
"""
