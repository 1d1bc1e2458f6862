"""What a snapshot lacks is withdrawn: every history of a record, in every order in which three snapshots can come."""

from datetime import datetime
from itertools import permutations, product

import pytest
from pyspark.sql import functions as F

from salus.schemas import RECORDS
from salus.sources.absence import COVERED, copied, missing, standing, steps
from salus.sources.batch import version_of
from salus.sources.verdicts import RECORD, first_told

TIMES = [datetime(2021, 1, day) for day in (1, 8, 15)]
ORDERS = list(permutations(range(len(TIMES))))
HISTORIES = list(product((0, 11, 22), repeat=len(TIMES)))  # what each snapshot says of a record; 0 = it lacks it
ROW = (
    "file_id long, record long, record_type string, record_id long, source_subject_id long, version long, "
    "content_hash long, file_order int, is_head boolean"
)


def delivered(step):
    """Each record type is delivered in an order of its own: its snapshot of this step, all in one frame."""
    return [
        (
            step,
            kind * 1000 + number,
            str(kind),
            kind * 1000 + number,
            number,
            version_of(TIMES[order[step]]),
            history[order[step]],
            0,
            True,
        )
        for kind, order in enumerate(ORDERS)
        for number, history in enumerate(HISTORIES)
        if history[order[step]]
    ]


def coverage(step):
    rows = []
    for kind, order in enumerate(ORDERS):
        at = TIMES[order[step]]
        later = min((TIMES[number] for number in order[:step] if TIMES[number] > at), default=None)
        rows.append((str(kind), step, False, at, version_of(at), later, version_of(later) if later else None))
    return rows


def after_all(spark):
    """``records`` after all snapshots."""
    rows = []
    for step in range(len(TIMES)):
        records = spark.createDataFrame(rows, RECORDS)
        placed = spark.createDataFrame(delivered(step), ROW)
        covered = spark.createDataFrame(coverage(step), COVERED)
        heads = placed.withColumn("rule", F.lit(None).cast("string"))
        verdicts = first_told(heads, records).where("rule IS NOT NULL")
        accepted = placed.join(verdicts, RECORD, "left_anti").localCheckpoint()
        before = standing(records, covered).localCheckpoint()
        gone = missing(before, placed).localCheckpoint()
        written = accepted.select("record_id", "source_subject_id", "record_type").join(covered, "record_type")
        made = steps(before, gone, written, records, is_late=True)
        told = accepted.withColumns(
            {"is_void": F.lit(False), "available_time": F.lit(None).cast("timestamp_ntz")}
        ).select(RECORDS.names)
        voids = made.voids.select(RECORDS.names)
        again = copied(records, made.copies, is_live=True)
        rows += [tuple(row) for row in told.unionByName(voids).unionByName(again).collect()]
    return rows


@pytest.fixture(scope="module")
def by_record(spark):
    found = {}
    for row in after_all(spark):
        found.setdefault(row[0], []).append((row[1], row[4], row[6]))
    return {record: sorted(versions) for record, versions in found.items()}


def test_each_record_stands_exactly_when_the_snapshots_say_so(by_record):
    for kind in range(len(ORDERS)):
        for number, history in enumerate(HISTORIES):
            versions = by_record.get(kind * 1000 + number, [])
            stood = [
                next((content for version, content, _ in reversed(versions) if version <= version_of(at)), 0)
                for at in TIMES
            ]
            assert tuple(stood) == history, (ORDERS[kind], history)


def test_no_version_is_told_twice_and_in_order_each_change_once(by_record):
    for record, versions in by_record.items():
        assert len({version for version, _, _ in versions}) == len(versions)
        assert all(is_void == (content == 0) for _, content, is_void in versions)
        if record < 1000:  # the first order is that of time
            history = HISTORIES[record]
            assert len(versions) == sum(now != before for before, now in zip((0, *history), history))
