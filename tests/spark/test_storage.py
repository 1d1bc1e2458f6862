"""Tables as one whole: what a run writes is seen by all at once, or by nobody."""

from datetime import date, datetime

import pytest
from delta.tables import DeltaTable
from pyspark.errors import AnalysisException
from pyspark.sql import functions as F

from salus.errors import Held, Refused
from salus.schemas import schema_of
from salus.storage.tables import Tables, conform

TIME = datetime(2026, 6, 30)


def identities(tables, *subjects):
    return tables.frame("identity", [{"source_subject_id": subject, "subject_id": subject} for subject in subjects])


def codes(tables, *names):
    return tables.frame("codes", [{"code": name, "code_hash": hash(name), "events": 1} for name in names])


def truths(tables, task, *subjects):
    return tables.frame(
        "demo_truth",
        [
            {
                "subject_id": subject,
                "task_id": task,
                "as_of": date(2026, 6, 30),
                "split": "train",
                "true_probability": 0.2,
                "attainable_probability": 0.1,
            }
            for subject in subjects
        ],
    )


def seen(tables, name="identity", column="source_subject_id"):
    return sorted(row[column] for row in tables.read(name).collect())


def again(tables):
    """The same warehouse, as another run sees it."""
    return Tables(tables.spark, tables.warehouse)


def test_a_table_that_nobody_wrote_is_empty_and_of_its_schema(tables):
    assert tables.read("events").schema.names == schema_of("events").names
    assert seen(tables) == []
    assert tables.version("identity") is None


def test_a_run_sees_its_own_rows_and_others_see_them_once_they_are_published(tables):
    tables.append("identity", identities(tables, 1, 2))
    assert seen(tables) == [1, 2]
    assert seen(again(tables)) == []
    assert tables.publish("run-1")
    assert seen(again(tables)) == [1, 2]


def test_several_tables_appear_together(tables):
    tables.append("identity", identities(tables, 1))
    tables.publish("run-1")
    reader = again(tables)
    tables.append("identity", identities(tables, 2))
    tables.replace("codes", codes(tables, "A"))
    assert (seen(again(tables)), seen(again(tables), "codes", "code")) == ([1], [])
    tables.publish("run-2")
    assert (seen(again(tables)), seen(again(tables), "codes", "code")) == ([1, 2], ["A"])
    assert (seen(reader), seen(reader, "codes", "code")) == ([1], []), "a reader keeps the snapshot it began with"


def test_nothing_written_is_nothing_published(tables):
    assert not tables.publish("run-1")
    assert tables.version("snapshots") is None


def test_snapshots_ascend_even_where_the_clock_goes_back(tables, monkeypatch):
    tables.append("identity", identities(tables, 1))
    tables.publish("run-1")
    ahead = datetime(2100, 1, 1)
    monkeypatch.setattr(tables, "_next_instant", lambda: ahead)
    tables.append("identity", identities(tables, 2))
    tables.publish("run-2")
    later = again(tables)
    later.append("identity", identities(tables, 3))
    later.publish("run-3")
    instants = [
        row[0]
        for row in tables.spark.read.format("delta")
        .load(tables.path("snapshots"))
        .orderBy("published_at")
        .select("published_at")
        .collect()
    ]
    assert instants[1] == ahead
    assert instants[2] > ahead
    assert seen(again(tables)) == [1, 2, 3]


def test_what_a_dead_run_left_is_undone(tables):
    tables.append("identity", identities(tables, 1))
    tables.publish("run-1")
    dead = again(tables)
    dead.append("identity", identities(tables, 2))
    dead.replace("codes", codes(tables, "A"))
    heir = again(tables)
    assert sorted(heir.undo_unpublished()) == ["codes", "identity"]
    assert again(tables).undo_unpublished() == [], "what is undone need not be undone again"
    newest = {name: tables.spark.read.format("delta").load(tables.path(name)).count() for name in ("identity", "codes")}
    assert newest == {"identity": 1, "codes": 0}


def test_a_run_builds_on_what_is_published_and_not_on_what_a_dead_run_left(tables):
    tables.append("identity", identities(tables, 1))
    tables.publish("run-1")
    again(tables).append("identity", identities(tables, 2))
    heir = again(tables)
    heir.append("identity", identities(tables, 3))
    heir.publish("run-3")
    assert seen(again(tables)) == [1, 3]


def test_a_run_builds_on_nothing_where_a_dead_run_left_a_table_that_nobody_had_published(tables):
    tables.append("identity", identities(tables, 1, 2))  # and then its process, or its notebook's cell, ended
    heir = again(tables)
    heir.append("identity", identities(heir, 2))
    heir.append("identity", identities(heir, 3))
    heir.publish("heir")
    assert seen(again(tables)) == [2, 3]


def test_replace_where_leaves_the_other_rows(tables):
    tables.replace("demo_truth", truths(tables, "a", 1, 2), where="task_id = 'a'")
    tables.replace("demo_truth", truths(tables, "b", 3), where="task_id = 'b'")
    tables.replace("demo_truth", truths(tables, "a", 4), where="task_id = 'a'")
    assert seen(tables, "demo_truth", "subject_id") == [3, 4]


def test_replace_where_refuses_rows_that_it_does_not_select(tables):
    with pytest.raises(AnalysisException):
        tables.replace("demo_truth", truths(tables, "b", 1), where="task_id = 'a'")
    assert seen(again(tables), "demo_truth", "subject_id") == []


def test_upsert_replaces_by_key_and_adds_the_rest(tables):
    tables.append("codes", codes(tables, "A", "B"))
    more = codes(tables, "B", "C").withColumn("events", F.lit(9).cast("long"))
    tables.upsert("codes", more, key="code")
    assert {row["code"]: row["events"] for row in tables.read("codes").collect()} == {"A": 1, "B": 9, "C": 9}


