"""The demo, as a newcomer starts it, at a few hundred people; and once more, when there is nothing left to do."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from pyspark.sql import functions as F

import demo
from salus.schemas import TABLES
from salus.storage import Tables
from salus.training.package import package_info

PHASES = [
    "simulate",
    "ingest",
    "ingest",
    "ingest",
    "demo_truth",
    "quality",
    "timelines",
    "cohort",
    "export",
    "train",
    "evaluate",
    "explain",
    "score",
    "report",
]
FIGURES = [
    "files",
    "records read",
    "accepted",
    "quarantined",
    "people",
    "events",
    "training rows",
    "AUROC model",
    "AUROC baseline",
    "AUROC attainable",
    "AUROC oracle",
    "eligible",
    "scored",
    "not scored",
    "seconds",
    "report",
]


@pytest.fixture(scope="module")
def shown(first_demo):
    """What a first demo printed, and where it worked."""
    return first_demo


@pytest.fixture(scope="module")
def warehouse(shown, spark):
    """The first demo's tables."""
    return Tables(spark, str(shown[1] / "warehouse"))


def test_it_prints_one_line_a_phase_and_ends_with_the_table(shown):
    phases, _, table = shown[0].stdout.partition("\n\n")
    # Under spark-submit what goes to stderr comes out with stdout; progress is indented, a phase's line is not.
    assert [line.split()[0] for line in phases.splitlines() if not line.startswith("  ")] == PHASES
    assert [line[2:18].strip() for line in table.splitlines()] == FIGURES
    assert Path(shown[1], re.search(r"^  report +(\S+)", table, re.MULTILINE)[1]).is_file()
    assert "Traceback" not in shown[0].stderr


def test_it_writes_nowhere_but_beside_its_warehouse(shown):
    assert sorted(path.name for path in shown[1].iterdir()) == ["warehouse", "warehouse.key", "warehouse.landing"]


def test_every_record_is_accounted_for_as_the_manifest_says(shown, warehouse):
    manifest = json.loads((shown[1] / "warehouse.landing" / "manifest.json").read_text())
    files = warehouse.read("ingested_files")
    assert files.where("rows_read != rows_accepted + rows_quarantined").isEmpty()
    assert files.agg(F.sum("rows_read")).head()[0] == sum(manifest["records"].values())
    planted = sum((Counter(rules) for rules in manifest["quarantine"].values()), Counter())
    found = {row["rule"]: row["count"] for row in warehouse.read("quarantine").groupBy("rule").count().collect()}
    assert found == planted


def test_everybody_eligible_is_scored_or_told_why_not(warehouse):
    scores = warehouse.read("scores")
    night = warehouse.read("score_runs").where("status = 'published'").head()
    assert scores.where(F.col("probability").isNull() == F.col("not_scored_reason").isNull()).isEmpty()
    assert (night["eligible"], night["scored"]) == (scores.count(), scores.where("probability is not null").count())
    assert scores.where("probability is not null and size(reasons) = 0").isEmpty()


def test_its_people_are_fewer_than_the_inputs_ask_for_and_the_models_say_so(warehouse):
    for model in warehouse.read("models").collect():
        size = package_info(f"{warehouse.warehouse}/{model['package_path']}")["sample_size"]
        assert size["forced"] is (size["rows"] < size["required"]) is True


def test_the_truth_of_those_scored_is_known_under_their_pseudonyms(warehouse):
    truth = warehouse.read("demo_truth")
    assert truth.groupBy("subject_id", "task_id", "as_of").count().where("count > 1").isEmpty()
    scored = warehouse.read("scores").where("probability is not null")
    known = scored.join(truth, ["subject_id", "task_id", "as_of"]).count()
    assert known > 0.95 * scored.count()
    cohort = warehouse.read("cohorts/admission_90d").select("subject_id", F.col("split").alias("of_cohort")).distinct()
    assert truth.join(cohort, "subject_id").where("split != of_cohort").isEmpty()


def test_the_sites_key_is_nowhere_in_the_warehouse(shown):
    key = (shown[1] / "warehouse.key").read_text().strip()
    assert len(key) >= 64
    assert (shown[1] / "warehouse.key").stat().st_mode & 0o077 == 0
    for file in (shown[1] / "warehouse").rglob("*.json"):
        assert key not in file.read_text(encoding="utf-8"), file
    assert key not in shown[0].stdout + shown[0].stderr


def test_a_second_demo_ingests_nothing_and_changes_no_row(shown, warehouse, capsys):
    before = versions(warehouse)
    figures = shown[0].stdout.partition("\n\n")[2]
    demo.main([*shown[0].args[4:6], f"--warehouse={warehouse.warehouse}"])
    phases, _, table = capsys.readouterr().out.partition("\n\n")
    assert [line.split()[0] for line in phases.splitlines()] == PHASES
    for line in phases.splitlines():
        assert "nothing new" in line or line.startswith("report"), line
    assert versions(warehouse) == before

    def without_times(text):
        return [line for line in text.splitlines() if not line.startswith(("  seconds", "  report"))]

    assert without_times(table) == without_times(figures)


def versions(tables):
    """The newest Delta version of every table but the ledger, published or not."""
    names = [*TABLES, "cohorts/admission_90d"]
    return {name: tables._newest(name) for name in names if name != "runs"}