def test_rows_of_another_schema_are_refused_and_nothing_is_written(tables):
    wrong = tables.spark.createDataFrame([(1, "x")], "source_subject_id long, subject_id string")
    with pytest.raises(TypeError, match=r"subject_id: received string, expected bigint; known_from: received nothing"):
        tables.append("identity", wrong)
    assert seen(again(tables)) == []


def test_conform_orders_the_columns_and_drops_the_others(spark):
    rows = spark.createDataFrame(
        [("x", 2, 1, TIME, None)],
        "other string, subject_id long, source_subject_id long, known_from timestamp_ntz, known_until timestamp_ntz",
    )
    assert conform(rows, schema_of("identity")).columns == schema_of("identity").names


def test_the_log_shows_statistics_of_ids_and_times_only(tables):
    tables.append("codes", codes(tables, "SECRET/CODE"))
    tables.append("identity", identities(tables, 1))
    log = tables.spark.read.json(f"{tables.path('codes')}/_delta_log/*.json").where("add is not null")
    statistics = [row[0] or "" for row in log.select("add.stats").collect()]
    assert statistics
    assert not any("SECRET" in one for one in statistics)
    detail = DeltaTable.forPath(tables.spark, tables.path("codes")).detail().head()
    assert detail["properties"]["delta.enableDeletionVectors"] == "false"


def test_a_job_publishes_at_its_end_and_stands_in_the_ledger(job_in, tables):
    with job_in(tables.warehouse, "some_job") as job:
        job.tables.append("identity", identities(tables, 1))
        job.count(people=1)
        assert seen(again(tables)) == []
    assert seen(again(tables)) == [1]
    runs = tables.read("runs").where(F.col("run_id") == job.run_id)
    assert sorted(row["status"] for row in runs.collect()) == ["started", "succeeded"]
    assert runs.where("status = 'succeeded'").head()["figures"] == '{"people": 1}'


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Refused("x"), "refused"),
        (Held("x"), "held"),
        (ValueError("x"), "failed"),
        (KeyboardInterrupt(), "failed"),
    ],
)
def test_a_job_that_fails_publishes_nothing_and_says_so_in_the_ledger(job_in, tables, error, status):
    with pytest.raises(type(error)), job_in(tables.warehouse, "some_job") as job:
        job.tables.append("identity", identities(tables, 1))
        raise error
    assert seen(again(tables)) == []
    assert [row["status"] for row in tables.read("runs").where("status != 'started'").collect()] == [status]


def test_equal_work_is_done_once(job_in, tables):
    def work(**more):
        with job_in(tables.warehouse, "codes") as job:
            if job.needed({"task": "a"}, reads=["identity"], **more):
                job.tables.replace("codes", codes(tables, *more.get("names", "A")))
                job.count(codes=1)
        return job.skipped, job.figures

    assert work() == (False, {"codes": 1})
    written = again(tables).versions(["codes"])
    assert work() == (True, {"codes": 1})
    assert again(tables).versions(["codes"]) == written, "skipped work writes no version"
    assert work(names="B")[0] is False, "other settings are other work"
    assert work()[0] is False, "only the last work of a slot is what stands there"
    with job_in(tables.warehouse, "people") as job:
        job.tables.append("identity", identities(tables, 1))
    assert work()[0] is False, "another version of a table that it reads is other work"


def test_work_that_failed_is_done_again(job_in, tables):
    with pytest.raises(Held), job_in(tables.warehouse, "codes") as job:
        assert job.needed({"task": "a"}, reads=[])
        raise Held("a gate")
    with job_in(tables.warehouse, "codes") as job:
        assert job.needed({"task": "a"}, reads=[])


def test_a_job_within_a_job_publishes_what_the_next_one_reads(job_in, tables):
    with job_in(tables.warehouse, "demo"):
        with job_in(tables.warehouse, "first") as first:
            first.tables.append("identity", identities(tables, 1))
        with job_in(tables.warehouse, "second") as second:
            assert seen(second.tables) == [1]
            second.tables.append("identity", identities(tables, 2))
    assert seen(again(tables)) == [1, 2]


def test_rows_of_an_older_salus_have_nothing_in_the_columns_of_today_and_new_rows_stand_beside_them(tables):
    refused = dict.fromkeys(("file_id", "record", "batch_id"), 1)
    refused |= dict.fromkeys(("source", "record_type", "rule", "reason", "mapping_hash"), "said")
    older = tables.frame("quarantine", [refused]).drop("raw")
    older.write.format("delta").save(tables.path("quarantine"))
    tables.written["quarantine"] = 0
    tables.publish("first")
    assert [row["raw"] for row in again(tables).read("quarantine").collect()] == [None]

    later = again(tables)
    later.append("quarantine", later.frame("quarantine", [refused | {"record": 2, "raw": "kept"}]))
    later.replace("quarantine", later.frame("quarantine", [refused | {"record": 3, "raw": "too"}]), "record = 3")
    later.publish("second")
    found = again(tables).read("quarantine").orderBy("record").collect()
    assert [(row["record"], row["raw"]) for row in found] == [(1, None), (2, "kept"), (3, "too")]


def test_a_derived_table_of_an_older_salus_gets_the_columns_of_today(tables):
    declared = schema_of("codes")
    older = codes(tables, "A").drop("ancestors")
    older.write.format("delta").save(tables.path("codes"))
    tables.replace("codes", codes(tables, "B"))
    assert tables.read("codes").schema.simpleString() == declared.simpleString()
    assert [field.metadata for field in tables.read("codes").schema] == [field.metadata for field in declared]
    assert seen(tables, "codes", "code") == ["B"]
    tables.publish("one")
    assert seen(again(tables), "codes", "code") == ["B"]
